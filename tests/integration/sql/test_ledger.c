/* test_ledger.c - does the ledger keep the rules of identity and retry, on a real PostgreSQL? */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Enrolment */

static void records_all_of_a_new_claim_before_it_is_signed(void **state)
{
	struct pair p = open_pair(state);
	struct request r;

	request_enrol(&r, "dev-new", "key-new");
	request_nonce(&r, "nonce-new");
	r.grant.evidence = (struct buf){ .ptr = (uint8_t *)r.tbs, .len = 7 };
	strcpy(r.grant.unit_serial, "UNIT-NEW");
	assert_int_equal(ask(p.now, &r), INTENT_NEW);
	assert_memory_equal(r.intent.serial, r.serial, 16);
	assert_string_equal(
		world_sql(p.world, "select convert_from(tbs, 'UTF8') from issuance where serial = '\\x%s'", r.hex),
		r.tbs);
	assert_string_equal(
		world_sql(p.world,
			  "select concat_ws(' ', kind, issuer, profile, family, requester, device_format,"
			  " convert_from(element, 'UTF8'), level, length(nonce), convert_from(evidence,"
			  " 'UTF8'), evidence_format, unit_serial, node, stream) from issuance where "
			  "serial = '\\x%s'",
			  r.hex),
		"1 attested line device rig:station-1 assay.1.1 dev-new 3 32 tbs of  assay.1.1 UNIT-NEW n0 intend");
	assert_string_equal(world_sql(p.world, "select certificate('\\x%s')", r.hex), "");
	r.grant.evidence = (struct buf){ 0 };
	close_pair(&p);
}

static void gives_the_certificate_as_tbs_and_tail(void **state)
{
	struct pair p = open_pair(state);
	struct request r;

	enrol(p.now, &r, "dev-der", "key-der");
	assert_int_equal(ask(p.now, &r), INTENT_ISSUED);
	assert_int_equal(r.intent.certificate.len, 2 + strlen(r.tbs) + strlen("the tail"));
	assert_int_equal(r.intent.certificate.ptr[0], 0x30);
	assert_int_equal(r.intent.certificate.ptr[1], strlen(r.tbs) + strlen("the tail"));
	assert_memory_equal(r.intent.certificate.ptr + 2, r.tbs, strlen(r.tbs));
	assert_string_equal(world_sql(p.world, "select encode(der_length(127) || der_length(128) || der_length(255) || "
					       "der_length(256) || der_length(65535) || der_length(65536), 'hex')"),
			    "7f818081ff82010082ffff83010000");
	request_done(&r);
	close_pair(&p);
}

static void a_repeat_in_the_window_gives_the_same_certificate(void **state)
{
	struct pair p = open_pair(state);
	struct request first, again;

	request_enrol(&first, "dev-rep", "key-rep");
	request_nonce(&first, "nonce-rep");
	issue(p.now, &first);
	request_enrol(&again, "dev-rep", "key-rep");
	request_nonce(&again, "nonce-rep");
	again.grant.freshness = REASON_NONCE_STALE; /* nothing new is issued: no obstacle */
	strcpy(again.grant.requester, "rig:station-2");
	assert_int_equal(ask(p.now, &again), INTENT_ISSUED);
	assert_string_equal(again.hex, first.hex);
	assert_int_equal(issuances_of(p.world, &first), 1);
	request_done(&again);
	close_pair(&p);
}

static void a_repeat_before_the_signature_is_pending(void **state)
{
	struct pair p = open_pair(state);
	struct request first, again;

	request_enrol(&first, "dev-pend", "key-pend");
	assert_int_equal(ask(p.now, &first), INTENT_NEW);
	request_enrol(&again, "dev-pend", "key-pend");
	assert_int_equal(ask(p.now, &again), INTENT_PENDING);
	assert_string_equal(again.hex, first.hex);
	close_pair(&p);
}

