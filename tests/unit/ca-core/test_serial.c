/* test_serial.c - serials: positive, one length, ordered by time, never the same twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "issuer.h"

#define MANY 100000
#define DAY_US INT64_C(86400000000)

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, SERIAL_BYTES);
}

static void starts_with_one_day_and_time(void **state)
{
	uint8_t serial[SERIAL_BYTES];

	(void)state;
	assert_int_equal(serial_new(DAY_US * 0x0151a2 + DAY_US / 256 * 0xab, serial, NULL), REASON_OK);
	assert_memory_equal(serial, "\x01\x01\x51\xa2\xab\x00\x00", 7);
}

static void grows_from_day_to_day(void **state)
{
	uint8_t today[SERIAL_BYTES], tomorrow[SERIAL_BYTES];

	(void)state;
	for (int64_t day = 250; day < 260; day++) { /* over a carry */
		assert_int_equal(serial_new(day * DAY_US + DAY_US - 1, today, NULL), REASON_OK);
		assert_int_equal(serial_new(day * DAY_US + DAY_US, tomorrow, NULL), REASON_OK);
		assert_true(compare(today, tomorrow) < 0);
	}
}

static void grows_within_a_second(void **state)
{
	uint8_t before[SERIAL_BYTES], after[SERIAL_BYTES];

	(void)state;
	for (int64_t us = 0; us < DAY_US; us += DAY_US / 997) {
		assert_int_equal(serial_new(us, before, NULL), REASON_OK);
		assert_int_equal(serial_new(us + 5150, after, NULL), REASON_OK);
		assert_true(compare(before, after) < 0);
	}
}

static void gives_a_hundred_thousand_without_a_repeat(void **state)
{
	uint8_t(*serials)[SERIAL_BYTES] = calloc(MANY, SERIAL_BYTES);

	(void)state;
	assert_non_null(serials);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(serial_new(INT64_C(1795219200000000), serials[i], NULL), REASON_OK);
	qsort(serials, MANY, SERIAL_BYTES, compare);
	for (size_t i = 1; i < MANY; i++)
		assert_true(compare(serials[i - 1], serials[i]) != 0);
	free(serials);
}

static void every_random_bit_moves(void **state)
{
	uint8_t serial[SERIAL_BYTES], set[SERIAL_BYTES] = { 0 }, clear[SERIAL_BYTES] = { 0 };

	(void)state;
	for (int n = 0; n < 200; n++) { /* a bit that is free stays put once in 2^199 runs */
		assert_int_equal(serial_new(INT64_C(1795219200000000), serial, NULL), REASON_OK);
		for (size_t i = 0; i < SERIAL_BYTES; i++) {
			set[i] |= serial[i];
			clear[i] |= (uint8_t)~serial[i];
		}
	}
	for (size_t i = SERIAL_BYTES - 12; i < SERIAL_BYTES; i++) {
		assert_int_equal(set[i], 0xff);
		assert_int_equal(clear[i], 0xff);
	}
}

static void fills_a_batch_with_serials_of_their_own(void **state)
{
	uint8_t(*serials)[SERIAL_BYTES] = calloc(MANY, SERIAL_BYTES);

	(void)state;
	assert_non_null(serials);
	for (size_t i = 0, n = 0; i < MANY; i += n) { /* none, one, and as many as a batch holds */
		n = i == 0 ? 1 : MANY - i < 512 ? MANY - i : 512;
		assert_int_equal(serial_fill(DAY_US * 0x0151a2, serials + i, n, NULL), REASON_OK);
	}
	assert_int_equal(serial_fill(0, serials, 0, NULL), REASON_OK);
	for (size_t i = 0; i < MANY; i++)
		assert_memory_equal(serials[i], "\x01\x01\x51\xa2", 4);
	qsort(serials, MANY, SERIAL_BYTES, compare);
	for (size_t i = 1; i < MANY; i++)
		assert_true(compare(serials[i - 1], serials[i]) != 0);
	free(serials);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_with_one_day_and_time),
		cmocka_unit_test(grows_from_day_to_day),
		cmocka_unit_test(grows_within_a_second),
		cmocka_unit_test(gives_a_hundred_thousand_without_a_repeat),
		cmocka_unit_test(every_random_bit_moves),
		cmocka_unit_test(fills_a_batch_with_serials_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
