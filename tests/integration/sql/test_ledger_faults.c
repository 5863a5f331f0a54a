/*
 * test_ledger_faults.c - does the ledger keep its promises when a row is bad, and when PostgreSQL stops, loses an
 * answer or comes back older?
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

/* A bad row */

static void a_batch_is_split_until_the_bad_row_is_alone(void **state)
{
	enum { N = 32, BAD = 13 };
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "split", "intend", WINDOW_S);
	struct request r[N];
	struct intent batch[N];
	struct signed_row rows[N];
	char device[32];

	world_sql(world,
		  "create function bad() returns trigger language plpgsql as $$ begin if new.requester = 'rig:bad' "
		  "then raise exception 'bad row'; end if; return new; end $$");
	world_sql(world, "create trigger bad before insert on issuance for each row execute function bad()");
	for (int i = 0; i < N; i++) {
		snprintf(device, sizeof(device), "dev-split-%d", i);
		request_enrol(&r[i], device, device);
		if (i == BAD)
			strcpy(r[i].grant.requester, "rig:bad");
		if (i == BAD + 3)
			strcpy(r[i].grant.profile, "not UTF-8: \xff");
		batch[i] = r[i].intent;
	}
	assert_ok(ledger_intend(ledger, batch, N, f));
	for (int i = 0; i < N; i++) {
		assert_int_equal(batch[i].outcome, i == BAD || i == BAD + 3 ? INTENT_REFUSED : INTENT_NEW);
		if (i == BAD || i == BAD + 3)
			assert_int_equal(batch[i].verdict.reason, REASON_LEDGER_REFUSED);
	}
	assert_non_null(strstr(batch[BAD].verdict.detail, "bad row"));
	world_sql(world, "drop trigger bad on issuance");

	world_sql(world, "create function bad_tail() returns trigger language plpgsql as $$ begin if new.tail = 'bad' "
			 "then raise exception 'bad tail'; end if; return new; end $$");
	world_sql(world, "create trigger bad before insert on signature for each row execute function bad_tail()");
	for (int i = 0; i < N; i++)
		rows[i] = (struct signed_row){ .serial = BLOB(batch[i].serial, 16),
					       .tail = BLOB_STR(i == BAD + 1 ? "bad" : "tail") };
	assert_ok(ledger_record(ledger, rows, N, f));
	for (int i = 0; i < N; i++)
		assert_int_equal(rows[i].verdict, /* a bad tail, or no intent */
				 i == BAD || i == BAD + 1 || i == BAD + 3 ? REASON_LEDGER_REFUSED : REASON_OK);
	world_sql(world, "drop trigger bad on signature");
	ledger_close(ledger);
}

static void a_serial_used_before_and_one_of_no_partition_are_refused(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "split", "intend", WINDOW_S);
	struct request first, second;

	enrol(ledger, &first, "dev-ser-1", "key-ser-1");
	request_enrol(&second, "dev-ser-2", "key-ser-2");
	memcpy(second.serial, first.serial, sizeof(first.serial));
	assert_refused(ledger, &second, REASON_LEDGER_REFUSED);
	request_enrol(&second, "dev-ser-2", "key-ser-2");
	second.serial[0] = 2;
	assert_refused(ledger, &second, REASON_LEDGER_REFUSED);
	enrol(ledger, &second, "dev-ser-2", "key-ser-2");
	ledger_close(ledger);
}

/* PostgreSQL stops, loses an answer, comes back older */

static enum reason ready_at_last(struct ledger *ledger, struct fault *f)
{
	enum reason reason = ledger_ready(ledger, f);

	await((reason = ledger_ready(ledger, f)) != REASON_LEDGER_AWAY);
	return reason;
}

static void recovers_by_itself_when_postgresql_comes_back(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "crash", "intend", WINDOW_S);
	struct request first, second;
	struct fault fault;

	enrol(ledger, &first, "dev-crash-1", "key-crash-1");
	world_postgres(world, "stop -m immediate");
	request_enrol(&second, "dev-crash-2", "key-crash-2");
	assert_int_equal(ledger_intend(ledger, &second.intent, 1, &fault), REASON_LEDGER_AWAY);
	assert_int_equal(ledger_ready(ledger, &fault), REASON_LEDGER_AWAY);
	world_postgres(world, "start");
	world_admin(world);
	assert_int_equal(ready_at_last(ledger, &fault), REASON_OK);
	assert_int_equal(ask(ledger, &first), INTENT_ISSUED);
	request_done(&first);
	issue(ledger, &second);
	ledger_close(ledger);
}

struct asking {
	struct ledger *ledger;
	struct request request;
};

static void *intend_thread(void *arg)
{
	struct asking *a = arg;

	(void)!ledger_intend(a->ledger, &a->request.intent, 1, &a->request.intent.verdict);
	return NULL;
}

