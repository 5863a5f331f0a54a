/* test_linking.c - does a challengePassword link a CSR to its TLS connection, and nothing else pass for it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ra/ra.h"

/* tls-unique of twelve bytes 0 to 11. */
#define BASE64 "AAECAwQFBgcICQoL"
static const struct binding unique = {
	.type = "tls-unique",
	.len = 12,
	.value = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 },
};

static enum reason compare(const char *challenge, bool required)
{
	struct fault f;

	return linking_compare(&unique, challenge == NULL ? (struct blob){ 0 } : BLOB_STR(challenge), required, &f);
}

static void the_right_value_links(void **state)
{
	(void)state;
	assert_int_equal(compare(BASE64, false), REASON_OK);
	assert_int_equal(compare(BASE64, true), REASON_OK);
}

static void anything_else_fails_whether_required_or_not(void **state)
{
	static const char *const wrong[] = {
		"AAECAwQFBgcICQoM", "AAECAwQFBgcICQo", BASE64 "=", BASE64 "\n",
		" " BASE64,         "secret",          "!!!!",     "AAECAwQFBgcICQoLAA==",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(compare(wrong[i], false), REASON_LINK_FAILED);
		assert_int_equal(compare(wrong[i], true), REASON_LINK_FAILED);
	}
}

static void without_one_only_a_requiring_label_refuses(void **state)
{
	(void)state;
	assert_int_equal(compare(NULL, false), REASON_OK);
	assert_int_equal(compare(NULL, true), REASON_LINK_MISSING);
}

static void a_connection_without_binding_links_nothing(void **state)
{
	const struct binding none = { .why = "no TLS" };
	struct fault f;

	(void)state;
	assert_int_equal(linking_compare(&none, BLOB_STR(BASE64), false, &f), REASON_LINK_FAILED);
	assert_int_equal(linking_compare(&none, BLOB_STR("A"), false, &f), REASON_LINK_FAILED);
	assert_int_equal(linking_compare(&none, (struct blob){ 0 }, false, &f), REASON_OK);
	assert_int_equal(linking_compare(&none, (struct blob){ 0 }, true, &f), REASON_LINK_MISSING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_value_links),
		cmocka_unit_test(anything_else_fails_whether_required_or_not),
		cmocka_unit_test(without_one_only_a_requiring_label_refuses),
		cmocka_unit_test(a_connection_without_binding_links_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
