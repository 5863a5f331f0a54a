/* test_trust_cache.c - trust.h: what has been checked is remembered, and nothing else; by many threads at once. */
#include "expect.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "oid.h"
#include "trust_tree.h"

static void a_remembered_path_is_dated_anew_at_each_use(void **state)
{
	int64_t now = clock_wall_s();
	NODE root = issue(CA("root", .not_before_s = now - 9 * DAY, .not_after_s = now + 30 * DAY), NULL);
	NODE one = issue(CA("one", .not_before_s = now - 5 * DAY, .not_after_s = now + 20 * DAY), &root);
	NODE leaf = issue(LEAF(.not_before_s = now - 9 * DAY, .not_after_s = now + 40 * DAY), &one);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);
	struct trust_path path;

	(void)state;
	assert_ok(judge_at(trust, &leaf, OTHERS(&one), now, &path));
	assert_ok(judge_at(trust, &leaf, OTHERS(&one), now + 20 * DAY, &path)); /* the last second counts */
	assert_reason(judge_at(trust, &leaf, OTHERS(&one), now + 20 * DAY + 1, &path), REASON_CHAIN_EXPIRED);
	assert_reason(judge_at(trust, &leaf, OTHERS(&one), now + 31 * DAY, &path), REASON_CHAIN_EXPIRED);
	assert_ok(judge_at(trust, &leaf, OTHERS(&one), now - 5 * DAY, &path));
	assert_reason(judge_at(trust, &leaf, OTHERS(&one), now - 5 * DAY - 1, &path), REASON_CHAIN_FUTURE);
	assert_ok(judge_at(trust, &leaf, OTHERS(&one), now, &path));
}

/* What has been checked is known again byte for byte: not one bit of it, and not what it is signed with, may differ. */
static void only_cas_that_were_checked_are_remembered(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE leaf = issue(LEAF(), &one);
	NODE bad = broken(&one);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);
	struct blob known = buf_blob(&one.der);

	(void)state;
	assert_false(trust_has_ca(trust, known));
	assert_reason(judge(trust, &leaf, OTHERS(&bad)), REASON_CHAIN_SIGNATURE);
	assert_false(trust_has_ca(trust, buf_blob(&bad.der)));
	assert_ok(judge(trust, &leaf, OTHERS(&one)));
	assert_true(trust_has_ca(trust, known));
	for (size_t i = 0; i < one.der.len; i++) {
		one.der.ptr[i] ^= 1;
		assert_false(trust_has_ca(trust, known));
		assert_false(trust_has_ca(trust, BLOB(known.ptr, i)));
		one.der.ptr[i] ^= 1;
	}
	assert_true(trust_has_ca(trust, known));
	assert_false(trust_has_ca(trust, buf_blob(&bad.der)));
	assert_false(trust_has_ca(trust, buf_blob(&leaf.der)));
}

static void the_claims_key_outlives_the_trust_list(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE leaf = issue(LEAF(), &one);
	struct trust *trust = trust_one(&root);
	struct claims *claims = calloc(1, sizeof(*claims));
	struct blob untrusted = buf_blob(&one.der);
	struct trust_path path;
	struct fault verdict;
	struct cert cert;

	(void)state;
	assert_ok(cert_parse(buf_blob(&leaf.der), &cert, NULL));
	assert_ok(trust_path(trust, &cert, &untrusted, 1, clock_wall_s(), claims, &path, NULL));
	trust_free(trust); /* AddressSanitizer would tell */
	claims_check(&claims, 1, &verdict);
	assert_ok(verdict.reason);
	free(claims);
}

static void more_cas_than_the_cache_holds_still_work(void **state)
{
	NODE root = issue(CA("root"), NULL);
	EVP_PKEY *shared = make_key(KEY_EC_P256);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	for (int i = 0; i < LIMIT_TRUST_CACHE / 4; i++) { /* sets of eight: some overflow well before all are full */
		EVP_PKEY_up_ref(shared);
		NODE one = issue_with(shared, CA("one"), &root);
		EVP_PKEY_up_ref(shared);
		NODE leaf = issue_with(shared, LEAF(), &one);
		struct trust_path path;

		assert_ok(judge_at(trust, &leaf, OTHERS(&one), clock_wall_s(), &path));
	}
	EVP_PKEY_free(shared);
}

