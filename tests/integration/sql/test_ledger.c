/* test_ledger.c - does the ledger keep the rules of identity, retry and renewal, on a real PostgreSQL? */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

/* Every test has a ledger with the usual window, and one for which every certificate is past it. */
struct pair {
	struct world *world;
	char node[16]; /* a new one for each test, so that one that fails leaves no stream locked for the next */
	struct ledger *now, *later;
};

static struct pair open_pair(void **state)
{
	static unsigned count;
	struct pair p = { .world = *state };

	snprintf(p.node, sizeof(p.node), "n%u", count++);
	p.now = world_ledger(p.world, p.node, "intend", WINDOW_S);
	p.later = world_ledger(p.world, p.node, "later", 0);
	return p;
}

static void close_pair(struct pair *p)
{
	ledger_close(p->now);
	ledger_close(p->later);
}

static long issuances_of(struct world *world, const struct request *r)
{
	uint8_t device[32];
	char hex[65];

	device_hash(&r->grant.device, device);
	text_hex(BLOB_OF(device), hex, sizeof(hex));
	return world_count(world, "select count(*) from issuance where device = '\\x%s'", hex);
}

/* One commit for both */

static void records_one_batch_and_intends_the_next_in_one_commit(void **state)
{
	struct world *world = *state;
	struct ledger_options options = { .conninfo = world->ca_conninfo, .node = "cycle", .retry_window_s = WINDOW_S };
	struct ledger *ledger = NULL;
	struct request first, second, third;
	struct signed_row row;
	char dir[400];

	snprintf(dir, sizeof(dir), "%s/cycle", world->anchors);
	assert_int_equal(mkdir(dir, 0700), 0);
	options.anchor_dir = dir;
	assert_ok(ledger_open_line(&options, &ledger, f));
	request_enrol(&first, "dev-cycle-1", "key-cycle-1");
	request_enrol(&second, "dev-cycle-2", "key-cycle-2");
	third = first; /* repeats what the same commit records */
	third.intent.grant = &third.grant;
	assert_int_equal(ask(ledger, &first), INTENT_NEW);

	row = (struct signed_row){ .serial = BLOB(first.serial, 16), .tail = BLOB_STR("tail of one") };
	struct intent batch[] = { second.intent, third.intent };
	assert_ok(ledger_cycle(ledger, &row, 1, batch, 2, f));
	assert_int_equal(row.verdict, REASON_OK);
	assert_int_equal(batch[0].outcome, INTENT_NEW);
	assert_int_equal(batch[1].outcome, INTENT_ISSUED);
	buf_done(&batch[1].certificate);
	text_hex(BLOB(second.serial, 16), second.hex, sizeof(second.hex));
	assert_int_equal(
		world_count(world,
			    "select count(*) from signature s, issuance i where s.serial = '\\x%s' and "
			    "i.serial = '\\x%s' and s.at = i.at and (select xmin from chain where node = 'cycle' and "
			    "stream = 'record' and seq = s.seq) = (select xmin from chain where node = 'cycle' and "
			    "stream = 'intend' and seq = i.seq)",
			    first.hex, second.hex),
		1);
	assert_int_equal(world_count(world, "select count(*) from chain where node = 'cycle' and stream = 'record'"),
			 1);
	ledger_close(ledger);
}

