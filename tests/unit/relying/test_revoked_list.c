/* test_revoked_list.c - does the list say of every serial what was written, and refuse what is no list? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "revoked_list.h"

#define MANY 1000000

/* Ascending, one in two of the numbers there are. */
static void serial_of(uint64_t i, uint8_t out[REVOKED_SERIAL_BYTES])
{
	memset(out, 0, REVOKED_SERIAL_BYTES);
	for (int k = REVOKED_SERIAL_BYTES - 1; i > 0; k--, i >>= 8)
		out[k] = (uint8_t)i;
}

/* Two issuers: n even numbers, and one. */
static uint8_t *make(size_t n, size_t *ret_len)
{
	struct revoked_list list = { .n = 2,
				     .issuer = { { .name = { 1 }, .good_until_s = 1800000000, .number = 7, .n = n },
						 { .name = { 2 }, .good_until_s = 0, .number = 0, .n = 1 } } };
	uint8_t *bytes = malloc(REVOKED_HEAD_BYTES_MAX + (n + 1) * REVOKED_SERIAL_BYTES);
	size_t at;

	assert_non_null(bytes);
	at = revoked_list_head(&list, bytes);
	for (size_t i = 0; i < n; i++, at += REVOKED_SERIAL_BYTES)
		serial_of(2 * i, bytes + at);
	serial_of(5, bytes + at);
	*ret_len = at + REVOKED_SERIAL_BYTES;
	return bytes;
}

static void finds_each_of_a_million_and_nothing_else(void **state)
{
	struct revoked_list list;
	const struct revoked_issuer *issuer;
	uint8_t serial[REVOKED_SERIAL_BYTES];
	size_t len;
	uint8_t *bytes = make(MANY, &len);

	(void)state;
	assert_true(revoked_list_open(bytes, len, &list));
	issuer = revoked_list_issuer(&list, (const uint8_t[REVOKED_NAME_BYTES]){ 1 });
	assert_non_null(issuer);
	assert_int_equal(issuer->number, 7);
	assert_int_equal(issuer->good_until_s, 1800000000);
	for (uint64_t i = 0; i < 2 * MANY; i++) {
		serial_of(i, serial);
		if (revoked_list_has(issuer, serial) != (i % 2 == 0))
			fail_msg("serial %llu", (unsigned long long)i);
	}
	memset(serial, 0xff, sizeof(serial));
	assert_false(revoked_list_has(issuer, serial));
	free(bytes);
}

static void keeps_issuers_apart(void **state)
{
	struct revoked_list list;
	const struct revoked_issuer *other;
	uint8_t serial[REVOKED_SERIAL_BYTES];
	size_t len;
	uint8_t *bytes = make(3, &len);

	(void)state;
	assert_true(revoked_list_open(bytes, len, &list));
	other = revoked_list_issuer(&list, (const uint8_t[REVOKED_NAME_BYTES]){ 2 });
	assert_non_null(other);
	serial_of(4, serial);
	assert_false(revoked_list_has(other, serial));
	serial_of(5, serial);
	assert_true(revoked_list_has(other, serial));
	assert_null(revoked_list_issuer(&list, (const uint8_t[REVOKED_NAME_BYTES]){ 3 }));
	free(bytes);
}

static void refuses_every_other_length_and_mark(void **state)
{
	struct revoked_list list;
	size_t len;
	uint8_t *bytes = make(3, &len);

	(void)state;
	for (size_t i = 0; i < len; i++)
		if (revoked_list_open(bytes, i, &list))
			fail_msg("took the first %zu of %zu bytes", i, len);
	bytes = realloc(bytes, len + 1);
	assert_non_null(bytes);
	bytes[len] = 0;
	assert_false(revoked_list_open(bytes, len + 1, &list));
	for (size_t i = 0; i < REVOKED_MAGIC_BYTES + 4; i++) {
		bytes[i] ^= 0x80;
		assert_false(revoked_list_open(bytes, len, &list));
		bytes[i] ^= 0x80;
	}
	memset(bytes + REVOKED_MAGIC_BYTES + 4 + REVOKED_ISSUER_BYTES - 8, 0xff, 8); /* a number that overflows */
	assert_false(revoked_list_open(bytes, len, &list));
	free(bytes);
}

static void puts_serials_in_one_form(void **state)
{
	uint8_t out[REVOKED_SERIAL_BYTES], long_one[22] = { 0, 0, 0x80 };

	(void)state;
	assert_true(revoked_serial((const uint8_t[]){ 0, 0x81 }, 2, out));
	assert_int_equal(out[19], 0x81);
	assert_int_equal(out[18], 0);
	assert_true(revoked_serial(long_one, 22, out));
	assert_int_equal(out[0], 0x80);
	long_one[1] = 1;
	assert_false(revoked_serial(long_one, 22, out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_each_of_a_million_and_nothing_else),
		cmocka_unit_test(keeps_issuers_apart),
		cmocka_unit_test(refuses_every_other_length_and_mark),
		cmocka_unit_test(puts_serials_in_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