/* The commit is durable, but waits for a standby that does not exist, and then the connection dies. */
static void an_intent_whose_answer_was_lost_is_void(void **state)
{
	struct world *world = *state;
	struct asking a = { .ledger = world_ledger(world, "lost", "intend", WINDOW_S) };
	struct request again;
	struct fault fault;
	pthread_t thread;

	request_enrol(&a.request, "dev-lost", "key-lost");
	world_sql(world, "alter system set synchronous_standby_names = 'nobody'");
	world_sql(world, "select pg_reload_conf()");
	await(strcmp(world_sql(world, "show synchronous_standby_names"), "nobody") == 0);
	assert_int_equal(pthread_create(&thread, NULL, intend_thread, &a), 0);
	await(world_count(
		      world,
		      "select count(pg_terminate_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'") ==
	      1);
	pthread_join(thread, NULL);
	assert_int_equal(a.request.intent.verdict.reason, REASON_LEDGER_AWAY);
	world_sql(world, "set synchronous_commit = local"); /* the next command must not wait either */
	world_sql(world, "alter system reset synchronous_standby_names");
	world_sql(world, "select pg_reload_conf()");
	await(strcmp(world_sql(world, "show synchronous_standby_names"), "") == 0);
	world_sql(world, "reset synchronous_commit");

	assert_int_equal(ready_at_last(a.ledger, &fault), REASON_OK);
	text_hex(BLOB(a.request.serial, 16), a.request.hex, sizeof(a.request.hex));
	assert_int_equal(world_count(world, "select count(*) from issuance where serial = '\\x%s'", a.request.hex), 1);
	assert_int_equal(world_count(world, "select count(*) from void where serial = '\\x%s'", a.request.hex), 1);
	enrol(a.ledger, &again, "dev-lost", "key-lost");
	ledger_close(a.ledger);
}

/* In the cluster's directory. */
static void shell(struct world *world, const char *line)
{
	char command[600];

	snprintf(command, sizeof(command), "cd %s && %s", world->dir, line);
	assert_int_equal(system(command), 0);
}

static void a_ledger_that_went_back_in_time_issues_nothing(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "back", "intend", WINDOW_S);
	const struct ledger_options options = { .conninfo = world->ca_conninfo, .node = "back", .anchor_dir = NULL };
	struct request r;
	struct fault fault;
	char dir[400];

	enrol(ledger, &r, "dev-back-1", "key-back-1");
	world_postgres(world, "stop");
	shell(world, "cp -a data copy");
	world_postgres(world, "start");
	world_admin(world);
	assert_int_equal(ready_at_last(ledger, &fault), REASON_OK);
	enrol(ledger, &r, "dev-back-2", "key-back-2");
	world_postgres(world, "stop");
	shell(world, "mv data data.newer");
	shell(world, "mv copy data");
	world_postgres(world, "start");
	world_admin(world);
	assert_int_equal(ready_at_last(ledger, &fault), REASON_LEDGER_BEHIND);
	assert_int_equal(ledger_intend(ledger, &r.intent, 1, &fault), REASON_LEDGER_BEHIND);
	ledger_close(ledger);

	/* a new process knows by the anchor file; with the right data again it goes on */
	struct ledger_options again = options;
	snprintf(dir, sizeof(dir), "%s/back", world->anchors);
	again.anchor_dir = dir;
	assert_ok(ledger_open(&again, "intend", &ledger, f));
	assert_int_equal(ready_at_last(ledger, &fault), REASON_LEDGER_BEHIND);
	assert_non_null(strstr(fault.detail, "went back in time"));
	ledger_close(ledger);
	world_postgres(world, "stop");
	shell(world, "mv data older");
	shell(world, "mv data.newer data");
	world_postgres(world, "start");
	world_admin(world);
	assert_ok(ledger_open(&again, "intend", &ledger, f));
	assert_int_equal(ready_at_last(ledger, &fault), REASON_OK);
	ledger_close(ledger);
}

static void a_server_that_may_forget_is_refused(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "forget", "intend", WINDOW_S);
	struct ledger_options options = { .conninfo = world->ca_conninfo,
					  .node = "forget",
					  .anchor_dir = world->anchors };
	struct fault fault;
	char hosts[700];

	ledger_close(ledger);
	world_sql(world, "alter role assay_ca set synchronous_commit = off");
	assert_ok(ledger_open(&options, "intend", &ledger, f));
	assert_int_equal(ledger_ready(ledger, &fault), REASON_LEDGER_AWAY);
	assert_non_null(strstr(fault.detail, "synchronous_commit is off"));
	ledger_close(ledger);
	world_sql(world, "alter role assay_ca reset synchronous_commit");
	snprintf(hosts, sizeof(hosts), "host=%s,%s dbname=assay user=assay_ca", world->dir, world->dir);
	options.conninfo = hosts;
	assert_ok(ledger_open(&options, "intend", &ledger, f));
	assert_int_equal(ledger_ready(ledger, &fault), REASON_LEDGER_AWAY);
	assert_non_null(strstr(fault.detail, "synchronous_standby_names"));
	ledger_close(ledger);
}