static void what_one_part_of_a_commit_refuses_leaves_the_other_alone(void **state)
{
	struct pair p = open_pair(state);
	struct request signed_one, good, bad;
	struct signed_row rows[2];

	request_enrol(&signed_one, "dev-part-1", "key-part-1");
	request_enrol(&good, "dev-part-2", "key-part-2");
	request_enrol(&bad, "dev-part-3", "key-part-3");
	assert_int_equal(ask(p.now, &signed_one), INTENT_NEW);
	bad.grant.requester[0] = '\xff'; /* PostgreSQL takes no such text */
	rows[0] = (struct signed_row){ .serial = BLOB(signed_one.serial, 16), .tail = BLOB_STR("tail") };
	rows[1] = (struct signed_row){ .serial = BLOB(bad.serial, 16), .tail = BLOB_STR("of no intent") };
	struct intent batch[] = { bad.intent, good.intent };
	assert_ok(ledger_cycle(p.now, rows, 2, batch, 2, f));
	assert_int_equal(rows[0].verdict, REASON_OK);
	assert_int_equal(rows[1].verdict, REASON_LEDGER_REFUSED);
	assert_int_equal(batch[0].outcome, INTENT_REFUSED);
	assert_int_equal(batch[0].verdict.reason, REASON_LEDGER_REFUSED);
	assert_int_equal(batch[1].outcome, INTENT_NEW);

	/* and what does not fit the table is not even sent */
	request_enrol(&bad, "dev-part-4", "key-part-4");
	bad.grant.requester[0] = '\0';
	assert_refused(p.now, &bad, REASON_LEDGER_REFUSED);
	assert_int_equal(issuances_of(p.world, &bad), 0);
	close_pair(&p);
}

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

	request_enrol(&r, "dev-der", "key-der");
	issue(p.now, &r);
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

	request_enrol(&r, "dev-hold", "key-hold");
	issue(p.now, &r);
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

	request_enrol(&old, "dev-past", "key-past");
	issue(p.now, &old);
	request_enrol(&new, "dev-past", "key-past");
	new.grant.freshness = REASON_NONCE_STALE;
	assert_refused(p.later, &new, REASON_NONCE_STALE);
	request_enrol(&new, "dev-past", "key-past");
	issue(p.later, &new);
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

	request_enrol(&first, "dev-used", "key-used");
	issue(p.now, &first);
	request_reenrol(&next, &first, "key-used");
	issue(p.now, &next);
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

	request_enrol(&first, "dev-known", "key-known-1");
	issue(p.now, &first);
	request_reenrol(&next, &first, "key-known-1");
	issue(p.now, &next);
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

	request_enrol(&first, "dev-cause", "key-cause-1");
	issue(p.now, &first);
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

	request_enrol(&first, "dev-bound-1", "key-bound");
	issue(p.now, &first);
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

/* Re-enrolment */

static void a_renewal_repeated_gives_the_same_successor_without_a_window(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next, again, third;

	request_enrol(&first, "dev-renew", "key-renew");
	issue(p.now, &first);
	request_reenrol(&next, &first, "key-renew");
	issue(p.later, &next);
	request_reenrol(&again, &first, "key-renew");
	again.grant.freshness = REASON_NONCE_MISSING;
	assert_int_equal(ask(p.later, &again), INTENT_ISSUED);
	assert_string_equal(again.hex, next.hex);
	request_reenrol(&third, &next, "key-renew");
	issue(p.now, &third);
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

	request_enrol(&first, "dev-rk", "key-rk-1");
	issue(p.now, &first);
	request_reenrol(&next, &first, "key-rk-2");
	issue(p.now, &next);
	request_reenrol(&other, &first, "key-rk-3");
	issue(p.now, &other);
	assert_int_equal(ask(p.now, &next), INTENT_ISSUED);
	request_done(&next);
	request_enrol(&foreign, "dev-rk-other", "key-rk-2");
	assert_refused(p.now, &foreign, REASON_KEY_BOUND);
	request_enrol(&foreign, "dev-rk-other", "key-rk-4");
	issue(p.now, &foreign);
	request_reenrol(&other, &first, "key-rk-4");
	assert_refused(p.now, &other, REASON_KEY_BOUND);
	close_pair(&p);
}