struct thread_work {
	struct trust *trust;
	const struct node *leaf, *one, *two;
};

static void *walk_often(void *arg)
{
	const struct thread_work *work = arg;
	struct trust_path path;
	struct cert cert;
	int nth;

	for (int i = 0; i < 200; i++) {
		const struct node *others[] = { work->one, work->two };

		if (judge_at(work->trust, work->leaf, others, 2, clock_wall_s(), &path) != REASON_OK)
			return (void *)1;
		nth = i % 16; /* whose places are 16 */
		cert.der = BLOB((const uint8_t *)&nth, sizeof(nth));
		trust_leaf_remember(work->trust, &cert, &path);
		if (!trust_leaf_known(work->trust, &cert, &path))
			return (void *)1;
	}
	return NULL;
}

static void threads_walk_side_by_side(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE two = issue(CA("two"), &one);
	NODE leaf = issue(LEAF(), &two);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);
	struct thread_work work = { trust, &leaf, &one, &two };
	pthread_t thread[4];
	void *failed;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, walk_often, &work), 0);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
	}
}

/* By the certificate's bytes and by the key that signed them; in one list of anchors alone. */
static void a_leaf_is_known_by_its_bytes_and_its_issuers_key(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE leaf = issue(LEAF(), &root);
	AUTO(trust_freep) struct trust *trust = trust_one(&root), *other = trust_one(&root);
	struct cert cert = { .der = buf_blob(&leaf.der) };
	struct trust_path path, another;

	(void)state;
	assert_ok(judge_at(trust, &leaf, NULL, 0, clock_wall_s(), &path));
	assert_false(trust_leaf_known(trust, &cert, &path)); /* nobody has said so */
	trust_leaf_remember(trust, &cert, &path);
	assert_true(trust_leaf_known(trust, &cert, &path));
	assert_false(trust_leaf_known(other, &cert, &path));
	another = path;
	another.issuer_hash[31] ^= 1;
	assert_false(trust_leaf_known(trust, &cert, &another));
	for (size_t i = 0; i < leaf.der.len; i++) {
		leaf.der.ptr[i] ^= 1;
		assert_false(trust_leaf_known(trust, &cert, &path));
		leaf.der.ptr[i] ^= 1;
	}
	assert_true(trust_leaf_known(trust, &cert, &path));
}

static void more_leaves_than_there_are_places_are_no_harm(void **state)
{
	NODE root = issue(CA("root"), NULL);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);
	struct trust_path path = { .issuer_hash = { 1 } };
	unsigned known = 0;

	(void)state;
	for (int round = 0; round < 2; round++)
		for (unsigned i = 0; i < 2 * LIMIT_TRUST_LEAVES; i++) {
			struct cert cert = { .der = BLOB((const uint8_t *)&i, sizeof(i)) };

			if (round == 0)
				trust_leaf_remember(trust, &cert, &path);
			known += trust_leaf_known(trust, &cert, &path);
		}
	assert_in_range(known, 2 * LIMIT_TRUST_LEAVES + LIMIT_TRUST_LEAVES / 2, 3 * LIMIT_TRUST_LEAVES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_remembered_path_is_dated_anew_at_each_use),
		cmocka_unit_test(only_cas_that_were_checked_are_remembered),
		cmocka_unit_test(the_claims_key_outlives_the_trust_list),
		cmocka_unit_test(more_cas_than_the_cache_holds_still_work),
		cmocka_unit_test(a_leaf_is_known_by_its_bytes_and_its_issuers_key),
		cmocka_unit_test(more_leaves_than_there_are_places_are_no_harm),
		cmocka_unit_test(threads_walk_side_by_side),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
