/* test_der.c - der.h: one encoding for each value, everything else refused. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "der.h"

#define LITERAL(s) BLOB((s), sizeof(s) - 1)

static void refuses_lengths_that_are_not_minimal_or_overrun(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "", 0 },
		{ "\x04", 1 },
		{ "\x04\x01", 2 },         /* content cut off */
		{ "\x04\x80\x00\x00", 4 }, /* indefinite */
		{ "\x04\x81\x01\x00", 4 }, /* short form would do */
		{ "\x04\x81\x7f", 3 },
		{ "\x04\x82\x00\x80", 4 }, /* leading zero */
		{ "\x04\x81", 2 },         /* length cut off */
		{ "\x04\x84\xff\xff\xff\xff\x00", 7 },
		{ "\x04\x85\x01\x00\x00\x00\x00\x00", 8 },
		{ "\x04\xff\x00", 3 },
		{ "\x1f\x20\x00", 3 }, /* tag number in further bytes */
		{ "\xbf\x81\x01\x00", 4 },
	};
	struct der item;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct blob in = BLOB(bad[i].bytes, bad[i].len), before = in;

		assert_false(der_any(&in, &item));
		assert_ptr_equal(in.ptr, before.ptr);
		assert_int_equal(in.len, before.len);
	}
}

static void takes_one_element_after_the_other(void **state)
{
	struct blob in = LITERAL("\x04\x02zz\x05\x00\x30\x00"), content;
	bool flag;

	(void)state;
	assert_false(der_bool(&in, &flag));
	assert_true(der_take(&in, DER_OCTET_STRING, &content));
	assert_int_equal(content.len, 2);
	assert_false(der_take(&in, DER_OCTET_STRING, &content));
	assert_true(der_null(&in));
	assert_true(der_at(in, DER_SEQUENCE));
	assert_true(der_take(&in, DER_SEQUENCE, &content));
	assert_int_equal(in.len, 0);
	assert_false(der_at(in, DER_SEQUENCE));
	assert_false(der_only(LITERAL("\x30\x00\x00"), DER_SEQUENCE, &content));
}

static void long_lengths_are_read(void **state)
{
	uint8_t bytes[4 + 300] = { 0x04, 0x82, 0x01, 0x2c };
	struct blob in = BLOB_OF(bytes), content;

	(void)state;
	assert_true(der_take(&in, DER_OCTET_STRING, &content));
	assert_int_equal(content.len, 300);
	bytes[3] = 0x2d;
	in = BLOB_OF(bytes);
	assert_false(der_take(&in, DER_OCTET_STRING, &content));
}

static bool bool_of(struct blob in)
{
	bool value = false;

	return der_bool(&in, &value) && in.len == 0 && value;
}

static void booleans_are_00_or_ff(void **state)
{
	struct blob in = LITERAL("\x01\x01\x01"), two = LITERAL("\x01\x02\xff\xff"), none = LITERAL("\x01\x00");
	bool value;

	(void)state;
	assert_true(bool_of(LITERAL("\x01\x01\xff")));
	assert_false(bool_of(LITERAL("\x01\x01\x00")));
	assert_false(der_bool(&in, &value));
	assert_false(der_bool(&two, &value));
	assert_false(der_bool(&none, &value));
}

static void integers_are_minimal(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool integer, is_unsigned, small;
		uint32_t value;
	} cases[] = {
		{ "\x02\x01\x00", 3, true, true, true, 0 },
		{ "\x02\x01\x7f", 3, true, true, true, 127 },
		{ "\x02\x02\x00\x80", 4, true, true, true, 128 },
		{ "\x02\x04\x7f\xff\xff\xff", 6, true, true, true, 0x7fffffff },
		{ "\x02\x05\x00\x80\x00\x00\x00", 7, true, true, false, 0 },
		{ "\x02\x01\x80", 3, true, false, false, 0 },
		{ "\x02\x02\xff\x7f", 4, true, false, false, 0 },
		{ "\x02\x02\x00\x7f", 4, false, false, false, 0 },
		{ "\x02\x02\xff\x80", 4, false, false, false, 0 },
		{ "\x02\x00", 2, false, false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct blob one = BLOB(cases[i].bytes, cases[i].len), two = one, three = one, content;
		uint32_t value = 1;

		assert_int_equal(der_integer(&one, &content), cases[i].integer);
		assert_int_equal(der_unsigned(&two, &content), cases[i].is_unsigned);
		assert_int_equal(der_small(&three, &value), cases[i].small);
		if (cases[i].small)
			assert_int_equal(value, cases[i].value);
	}
}

