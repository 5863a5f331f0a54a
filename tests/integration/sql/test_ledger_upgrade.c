/*
 * test_ledger_upgrade.c - does a ledger with rows in it stay one ledger when its schema is brought up to date?
 *
 * A node writes through the functions of an early version, the schema goes on step by step, and at each step more is
 * written over the same connection. Then today's code takes over: the same chains, the same claims, the same rules.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "old_ledger.h"
#include "operators.h"
#include "session.h"
#include "status.h"

static const char *assayctl;

/* Versions at which something was written: before the batch CA was a column, as arrays, the short way, as rows. */
static const int versions[] = { 17, 21, 25, 26, 27, 29 };
#define VERSIONS (sizeof(versions) / sizeof(versions[0]))

static struct past past[VERSIONS];
static PGconn *ca; /* of the node, over all of the upgrade */

static int before_all(void **state)
{
	struct world *world;

	if (world_setup_at(state, "17") != 0)
		return -1;
	world = *state;
	ca = PQconnectdb(world->ca_conninfo);
	return PQstatus(ca) == CONNECTION_OK ? 0 : -1;
}

static int after_all(void **state)
{
	PQfinish(ca);
	return world_teardown(state);
}

static void migrate(struct world *world, int version)
{
	char command[40];

	snprintf(command, sizeof(command), "migrate -t %d", version);
	world_postgres(world, command);
	assert_int_equal(world_count(world, "select max(version) from schema_version"), version);
}

/* With the heads that were there before the last step kept elsewhere, as an auditor does. Today's program knows the
 * tables that there are from 0018 on; what was written before is verified then. */
static void verifies(struct world *world)
{
	static char heads[4096];
	char file[320], out[4096];
	FILE *kept;

	if (world_count(world, "select max(version) from schema_version") < 18)
		return;
	snprintf(file, sizeof(file), "%s/heads", world->anchors);
	if (world_verify(world, heads[0] == '\0' ? NULL : file, out) != 0)
		fail_msg("%s", out);
	memcpy(heads, out, sizeof(heads));
	kept = fopen(file, "w");
	assert_non_null(kept);
	fputs(heads, kept);
	assert_int_equal(fclose(kept), 0);
}

static struct ledger *open_node(struct world *world)
{
	struct ledger_options options = { .conninfo = world->ca_conninfo,
					  .node = OLD_NODE,
					  .anchor_dir = world->anchors,
					  .retry_window_s = WINDOW_S };
	struct ledger *ledger = NULL;

	assert_ok(ledger_open_line(&options, &ledger, f));
	return ledger;
}

/* A program that came before its schema did. */
static void waits_for_the_schema(struct ledger *ledger, int version)
{
	char is[64];
	struct fault f;

	snprintf(is, sizeof(is), "schema is at version %d, this assayd needs %d: ", version, LEDGER_SCHEMA);
	await((assert_int_equal(ledger_ready(ledger, &f), REASON_LEDGER_AWAY), strstr(f.detail, is) != NULL));
	assert_non_null(strstr(f.detail, "run sql/migrate of its version"));
}

static void every_step_leaves_a_ledger_that_verifies(void **state)
{
	struct world *world = *state;
	struct ledger *early = open_node(world);

	for (size_t i = 0; i < VERSIONS; i++) {
		migrate(world, versions[i]);
		if (versions[i] < LEDGER_SCHEMA)
			waits_for_the_schema(early, versions[i]);
		old_write(world, ca, &past[i], versions[i], i == 0);
		verifies(world);
	}
	world_postgres(world, "migrate");
	verifies(world);
	await(ledger_ready(early, NULL) == REASON_OK); /* by itself, and with the chain's position */
	ledger_close(early);
}

