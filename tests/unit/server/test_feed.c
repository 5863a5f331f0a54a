/* test_feed.c - is a request to the feed taken for what it says, and nothing else? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "va/feed.h"

static void takes_a_list_and_a_number(void **state)
{
	struct feed_request request;

	(void)state;
	assert_int_equal(feed_request_parse("/feed/attested-delta.crl", "17", &request, NULL), REASON_OK);
	assert_string_equal(request.list, "attested-delta");
	assert_int_equal(request.after, 17);
	assert_int_equal(feed_request_parse("/feed/attested/3.crl", NULL, &request, NULL), REASON_OK);
	assert_string_equal(request.list, "attested/3");
	assert_int_equal(request.after, 0);
	assert_int_equal(feed_request_parse("/feed/a.crl", "18446744073709551615", &request, NULL), REASON_OK);
	assert_true(request.after == UINT64_MAX);
}

static void refuses_what_is_no_number(void **state)
{
	static const char *const wrong[] = {
		"", "-1", "+1", " 1", "1 ", "0x10", "1.0", "18446744073709551616", "%31", "000000000000000000001"
	};
	struct feed_request request = { .after = 5 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (feed_request_parse("/feed/a.crl", wrong[i], &request, NULL) != REASON_FEED_AFTER)
			fail_msg("took after=%s", wrong[i]);
	assert_int_equal(request.after, 5);
}

static void refuses_other_paths_and_names_longer_than_any(void **state)
{
	static const char *const wrong[] = { "/feed",       "/feed/",     "/feed/.crl", "/feed/a",
					     "/feed/a.cer", "/crl/a.crl", "feed/a.crl" };
	char path[CRL_NAME_CHARS + 32];
	struct feed_request request;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (feed_request_parse(wrong[i], NULL, &request, NULL) != REASON_STATUS_PATH)
			fail_msg("took %s", wrong[i]);
	snprintf(path, sizeof(path), "/feed/%0*d.crl", CRL_NAME_CHARS, 7);
	assert_int_equal(feed_request_parse(path, NULL, &request, NULL), REASON_OK);
	snprintf(path, sizeof(path), "/feed/%0*d.crl", CRL_NAME_CHARS + 1, 7);
	assert_int_equal(feed_request_parse(path, NULL, &request, NULL), REASON_STATUS_PATH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_list_and_a_number),
		cmocka_unit_test(refuses_what_is_no_number),
		cmocka_unit_test(refuses_other_paths_and_names_longer_than_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
