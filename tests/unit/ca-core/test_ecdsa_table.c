/* test_ecdsa_table.c - tables of signers' keys: they say what OpenSSL says, and only keys in much use have one. */
#include "expect.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ecdsa_made.h"
#include "ecdsa_table.h"

/* Has the key a table, and does a verification with it say yes? */
static bool by_table(const struct made *made)
{
	AUTO(ecdsa_table_unrefp) struct ecdsa_table *table = ecdsa_table_get(&made->key);
	struct ecdsa_item item = item_of(made);

	if (table == NULL)
		return false;
	item.often = true;
	ecdsa_batch_verify(&item, 1);
	return item.holds;
}

/* As claims_check() decides, which uses the tables; claim_holds() does not. */
static bool checked(const struct made *made)
{
	struct claims *claims = calloc(1, sizeof(*claims));
	struct claim claim = claim_of(made);
	struct fault verdict;

	assert_non_null(claims);
	claim.often = true;
	assert_ok(claims_add(claims, claim, NULL));
	claims_check(&claims, 1, &verdict);
	free(claims);
	return verdict.reason == REASON_OK;
}

/* Until the key has its table; its uses may have been counted before. */
static void use_up(const struct made *good)
{
	for (unsigned i = 1; i < ECDSA_TABLE_USES; i++)
		(void)!by_table(good);
}

/* Every key has a table, and the table's answer is OpenSSL's. */
static void assert_agrees(const struct made *made, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct claim claim = claim_of(&made[i]);

		use_up(&made[i]);
		for (int again = 0; again < 2; again++)
			assert_int_equal(by_table(&made[i]), claim_holds(&claim));
		assert_int_equal(checked(&made[i]), claim_holds(&claim));
	}
}

static void a_key_gets_its_table_with_the_last_of_so_many_uses(void **state)
{
	struct made made, other;

	(void)state;
	random_made(&made);
	random_made(&other);
	for (unsigned i = 1; i < ECDSA_TABLE_USES; i++)
		assert_false(by_table(&made));
	assert_true(by_table(&made));
	assert_true(by_table(&made));
	assert_false(by_table(&other));
	memcpy(other.digest, made.digest, 32);
	memcpy(other.signature, made.signature, 64);
	assert_false(by_table(&other)); /* its own key counts, not the one with a table */
}

static void every_flipped_bit_is_seen(void **state)
{
	struct made made;

	(void)state;
	random_made(&made);
	use_up(&made);
	assert_true(by_table(&made));
	for (unsigned bit = 0; bit < 768; bit++) {
		uint8_t *byte = bit < 512 ? &made.signature[bit / 8] : &made.digest[(bit - 512) / 8];

		*byte ^= (uint8_t)(1 << bit % 8);
		assert_false(by_table(&made));
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	assert_true(by_table(&made));
}

static void numbers_at_the_edges_never_hold(void **state)
{
	struct made made;
	uint8_t edge[MADE_EDGES][32];

	(void)state;
	made_edges(edge);
	random_made(&made);
	use_up(&made);
	for (size_t i = 0; i < MADE_EDGES * 2; i++) {
		struct made wrong = made;

		memcpy(wrong.signature + i % 2 * 32, edge[i / 2], 32);
		assert_false(by_table(&wrong));
	}
	assert_true(by_table(&made));
}

static void hard_ones_agree(void **state)
{
	struct made made[16];

	(void)state;
	made_small(made);
	assert_agrees(made, 16);
	made_exceptional(made);
	assert_agrees(made, 8);
	made_beyond(made);
	assert_agrees(made, 8);
	made_wrapped(made);
	assert_agrees(made, 8);
}

/* Claims of one key, some of them false, while it comes to its table and after. */
static void claims_under_a_key_with_a_table_agree(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	BIGNUM *d = random_scalar();
	struct made made;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned i = 0; i <= 2 * ECDSA_TABLE_USES; i++) {
		BIGNUM *k = random_scalar(), *e = random_scalar();
		bool broken = rand_r(&seed) % 3 == 0;

		sign(d, k, e, &made);
		if (broken)
			made.signature[rand_r(&seed) % 64] ^= (uint8_t)(1 << rand_r(&seed) % 8);
		assert_int_equal(checked(&made), !broken);
		if (i >= ECDSA_TABLE_USES)
			assert_int_equal(by_table(&made), !broken);
		BN_free(k), BN_free(e);
	}
	BN_free(d);
}

/* The keys used last keep their tables; one that comes back after many others begins anew. */
static void the_key_used_longest_ago_gives_way(void **state)
{
	struct made first, second, other;

	(void)state;
	random_made(&first);
	random_made(&second);
	use_up(&first), use_up(&second);
	assert_true(by_table(&first));
	assert_true(by_table(&second));
	for (unsigned i = 0; i < 3 * ECDSA_TABLES; i++) {
		random_made(&other);
		assert_false(by_table(&other));
		assert_true(by_table(&second));
	}
	assert_false(by_table(&first));
}

#define KEYS (ECDSA_TABLES + 2)

struct turn {
	const struct made *made;
	unsigned wrong;
};

static void *verify_all(void *arg)
{
	struct turn *turn = arg;

	for (unsigned i = 0; i < KEYS * ECDSA_TABLE_USES / 2; i++)
		turn->wrong += !checked(&turn->made[i / (ECDSA_TABLE_USES / 2)]);
	return NULL;
}

/* More keys than places, so that tables come and go while others use them. */
static void threads_share_and_replace_tables(void **state)
{
	struct made made[KEYS];
	struct turn turn[4] = { { made, 0 }, { made, 0 }, { made, 0 }, { made, 0 } };
	pthread_t thread[N_OF(turn)];

	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		random_made(&made[i]);
	for (size_t i = 0; i < N_OF(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, verify_all, &turn[i]), 0);
	for (size_t i = 0; i < N_OF(thread); i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_int_equal(turn[i].wrong, 0);
	}
	assert_true(by_table(&made[KEYS - 1])); /* twice as many uses as it needs */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_gets_its_table_with_the_last_of_so_many_uses),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(numbers_at_the_edges_never_hold),
		cmocka_unit_test(hard_ones_agree),
		cmocka_unit_test(claims_under_a_key_with_a_table_agree),
		cmocka_unit_test(the_key_used_longest_ago_gives_way),
		cmocka_unit_test(threads_share_and_replace_tables),
	};

	return cmocka_run_group_tests(tests, made_setup, made_teardown);
}