static void what_was_asked_before_gets_what_it_got(void **state)
{
	struct ledger *ledger = open_node(*state);
	char hex[600], serial[2 * LIMIT_SERIAL_BYTES + 1];

	for (size_t i = 0; i < VERSIONS; i++) {
		struct past *p = &past[i];

		memcpy(serial, p->renewal.hex, sizeof(serial));
		assert_int_equal(ask(ledger, &p->plain), INTENT_ISSUED);
		text_hex(buf_blob(&p->plain.intent.certificate), hex, sizeof(hex));
		assert_string_equal(hex, p->certificate);
		assert_int_equal(ask(ledger, &p->renewal), INTENT_ISSUED);
		assert_string_equal(p->renewal.hex, serial);
		request_done(&p->plain);
		request_done(&p->renewal);
		assert_refused(ledger, &p->gone, REASON_CLAIM_REVOKED);
		assert_refused(ledger, &p->held, REASON_CLAIM_REVOKED);
	}
	ledger_close(ledger);
}

static void keys_nonces_and_units_are_still_taken(void **state)
{
	struct ledger *ledger = open_node(*state);
	char name[32];

	for (size_t i = 0; i < VERSIONS; i++) {
		const struct grant *taken = &past[i].full.grant;
		struct request other;

		snprintf(name, sizeof(name), "taker-%zu", i);
		request_enrol(&other, name, name);
		other.grant.key = taken->key;
		assert_refused(ledger, &other, REASON_KEY_BOUND);
		request_enrol(&other, name, name);
		memcpy(other.grant.nonce, taken->nonce, sizeof(taken->nonce));
		other.grant.nonce_len = taken->nonce_len;
		assert_refused(ledger, &other, REASON_NONCE_REUSED);
		request_enrol(&other, name, name);
		strcpy(other.grant.unit_serial, taken->unit_serial);
		assert_refused(ledger, &other, REASON_UNIT_TAKEN);
	}
	ledger_close(ledger);
}

static void what_was_left_unsigned_is_voided_and_may_come_again(void **state)
{
	struct ledger *ledger = open_node(*state);
	size_t n = 0;

	assert_ok(ledger_void_unsigned(ledger, &n, f));
	assert_int_equal(n, VERSIONS);
	for (size_t i = 0; i < VERSIONS; i++) {
		struct request *left = &past[i].left;

		request_serial_of_today(left);
		request_tbs(left);
		assert_int_equal(ask(ledger, left), INTENT_NEW);
		assert_int_equal(record_one(ledger, left, "the tail"), REASON_OK);
	}
	ledger_close(ledger);
}

static void old_certificates_are_renewed_under_serials_of_today(void **state)
{
	struct ledger *ledger = open_node(*state);

	for (size_t i = 0; i < VERSIONS; i++) {
		const struct request *full = &past[i].full;
		struct previous known = { .serial = BLOB(full->serial, full->serial_len) };
		struct request next, again;

		assert_ok(ledger_previous(ledger, &known, 1, f));
		assert_true(known.found && !known.revoked);
		assert_int_equal(known.batch_ca[0], versions[i] < 18 ? 0 : 0xba);
		assert_true(blob_equal(buf_blob(&known.tbs), full->intent.tbs));
		buf_done(&known.tbs);
		request_reenrol(&next, full, "a new key");
		next.grant.key.raw[40] = (uint8_t)i;
		request_serial_of_today(&next);
		request_tbs(&next);
		issue(ledger, &next);
		again = next;
		again.intent.grant = &again.grant;
		assert_int_equal(ask(ledger, &again), INTENT_ISSUED);
		assert_string_equal(again.hex, next.hex);
		request_done(&again);
	}
	ledger_close(ledger);
}

/* One enrolment under a serial of each length, in one commit and one batch of signatures. */
static void enrol_both(struct ledger *ledger, struct request both[2], const char *name)
{
	struct signed_row rows[2];
	struct intent batch[2];

	for (int i = 0; i < 2; i++) {
		char element[40];

		snprintf(element, sizeof(element), "%s-%d", name, i);
		request_enrol(&both[i], element, element);
		if (i == 1)
			request_serial_of_today(&both[i]);
		request_tbs(&both[i]);
		batch[i] = both[i].intent;
	}
	assert_ok(ledger_intend(ledger, batch, 2, f));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(batch[i].outcome, INTENT_NEW);
		rows[i] = (struct signed_row){ .serial = BLOB(both[i].serial, both[i].serial_len),
					       .tail = BLOB_STR("the tail") };
	}
	assert_ok(ledger_record(ledger, rows, 2, f));
	assert_true(rows[0].verdict == REASON_OK && rows[1].verdict == REASON_OK);
}

