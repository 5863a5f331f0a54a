/* test_merge.c - a complete list and a delta together: what is revoked, against a set kept the simple way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent.h"

#define SERIALS 64 /* each one byte: its number */
#define ROUNDS 5000

static void add(struct serials *to, unsigned serial)
{
	memset(to->ptr + to->n * REVOKED_SERIAL_BYTES, 0, REVOKED_SERIAL_BYTES);
	to->ptr[to->n++ * REVOKED_SERIAL_BYTES + REVOKED_SERIAL_BYTES - 1] = (uint8_t)serial;
}

/* Each serial is in the complete list or not, and in the delta revoked, released or not at all. */
static void one_round(unsigned *seed, bool with_delta)
{
	uint8_t room[3][SERIALS * REVOKED_SERIAL_BYTES];
	struct crl complete = { .revoked.ptr = room[0] }, delta = { .revoked.ptr = room[1], .released.ptr = room[2] };
	bool want[SERIALS];
	struct serials got;
	size_t n = 0;

	for (unsigned i = 0; i < SERIALS; i++) {
		int in = rand_r(seed) % 2, change = with_delta ? rand_r(seed) % 4 : 0;

		if (in)
			add(&complete.revoked, i);
		if (change == 1)
			add(&delta.revoked, i);
		if (change == 2)
			add(&delta.released, i);
		want[i] = change == 1 || (in && change != 2);
		n += want[i];
	}
	assert_true(crl_merge(&complete, with_delta ? &delta : NULL, &got));
	assert_int_equal(got.n, n);
	for (unsigned i = 0, k = 0; i < SERIALS; i++)
		if (want[i])
			assert_int_equal(got.ptr[k++ * REVOKED_SERIAL_BYTES + REVOKED_SERIAL_BYTES - 1], i);
	free(got.ptr);
}

static void merges_as_a_set_would(void **state)
{
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	for (int i = 0; i < ROUNDS; i++)
		one_round(&seed, i % 10 != 0);
}

static void merges_nothing(void **state)
{
	struct crl empty = { .number = 1 };
	struct serials got;

	(void)state;
	assert_true(crl_merge(&empty, &empty, &got));
	assert_int_equal(got.n, 0);
	free(got.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(merges_as_a_set_would), cmocka_unit_test(merges_nothing) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