static void of_two_identical_rows_in_a_batch_one_is_new(void **state)
{
	struct pair p = open_pair(state);
	struct request r[2];
	struct intent batch[2];

	for (int i = 0; i < 2; i++) {
		request_enrol(&r[i], "dev-twin", "key-twin");
		request_nonce(&r[i], "nonce-twin");
		batch[i] = r[i].intent;
	}
	assert_ok(ledger_intend(p.now, batch, 2, f));
	assert_int_equal(batch[0].outcome, INTENT_NEW);
	assert_int_equal(batch[1].outcome, INTENT_PENDING);
	assert_memory_equal(batch[1].serial, batch[0].serial, 16);
	assert_int_equal(issuances_of(p.world, &r[0]), 1);
	close_pair(&p);
}

static void a_revoked_or_held_claim_is_refused_until_the_hold_is_released(void **state)
{
	struct pair p = open_pair(state);
	struct request r;

	enrol(p.now, &r, "dev-hold", "key-hold");
	world_sql(p.world, "select revoke('\\x%s', 6, 'operator:kim')", r.hex);
	assert_refused(p.now, &r, REASON_CLAIM_REVOKED);
	assert_refused(p.later, &r, REASON_CLAIM_REVOKED);
	request_done(&r);
	request_enrol(&r, "dev-hold", "key-hold");
	world_sql(p.world, "select revoke(serial, 8, 'operator:kim') from issuance where element = 'dev-hold'");
	assert_int_equal(ask(p.now, &r), INTENT_ISSUED);
	world_sql(p.world, "select revoke('\\x%s', 1, 'operator:kim')", r.hex);
	assert_refused(p.now, &r, REASON_CLAIM_REVOKED);
	assert_int_equal(issuances_of(p.world, &r), 1);
	request_done(&r);
	close_pair(&p);
}

static void past_the_window_and_never_in_use_a_new_one_supersedes_it(void **state)
{
	struct pair p = open_pair(state);
	struct request old, new;

	enrol(p.now, &old, "dev-past", "key-past");
	request_enrol(&new, "dev-past", "key-past");
	new.grant.freshness = REASON_NONCE_STALE;
	assert_refused(p.later, &new, REASON_NONCE_STALE);
	enrol(p.later, &new, "dev-past", "key-past");
	assert_string_equal(
		world_sql(p.world,
			  "select r.reason || ' ' || r.who || ' ' || (r.seq = i.seq and r.stream = i.stream)"
			  " from revocation r, issuance i where r.serial = '\\x%s' and i.serial = '\\x%s'",
			  old.hex, new.hex),
		"4 rule:window true");
	/* and the claim is the new one's from now on */
	assert_int_equal(ask(p.now, &old), INTENT_ISSUED);
	assert_string_equal(old.hex, new.hex);
	request_done(&old);
	close_pair(&p);
}

static void past_the_window_and_in_use_is_refused(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next, again;

	enrol(p.now, &first, "dev-used", "key-used");
	renew(p.now, &next, &first, "key-used");
	request_enrol(&again, "dev-used", "key-used");
	assert_refused(p.later, &again, REASON_CLAIM_PAST);
	/* inside the window a lost reply is still repaired */
	assert_int_equal(ask(p.now, &again), INTENT_ISSUED);
	assert_string_equal(again.hex, first.hex);
	request_done(&again);
	close_pair(&p);
}

static void a_void_claim_begins_again_with_fresh_evidence(void **state)
{
	struct pair p = open_pair(state);
	struct request first, again;

	request_enrol(&first, "dev-void", "key-void");
	request_nonce(&first, "nonce-void");
	assert_int_equal(ask(p.now, &first), INTENT_NEW);
	assert_ok(ledger_void(p.now, BLOB(first.serial, 16), "token away", f));
	request_enrol(&again, "dev-void", "key-void");
	again.grant.freshness = REASON_NONCE_MISSING;
	assert_refused(p.now, &again, REASON_NONCE_MISSING);
	again.grant.freshness = REASON_OK;
	request_nonce(&again, "nonce-void"); /* the claim's own nonce serves it still */
	issue(p.now, &again);
	assert_string_not_equal(again.hex, first.hex);
	close_pair(&p);
}