/* As an operator does: a list, a dry run of it, and the deed. */
static void revoke_both(struct ledger *desk, const struct request both[2])
{
	static const uint8_t id[PLAN_BYTES] = "upgraded ledger";
	const struct blob serials[] = { BLOB(both[0].serial, both[0].serial_len),
					BLOB(both[1].serial, both[1].serial_len) };
	struct plan plan = { .who = "operator:alice", .by = "list", .value = "", .note = "test", .reason = 1 };
	struct plan_piece piece = { .id = id,
				    .who = plan.who,
				    .call = "POST",
				    .request = "test",
				    .lifetime_s = 900,
				    .two_above = INT64_MAX,
				    .max = 10 };
	uint64_t n = 0;

	memcpy(plan.id, id, sizeof(id));
	assert_ok(ledger_plan_list(desk, id, plan.who, false, serials, 2, &n, f));
	assert_ok(ledger_plan(desk, &plan, f));
	assert_int_equal(plan.n, 2);
	assert_ok(ledger_plan_do(desk, &piece, f));
	assert_int_equal(piece.changed, 2);
}

static bool is_of(const struct revocation_row *row, const struct request *r)
{
	return blob_equal(BLOB(row->serial, row->serial_len), BLOB(r->serial, r->serial_len));
}

/* How often a list has this certificate. */
static int listed(struct ledger *ledger, struct ledger_crl crl, const struct request *r)
{
	int n = 0;

	assert_ok(ledger_crl_list(ledger, &crl, f));
	for (size_t i = 0; i < crl.n; i++)
		n += is_of(&crl.rows[i], r);
	free(crl.rows);
	return n;
}

static void stands_on_its_lists(struct ledger *ledger, const struct request *r)
{
	const unsigned shard = r->serial[r->serial_len - 1] & 1;
	struct ledger_crl crl = { .issuer = "attested", .list = LEDGER_COMPLETE };

	assert_int_equal(listed(ledger, crl, r), 1);
	crl.list = LEDGER_DELTA;
	assert_int_equal(listed(ledger, crl, r), 1);
	crl.list = LEDGER_SHARD;
	crl.shards = 2;
	crl.shard = shard;
	assert_int_equal(listed(ledger, crl, r), 1);
	crl.shard = !shard;
	assert_int_equal(listed(ledger, crl, r), 0);
}

static void has_status(struct ledger *ledger, const struct request *r, enum ocsp_status status)
{
	struct status_row row = { .issuer = "attested", .serial = BLOB(r->serial, r->serial_len) };

	assert_ok(ledger_status(ledger, &row, 1, f));
	assert_int_equal(row.status, status);
}

static void serials_of_both_lengths_are_issued_revoked_and_told(void **state)
{
	struct world *world = *state;
	struct ledger *line = open_node(world), *desk = world_ledger(world, "desk", "operate", WINDOW_S);
	struct ledger *status = world_ledger(world, "desk", "status", WINDOW_S);
	struct request good[2], gone[2];
	int news = 0;
	struct ledger_news told;

	enrol_both(line, good, "good");
	enrol_both(line, gone, "gone");
	revoke_both(desk, gone);
	assert_ok(ledger_news(status, 0, 0, &told, f));
	for (int i = 0; i < 2; i++) {
		stands_on_its_lists(status, &gone[i]);
		has_status(status, &gone[i], OCSP_REVOKED);
		has_status(status, &good[i], OCSP_GOOD);
		assert_refused(line, &gone[i], REASON_CLAIM_REVOKED);
		assert_int_equal(ask(line, &good[i]), INTENT_ISSUED);
		request_done(&good[i]);
		for (size_t k = 0; k < told.n_revocations; k++)
			news += is_of(&told.revocation[k], &gone[i]);
	}
	assert_int_equal(news, 2);
	ledger_news_done(&told);
	for (size_t i = 0; i < VERSIONS; i++) {
		has_status(status, &past[i].plain, OCSP_GOOD);
		has_status(status, &past[i].gone, OCSP_REVOKED);
		stands_on_its_lists(status, &past[i].gone);
		stands_on_its_lists(status, &past[i].held);
	}
	ledger_close(line);
	ledger_close(desk);
	ledger_close(status);
}

