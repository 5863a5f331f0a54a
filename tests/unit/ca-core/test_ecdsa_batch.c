/* test_ecdsa_batch.c - what a batch of verifications confirms is what OpenSSL confirms, signature by signature. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ecdsa_made.h"

/* OpenSSL alone, one at a time: claim_holds() knows no batch. */
static void assert_agrees(const struct made *made, size_t n)
{
	struct ecdsa_item item[ECDSA_BATCH_MAX];

	for (size_t i = 0; i < n; i++) {
		item[i] = item_of(&made[i]);
		item[i].often = i % 2 == 1; /* not often enough for a table */
		item[i].holds = true;
	}
	ecdsa_batch_verify(item, n);
	for (size_t i = 0; i < n; i++) {
		struct claim claim = claim_of(&made[i]);

		if (item[i].holds != claim_holds(&claim))
			fail_msg("%zu of %zu: the batch says %d", i, n, item[i].holds);
	}
}

static void batches_of_every_size_agree(void **state)
{
	struct made made[ECDSA_BATCH_MAX];

	(void)state;
	for (size_t i = 0; i < N_OF(made); i++) {
		random_made(&made[i]);
		if (i % 3 == 1)
			made[i].signature[i % 64] ^= 0x10;
	}
	for (size_t n = 0; n <= N_OF(made); n += n < 12 ? 1 : 7)
		assert_agrees(made + N_OF(made) - n, n);
	assert_agrees(made, N_OF(made));
}

/* The inverse of each s is made from those of its neighbours: theirs must not spoil it. */
static void a_bad_one_spoils_no_other(void **state)
{
	struct made made[7], all[7];

	(void)state;
	for (size_t i = 0; i < N_OF(made); i++)
		random_made(&made[i]);
	for (size_t bad = 0; bad < N_OF(made); bad++) {
		for (unsigned how = 0; how < 4; how++) {
			memcpy(all, made, sizeof(all));
			memset(all[bad].signature + how % 2 * 32, how < 2 ? 0 : 0xff, 32);
			assert_agrees(all, N_OF(all));
		}
	}
}

static void every_flipped_bit_is_seen(void **state)
{
	struct made made;
	struct ecdsa_item item[64];

	(void)state;
	random_made(&made);
	for (unsigned bit = 0; bit < 768; bit += N_OF(item)) {
		struct made wrong[N_OF(item)];

		for (unsigned i = 0; i < N_OF(item); i++) {
			uint8_t *byte;

			wrong[i] = made;
			byte = bit < 512 ? &wrong[i].signature[(bit + i) / 8] : &wrong[i].digest[(bit + i - 512) / 8];
			*byte ^= (uint8_t)(1 << i % 8);
			item[i] = item_of(&wrong[i]);
		}
		ecdsa_batch_verify(item, N_OF(item));
		for (unsigned i = 0; i < N_OF(item); i++)
			assert_false(item[i].holds);
	}
	item[0] = item_of(&made);
	ecdsa_batch_verify(item, 1);
	assert_true(item[0].holds);
}

static void numbers_at_the_edges_agree(void **state)
{
	struct made made[12];
	uint8_t edge[MADE_EDGES][32];

	(void)state;
	made_edges(edge);
	for (size_t i = 0; i < N_OF(made); i++) {
		random_made(&made[i]);
		memcpy(made[i].signature + i % 2 * 32, edge[i / 2], 32);
	}
	assert_agrees(made, N_OF(made));
}

static void numbers_of_other_lengths(void **state)
{
	struct made made;
	struct ecdsa_item item[3];
	uint8_t longer[33] = { 0 };

	(void)state;
	do
		random_made(&made);
	while (made.signature[0] != 0); /* as DER has it: without that zero */
	memcpy(longer + 1, made.signature, 32);
	item[0] = item[1] = item[2] = item_of(&made);
	item[0].r = BLOB(made.signature + 1, 31);
	item[1].r = BLOB("", 0);
	item[2].r = BLOB_OF(longer);
	ecdsa_batch_verify(item, N_OF(item));
	assert_true(item[0].holds);
	assert_false(item[1].holds);
	assert_false(item[2].holds);
}

static void points_that_are_none_never_hold(void **state)
{
	struct made made[8];

	(void)state;
	made_no_points(made, N_OF(made));
	assert_agrees(made, N_OF(made));
}

static void small_keys_hold(void **state)
{
	struct ecdsa_item item[16];
	struct made made[16];

	(void)state;
	made_small(made);
	for (size_t i = 0; i < N_OF(made); i++)
		item[i] = item_of(&made[i]);
	ecdsa_batch_verify(item, N_OF(item));
	for (size_t i = 0; i < N_OF(made); i++)
		assert_true(item[i].holds);
}

static void hard_ones_agree(void **state)
{
	struct made made[8];

	(void)state;
	made_exceptional(made);
	assert_agrees(made, N_OF(made));
	made_beyond(made);
	assert_agrees(made, N_OF(made));
	made_wrapped(made);
	assert_agrees(made, N_OF(made));
}

/* x from the order up is rare enough (one in 2^32) that nobody would miss it: here it is confirmed, not left over. */
static void an_x_beyond_the_order_holds(void **state)
{
	struct ecdsa_item item[8];
	struct made made[8];

	(void)state;
	made_beyond(made);
	for (size_t i = 0; i < N_OF(made); i++)
		item[i] = item_of(&made[i]);
	ecdsa_batch_verify(item, N_OF(item));
	for (size_t i = 0; i < N_OF(made); i++)
		assert_int_equal(item[i].holds, i % 3 != 2);
}

static void random_inputs_agree(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	struct made made[48];

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 20; round++) {
		for (size_t i = 0; i < N_OF(made); i++) {
			random_made(&made[i]);
			if (rand_r(&seed) % 2 == 0)
				made_flip(&made[i], (unsigned)rand_r(&seed) % 1536);
		}
		assert_agrees(made, 1 + (size_t)rand_r(&seed) % N_OF(made));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_of_every_size_agree),
		cmocka_unit_test(a_bad_one_spoils_no_other),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(numbers_at_the_edges_agree),
		cmocka_unit_test(numbers_of_other_lengths),
		cmocka_unit_test(points_that_are_none_never_hold),
		cmocka_unit_test(small_keys_hold),
		cmocka_unit_test(hard_ones_agree),
		cmocka_unit_test(an_x_beyond_the_order_holds),
		cmocka_unit_test(random_inputs_agree),
	};

	return cmocka_run_group_tests(tests, made_setup, made_teardown);
}
