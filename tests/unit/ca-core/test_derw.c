/* test_derw.c - DER as it is written: values at the edges, against bytes by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "derw.h"

static uint8_t room[70000];

static void assert_written(const struct derw *w, const char *bytes, size_t len)
{
	assert_false(w->full);
	assert_int_equal(derw_blob(w).len, len);
	assert_memory_equal(derw_blob(w).ptr, bytes, len);
}
#define ASSERT_WRITTEN(w, bytes) assert_written(w, bytes, sizeof(bytes) - 1)

static void writes_integers_in_the_fewest_octets_and_never_negative(void **state)
{
	static const struct {
		uint64_t value;
		const char *bytes;
		size_t len;
	} cases[] = {
		{ 0, "\x02\x01\x00", 3 },
		{ 127, "\x02\x01\x7f", 3 },
		{ 128, "\x02\x02\x00\x80", 4 },
		{ 255, "\x02\x02\x00\xff", 4 },
		{ 256, "\x02\x02\x01\x00", 4 },
		{ 32768, "\x02\x03\x00\x80\x00", 5 },
		{ UINT64_MAX, "\x02\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff", 11 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct derw w = derw_over(room, sizeof(room));

		derw_uint(&w, DER_INTEGER, cases[i].value);
		assert_written(&w, cases[i].bytes, cases[i].len);
	}
}

static void writes_magnitudes_without_padding_and_never_negative(void **state)
{
	struct derw w = derw_over(room, sizeof(room));

	(void)state;
	derw_uint_bytes(&w, BLOB("\x00\x00\x80", 3));
	derw_uint_bytes(&w, BLOB("\x00\x01", 2));
	derw_uint_bytes(&w, BLOB("\x00", 1));
	derw_uint_bytes(&w, BLOB(NULL, 0));
	ASSERT_WRITTEN(&w, "\x02\x01\x00\x02\x01\x00\x02\x01\x01\x02\x02\x00\x80");
}

static void writes_lengths_in_the_fewest_octets(void **state)
{
	static const struct {
		size_t len;
		const char *header;
		size_t header_len;
	} cases[] = {
		{ 0, "\x04\x00", 2 },
		{ 127, "\x04\x7f", 2 },
		{ 128, "\x04\x81\x80", 3 },
		{ 255, "\x04\x81\xff", 3 },
		{ 256, "\x04\x82\x01\x00", 4 },
		{ 65535, "\x04\x82\xff\xff", 4 },
		{ 65536, "\x04\x83\x01\x00\x00", 5 },
	};
	static const uint8_t content[65536];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct derw w = derw_over(room, sizeof(room));
		struct blob written, back, rest;

		derw_put(&w, DER_OCTET_STRING, BLOB(content, cases[i].len));
		written = rest = derw_blob(&w);
		assert_false(w.full);
		assert_int_equal(written.len, cases[i].header_len + cases[i].len);
		assert_memory_equal(written.ptr, cases[i].header, cases[i].header_len);
		assert_true(der_take(&rest, DER_OCTET_STRING, &back)); /* and the reader agrees */
		assert_int_equal(back.len, cases[i].len);
		assert_int_equal(rest.len, 0);
	}
}

/* X.690 section 11.2.2: trailing zero bits are cut; RFC 5280 section 4.2.1.3 counts bits from the left. */
static void cuts_trailing_zeros_of_named_bits(void **state)
{
	struct derw w = derw_over(room, sizeof(room));

	(void)state;
	derw_named_bits(&w, 0);
	derw_named_bits(&w, 1U << 8);
	derw_named_bits(&w, 1U << 7);
	derw_named_bits(&w, 1U << 5 | 1U << 6);
	derw_named_bits(&w, 1U << 0);
	ASSERT_WRITTEN(&w, "\x03\x02\x07\x80\x03\x02\x01\x06\x03\x02\x00\x01\x03\x03\x07\x00\x80\x03\x01\x00");
}

static void writes_times_as_certificates_want_them(void **state)
{
	static const struct {
		int64_t at_s;
		const char *bytes;
	} cases[] = {
		{ 0, "\x17\x0d"
		     "700101000000Z" },
		{ -631152000, "\x17\x0d"
			      "500101000000Z" },
		{ 951782400, "\x17\x0d"
			     "000229000000Z" },
		{ 2524607999, "\x17\x0d"
			      "491231235959Z" },
		{ 2524608000, "\x18\x0f"
			      "20500101000000Z" },
		{ 253402300799, "\x18\x0f"
				"99991231235959Z" },
		{ TIME_NO_EXPIRY, "\x18\x0f"
				  "99991231235959Z" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct derw w = derw_over(room, sizeof(room));
		struct blob back;
		int64_t at_s;

		derw_time(&w, cases[i].at_s);
		assert_written(&w, cases[i].bytes, strlen(cases[i].bytes));
		back = derw_blob(&w);
		assert_true(der_time(&back, &at_s));
		if (cases[i].at_s != 253402300799)
			assert_int_equal(at_s, cases[i].at_s);
	}
}

static void writes_no_date_that_cannot_be_written(void **state)
{
	static const int64_t wrong[] = { -631152001, 253402300800, INT64_MIN, INT64_MAX - 1 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct derw w = derw_over(room, sizeof(room));

		derw_time(&w, wrong[i]);
		assert_true(w.full);
	}
}

static void stays_full_once_something_did_not_fit(void **state)
{
	uint8_t small[8] = { 0 };
	struct derw w = derw_over(small + 2, 4);

	(void)state;
	derw_put(&w, DER_OCTET_STRING, BLOB("ab", 2));
	assert_false(w.full);
	derw_raw(&w, BLOB("c", 1));
	assert_true(w.full);
	derw_raw(&w, BLOB(NULL, 0));
	derw_wrap(&w, DER_SEQUENCE, w.end);
	assert_true(w.full);
	assert_memory_equal(small,
			    "\0\0\x04\x02"
			    "ab\0\0",
			    8); /* nothing around it was touched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_integers_in_the_fewest_octets_and_never_negative),
		cmocka_unit_test(writes_magnitudes_without_padding_and_never_negative),
		cmocka_unit_test(writes_lengths_in_the_fewest_octets),
		cmocka_unit_test(cuts_trailing_zeros_of_named_bits),
		cmocka_unit_test(writes_times_as_certificates_want_them),
		cmocka_unit_test(writes_no_date_that_cannot_be_written),
		cmocka_unit_test(stays_full_once_something_did_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