static void bit_strings_have_no_padding_but_zeros(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool good;
		unsigned flags;
	} cases[] = {
		{ "\x03\x02\x07\x80", 4, true, 1 },
		{ "\x03\x02\x05\xa0", 4, true, 5 },
		{ "\x03\x02\x00\x01", 4, true, 128 },
		{ "\x03\x03\x07\x00\x80", 5, true, 256 },
		{ "\x03\x01\x00", 3, true, 0 },
		{ "\x03\x02\x06\x80", 4, false, 0 }, /* a trailing zero bit */
		{ "\x03\x02\x05\xb0", 4, false, 0 }, /* a one among the unused */
		{ "\x03\x02\x08\x80", 4, false, 0 },
		{ "\x03\x02\x00\x00", 4, false, 0 },
		{ "\x03\x01\x01", 3, false, 0 },
		{ "\x03\x00", 2, false, 0 },
		{ "\x03\x04\x07\x00\x00\x80", 6, false, 0 }, /* over 16 bits */
	};

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct blob in = BLOB(cases[i].bytes, cases[i].len);
		unsigned flags = 0;

		assert_int_equal(der_flags(&in, &flags), cases[i].good);
		if (cases[i].good)
			assert_int_equal(flags, cases[i].flags);
	}
}

static void the_lax_readers_take_two_departures_and_no_more(void **state)
{
	struct blob zeros = LITERAL("\x03\x02\x00\x06"), ones = LITERAL("\x03\x02\x05\xb0"),
		    empty = LITERAL("\x03\x01\x01");
	struct blob early = LITERAL("\x18\x0f"
				    "20480609220000Z"),
		    ancient = LITERAL("\x18\x0f"
				      "19491231235959Z"),
		    vague = LITERAL("\x18\x0d"
				    "204806092200Z");
	unsigned flags;
	int64_t at_s;

	(void)state;
	assert_true(der_flags_lax(&zeros, &flags));
	assert_int_equal(flags, 1 << 5 | 1 << 6);
	assert_false(der_flags_lax(&ones, &flags));
	assert_false(der_flags_lax(&empty, &flags));
	assert_true(der_time_lax(&early, &at_s));
	assert_true(at_s == 2475352800);
	assert_false(der_time_lax(&ancient, &at_s));
	assert_false(der_time_lax(&vague, &at_s));
}

static void whole_byte_strings_have_no_unused_bits(void **state)
{
	struct blob good = LITERAL("\x03\x03\x00\xab\xcd"), odd = LITERAL("\x03\x02\x04\xf0"),
		    none = LITERAL("\x03\x00");
	struct blob bytes;

	(void)state;
	assert_true(der_bytes(&good, &bytes));
	assert_int_equal(bytes.len, 2);
	assert_false(der_bytes(&odd, &bytes));
	assert_false(der_bytes(&none, &bytes));
}

static void oids_have_no_padded_or_cut_arcs(void **state)
{
	struct blob good = LITERAL("\x06\x03\x2a\x86\x48"), padded = LITERAL("\x06\x03\x2a\x80\x01");
	struct blob first = LITERAL("\x06\x02\x80\x01"), cut = LITERAL("\x06\x02\x2a\x86"), none = LITERAL("\x06\x00");
	struct blob inner = LITERAL("\x06\x03\x2a\x86\x80"), middle = LITERAL("\x06\x04\x2a\x81\x80\x01"), content;

	(void)state;
	assert_true(der_oid(&good, &content));
	assert_true(der_oid(&middle, &content)); /* 0x80 inside an arc is no padding */
	assert_false(der_oid(&padded, &content));
	assert_false(der_oid(&first, &content));
	assert_false(der_oid(&cut, &content));
	assert_false(der_oid(&none, &content));
	assert_false(der_oid(&inner, &content));
}

static bool time_of(unsigned tag, const char *text, int64_t *ret_s)
{
	uint8_t bytes[64] = { (uint8_t)tag, (uint8_t)strlen(text) };
	struct blob in = BLOB(bytes, 2 + strlen(text));

	memcpy(bytes + 2, text, strlen(text));
	return der_time(&in, ret_s) && in.len == 0;
}

