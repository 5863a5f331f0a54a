/* test_basic.c - are user and password taken out of an Authorization header as RFC 7617 says, and nothing else? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "http/basic.h"

static void header_for(struct blob pair, char *out, size_t out_len)
{
	struct buf text = { 0 };

	assert_int_equal(text_base64(pair, &text, NULL), REASON_OK);
	assert_true(text.len + 7 < out_len);
	memcpy(out, "Basic ", 6);
	memcpy(out + 6, text.ptr, text.len);
	out[6 + text.len] = '\0';
	buf_done(&text);
}

static enum reason parse(const char *pair, struct basic *basic)
{
	char header[2048];

	header_for(BLOB_STR(pair), header, sizeof(header));
	return basic_parse(BLOB_STR(header), basic, NULL);
}

static void parts_at_the_first_colon(void **state)
{
	struct basic b;

	(void)state;
	assert_int_equal(parse("legacy:pa:ss: word", &b), REASON_OK);
	assert_string_equal(b.user, "legacy");
	assert_string_equal(b.password, "pa:ss: word");
}

static void takes_an_empty_user_name(void **state)
{
	struct basic b;

	(void)state;
	assert_int_equal(parse(":secret", &b), REASON_OK);
	assert_string_equal(b.user, "");
	assert_string_equal(b.password, "secret");
}

static void scheme_has_no_case(void **state)
{
	struct basic b;

	(void)state;
	assert_int_equal(basic_parse(BLOB_STR("bAsIc YTpi"), &b, NULL), REASON_OK);
	assert_string_equal(b.user, "a");
	assert_string_equal(b.password, "b");
	assert_false(basic_scheme(BLOB_STR("Bearer YTpi")));
	assert_false(basic_scheme(BLOB_STR("Basic")));
	assert_true(basic_scheme(BLOB_STR("Basic ")));
}

static void refuses_malformed_headers(void **state)
{
	static const char *const headers[] = {
		"",          "Basic",           "Basic ", "Basic YQ==", "Basic *", "Basic YTpi=", "Digest YTpi",
		"BasicYTpi", "Basic YTpi YTpi:"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct basic b;

		if (basic_parse(BLOB_STR(headers[i]), &b, NULL) != REASON_AUTH_PASSWORD)
			fail_msg("\"%s\" was taken", headers[i]);
	}
}

static void refuses_control_characters(void **state)
{
	static const char nul[] = "us\0er:password", line[] = "user:pass\nword", del[] = "user:\x7f";
	const struct blob pairs[] = { BLOB(nul, sizeof(nul) - 1), BLOB(line, sizeof(line) - 1),
				      BLOB(del, sizeof(del) - 1) };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct basic b;
		char header[64];

		header_for(pairs[i], header, sizeof(header));
		assert_int_equal(basic_parse(BLOB_STR(header), &b, NULL), REASON_AUTH_PASSWORD);
	}
}

static void is_bounded(void **state)
{
	char pair[1024];
	struct basic b;

	(void)state;
	memset(pair, 'a', sizeof(pair));
	pair[200] = ':';
	pair[376] = '\0'; /* 376 characters are 504 of base64; with the scheme 510 */
	assert_int_equal(parse(pair, &b), REASON_OK);
	assert_int_equal(strlen(b.password), 175);
	pair[376] = 'a';
	pair[400] = '\0';
	assert_int_equal(parse(pair, &b), REASON_AUTH_PASSWORD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_at_the_first_colon),   cmocka_unit_test(takes_an_empty_user_name),
		cmocka_unit_test(scheme_has_no_case),         cmocka_unit_test(refuses_malformed_headers),
		cmocka_unit_test(refuses_control_characters), cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