static void a_stale_nonce_gets_nothing_new_and_leaves_nothing(void **state)
{
	struct pair p = open_pair(state);
	struct request r;
	long rows = world_count(p.world, "select count(*) from chain");

	request_enrol(&r, "dev-stale", "key-stale");
	request_nonce(&r, "nonce-stale");
	r.grant.freshness = REASON_NONCE_STALE;
	assert_refused(p.now, &r, REASON_NONCE_STALE);
	assert_int_equal(issuances_of(p.world, &r), 0);
	assert_int_equal(world_count(p.world, "select count(*) from chain"), rows);
	r.grant.freshness = REASON_OK;
	issue(p.now, &r);
	close_pair(&p);
}

/* A known device with another key */

static void a_new_key_supersedes_what_was_never_in_use_three_times(void **state)
{
	struct pair p = open_pair(state);
	struct request r[5];
	char key[16];

	for (int i = 0; i < 5; i++) {
		snprintf(key, sizeof(key), "key-rekey-%d", i);
		request_enrol(&r[i], "dev-rekey", key);
		if (i == 4) {
			assert_refused(p.now, &r[i], REASON_DEVICE_KNOWN);
			break;
		}
		issue(p.now, &r[i]);
		if (i > 0)
			assert_string_equal(
				world_sql(p.world,
					  "select string_agg(reason || ' ' || who, ',') from revocation where "
					  "serial = '\\x%s'",
					  r[i - 1].hex),
				"4 rule:rekey");
	}
	assert_refused(p.now, &r[0], REASON_CLAIM_REVOKED); /* a superseded key does not come back */
	assert_int_equal(ask(p.now, &r[3]), INTENT_ISSUED);
	assert_int_equal(issuances_of(p.world, &r[0]), 4);
	request_done(&r[3]);
	close_pair(&p);
}

static void a_new_key_for_a_device_in_use_is_refused_until_an_operator_releases_it(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next, other;

	enrol(p.now, &first, "dev-known", "key-known-1");
	renew(p.now, &next, &first, "key-known-1");
	request_enrol(&other, "dev-known", "key-known-2");
	assert_refused(p.now, &other, REASON_DEVICE_KNOWN);
	assert_refused(p.later, &other, REASON_DEVICE_KNOWN);
	assert_int_equal(issuances_of(p.world, &first), 2);
	world_sql(p.world, "select revoke('\\x%s', 4, 'operator:kim')", first.hex);
	issue(p.now, &other);
	close_pair(&p);
}

static void a_new_key_for_a_device_revoked_for_cause_is_refused(void **state)
{
	struct pair p = open_pair(state);
	struct request first, other;

	enrol(p.now, &first, "dev-cause", "key-cause-1");
	world_sql(p.world, "select revoke('\\x%s', 1, 'operator:kim')", first.hex);
	request_enrol(&other, "dev-cause", "key-cause-2");
	assert_refused(p.now, &other, REASON_DEVICE_KNOWN);
	close_pair(&p);
}

static void a_new_key_while_the_other_is_under_way_waits(void **state)
{
	struct pair p = open_pair(state);
	struct request first, other;

	request_enrol(&first, "dev-way", "key-way-1");
	assert_int_equal(ask(p.now, &first), INTENT_NEW);
	request_enrol(&other, "dev-way", "key-way-2");
	assert_refused(p.now, &other, REASON_CLAIM_PENDING);
	assert_ok(ledger_void(p.now, BLOB(first.serial, 16), "token away", f));
	issue(p.now, &other); /* a void one is no other key, and nothing is superseded */
	assert_int_equal(world_count(p.world, "select count(*) from revocation where serial = '\\x%s' and reason = 4",
				     first.hex),
			 0);
	close_pair(&p);
}