static void a_second_writer_of_a_stream_is_kept_out(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "double", "intend", WINDOW_S), *second = NULL;
	const struct ledger_options options = { .conninfo = world->ca_conninfo,
						.node = "double",
						.anchor_dir = world->anchors };
	struct fault fault;

	assert_ok(ledger_open(&options, "intend", &second, f));
	assert_int_equal(ledger_ready(second, &fault), REASON_LEDGER_AWAY);
	assert_non_null(strstr(fault.detail, "another session writes"));
	ledger_close(ledger);
	assert_int_equal(ready_at_last(second, &fault), REASON_OK);
	ledger_close(second);
}

static void a_chain_row_from_elsewhere_stops_the_stream(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "taken", "intend", WINDOW_S);
	struct request r;
	struct fault fault;

	enrol(ledger, &r, "dev-taken", "key-taken");
	world_sql(world, "set session_replication_role = replica");
	world_sql(world, "insert into chain select node, stream, seq + 1, hash, op, n_rows, root, hash, at from chain "
			 "where node = 'taken' order by seq desc limit 1");
	request_enrol(&r, "dev-taken-2", "key-taken-2");
	assert_int_equal(ledger_intend(ledger, &r.intent, 1, &fault), REASON_LEDGER_BEHIND);
	assert_int_equal(ledger_ready(ledger, &fault), REASON_LEDGER_BEHIND);
	world_sql(world, "delete from chain where (node, seq) in (select node, max(seq) from chain where node = "
			 "'taken' group by node)");
	world_sql(world, "set session_replication_role = origin");
	ledger_close(ledger);
}

/* Behind the ledger's back, as if it had gone back in time under an open connection. */
static void lose_chain(struct world *world, const char *stream)
{
	world_sql(world, "set session_replication_role = replica");
	world_sql(world, "create table kept as select * from chain where node = 'gone' and stream = '%s'", stream);
	world_sql(world, "delete from chain where node = 'gone' and stream = '%s'", stream);
}

static void bring_chain_back(struct world *world)
{
	world_sql(world, "insert into chain select * from kept; drop table kept");
	world_sql(world, "set session_replication_role = origin");
}

static void a_chain_row_that_is_gone_stops_the_stream(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "gone", "intend", WINDOW_S);
	struct request r;
	struct fault fault;

	enrol(ledger, &r, "dev-gone", "key-gone");
	lose_chain(world, "intend");
	request_enrol(&r, "dev-gone-2", "key-gone-2");
	assert_int_equal(ledger_intend(ledger, &r.intent, 1, &fault), REASON_LEDGER_BEHIND);
	bring_chain_back(world);
	ledger_close(ledger);
}

static void a_chain_row_of_signatures_that_is_gone_stops_them(void **state)
{
	struct world *world = *state;
	struct ledger *intend = world_ledger(world, "gone", "intend", WINDOW_S);
	struct ledger *record = world_ledger(world, "gone", "record", WINDOW_S);
	struct request first, second;
	struct signed_row row = { .tail = BLOB_STR("tail") };
	struct fault fault;

	request_enrol(&first, "dev-gone-3", "key-gone-3");
	request_enrol(&second, "dev-gone-4", "key-gone-4");
	assert_int_equal(ask(intend, &first), INTENT_NEW);
	assert_int_equal(ask(intend, &second), INTENT_NEW);
	assert_int_equal(record_one(record, &first, "tail"), REASON_OK);
	lose_chain(world, "record");
	row.serial = BLOB(second.serial, 16);
	assert_int_equal(ledger_record(record, &row, 1, &fault), REASON_LEDGER_BEHIND);
	assert_int_equal(world_count(world, "select count(*) from signature where serial = '\\x%s'", second.hex), 0);
	bring_chain_back(world);
	ledger_close(intend);
	ledger_close(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_is_split_until_the_bad_row_is_alone),
		cmocka_unit_test(a_serial_used_before_and_one_of_no_partition_are_refused),
		cmocka_unit_test(recovers_by_itself_when_postgresql_comes_back),
		cmocka_unit_test(an_intent_whose_answer_was_lost_is_void),
		cmocka_unit_test(a_ledger_that_went_back_in_time_issues_nothing),
		cmocka_unit_test(a_server_that_may_forget_is_refused),
		cmocka_unit_test(a_second_writer_of_a_stream_is_kept_out),
		cmocka_unit_test(a_chain_row_from_elsewhere_stops_the_stream),
		cmocka_unit_test(a_chain_row_that_is_gone_stops_the_stream),
		cmocka_unit_test(a_chain_row_of_signatures_that_is_gone_stops_them),
		cmocka_unit_test(the_chain_covers_all_of_it),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
