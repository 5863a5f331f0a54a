/* test_ledger_record.c - signatures and void intents: is each recorded once, in one commit with what comes next? */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"

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
	assert_int_equal(world_count(world,
				     "select count(*) from signature s, issuance i where s.serial = '\\x%s' and "
				     "i.serial = '\\x%s' and s.at = i.at", /* a transaction has one time */
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

	enrol(mine, &done, "dev-sw-0", "key-sw-0");
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

/* With something in every column that an enrolment may fill. */
static void request_full(struct request *r, const char *element, const char *key)
{
	request_enrol(r, element, key);
	request_nonce(r, element);
	strcpy(r->grant.unit_serial, element);
	memset(r->grant.batch_ca, 0xba, sizeof(r->grant.batch_ca));
	r->grant.evidence = (struct buf){ .ptr = (uint8_t *)"evidence", .len = 8 };
	r->grant.continuity = (struct buf){ .ptr = (uint8_t *)"continuity", .len = 10 };
}

/* What does not follow from who asked, and which columns there are. */
static void row_of(struct world *world, const struct request *r, char out[2000])
{
	snprintf(
		out, 2000, "%s",
		world_sql(
			world,
			"select (to_jsonb(i) - array['serial', 'seq', 'at', 'device', 'element', 'key_hash', 'nonce', "
			"'unit_serial', 'tbs'])::text || ' of ' || (select string_agg(k, ' ') from "
			"jsonb_object_keys(jsonb_strip_nulls(to_jsonb(i))) k) from issuance i where i.serial = '\\x%s'",
			r->hex));
}

static void the_short_way_and_the_long_way_write_the_same(void **state)
{
	struct pair p = open_pair(state);
	struct request new, next, wary;
	char shortly[2000], at_length[2000];

	request_full(&new, "dev-short", "key-short");
	assert_int_equal(ask(p.now, &new), INTENT_NEW);
	request_full(&next, "dev-short-2", "key-short-2");
	assert_int_equal(ask(p.now, &next), INTENT_NEW);
	assert_int_equal(ask(p.now, &new), INTENT_PENDING); /* a repeat: those that follow are not taken for new */
	request_full(&wary, "dev-long", "key-long");
	wary.intent.not_before_s = new.intent.not_before_s; /* a second may have begun between them */
	wary.intent.not_after_s = new.intent.not_after_s;
	assert_int_equal(ask(p.now, &wary), INTENT_NEW);
	row_of(p.world, &new, shortly);
	row_of(p.world, &wary, at_length);
	assert_non_null(strstr(shortly, "bababa"));
	assert_non_null(strstr(shortly, "continuity"));
	assert_string_equal(shortly, at_length);
	assert_int_equal(world_count(p.world, "select sum(n) from work.issuer_hour where node = '%s'", p.node), 3);
	close_pair(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_one_batch_and_intends_the_next_in_one_commit),
		cmocka_unit_test(looks_up_what_it_records_by_its_serial_alone),
		cmocka_unit_test(the_first_recorded_signature_is_the_only_one),
		cmocka_unit_test(a_serial_is_void_or_signed_but_never_both),
		cmocka_unit_test(a_starting_node_voids_its_own_unsigned_intents_only),
		cmocka_unit_test(what_one_part_of_a_commit_refuses_leaves_the_other_alone),
		cmocka_unit_test(the_short_way_and_the_long_way_write_the_same),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