static void a_name_that_may_enrol_once_is_taken_by_its_first_key(void **state)
{
	struct pair p = open_pair(state);
	struct request first, other;

	request_enrol(&first, "CN=legacy-1", "key-once-1");
	first.grant.once = true;
	issue(p.now, &first);
	request_enrol(&other, "CN=legacy-1", "key-once-2");
	other.grant.once = true;
	assert_refused(p.now, &other, REASON_NAME_TAKEN);
	assert_int_equal(ask(p.now, &first), INTENT_ISSUED);
	request_done(&first);
	assert_refused(p.later, &first, REASON_NAME_TAKEN);
	close_pair(&p);
}

/* Keys, nonces, unit serials */

static void a_key_of_another_device_is_refused_and_nothing_is_left(void **state)
{
	struct pair p = open_pair(state);
	struct request first, thief, honest;

	enrol(p.now, &first, "dev-bound-1", "key-bound");
	request_enrol(&thief, "dev-bound-2", "key-bound");
	request_nonce(&thief, "nonce-bound");
	assert_refused(p.now, &thief, REASON_KEY_BOUND);
	assert_int_equal(world_count(p.world, "select count(*) from claim where serial = '\\x%s'", thief.hex), 0);
	request_enrol(&honest, "dev-bound-2", "key-bound-2");
	request_nonce(&honest, "nonce-bound");
	issue(p.now, &honest);
	/* revocation does not set a key free */
	world_sql(p.world, "select revoke('\\x%s', 4, 'operator:kim')", first.hex);
	request_enrol(&thief, "dev-bound-3", "key-bound");
	assert_refused(p.now, &thief, REASON_KEY_BOUND);
	close_pair(&p);
}

static void a_nonce_serves_one_claim_only(void **state)
{
	struct pair p = open_pair(state);
	struct request first, other;

	request_enrol(&first, "dev-nonce-1", "key-nonce-1");
	request_nonce(&first, "nonce-shared");
	issue(p.now, &first);
	request_enrol(&other, "dev-nonce-2", "key-nonce-2");
	request_nonce(&other, "nonce-shared");
	assert_refused(p.now, &other, REASON_NONCE_REUSED);
	request_nonce(&other, "nonce-own");
	issue(p.now, &other);
	close_pair(&p);
}

static void a_unit_serial_is_tied_to_one_device_and_back(void **state)
{
	struct pair p = open_pair(state);
	struct request first, other;

	request_enrol(&first, "dev-unit-1", "key-unit-1");
	strcpy(first.grant.unit_serial, "U-1");
	issue(p.now, &first);
	request_enrol(&other, "dev-unit-2", "key-unit-2");
	strcpy(other.grant.unit_serial, "U-1");
	assert_refused(p.now, &other, REASON_UNIT_TAKEN);
	request_enrol(&other, "dev-unit-1", "key-unit-3");
	strcpy(other.grant.unit_serial, "U-2");
	assert_refused(p.now, &other, REASON_UNIT_TAKEN);
	strcpy(other.grant.unit_serial, "U-1");
	issue(p.now, &other);
	request_enrol(&other, "dev-unit-2", "key-unit-2");
	strcpy(other.grant.unit_serial, "U-2");
	issue(p.now, &other);
	close_pair(&p);
}

