/* test_ledger_reenrol.c - does the ledger keep the rules of renewal, on a real PostgreSQL? */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static void a_renewal_repeated_gives_the_same_successor_without_a_window(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next, again, third;

	enrol(p.now, &first, "dev-renew", "key-renew");
	renew(p.later, &next, &first, "key-renew");
	request_reenrol(&again, &first, "key-renew");
	again.grant.freshness = REASON_NONCE_MISSING;
	assert_int_equal(ask(p.later, &again), INTENT_ISSUED);
	assert_string_equal(again.hex, next.hex);
	renew(p.now, &third, &next, "key-renew");
	assert_string_not_equal(third.hex, next.hex);
	assert_int_equal(world_count(p.world, "select count(*) from in_use where serial in ('\\x%s', '\\x%s')",
				     first.hex, next.hex),
			 2);
	/* the old ones stay valid */
	assert_int_equal(world_count(p.world, "select count(*) from revocation r join issuance i using (serial) "
					      "where element = 'dev-renew'"),
			 0);
	assert_string_equal(
		world_sql(p.world, "select encode(previous, 'hex') from issuance where serial = '\\x%s'", next.hex),
		first.hex);
	request_done(&again);
	close_pair(&p);
}

static void a_rekey_binds_the_new_key_and_is_a_claim_of_its_own(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next, other, foreign;

	enrol(p.now, &first, "dev-rk", "key-rk-1");
	renew(p.now, &next, &first, "key-rk-2");
	renew(p.now, &other, &first, "key-rk-3");
	assert_int_equal(ask(p.now, &next), INTENT_ISSUED);
	request_done(&next);
	request_enrol(&foreign, "dev-rk-other", "key-rk-2");
	assert_refused(p.now, &foreign, REASON_KEY_BOUND);
	enrol(p.now, &foreign, "dev-rk-other", "key-rk-4");
	request_reenrol(&other, &first, "key-rk-4");
	assert_refused(p.now, &other, REASON_KEY_BOUND);
	close_pair(&p);
}

static void a_certificate_that_does_not_count_renews_nothing(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next, unsigned_one, stranger;

	enrol(p.now, &first, "dev-rv", "key-rv");
	enrol(p.now, &stranger, "dev-rv-2", "key-rv-2");
	request_reenrol(&next, &first, "key-rv");
	next.grant.device = stranger.grant.device;
	assert_refused(p.now, &next, REASON_PREVIOUS_UNKNOWN);
	request_enrol(&unsigned_one, "dev-rv-3", "key-rv-3");
	assert_int_equal(ask(p.now, &unsigned_one), INTENT_NEW);
	request_reenrol(&next, &unsigned_one, "key-rv-3");
	assert_refused(p.now, &next, REASON_PREVIOUS_UNKNOWN);
	renew(p.now, &next, &first, "key-rv");
	world_sql(p.world, "select revoke('\\x%s', 6, 'operator:kim')", first.hex);
	assert_refused(p.now, &next, REASON_CLAIM_REVOKED); /* even what was issued already */
	request_reenrol(&next, &first, "key-rv-new");
	assert_refused(p.now, &next, REASON_CLAIM_REVOKED);
	assert_int_equal(issuances_of(p.world, &first), 2);
	close_pair(&p);
}

static void a_revoked_successor_is_not_given_again(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next;

	enrol(p.now, &first, "dev-succ", "key-succ");
	renew(p.now, &next, &first, "key-succ");
	world_sql(p.world, "select revoke('\\x%s', 1, 'operator:kim')", next.hex);
	assert_refused(p.now, &next, REASON_CLAIM_REVOKED);
	close_pair(&p);
}

static void tells_what_a_presented_certificate_was(void **state)
{
	struct pair p = open_pair(state);
	struct request signed_one, unsigned_one;
	struct previous batch[3];
	uint8_t key_hash[32];

	enrol(p.now, &signed_one, "dev-prev-1", "key-prev-1");
	request_enrol(&unsigned_one, "dev-prev-2", "key-prev-2");
	assert_int_equal(ask(p.now, &unsigned_one), INTENT_NEW);
	batch[0] = (struct previous){ .serial = BLOB_STR("nobody's") };
	batch[1] = (struct previous){ .serial = BLOB(signed_one.serial, 16) };
	batch[2] = (struct previous){ .serial = BLOB(unsigned_one.serial, 16) };
	assert_ok(ledger_previous(p.now, batch, 3, f));
	assert_false(batch[0].found);
	assert_false(batch[2].found);
	assert_true(batch[1].found);
	assert_false(batch[1].revoked);
	assert_string_equal(batch[1].profile, "line");
	assert_string_equal(batch[1].family, "device");
	assert_string_equal(batch[1].issuer, "attested");
	assert_memory_equal(&batch[1].device, &signed_one.grant.device, sizeof(struct device_id));
	assert_int_equal(batch[1].level, LEVEL_NATIVE);
	pubkey_hash(&signed_one.grant.key, key_hash);
	assert_memory_equal(batch[1].key_hash, key_hash, 32);
	assert_true(blob_equal(buf_blob(&batch[1].tbs), BLOB_STR(signed_one.tbs)));
	buf_done(&batch[1].tbs);
	world_sql(p.world, "select revoke('\\x%s', 6, 'operator:kim')", signed_one.hex);
	assert_ok(ledger_previous(p.now, batch, 3, f));
	assert_true(batch[1].revoked);
	buf_done(&batch[1].tbs);
	close_pair(&p);
}

/* With the planner's settings of the ca's session. A renewal that reads what lies between would cost more with every
 * certificate issued. */
static void looks_up_a_presented_certificate_by_its_serial_alone(void **state)
{
	enum { N = 64 };
	struct pair p = open_pair(state);
	static struct request r[N];
	long before;

	for (int i = 0; i < N; i++) {
		char device[32], key[32];

		snprintf(device, sizeof(device), "dev-look-%d", i);
		snprintf(key, sizeof(key), "key-look-%d", i);
		enrol(p.now, &r[i], device, key);
	}
	world_sql(p.world, "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; "
			   "set local enable_hashjoin = off; set local enable_mergejoin = off");
	before = rows_read(&p);
	assert_int_equal(world_count(p.world, "select count(*) from previous(array['\\x%s'::bytea, '\\x%s', '\\x%s'])",
				     r[0].hex, r[1].hex, r[2].hex),
			 3);
	assert_in_range(rows_read(&p) - before, 3, 6); /* of each table a row a serial */
	world_sql(p.world, "commit");
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_renewal_repeated_gives_the_same_successor_without_a_window),
		cmocka_unit_test(a_rekey_binds_the_new_key_and_is_a_claim_of_its_own),
		cmocka_unit_test(a_certificate_that_does_not_count_renews_nothing),
		cmocka_unit_test(a_revoked_successor_is_not_given_again),
		cmocka_unit_test(tells_what_a_presented_certificate_was),
		cmocka_unit_test(looks_up_a_presented_certificate_by_its_serial_alone),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
