/*
 * test_ecdsa_mb.c - the engine that verifies eight signatures at once says what OpenSSL says, lane by lane.
 *
 * Runs where the CPU has AVX-512 IFMA and the library is there ($ASSAY_CRYPTO_MB, or installed); elsewhere it says
 * aloud that it did not run.
 */
#include "expect.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ecdsa_made.h"
#include "ecdsa_mb.h"

#define LANES ECDSA_MB_LANES

static const char *why_not; /* the engine is not on */

/* Each as an enrolment of its own, all as one batch. */
static void check_all(const struct made *made, size_t n, bool *ret_holds)
{
	struct claims **batch = calloc(n, sizeof(*batch));
	struct fault *verdict = calloc(n, sizeof(*verdict));

	assert_true(batch != NULL && verdict != NULL);
	for (size_t i = 0; i < n; i++) {
		batch[i] = calloc(1, sizeof(**batch));
		assert_non_null(batch[i]);
		assert_ok(claims_add(batch[i], claim_of(&made[i]), NULL));
	}
	claims_check(batch, n, verdict);
	for (size_t i = 0; i < n; i++) {
		ret_holds[i] = verdict[i].reason == REASON_OK;
		free(batch[i]);
	}
	free(batch);
	free(verdict);
}

/* OpenSSL alone, one at a time: claim_holds() knows no engine. */
static void assert_agrees(const struct made *made, size_t n)
{
	bool *holds = calloc(n, sizeof(*holds));

	assert_non_null(holds);
	check_all(made, n, holds);
	for (size_t i = 0; i < n; i++) {
		struct claim claim = claim_of(&made[i]);

		if (holds[i] != claim_holds(&claim))
			fail_msg("claim %zu of %zu: the batch says %d", i, n, holds[i]);
	}
	free(holds);
}

static bool fill(const struct made *made, struct ecdsa_lane *lane)
{
	return ecdsa_lane_fill(lane, &made->key, made->digest, BLOB(made->signature, 32),
			       BLOB(made->signature + 32, 32));
}

#define NEEDS_ENGINE()                                                                                                 \
	do {                                                                                                           \
		(void)state;                                                                                           \
		if (why_not != NULL) {                                                                                 \
			print_message("NOT RUN: %s\n", why_not);                                                       \
			skip();                                                                                        \
		}                                                                                                      \
	} while (0)

static void every_pattern_of_good_and_bad_comes_out_as_it_went_in(void **state)
{
	struct ecdsa_lane lanes[LANES];
	struct made made;

	NEEDS_ENGINE();
	for (unsigned pattern = 0; pattern < 256; pattern++) {
		for (unsigned i = 0; i < LANES; i++) {
			random_made(&made);
			assert_true(fill(&made, &lanes[i]));
			if ((pattern >> i & 1) == 0)
				(i % 2 == 0 ? lanes[i].digest : lanes[i].s)[pattern % 32] ^= (uint8_t)(1 << i);
		}
		assert_int_equal(ecdsa_mb_verify(lanes, LANES), pattern);
		for (unsigned n = 1; n < LANES; n++)
			assert_int_equal(ecdsa_mb_verify(lanes, n), pattern & ((1U << n) - 1));
	}
}

static void batches_of_every_size_agree(void **state)
{
	struct made made[40];

	NEEDS_ENGINE();
	for (size_t n = 1; n <= N_OF(made); n++) {
		for (size_t i = 0; i < n; i++) {
			random_made(&made[i]);
			if ((i + n) % 3 == 0)
				made[i].signature[i] ^= 0x10;
		}
		assert_agrees(made, n);
	}
}

/* r or s out of range, each beside seven good ones. */
static void numbers_at_the_edges_agree(void **state)
{
	struct made made[LANES];
	uint8_t edge[MADE_EDGES][32];

	NEEDS_ENGINE();
	made_edges(edge);
	for (size_t i = 0; i < MADE_EDGES * 2; i++) {
		struct ecdsa_lane lane;

		for (size_t j = 0; j < LANES; j++)
			random_made(&made[j]);
		memcpy(made[i % LANES].signature + i % 2 * 32, edge[i / 2], 32);
		assert_int_equal(fill(&made[i % LANES], &lane), MADE_EDGE_IN_RANGE(i / 2));
		assert_agrees(made, LANES);
	}
}