static void a_certificate_that_does_not_count_renews_nothing(void **state)
{
	struct pair p = open_pair(state);
	struct request first, next, unsigned_one, stranger;

	request_enrol(&first, "dev-rv", "key-rv");
	issue(p.now, &first);
	request_enrol(&stranger, "dev-rv-2", "key-rv-2");
	issue(p.now, &stranger);
	request_reenrol(&next, &first, "key-rv");
	next.grant.device = stranger.grant.device;
	assert_refused(p.now, &next, REASON_PREVIOUS_UNKNOWN);
	request_enrol(&unsigned_one, "dev-rv-3", "key-rv-3");
	assert_int_equal(ask(p.now, &unsigned_one), INTENT_NEW);
	request_reenrol(&next, &unsigned_one, "key-rv-3");
	assert_refused(p.now, &next, REASON_PREVIOUS_UNKNOWN);
	request_reenrol(&next, &first, "key-rv");
	issue(p.now, &next);
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

	request_enrol(&first, "dev-succ", "key-succ");
	issue(p.now, &first);
	request_reenrol(&next, &first, "key-succ");
	issue(p.now, &next);
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

	request_enrol(&signed_one, "dev-prev-1", "key-prev-1");
	issue(p.now, &signed_one);
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

/* Rows of issuances and signatures that this connection has read. */
static long rows_read(struct pair *p)
{
	return world_count(p->world, "select sum(idx_tup_fetch + seq_tup_read) from pg_stat_xact_user_tables "
				     "where relname ~ '^(issuance|signature)_'");
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
		request_enrol(&r[i], device, key);
		issue(p.now, &r[i]);
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

/* Signatures and void intents */

/* The lowest and the highest of a batch span a whole day's serials, and the planner, once it knows that tables are
 * small and void is empty, takes a join over them all for cheap: this test comes before those that void. */
static void looks_up_what_it_records_by_its_serial_alone(void **state)
{
	enum { N = 64 };
	struct pair p = open_pair(state);
	static struct request r[N];
	int low = 0, high = 0;
	long before;

	world_sql(p.world, "vacuum (analyze) issuance, void");
	for (int i = 0; i < N; i++) {
		char device[32], key[32];

		snprintf(device, sizeof(device), "dev-rec-%d", i);
		snprintf(key, sizeof(key), "key-rec-%d", i);
		request_enrol(&r[i], device, key);
		assert_int_equal(ask(p.now, &r[i]), INTENT_NEW);
		low = memcmp(r[i].serial, r[low].serial, 16) < 0 ? i : low;
		high = memcmp(r[i].serial, r[high].serial, 16) > 0 ? i : high;
	}
	world_sql(p.world, "begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; "
			   "set local enable_hashjoin = off; set local enable_mergejoin = off");
	before = rows_read(&p);
	world_sql(p.world,
		  "select count(*) from record('look', 'record', 0, decode(repeat('00', 32), 'hex'), "
		  "array['\\x%s'::bytea, "
		  "'\\x%s'], "
		  "array['tail'::bytea, 'tail'])",
		  r[low].hex, r[high].hex);
	assert_in_range(rows_read(&p) - before, 2, 6);
	world_sql(p.world, "rollback");
	close_pair(&p);
}

static void the_first_recorded_signature_is_the_only_one(void **state)
{
	struct pair p = open_pair(state);
	struct request r;

	request_enrol(&r, "dev-sig", "key-sig");
	assert_int_equal(ask(p.now, &r), INTENT_NEW);
	assert_int_equal(record_one(p.now, &r, "tail one"), REASON_OK);
	assert_int_equal(record_one(p.now, &r, "tail one"), REASON_OK); /* a call whose answer was lost, again */
	assert_int_equal(record_one(p.now, &r, "tail two"), REASON_LEDGER_REFUSED);
	assert_string_equal(
		world_sql(p.world, "select convert_from(tail, 'UTF8') from signature where serial = '\\x%s'", r.hex),
		"tail one");
	close_pair(&p);
}

static void a_serial_is_void_or_signed_but_never_both(void **state)
{
	struct pair p = open_pair(state);
	struct request r[2];
	struct signed_row rows[2];
	struct fault fault;

	for (int i = 0; i < 2; i++) {
		request_enrol(&r[i], i == 0 ? "dev-vs-0" : "dev-vs-1", i == 0 ? "key-vs-0" : "key-vs-1");
		assert_int_equal(ask(p.now, &r[i]), INTENT_NEW);
		rows[i] = (struct signed_row){ .serial = BLOB(r[i].serial, 16), .tail = BLOB_STR("tail") };
	}
	assert_ok(ledger_void(p.now, rows[0].serial, "token away", f));
	assert_ok(ledger_void(p.now, rows[0].serial, "token away", f)); /* again: it is void */
	assert_ok(ledger_record(p.now, rows, 2, f));
	assert_int_equal(rows[0].verdict, REASON_CLAIM_REVOKED);
	assert_int_equal(rows[1].verdict, REASON_OK);
	assert_int_equal(ledger_void(p.now, rows[1].serial, "too late", &fault), REASON_LEDGER_REFUSED);
	assert_int_equal(ledger_void(p.now, BLOB_STR("nobody's"), "no such", &fault), REASON_LEDGER_REFUSED);
	assert_string_equal(
		world_sql(p.world, "select reason || ' ' || who from revocation where serial = '\\x%s'", r[0].hex),
		"5 rule:void");
	close_pair(&p);
}

static void a_starting_node_voids_its_own_unsigned_intents_only(void **state)
{
	struct world *world = *state;
	struct ledger *mine = world_ledger(world, "sweep", "intend", WINDOW_S),
		      *other = world_ledger(world, "other", "intend", WINDOW_S);
	struct request done, left[2], others;
	size_t n = 99;

	request_enrol(&done, "dev-sw-0", "key-sw-0");
	issue(mine, &done);
	request_enrol(&left[0], "dev-sw-1", "key-sw-1");
	assert_int_equal(ask(mine, &left[0]), INTENT_NEW);
	request_enrol(&others, "dev-sw-2", "key-sw-2");
	assert_int_equal(ask(other, &others), INTENT_NEW);
	assert_ok(ledger_void_unsigned(mine, &n, f));
	assert_int_equal(n, 1);
	request_enrol(&left[1], "dev-sw-3", "key-sw-3");
	assert_int_equal(ask(mine, &left[1]), INTENT_NEW);
	assert_ok(ledger_void_unsigned(mine, &n, f));
	assert_int_equal(n, 1);
	assert_ok(ledger_void_unsigned(mine, &n, f));
	assert_int_equal(n, 0);
	assert_int_equal(world_count(world, "select count(*) from void where serial in ('\\x%s', '\\x%s')", left[0].hex,
				     left[1].hex),
			 2);
	assert_int_equal(record_one(other, &others, "tail"), REASON_OK);
	ledger_close(mine);
	ledger_close(other);
}

/* What the other roles have to know */

static void news_are_gapless_and_come_in_order(void **state)
{
	struct pair p = open_pair(state);
	struct ledger_news news;
	uint64_t last = (uint64_t)world_count(p.world, "select coalesce(max(number), 0) from revocation");
	struct request r;

	request_enrol(&r, "dev-news", "key-news");
	assert_int_equal(ask(p.now, &r), INTENT_NEW);
	assert_ok(ledger_void(p.now, BLOB(r.serial, 16), "token away", f));
	world_sql(p.world, "select revoke('\\x0203', 6, 'operator:kim', 'rigs')");
	world_sql(p.world, "select revoke('\\x0203', 8, 'operator:kim', 'rigs')");
	assert_ok(ledger_news(p.now, last, 0, &news, f));
	assert_int_equal(news.n_revocations, 3);
	assert_false(news.more);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(news.revocation[i].number, last + 1 + i);
	assert_memory_equal(news.revocation[0].serial, r.serial, 16);
	assert_int_equal(news.revocation[0].serial_len, 16);
	assert_int_equal(news.revocation[0].reason, 5);
	assert_string_equal(news.revocation[0].issuer, "attested");
	assert_int_equal(news.revocation[1].reason, 6);
	assert_int_equal(news.revocation[2].reason, 8);
	assert_string_equal(news.revocation[2].issuer, "rigs");
	assert_in_range((uint64_t)(news.revocation[2].at_s + 60 - clock_wall_s()), 0, 120);
	ledger_news_done(&news);
	world_sql(p.world,
		  "select count(revoke('\\x0f'::bytea || int4send(i), 1, 'operator:kim', 'rigs')) from "
		  "generate_series(1, %d) i",
		  LEDGER_NEWS_MAX + 1);
	assert_ok(ledger_news(p.now, last + 3, 0, &news, f));
	assert_int_equal(news.n_revocations, LEDGER_NEWS_MAX);
	assert_true(news.more);
	last = news.revocation[LEDGER_NEWS_MAX - 1].number;
	ledger_news_done(&news);
	assert_ok(ledger_news(p.now, last, 0, &news, f));
	assert_int_equal(news.n_revocations, 1);
	assert_false(news.more);
	ledger_news_done(&news);
	close_pair(&p);
}

static void the_registry_tells_who_came_and_who_went(void **state)
{
	struct pair p = open_pair(state);
	struct ledger_news news;
	long before = world_count(p.world, "select coalesce(max(number), 0) from requester");
	static const char *const rig =
		"select register_requester('rig', 'station-7', sha256('spki'), '', 'line,field')";

	assert_int_equal(world_count(p.world, "%s", rig), before + 1);
	assert_int_equal(world_count(p.world, "%s", rig), before + 1); /* nothing changed */
	world_sql(p.world, "select register_requester('ra', 'plant-2', sha256('ra'), 'dev-*', '')");
	world_sql(p.world, "select retire_requester(sha256('spki'))");
	assert_ok(ledger_news(p.now, 0, (uint64_t)before, &news, f));
	assert_int_equal(news.n_requesters, 3);
	assert_string_equal(news.requester[0].name, "station-7");
	assert_string_equal(news.requester[0].kind, "rig");
	assert_string_equal(news.requester[0].labels, "line,field");
	assert_true(news.requester[0].active);
	assert_string_equal(news.requester[1].names, "dev-*");
	assert_string_equal(news.requester[2].name, "station-7");
	assert_memory_equal(news.requester[2].spki_hash, news.requester[0].spki_hash, 32);
	assert_false(news.requester[2].active);
	ledger_news_done(&news);
	close_pair(&p);
}

static void a_number_of_shards_that_was_taken_stays(void **state)
{
	struct pair p = open_pair(state);
	unsigned hold = 99;

	assert_ok(ledger_crl_shards(p.now, "idevid", 0, &hold, f)); /* none yet: it may still become any */
	assert_int_equal(hold, 0);
	assert_ok(ledger_crl_shards(p.now, "idevid", 64, &hold, f));
	assert_int_equal(hold, 64);
	assert_ok(ledger_crl_shards(p.later, "idevid", 32, &hold, f));
	assert_int_equal(hold, 64);
	assert_ok(ledger_crl_shards(p.later, "idevid", 0, &hold, f));
	assert_int_equal(hold, 64);
	assert_ok(ledger_crl_shards(p.now, "attested", 0, &hold, f));
	assert_int_equal(hold, 0);
	close_pair(&p);
}

static void a_crl_counts_up_and_holds_what_is_revoked_now(void **state)
{
	struct pair p = open_pair(state);
	uint64_t first, number, now_ms;
	struct revocation_row *rows;
	size_t n;

	/* a ledger that was restored has no numbers of what came after its backup either, and must not give them again
	 */
	now_ms = (uint64_t)world_count(p.world, "select floor(extract(epoch from clock_timestamp()) * 1000)::bigint");
	assert_ok(ledger_crl(p.now, "idevid", &first, &rows, &n, f));
	assert_true(first >= now_ms && first < now_ms + 600000);
	assert_int_equal(n, 0);
	free(rows);
	world_sql(p.world, "select revoke('\\xc0', 6, 'op', 'idevid'), revoke('\\xc1', 6, 'op', 'idevid'), "
			   "revoke('\\xc2', 1, 'op', 'idevid')");
	world_sql(p.world, "select revoke('\\xc0', 8, 'op', 'idevid')"); /* released */
	world_sql(p.world, "select revoke('\\xc1', 1, 'op', 'idevid')"); /* for good */
	assert_ok(ledger_crl(p.later, "idevid", &number, &rows, &n, f));
	assert_true(number > first);
	assert_int_equal(n, 2);
	assert_int_equal(rows[0].serial[0], 0xc1);
	assert_int_equal(rows[0].reason, 1);
	assert_int_equal(rows[1].serial[0], 0xc2);
	free(rows);
	close_pair(&p);
}

/* The serials of a list, by their last octet, as "<octet>:<reason> ..." */
static const char *listed(struct ledger *ledger, struct ledger_crl crl, char text[256])
{
	size_t at = 0;

	text[0] = '\0';
	assert_ok(ledger_crl_list(ledger, &crl, f));
	for (size_t i = 0; i < crl.n; i++)
		at += (size_t)snprintf(text + at, 256 - at, "%02x:%u ", crl.rows[i].serial[crl.rows[i].serial_len - 1],
				       crl.rows[i].reason);
	free(crl.rows);
	return text;
}

static void a_shard_holds_its_serials_and_a_delta_what_came_after_its_base(void **state)
{
	struct pair p = open_pair(state);
	const struct ledger_crl odd = { .issuer = "services", .list = LEDGER_SHARD, .shard = 1, .shards = 2 };
	struct ledger_crl base = { .issuer = "services", .list = LEDGER_COMPLETE };
	struct ledger_crl delta = { .issuer = "services", .list = LEDGER_DELTA };
	char text[256];

	world_sql(p.world, "select revoke('\\x01a0', 1, 'op', 'services'), revoke('\\x01a1', 6, 'op', 'services'), "
			   "revoke('\\x01a3', 1, 'op', 'services'), revoke('\\x01a5', 1, 'op', 'attested')");
	assert_ok(ledger_crl_list(p.now, &base, f));
	free(base.rows);
	delta.after = base.upto;
	assert_string_equal(listed(p.now, odd, text), "a1:6 a3:1 ");
	assert_string_equal(listed(p.now, delta, text), "");
	world_sql(p.world, "select revoke('\\x01a1', 8, 'op', 'services'), revoke('\\x01ff', 4, 'op', 'services'), "
			   "revoke('\\x01fe', 4, 'op', 'services')");
	assert_string_equal(listed(p.later, odd, text), "a3:1 ff:4 ");
	assert_string_equal(listed(p.later, delta, text), "a1:8 fe:4 ff:4 ");
	assert_ok(ledger_crl_list(p.now, &delta, f)); /* one sequence of numbers: base, four lists, this one */
	assert_true(delta.number >= base.number + 5);
	free(delta.rows);
	close_pair(&p);
}

static void what_a_crl_signs_is_recorded_once_under_a_number_that_was_given_out(void **state)
{
	struct pair p = open_pair(state);
	const uint8_t hash[32] = { 0x11 }, other[32] = { 0x12 };
	struct revocation_row *rows;
	struct fault fault;
	uint64_t number;
	size_t n;

	assert_ok(ledger_crl(p.now, "attested", &number, &rows, &n, f));
	free(rows);
	assert_int_equal(ledger_crl_intend(p.now, "attested", number + 1, hash, &fault), REASON_LEDGER_REFUSED);
	assert_ok(ledger_crl_intend(p.now, "attested", number, hash, f));
	assert_int_equal(ledger_crl_intend(p.now, "attested", number, other, &fault), REASON_LEDGER_REFUSED);
	assert_string_equal(world_sql(p.world,
				      "select encode(tbs_hash, 'hex') from crl_intent where issuer = 'attested' "
				      "and number = %llu",
				      (unsigned long long)number),
			    "1100000000000000000000000000000000000000000000000000000000000000");
	close_pair(&p);
}

static int64_t waited_us(struct ledger *ledger, int wake_fd, int timeout_ms)
{
	int64_t from_us = clock_mono_us();

	ledger_wait(ledger, wake_fd, timeout_ms);
	return clock_mono_us() - from_us;
}

static void what_others_revoke_or_register_ends_a_wait(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "listens", "view", WINDOW_S);
	int wake = eventfd(0, EFD_NONBLOCK);

	assert_true(wake >= 0);
	ledger_listen(ledger);
	assert_true(waited_us(ledger, wake, 300) > 200000); /* without a connection; it is tried again after 200 ms */
	assert_ok(ledger_ready(ledger, f));
	assert_true(waited_us(ledger, wake, 50) > 40000);
	world_sql(world, "select register_requester('rig', 'told', sha256('told'), '', '')");
	assert_true(waited_us(ledger, wake, 60000) < 50000000);
	assert_true(waited_us(ledger, wake, 50) > 40000); /* once */
	world_sql(world, "select revoke('\\x0a0b', 1, 'operator:kim', 'rigs')");
	assert_true(waited_us(ledger, wake, 60000) < 50000000);
	assert_int_equal(eventfd_write(wake, 1), 0);
	assert_true(waited_us(ledger, wake, 60000) < 50000000);
	ledger_close(ledger);
	close(wake);
}

static void knows_its_newest_time_and_each_policy_once(void **state)
{
	struct pair p = open_pair(state);
	uint8_t hash[32] = { 0x44 };
	int64_t newest;
	long rows;

	assert_ok(ledger_policy(p.now, hash, "profiles line, field", f));
	rows = world_count(p.world, "select count(*) from chain");
	assert_ok(ledger_policy(p.later, hash, "profiles line, field", f));
	assert_int_equal(world_count(p.world, "select count(*) from chain"), rows);
	assert_int_equal(
		world_count(p.world,
			    "select count(*) from policy where hash = '\\x44' || decode(repeat('00', 31), 'hex')"),
		1);
	assert_ok(ledger_newest(p.now, &newest, f));
	assert_in_range((uint64_t)(newest + 60 - clock_wall_s()), 0, 120);
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
		cmocka_unit_test(looks_up_what_it_records_by_its_serial_alone),
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
		cmocka_unit_test(a_renewal_repeated_gives_the_same_successor_without_a_window),
		cmocka_unit_test(a_rekey_binds_the_new_key_and_is_a_claim_of_its_own),
		cmocka_unit_test(a_certificate_that_does_not_count_renews_nothing),
		cmocka_unit_test(a_revoked_successor_is_not_given_again),
		cmocka_unit_test(tells_what_a_presented_certificate_was),
		cmocka_unit_test(looks_up_a_presented_certificate_by_its_serial_alone),
		cmocka_unit_test(the_first_recorded_signature_is_the_only_one),
		cmocka_unit_test(a_serial_is_void_or_signed_but_never_both),
		cmocka_unit_test(a_starting_node_voids_its_own_unsigned_intents_only),
		cmocka_unit_test(news_are_gapless_and_come_in_order),
		cmocka_unit_test(the_registry_tells_who_came_and_who_went),
		cmocka_unit_test(a_number_of_shards_that_was_taken_stays),
		cmocka_unit_test(a_crl_counts_up_and_holds_what_is_revoked_now),
		cmocka_unit_test(a_shard_holds_its_serials_and_a_delta_what_came_after_its_base),
		cmocka_unit_test(what_a_crl_signs_is_recorded_once_under_a_number_that_was_given_out),
		cmocka_unit_test(what_others_revoke_or_register_ends_a_wait),
		cmocka_unit_test(knows_its_newest_time_and_each_policy_once),
		cmocka_unit_test(records_one_batch_and_intends_the_next_in_one_commit),
		cmocka_unit_test(what_one_part_of_a_commit_refuses_leaves_the_other_alone),
		cmocka_unit_test(settles_a_batch_of_256_with_mixed_outcomes),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