static void times_are_read(void **state)
{
	static const struct {
		unsigned tag;
		const char *text;
		int64_t at_s;
	} good[] = {
		{ DER_UTC_TIME, "700101000000Z", 0 },
		{ DER_UTC_TIME, "500101000000Z", -631152000 },
		{ DER_UTC_TIME, "691231235959Z", -1 },
		{ DER_UTC_TIME, "000229120000Z", 951825600 },
		{ DER_UTC_TIME, "261121033000Z", 1795231800 },
		{ DER_UTC_TIME, "491231235959Z", 2524607999 },
		{ DER_GENERALIZED_TIME, "20500101000000Z", 2524608000 },
		{ DER_GENERALIZED_TIME, "21000301000000Z", 4107542400 },
		{ DER_GENERALIZED_TIME, "99991231235958Z", 253402300798 },
		{ DER_GENERALIZED_TIME, "99991231235959Z", TIME_NO_EXPIRY },
	};
	int64_t at_s;

	(void)state;
	for (size_t i = 0; i < N_OF(good); i++) {
		assert_true(time_of(good[i].tag, good[i].text, &at_s));
		assert_true(at_s == good[i].at_s);
	}
}

static void times_that_rfc_5280_does_not_allow_are_refused(void **state)
{
	static const struct {
		unsigned tag;
		const char *text;
	} bad[] = {
		{ DER_UTC_TIME, "2611210330Z" }, /* no seconds */
		{ DER_UTC_TIME, "261121033000" },
		{ DER_UTC_TIME, "261121033000+0000" },
		{ DER_UTC_TIME, "261121033000z" },
		{ DER_UTC_TIME, "261321033000Z" },
		{ DER_UTC_TIME, "260021033000Z" },
		{ DER_UTC_TIME, "260229000000Z" }, /* no leap year */
		{ DER_UTC_TIME, "260431000000Z" },
		{ DER_UTC_TIME, "260400000000Z" },
		{ DER_UTC_TIME, "261121240000Z" },
		{ DER_UTC_TIME, "261121036000Z" },
		{ DER_UTC_TIME, "261121033060Z" },
		{ DER_UTC_TIME, "26112103300 Z" },
		{ DER_UTC_TIME, "20500101000000Z" },
		{ DER_GENERALIZED_TIME, "261121033000Z" },
		{ DER_GENERALIZED_TIME, "20491231235959Z" }, /* must be UTCTime */
		{ DER_GENERALIZED_TIME, "20500101000000.5Z" },
		{ DER_GENERALIZED_TIME, "21000229000000Z" }, /* no leap year */
		{ DER_GENERALIZED_TIME, "" },
		{ DER_OCTET_STRING, "261121033000Z" },
	};
	int64_t at_s;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(time_of(bad[i].tag, bad[i].text, &at_s));
}

static void sets_stand_in_order(void **state)
{
	(void)state;
	assert_true(der_set_ordered(LITERAL("")));
	assert_true(der_set_ordered(LITERAL("\x02\x01\x01\x02\x01\x02\x04\x00")));
	assert_true(der_set_ordered(LITERAL("\x04\x00\x04\x01\x00")));
	assert_false(der_set_ordered(LITERAL("\x02\x01\x02\x02\x01\x01")));
	assert_false(der_set_ordered(LITERAL("\x04\x01\x00\x02\x01\x01")));
	assert_false(der_set_ordered(LITERAL("\x02\x01\x01\x02\x01"))); /* cut off */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_lengths_that_are_not_minimal_or_overrun),
		cmocka_unit_test(takes_one_element_after_the_other),
		cmocka_unit_test(long_lengths_are_read),
		cmocka_unit_test(booleans_are_00_or_ff),
		cmocka_unit_test(integers_are_minimal),
		cmocka_unit_test(bit_strings_have_no_padding_but_zeros),
		cmocka_unit_test(the_lax_readers_take_two_departures_and_no_more),
		cmocka_unit_test(whole_byte_strings_have_no_unused_bits),
		cmocka_unit_test(oids_have_no_padded_or_cut_arcs),
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(times_that_rfc_5280_does_not_allow_are_refused),
		cmocka_unit_test(sets_stand_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