static void points_that_are_none_get_no_lane(void **state)
{
	struct made made[LANES];
	struct ecdsa_lane lane;

	NEEDS_ENGINE();
	made_no_points(made, LANES);
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(fill(&made[i], &lane), i % 4 == 3);
	assert_agrees(made, LANES);
}

/* Where additions meet equal or opposite points. */
static void exceptional_additions_agree(void **state)
{
	struct made made[LANES * 2];

	NEEDS_ENGINE();
	made_small(made);
	assert_agrees(made, N_OF(made));
	made_exceptional(made);
	assert_agrees(made, LANES);
}

static void an_x_beyond_the_order_agrees(void **state)
{
	struct made made[LANES];

	NEEDS_ENGINE();
	made_beyond(made);
	assert_agrees(made, LANES);
	made_wrapped(made);
	assert_agrees(made, LANES);
}

static void random_inputs_agree(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	struct made made[32];

	NEEDS_ENGINE();
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 40; round++) {
		for (size_t i = 0; i < N_OF(made); i++) {
			random_made(&made[i]);
			if (rand_r(&seed) % 2 == 0)
				made_flip(&made[i], (unsigned)rand_r(&seed) % 1536);
		}
		assert_agrees(made, N_OF(made));
	}
}

/* Other algorithms and forms stand among them, and the first false claim of each enrolment is its refusal. */
static void the_first_false_claim_refuses_whoever_checks(void **state)
{
	struct made made[6];
	struct claims *claims = calloc(1, sizeof(*claims));
	struct fault verdict;

	NEEDS_ENGINE();
	assert_non_null(claims);
	for (size_t i = 0; i < N_OF(made); i++) {
		struct claim claim;

		random_made(&made[i]);
		claim = claim_of(&made[i]);
		if (i == 3)
			claim.refusal = REASON_CHAIN_SIGNATURE;
		assert_ok(claims_add(claims, claim, NULL));
	}
	claims_check(&claims, 1, &verdict);
	assert_ok(verdict.reason);
	made[5].digest[0] ^= 1;
	made[3].digest[0] ^= 1;
	claims_check(&claims, 1, &verdict);
	assert_reason(verdict.reason, REASON_CHAIN_SIGNATURE);
	claims->item[1].message.len = 31; /* no digest of SHA-256 */
	claims_check(&claims, 1, &verdict);
	assert_reason(verdict.reason, REASON_EVIDENCE_SIGNATURE);
	free(claims);
}

static void what_is_no_such_library_stays_off(void **state)
{
	struct fault f;

	NEEDS_ENGINE();
	ecdsa_mb_off();
	assert_reason(ecdsa_mb_open("/nonexistent/libcrypto_mb.so", &f), REASON_CONFIG);
	assert_reason(ecdsa_mb_open("libc.so.6", &f), REASON_CONFIG);
	assert_false(ecdsa_mb_on());
}

static int open_engine(void **state)
{
	static struct fault f;
	const char *library = getenv("ASSAY_CRYPTO_MB");

	if (ecdsa_mb_open(library != NULL && library[0] != '\0' ? library : ECDSA_MB_LIBRARY, &f) != REASON_OK)
		why_not = f.detail;
	return made_setup(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pattern_of_good_and_bad_comes_out_as_it_went_in),
		cmocka_unit_test(batches_of_every_size_agree),
		cmocka_unit_test(numbers_at_the_edges_agree),
		cmocka_unit_test(points_that_are_none_get_no_lane),
		cmocka_unit_test(exceptional_additions_agree),
		cmocka_unit_test(an_x_beyond_the_order_agrees),
		cmocka_unit_test(random_inputs_agree),
		cmocka_unit_test(the_first_false_claim_refuses_whoever_checks),
		cmocka_unit_test(what_is_no_such_library_stays_off), /* last */
	};

	return cmocka_run_group_tests(tests, open_engine, made_teardown);
}
