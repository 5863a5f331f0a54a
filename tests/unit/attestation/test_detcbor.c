/* test_detcbor.c - CBOR has many encodings of one value; one is taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "detcbor.h"

static uint8_t octets[64];

static struct blob hex(const char *text)
{
	size_t len;

	assert_true(text_unhex(text, strlen(text), octets, sizeof(octets), &len));
	return BLOB(octets, len);
}

static void reads_integers_of_every_width(void **state)
{
	static const struct {
		const char *hex;
		int64_t value;
	} cases[] = {
		{ "00", 0 },
		{ "17", 23 },
		{ "1818", 24 },
		{ "18ff", 255 },
		{ "190100", 256 },
		{ "19ffff", 65535 },
		{ "1a00010000", 65536 },
		{ "1affffffff", 4294967295 },
		{ "1b0000000100000000", 4294967296 },
		{ "1b7fffffffffffffff", INT64_MAX },
		{ "20", -1 },
		{ "37", -24 },
		{ "3818", -25 },
		{ "3a0001387f", -80000 },
		{ "3b7fffffffffffffff", INT64_MIN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blob in = hex(cases[i].hex);
		int64_t value;

		assert_true(detcbor_int(&in, &value));
		assert_true(value == cases[i].value);
		assert_int_equal(in.len, 0);
	}
}

static void refuses_integers_longer_than_they_need_to_be(void **state)
{
	static const char *const cases[] = { "1800", "1817", "190000", "1900ff", "1a0000ffff", "1b00000000ffffffff",
					     "3800", "3817", "3900ff", "3a0000ffff", "3b00000000ffffffff",
					     /* and those that no int64_t holds */
					     "1b8000000000000000", "3b8000000000000000", "1bffffffffffffffff" };
	int64_t value;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blob in = hex(cases[i]);

		assert_false(detcbor_int(&in, &value));
	}
}

static void reads_strings_in_place(void **state)
{
	struct blob in = hex("43010203"
			     "6161"),
		    out;

	(void)state;
	assert_true(detcbor_bytes(&in, &out));
	assert_int_equal(out.len, 3);
	assert_ptr_equal(out.ptr, octets + 1);
	assert_true(detcbor_text(&in, &out));
	assert_memory_equal(out.ptr, "a", 1);
	assert_int_equal(in.len, 0);
	in = hex("40");
	assert_true(detcbor_bytes(&in, &out));
	assert_int_equal(out.len, 0);
}

static void refuses_strings_that_are_cut_indefinite_or_long_winded(void **state)
{
	static const char *const cases[] = { "",
					     "43",
					     "430102",
					     "5801aa",
					     "590001aa",
					     "5f41aaff",
					     "5f",
					     "58",
					     "5b",
					     "5bffffffffffffffff",
					     "5b7fffffffffffffffaa",
					     "5a7fffffff",
					     "5c",
					     "61ff",
					     "6161",
					     "f6",
					     "a0",
					     "80",
					     "00",
					     "c240" };
	struct blob out;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blob in = hex(cases[i]);

		assert_false(detcbor_bytes(&in, &out));
	}
}

static void refuses_text_that_is_not_utf8(void **state)
{
	static const char *const cases[] = { "61ff", "61c3", "62c328", "62c080", "63eda080", "7f6161ff" };
	struct blob out;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct blob in = hex(cases[i]);

		assert_false(detcbor_text(&in, &out));
	}
	{
		struct blob in = hex("62c3a4");

		assert_true(detcbor_text(&in, &out));
	}
}

static void refuses_arrays_maps_and_tags_in_other_forms(void **state)
{
	struct blob in;
	size_t pairs;

	(void)state;
	in = hex("84");
	assert_true(detcbor_array(&in, 4));
	in = hex("83");
	assert_false(detcbor_array(&in, 4));
	in = hex("9804");
	assert_false(detcbor_array(&in, 4));
	in = hex("9f");
	assert_false(detcbor_array(&in, 4));
	in = hex("bf");
	assert_false(detcbor_map(&in, &pairs));
	in = hex("b801");
	assert_false(detcbor_map(&in, &pairs));
	in = hex("d2");
	assert_true(detcbor_tag(&in, 18));
	in = hex("d812");
	assert_false(detcbor_tag(&in, 18));
	in = hex("d1");
	assert_false(detcbor_tag(&in, 18));
}

