/* test_oid.c - oid.h: parsing, printing, and the promise that every arc Assay issues is below 2^28. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "oid.h"

static void goes_both_ways(void **state)
{
	static const struct {
		const char *dotted;
		const char *content;
		size_t len;
	} good[] = {
		{ "0.0", "\x00", 1 },
		{ "0.39", "\x27", 1 },
		{ "1.0", "\x28", 1 },
		{ "2.5.29.37", "\x55\x1d\x25", 3 },
		{ "2.999.3", "\x88\x37\x03", 3 },
		{ "1.2.840.113549.1.9.14", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e", 9 },
		{ "2.18446744073709551535", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10 },
		{ "1.3.18446744073709551615", "\x2b\x81\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11 },
	};
	struct oid oid;
	char text[64];

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(oid_parse(good[i].dotted, &oid));
		assert_int_equal(oid.len, good[i].len);
		assert_memory_equal(oid.bytes, good[i].content, oid.len);
		oid_text(&oid, text, sizeof(text));
		assert_string_equal(text, good[i].dotted);
	}
}

static void refuses_what_is_no_oid(void **state)
{
	static const char *const bad[] = {
		"",
		".",
		"1",
		"1.",
		".1",
		"3.1",
		"0.40",
		"1.40",
		"1..2",
		"1.2.",
		"1.2.x",
		"1.2 ",
		" 1.2",
		"1.-2",
		"1.02",
		"01.2",
		"1.2.18446744073709551616",
		"2.18446744073709551615",
		"2.99999999999999999999999999999",
		"1.2.840.113556.1.8000.2554.41601.63272.62968.18038.45442.3653042.8531877.1.1.4294967295.4294967295",
	};
	struct oid untouched = { .len = 77 };

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		assert_false(oid_parse(bad[i], &untouched));
		assert_int_equal(untouched.len, 77);
	}
}

static void prints_what_it_cannot_read_as_hex(void **state)
{
	/* 2.25.<UUID>: an arc of 128 bits */
	struct oid wide = { 20, { 0x69, 0x82, 0xc4, 0x8b, 0xee, 0xe4, 0xf5, 0xda, 0xbd, 0xb6,
				  0x81, 0xa1, 0xc6, 0xef, 0xd8, 0x88, 0xab, 0xeb, 0xbf, 0x25 } };
	struct oid cut = { 2, { 0x2a, 0x86 } }, padded = { 3, { 0x2a, 0x80, 0x01 } }, empty = { 0 };
	char text[96], small[6];

	(void)state;
	oid_text(&wide, text, sizeof(text));
	assert_string_equal(text, "hex:6982c48beee4f5dabdb681a1c6efd888abebbf25");
	oid_text(&cut, text, sizeof(text));
	assert_string_equal(text, "hex:2a86");
	oid_text(&padded, text, sizeof(text));
	assert_string_equal(text, "hex:2a8001");
	oid_text(&empty, text, sizeof(text));
	assert_string_equal(text, "hex:");
	oid_text(oid_of(OID_PKCS9_EXT_REQ), small, sizeof(small)); /* does not fit: terminated all the same */
	assert_true(strlen(small) < sizeof(small));
}

static void finds_by_name_or_dotted(void **state)
{
	struct oid oid;

	(void)state;
	assert_true(oid_by_name("clientAuth", &oid));
	assert_true(oid_equal(&oid, oid_of(OID_KP_CLIENT_AUTH)));
	assert_true(oid_by_name("1.3.6.1.5.5.7.3.2", &oid));
	assert_true(oid_equal(&oid, oid_of(OID_KP_CLIENT_AUTH)));
	assert_false(oid_by_name("clientauth", &oid));
	assert_false(oid_is(BLOB("\x55\x1d", 2), oid_of(OID_KP_ANY)));
}

/* Go's crypto/x509 and python-cryptography cannot parse a certificate with a larger arc anywhere in it. */
static void every_known_arc_is_below_2_to_28(void **state)
{
	char text[256];

	(void)state;
	for (size_t i = 0; i < OID_COUNT; i++) {
		oid_text(oid_of((enum oid_id)i), text, sizeof(text));
		for (char *save = NULL, *arc = strtok_r(text, ".", &save); arc != NULL;
		     arc = strtok_r(NULL, ".", &save)) {
			char *end;

			assert_true(strtoull(arc, &end, 10) < 1ULL << 28);
			assert_int_equal(*end, '\0');
		}
	}
}

static void names_and_oids_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < OID_COUNT; i++) {
		for (size_t j = 0; j < i; j++)
			assert_false(oid_equal(oid_of((enum oid_id)i), oid_of((enum oid_id)j)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_both_ways),
		cmocka_unit_test(refuses_what_is_no_oid),
		cmocka_unit_test(prints_what_it_cannot_read_as_hex),
		cmocka_unit_test(finds_by_name_or_dotted),
		cmocka_unit_test(every_known_arc_is_below_2_to_28),
		cmocka_unit_test(names_and_oids_are_unique),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