/* A batch of everything at once, in an order of no meaning. */
static void settles_a_batch_of_256_with_mixed_outcomes(void **state)
{
	enum { N = 256 };
	struct pair p = open_pair(state);
	static struct request r[N], before[N];
	static struct intent batch[N];
	char device[32], key[32];

	for (int i = 0; i < N; i++) {
		snprintf(device, sizeof(device), "dev-mix-%d", i);
		snprintf(key, sizeof(key), "key-mix-%d", i);
		request_enrol(&before[i], device, key);
		if (i % 8 == 1)
			issue(p.now, &before[i]);
		if (i % 8 == 2)
			assert_int_equal(ask(p.now, &before[i]), INTENT_NEW);
		if (i % 8 == 5 || i % 8 == 7)
			issue(p.now, &before[i]);
		if (i % 8 == 4)
			snprintf(key, sizeof(key), "key-mix-%d", i - 3); /* of the device issued above */
		if (i % 8 == 5)
			snprintf(key, sizeof(key), "key-mix-%d-new", i);
		request_enrol(&r[i], device, key);
		if (i % 8 == 3)
			r[i].grant.freshness = REASON_NONCE_FOREIGN;
		if (i % 8 == 7)
			request_reenrol(&r[i], &before[i], key);
		batch[i] = r[i].intent;
	}
	assert_ok(ledger_intend(p.now, batch, N, f));
	for (int i = 0; i < N; i++) {
		static const enum intent_outcome expected[8] = { INTENT_NEW,     INTENT_ISSUED,  INTENT_PENDING,
								 INTENT_REFUSED, INTENT_REFUSED, INTENT_NEW,
								 INTENT_NEW,     INTENT_NEW };

		if (batch[i].outcome != expected[i % 8])
			fail_msg("entry %d: outcome %d, %s", i, (int)batch[i].outcome, batch[i].verdict.detail);
		if (i % 8 == 1 || i % 8 == 2)
			assert_memory_equal(batch[i].serial, before[i].serial, 16);
		if (i % 8 == 3)
			assert_int_equal(batch[i].verdict.reason, REASON_NONCE_FOREIGN);
		if (i % 8 == 4)
			assert_int_equal(batch[i].verdict.reason, REASON_KEY_BOUND);
		if (batch[i].outcome == INTENT_NEW)
			assert_memory_equal(batch[i].serial, r[i].serial, 16);
		buf_done(&batch[i].certificate);
	}
	assert_int_equal(
		world_count(p.world,
			    "select count(*) from revocation v join issuance i using (serial) where v.reason = 4 "
			    "and convert_from(i.element, 'UTF8') like 'dev-mix-%%'"),
		N / 8);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_all_of_a_new_claim_before_it_is_signed),
		cmocka_unit_test(gives_the_certificate_as_tbs_and_tail),
		cmocka_unit_test(a_repeat_in_the_window_gives_the_same_certificate),
		cmocka_unit_test(a_repeat_before_the_signature_is_pending),
		cmocka_unit_test(of_two_identical_rows_in_a_batch_one_is_new),
		cmocka_unit_test(a_revoked_or_held_claim_is_refused_until_the_hold_is_released),
		cmocka_unit_test(past_the_window_and_never_in_use_a_new_one_supersedes_it),
		cmocka_unit_test(past_the_window_and_in_use_is_refused),
		cmocka_unit_test(a_void_claim_begins_again_with_fresh_evidence),
		cmocka_unit_test(a_stale_nonce_gets_nothing_new_and_leaves_nothing),
		cmocka_unit_test(a_new_key_supersedes_what_was_never_in_use_three_times),
		cmocka_unit_test(a_new_key_for_a_device_in_use_is_refused_until_an_operator_releases_it),
		cmocka_unit_test(a_new_key_for_a_device_revoked_for_cause_is_refused),
		cmocka_unit_test(a_new_key_while_the_other_is_under_way_waits),
		cmocka_unit_test(a_name_that_may_enrol_once_is_taken_by_its_first_key),
		cmocka_unit_test(a_key_of_another_device_is_refused_and_nothing_is_left),
		cmocka_unit_test(a_nonce_serves_one_claim_only),
		cmocka_unit_test(a_unit_serial_is_tied_to_one_device_and_back),
		cmocka_unit_test(settles_a_batch_of_256_with_mixed_outcomes),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