/* --- maps as tables --- */

struct seen {
	uint64_t one, minus_one, far;
};

static enum reason read_one(struct blob *in, void *object, struct fault *f)
{
	return detcbor_uint(in, &((struct seen *)object)->one) ? REASON_OK : fault_set(f, REASON_CSR_DER, "one");
}

static enum reason read_minus_one(struct blob *in, void *object, struct fault *f)
{
	return detcbor_uint(in, &((struct seen *)object)->minus_one) ? REASON_OK : fault_set(f, REASON_CSR_DER, "-1");
}

static enum reason read_far(struct blob *in, void *object, struct fault *f)
{
	return detcbor_uint(in, &((struct seen *)object)->far) ? REASON_OK : fault_set(f, REASON_CSR_DER, "far");
}

static enum reason read_map(const char *text, struct seen *seen)
{
	static const struct detcbor_field fields[] = {
		{ 1, true, "one", read_one },
		{ 256, false, "far", read_far },
		{ -1, true, "minus one", read_minus_one },
	};
	struct blob in = hex(text);
	struct fault f = { 0 };

	*seen = (struct seen){ 0 };
	return detcbor_fields(&in, fields, 3, "map", REASON_EVIDENCE_DER, seen, &f);
}

static void reads_a_map_with_its_keys_in_bytewise_order(void **state)
{
	struct seen seen;

	(void)state;
	assert_int_equal(read_map("a2"
				  "0105"
				  "2006",
				  &seen),
			 REASON_OK);
	assert_int_equal(seen.one, 5);
	assert_int_equal(seen.minus_one, 6);
	assert_int_equal(read_map("a3"
				  "0105"
				  "19010007"
				  "2006",
				  &seen),
			 REASON_OK);
	assert_int_equal(seen.far, 7);
}

static void refuses_keys_out_of_order_repeated_unknown_missing_or_no_integers(void **state)
{
	static const char *const cases[] = {
		"a2"
		"2006"
		"0105", /* out of order */
		"a3"
		"0105"
		"2006"
		"19010007", /* shorter first is not the order: RFC 8949, not RFC 7049 */
		"a2"
		"0105"
		"0105", /* repeated */
		"a3"
		"0105"
		"0105"
		"2006",
		"a3"
		"0105"
		"0205"
		"2006", /* unknown */
		"a1"
		"0105", /* missing */
		"a0",
		"a2"
		"616105"
		"2006", /* text key */
		"a2"
		"180105"
		"2006", /* long-winded key */
		"a3"
		"0105"
		"2006", /* fewer pairs than said */
		"bf"
		"0105"
		"2006"
		"ff", /* indefinite */
		"bb7fffffffffffffff"
		"0105"
		"2006", /* absurdly many */
		"82"
		"0105", /* not a map */
		"",
	};
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(read_map(cases[i], &seen), REASON_EVIDENCE_DER);
}

static void a_field_refuses_with_its_own_reason(void **state)
{
	struct seen seen;

	(void)state;
	assert_int_equal(read_map("a2"
				  "0120"
				  "2006",
				  &seen),
			 REASON_CSR_DER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_integers_of_every_width),
		cmocka_unit_test(refuses_integers_longer_than_they_need_to_be),
		cmocka_unit_test(reads_strings_in_place),
		cmocka_unit_test(refuses_strings_that_are_cut_indefinite_or_long_winded),
		cmocka_unit_test(refuses_text_that_is_not_utf8),
		cmocka_unit_test(refuses_arrays_maps_and_tags_in_other_forms),
		cmocka_unit_test(reads_a_map_with_its_keys_in_bytewise_order),
		cmocka_unit_test(refuses_keys_out_of_order_repeated_unknown_missing_or_no_integers),
		cmocka_unit_test(a_field_refuses_with_its_own_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