static void enrol_today(struct ledger *ledger, struct request *r, const char *name)
{
	request_enrol(r, name, name);
	request_serial_of_today(r);
	request_tbs(r);
	issue(ledger, r);
}

/* A program that stayed behind when the schema went on: it goes on as long as what it asks for is there. */
static void a_program_older_than_the_schema_says_so(void **state)
{
	struct world *world = *state;
	struct ledger *running = open_node(world);
	struct request r, next;
	struct fault f;
	char is[64];

	snprintf(is, sizeof(is), "ledger: schema 99 is newer than this assayd's %d", LEDGER_SCHEMA);
	enrol_today(running, &r, "stayed");
	world_sql(world, "insert into schema_version (version, name) values (99, 'of tomorrow')");
	enrol_today(running, &next, "stayed on");
	ledger_close(running);
	running = open_node(world); /* a start of it, too */
	assert_int_equal(ask(running, &r), INTENT_ISSUED);
	request_done(&r);

	world_sql(world, "alter function intend rename to intend_of_tomorrow");
	request_enrol(&next, "stays", "stays");
	request_tbs(&next);
	assert_int_equal(ledger_intend(running, &next.intent, 1, &f), REASON_LEDGER_AWAY);
	assert_non_null(strstr(f.detail, is));
	assert_non_null(strstr(f.detail, "start the newer one here"));
	ledger_close(running);
	running = open_node(world);
	assert_int_equal(ledger_ready(running, &f), REASON_LEDGER_AWAY); /* and not ready, then refusing everybody */
	assert_non_null(strstr(f.detail, is));
	world_sql(world, "alter function intend_of_tomorrow rename to intend");
	world_sql(world, "delete from schema_version where version = 99");
	await(ledger_ready(running, NULL) == REASON_OK);
	issue(running, &next);
	ledger_close(running);
}

/* The rows as the admin API gives them to an auditor, and the auditor's program. */
static void an_auditor_finds_all_of_it_in_order(void **state)
{
	struct world *world = *state;
	char command[1600], out[2000];
	FILE *p;

	snprintf(command, sizeof(command),
		 "psql -X -q -A -t -v ON_ERROR_STOP=1 -d 'host=%s dbname=assay user=assay_read' -c \"select "
		 "jsonb_build_object('assay_audit', 1, 'at', now(), 'heads', jsonb_agg(h)) from (select distinct on "
		 "(node, stream) node, stream, seq, encode(hash, 'hex') as hash from chain order by node, stream, seq "
		 "desc) h\" -c \"select '[' || to_json(t.name) || ',' || substr(r.value::text, 2) from audit_tables() "
		 "t, "
		 "json_array_elements(api_audit(t.name, null, 100000)->'rows') r\" >%s/export && "
		 "%s audit verify %s/export 2>&1",
		 world->dir, world->anchors, assayctl, world->anchors);
	p = popen(command, "r");
	assert_non_null(p);
	out[fread(out, 1, sizeof(out) - 1, p)] = '\0';
	if (pclose(p) != 0)
		fail_msg("%s", out);
	print_message("%s", out);
	verifies(world);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_leaves_a_ledger_that_verifies),
		cmocka_unit_test(what_was_asked_before_gets_what_it_got),
		cmocka_unit_test(keys_nonces_and_units_are_still_taken),
		cmocka_unit_test(old_certificates_are_renewed_under_serials_of_today),
		cmocka_unit_test(what_was_left_unsigned_is_voided_and_may_come_again),
		cmocka_unit_test(serials_of_both_lengths_are_issued_revoked_and_told),
		cmocka_unit_test(a_program_older_than_the_schema_says_so),
		cmocka_unit_test(an_auditor_finds_all_of_it_in_order),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: test_ledger_upgrade ASSAYCTL\n");
		return 2;
	}
	assayctl = argv[1];
	return cmocka_run_group_tests(tests, before_all, after_all);
}
