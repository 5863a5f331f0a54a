/*
 * test_ledger_faults.c - does the ledger keep its promises when two write at once, when a row is bad, when PostgreSQL
 * stops, loses an answer or comes back older, and when somebody alters what is written?
 */
#include "operators.h"
#include "fixture.h"
#include "head.h"
#include "status.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"

#define WAIT_US 20000000 /* for something that must come; far more than it takes */

/* Looks again and again until the condition holds: for states of another process, which cannot notify us. */
#define await(condition)                                                                                               \
	do {                                                                                                           \
		int64_t await_until_us = clock_mono_us() + WAIT_US;                                                    \
		while (!(condition)) {                                                                                 \
			if (clock_mono_us() > await_until_us)                                                          \
				fail_msg("never: %s", #condition);                                                     \
			nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);                                     \
		}                                                                                                      \
	} while (0)

/* Two at once */

struct asking {
	struct ledger *ledger;
	struct request request;
};

static void *ask_thread(void *arg)
{
	struct asking *a = arg;

	ask(a->ledger, &a->request);
	return NULL;
}

static long waiting_sessions(struct world *world)
{
	return world_count(
		world, "select count(*) from pg_stat_activity where usename = 'assay_ca' and wait_event_type = 'Lock'");
}

/* `first` is held between its claim and its commit until `second` waits for it. */
static void race(struct world *world, struct asking *first, struct asking *second)
{
	pthread_t threads[2];

	world_sql(world,
		  "create or replace function hold() returns trigger language plpgsql as $$ begin if new.requester = "
		  "'rig:held' then perform pg_advisory_xact_lock(99); end if; return new; end $$");
	world_sql(world,
		  "create or replace trigger hold before insert on issuance for each row execute function hold()");
	world_sql(world, "select pg_advisory_lock(99)");
	strcpy(first->request.grant.requester, "rig:held");
	assert_int_equal(pthread_create(&threads[0], NULL, ask_thread, first), 0);
	await(waiting_sessions(world) == 1);
	assert_int_equal(pthread_create(&threads[1], NULL, ask_thread, second), 0);
	await(waiting_sessions(world) == 2);
	world_sql(world, "select pg_advisory_unlock(99)");
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	world_sql(world, "drop trigger hold on issuance");
}

static void of_two_nodes_with_one_claim_the_first_wins_in_either_order(void **state)
{
	struct world *world = *state;
	struct asking a = { .ledger = world_ledger(world, "race-0-a", "intend", WINDOW_S) };
	struct asking b = { .ledger = world_ledger(world, "race-0-b", "intend", WINDOW_S) };

	for (int order = 0; order < 2; order++) {
		struct asking *first = order == 0 ? &a : &b, *second = order == 0 ? &b : &a;

		request_enrol(&a.request, order == 0 ? "dev-race-1" : "dev-race-2",
			      order == 0 ? "key-race-1" : "key-race-2");
		request_enrol(&b.request, order == 0 ? "dev-race-1" : "dev-race-2",
			      order == 0 ? "key-race-1" : "key-race-2");
		race(world, first, second);
		assert_int_equal(first->request.intent.outcome, INTENT_NEW);
		assert_int_equal(second->request.intent.outcome, INTENT_PENDING);
		assert_string_equal(second->request.hex, first->request.hex);
	}
	ledger_close(a.ledger);
	ledger_close(b.ledger);
}

static void of_two_keys_for_one_device_at_once_one_wins(void **state)
{
	struct world *world = *state;
	struct asking a = { .ledger = world_ledger(world, "race-1-a", "intend", WINDOW_S) };
	struct asking b = { .ledger = world_ledger(world, "race-1-b", "intend", WINDOW_S) };

	request_enrol(&a.request, "dev-race-keys", "key-race-keys-1");
	request_enrol(&b.request, "dev-race-keys", "key-race-keys-2");
	race(world, &a, &b);
	assert_int_equal(a.request.intent.outcome, INTENT_NEW);
	assert_int_equal(b.request.intent.outcome, INTENT_REFUSED);
	assert_int_equal(b.request.intent.verdict.reason, REASON_CLAIM_PENDING);
	ledger_close(a.ledger);
	ledger_close(b.ledger);
}

static void of_two_devices_with_one_key_or_nonce_at_once_one_wins(void **state)
{
	struct world *world = *state;
	struct asking a = { .ledger = world_ledger(world, "race-2-a", "intend", WINDOW_S) };
	struct asking b = { .ledger = world_ledger(world, "race-2-b", "intend", WINDOW_S) };

	request_enrol(&a.request, "dev-race-k1", "key-race-k");
	request_enrol(&b.request, "dev-race-k2", "key-race-k");
	race(world, &a, &b);
	assert_int_equal(a.request.intent.outcome, INTENT_NEW);
	assert_int_equal(b.request.intent.verdict.reason, REASON_KEY_BOUND);
	request_enrol(&a.request, "dev-race-n1", "key-race-n1");
	request_enrol(&b.request, "dev-race-n2", "key-race-n2");
	request_nonce(&a.request, "nonce-race");
	request_nonce(&b.request, "nonce-race");
	race(world, &a, &b);
	assert_int_equal(a.request.intent.outcome, INTENT_NEW);
	assert_int_equal(b.request.intent.verdict.reason, REASON_NONCE_REUSED);
	assert_int_equal(world_count(world, "select count(*) from claim where serial = '\\x%s'", b.request.hex), 0);
	ledger_close(a.ledger);
	ledger_close(b.ledger);
}

/* The same for devices that are known already, whose entries are settled one by one. */
static void of_two_known_devices_with_one_key_or_nonce_at_once_one_wins(void **state)
{
	struct world *world = *state;
	struct asking a = { .ledger = world_ledger(world, "race-6-a", "intend", WINDOW_S) };
	struct asking b = { .ledger = world_ledger(world, "race-6-b", "intend", WINDOW_S) };
	static const char *const devices[2][2] = { { "dev-race-v0", "dev-race-v1" }, { "dev-race-v2", "dev-race-v3" } };

	for (int shared_key = 0; shared_key < 2; shared_key++) {
		for (int i = 0; i < 2; i++) {
			struct request old;

			request_enrol(&old, devices[shared_key][i], devices[shared_key][i]);
			assert_int_equal(ask(a.ledger, &old), INTENT_NEW);
			assert_ok(ledger_void(a.ledger, BLOB(old.serial, 16), "token away", f));
		}
		request_enrol(&a.request, devices[shared_key][0], shared_key ? "key-race-v" : "key-race-v0");
		request_enrol(&b.request, devices[shared_key][1], shared_key ? "key-race-v" : "key-race-v1");
		if (!shared_key) {
			request_nonce(&a.request, "nonce-race-v");
			request_nonce(&b.request, "nonce-race-v");
		}
		race(world, &a, &b);
		assert_int_equal(a.request.intent.outcome, INTENT_NEW);
		assert_int_equal(b.request.intent.outcome, INTENT_REFUSED);
		assert_int_equal(b.request.intent.verdict.reason, shared_key ? REASON_KEY_BOUND : REASON_NONCE_REUSED);
	}
	ledger_close(a.ledger);
	ledger_close(b.ledger);
}

static void a_renewal_on_its_way_keeps_its_device_from_a_new_key(void **state)
{
	struct world *world = *state;
	struct asking a = { .ledger = world_ledger(world, "race-7-a", "intend", WINDOW_S) };
	struct asking b = { .ledger = world_ledger(world, "race-7-b", "intend", WINDOW_S) };
	struct request first;

	request_enrol(&first, "dev-race-use", "key-race-use-1");
	issue(a.ledger, &first);
	request_reenrol(&a.request, &first, "key-race-use-1");
	request_enrol(&b.request, "dev-race-use", "key-race-use-2");
	race(world, &a, &b);
	assert_int_equal(a.request.intent.outcome, INTENT_NEW);
	assert_int_equal(b.request.intent.verdict.reason, REASON_DEVICE_KNOWN);
	ledger_close(a.ledger);
	ledger_close(b.ledger);
}

struct recording {
	struct ledger *ledger;
	struct request *request;
	enum reason reason;
};

static void *record_thread(void *arg)
{
	struct recording *r = arg;

	r->reason = record_one(r->ledger, r->request, "held");
	return NULL;
}

static void *void_thread(void *arg)
{
	struct recording *r = arg;
	struct fault fault;

	r->reason = ledger_void(r->ledger, BLOB(r->request->serial, 16), "token away", &fault);
	return NULL;
}

static void a_signature_on_its_way_keeps_the_intent_from_becoming_void(void **state)
{
	struct world *world = *state;
	struct request request;
	struct recording a = { .ledger = world_ledger(world, "race-3-a", "record", WINDOW_S), .request = &request };
	struct recording b = { .ledger = world_ledger(world, "race-3-a", "intend", WINDOW_S), .request = &request };
	pthread_t threads[2];

	request_enrol(&request, "dev-race-void", "key-race-void");
	assert_int_equal(ask(b.ledger, &request), INTENT_NEW);
	world_sql(world, "create function hold_tail() returns trigger language plpgsql as $$ begin if new.tail = "
			 "'held' then perform "
			 "pg_advisory_xact_lock(99); end if; return new; end $$");
	world_sql(world, "create trigger hold before insert on signature for each row execute function hold_tail()");
	world_sql(world, "select pg_advisory_lock(99)");
	assert_int_equal(pthread_create(&threads[0], NULL, record_thread, &a), 0);
	await(waiting_sessions(world) == 1);
	assert_int_equal(pthread_create(&threads[1], NULL, void_thread, &b), 0);
	await(waiting_sessions(world) == 2);
	world_sql(world, "select pg_advisory_unlock(99)");
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	world_sql(world, "drop trigger hold on signature");
	assert_int_equal(a.reason, REASON_OK);
	assert_int_equal(b.reason, REASON_LEDGER_REFUSED);
	assert_int_equal(world_count(world, "select count(*) from void where serial = '\\x%s'", request.hex), 0);
	ledger_close(a.ledger);
	ledger_close(b.ledger);
}

static void a_revocation_waits_for_the_number_before_its_own(void **state)
{
	struct world *world = *state;
	struct request request;
	struct recording a = { .ledger = world_ledger(world, "race-4-a", "intend", WINDOW_S), .request = &request };
	struct ledger *view = world_ledger(world, "race-4-a", "view", WINDOW_S);
	struct ledger_news news;
	pthread_t thread;
	uint64_t before = (uint64_t)world_count(world, "select coalesce(max(number), 0) from revocation");

	request_enrol(&request, "dev-race-number", "key-race-number");
	assert_int_equal(ask(a.ledger, &request), INTENT_NEW);
	world_sql(world, "begin");
	world_sql(world, "select revoke('\\x0a', 1, 'operator:kim', 'rigs')");
	assert_int_equal(pthread_create(&thread, NULL, void_thread, &a), 0);
	await(waiting_sessions(world) == 1);
	assert_ok(ledger_news(view, before, 0, &news, f));
	assert_int_equal(news.n_revocations, 0);
	ledger_news_done(&news);
	world_sql(world, "commit");
	pthread_join(thread, NULL);
	assert_int_equal(a.reason, REASON_OK);
	assert_ok(ledger_news(view, before, 0, &news, f));
	assert_int_equal(news.n_revocations, 2);
	assert_int_equal(news.revocation[0].serial[0], 0x0a);
	assert_int_equal(news.revocation[1].number, before + 2);
	ledger_news_done(&news);
	ledger_close(a.ledger);
	ledger_close(view);
}

enum { STORM_ROUNDS = 20, STORM_BATCH = 32 };

struct storm {
	struct ledger *ledger;
	unsigned seed;
	long won;
	char fault[200];
};

/* Batches over the same devices in random order: enrolments, and sometimes another key for the device. */
static void *storm_thread(void *arg)
{
	struct storm *s = arg;
	struct request *r = calloc(STORM_BATCH, sizeof(*r));
	struct intent batch[STORM_BATCH];
	struct fault fault = { 0 };
	char device[40], key[48];

	for (int round = 0; round < STORM_ROUNDS && s->fault[0] == '\0'; round++) {
		for (int i = 0; i < STORM_BATCH; i++) {
			int which = rand_r(&s->seed) % 100;

			snprintf(device, sizeof(device), "dev-storm-%d", which);
			snprintf(key, sizeof(key), "key-storm-%d-%d", which, rand_r(&s->seed) % 8 == 0);
			request_enrol(&r[i], device, key);
			batch[i] = r[i].intent;
		}
		if (ledger_intend(s->ledger, batch, STORM_BATCH, &fault) != REASON_OK)
			snprintf(s->fault, sizeof(s->fault), "%s", fault.detail);
		for (int i = 0; i < STORM_BATCH && s->fault[0] == '\0'; i++) {
			struct signed_row row = { .serial = BLOB(batch[i].serial, 16), .tail = BLOB_STR("tail") };

			if (batch[i].outcome == INTENT_NEW && ledger_record(s->ledger, &row, 1, &fault) != REASON_OK)
				snprintf(s->fault, sizeof(s->fault), "%s", fault.detail);
			s->won += batch[i].outcome == INTENT_NEW;
			buf_done(&batch[i].certificate);
		}
	}
	free(r);
	return NULL;
}

static void two_nodes_in_a_storm_never_issue_twice_nor_deadlock(void **state)
{
	struct world *world = *state;
	unsigned seed = (unsigned)clock_wall_us();
	struct storm storms[2] = { { .ledger = world_ledger(world, "race-5-a", "intend", WINDOW_S), .seed = seed },
				   { .ledger = world_ledger(world, "race-5-b", "intend", WINDOW_S),
				     .seed = seed + 1 } };
	pthread_t threads[2];

	printf("seed %u\n", seed);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, storm_thread, &storms[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_string_equal(storms[i].fault, "");
		ledger_close(storms[i].ledger);
	}
	assert_int_equal(
		world_count(world,
			    "select count(*) from issuance where convert_from(element, 'UTF8') like 'dev-storm-%%'"),
		storms[0].won + storms[1].won);
	assert_int_equal(
		world_count(world,
			    "select count(*) from (select device from issuance i where convert_from(element, 'UTF8')"
			    " like 'dev-storm-%%' and revoked(serial) is null group by device having count(*) > 1) x"),
		0);
}

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

	request_enrol(&first, "dev-ser-1", "key-ser-1");
	issue(ledger, &first);
	request_enrol(&second, "dev-ser-2", "key-ser-2");
	memcpy(second.serial, first.serial, sizeof(first.serial));
	assert_refused(ledger, &second, REASON_LEDGER_REFUSED);
	request_enrol(&second, "dev-ser-2", "key-ser-2");
	second.serial[0] = 2;
	assert_refused(ledger, &second, REASON_LEDGER_REFUSED);
	request_enrol(&second, "dev-ser-2", "key-ser-2");
	issue(ledger, &second);
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

	request_enrol(&first, "dev-crash-1", "key-crash-1");
	issue(ledger, &first);
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
	request_enrol(&again, "dev-lost", "key-lost");
	issue(a.ledger, &again);
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

	request_enrol(&r, "dev-back-1", "key-back-1");
	issue(ledger, &r);
	world_postgres(world, "stop");
	shell(world, "cp -a data copy");
	world_postgres(world, "start");
	world_admin(world);
	assert_int_equal(ready_at_last(ledger, &fault), REASON_OK);
	request_enrol(&r, "dev-back-2", "key-back-2");
	issue(ledger, &r);
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

	request_enrol(&r, "dev-taken", "key-taken");
	issue(ledger, &r);
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

static void a_chain_row_that_is_gone_stops_the_stream(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "gone", "intend", WINDOW_S);
	struct request r;
	struct fault fault;

	request_enrol(&r, "dev-gone", "key-gone");
	issue(ledger, &r);
	world_sql(world, "set session_replication_role = replica");
	world_sql(
		world,
		"create table kept as select * from chain where node = 'gone'; delete from chain where node = 'gone'");
	request_enrol(&r, "dev-gone-2", "key-gone-2");
	assert_int_equal(ledger_intend(ledger, &r.intent, 1, &fault), REASON_LEDGER_BEHIND);
	world_sql(world, "insert into chain select * from kept; drop table kept");
	world_sql(world, "set session_replication_role = origin");
	ledger_close(ledger);
}

/* Who may do what */

static void nobody_alters_what_is_written(void **state)
{
	static const char *const tables[] = { "chain",         "issuance",         "signature",
					      "void",          "revocation",       "requester",
					      "policy",        "ceremony",         "crl_number",
					      "crl_intent",    "responder_intent", "responder_signature",
					      "status_intent", "operator_action",  "claim",
					      "device_key",    "nonce_used",       "in_use",
					      "unit",          "head_intent",      "head_signature",
					      "schema_version" };
	static const char *const roles[] = { "assay_read", "assay_ca", "assay_owner" };
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "rights", "intend", WINDOW_S);
	struct request first, next;
	uint64_t number;
	char conninfo[400], sql[300];

	request_enrol(&first, "dev-rights", "key-rights");
	request_nonce(&first, "nonce-rights");
	strcpy(first.grant.unit_serial, "U-rights");
	issue(ledger, &first);
	request_reenrol(&next, &first, "key-rights");
	assert_int_equal(ask(ledger, &next), INTENT_NEW);
	assert_ok(ledger_void(ledger, BLOB(next.serial, 16), "test", f));
	assert_ok(ledger_policy(ledger, next.grant.policy_hash, "test", f));
	const struct action_note call = { "operator:test", "GET /", "id", "ok", "" };
	assert_ok(ledger_note(ledger, &call, 1, &number, f));
	struct revocation_row *revoked;
	size_t n;
	assert_ok(ledger_crl(ledger, "attested", &number, &revoked, &n, f));
	free(revoked);
	assert_ok(ledger_crl_intend(ledger, "attested", number, next.grant.policy_hash, f));
	assert_ok(ledger_status_intend(ledger, BLOB(next.grant.policy_hash, 32), f));
	const struct responder_intent responder = { .issuer = "attested",
						    .serial = BLOB(next.serial, 16),
						    .tbs = BLOB_STR("tbs"),
						    .key_hash = next.grant.policy_hash,
						    .not_before_s = 1,
						    .not_after_s = 2 };
	assert_ok(ledger_responder_intend(ledger, &responder, f));
	assert_ok(ledger_responder_record(ledger, responder.serial, BLOB_STR("tail"), f));
	struct head_intent head = { .since_s = 1, .signatures = 2, .age_s = 3600 };
	assert_ok(ledger_head_intend(ledger, &head, f));
	assert_ok(ledger_head_record(ledger, head.number, BLOB_STR("signature"), f));
	buf_done(&head.text);
	world_sql(world, "select register_requester('rig', 'r', sha256('rights'), '', ''), record_ceremony('test')");
	ledger_close(ledger);
	for (size_t role = 0; role < 3; role++) {
		snprintf(conninfo, sizeof(conninfo), "host=%s dbname=assay user=%s", world->dir, roles[role]);
		PGconn *conn = PQconnectdb(conninfo);
		assert_int_equal(PQstatus(conn), CONNECTION_OK);
		for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
			const char *column =
				world_sql(world,
					  "select attname from pg_attribute where attrelid = '%s'::regclass "
					  "and attnum = 1",
					  tables[t]);

			for (size_t i = 0; i < 4; i++) {
				/* the owner may insert, and schema_version is the owner's own note */
				if (role == 2 && (i == 3 || strcmp(tables[t], "schema_version") == 0))
					continue;
				if (i == 0)
					snprintf(sql, sizeof(sql), "update %s set %s = %s", tables[t], column, column);
				else if (i == 1)
					snprintf(sql, sizeof(sql), "delete from %s", tables[t]);
				else if (i == 2)
					snprintf(sql, sizeof(sql), "truncate %s cascade", tables[t]);
				else
					snprintf(sql, sizeof(sql), "insert into %s select * from %s", tables[t],
						 tables[t]);
				PGresult *result = PQexec(conn, sql);
				const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
				if (sqlstate == NULL || strcmp(sqlstate, "42501") != 0)
					fail_msg("%s: %s: %s", roles[role], sql,
						 sqlstate == NULL ? "allowed" : PQresultErrorMessage(result));
				PQclear(result);
			}
		}
		PQfinish(conn);
	}
}

static void the_reading_role_may_call_nothing_that_writes(void **state)
{
	struct world *world = *state;

	assert_string_equal(
		world_sql(world, "select string_agg(proname, ' ' order by proname) from pg_proc where pronamespace = "
				 "'public'::regnamespace and proowner = 'assay_owner'::regrole and "
				 "has_function_privilege('assay_read', oid, 'execute')"),
		"api_actions api_audit api_certificate api_certificates api_device api_devices_of api_evidence "
		"api_heads api_level api_pem "
		"api_plan api_reason api_requesters api_status api_time audit_print audit_read audit_tables "
		"certificate certificates_of chain_positions crl_entries der_length head_line revoked "
		"serial_floor");
	assert_string_equal(
		world_sql(world, "select string_agg(proname, ' ' order by proname) from pg_proc where pronamespace = "
				 "'public'::regnamespace and proowner = 'assay_owner'::regrole and "
				 "has_function_privilege('assay_ca', oid, 'execute')"),
		"certificate crl_delta_entries crl_entries crl_intend crl_next crl_shard_entries crl_shards_hold der_length "
		"head_intend head_newest head_record "
		"intend "
		"issuer_hour operate_lapse operate_note "
		"operate_register operate_renew plan_do plan_list plan_make plans_begun previous record record_policy "
		"responder_certificate "
		"responder_intend responder_record revoked serial_floor status_intend status_of_all "
		"void_serials void_unsigned");
}

static void partitions_reach_ten_years_ahead(void **state)
{
	static const char *const last =
		"select split_part(pg_get_expr(c.relpartbound, c.oid), '''', 4)::bytea > serial_floor(current_date + "
		"3652) "
		"from pg_class c join pg_inherits on inhrelid = c.oid where inhparent = '%s'::regclass "
		"order by split_part(pg_get_expr(c.relpartbound, c.oid), '''', 4) desc limit 1";
	struct world *world = *state;

	assert_string_equal(world_sql(world, last, "issuance"), "t");
	assert_string_equal(world_sql(world, last, "signature"), "t");
	assert_int_equal(world_count(world, "select extend_partitions(current_date)"), 0);
}

/* Else one analysis of the wide rows takes a second of CPU; a partition takes its settings from nobody. */
static void the_upkeep_of_a_new_partition_is_bounded_like_that_of_the_others(void **state)
{
	static const char *const unbounded =
		"select count(*) from pg_class c left join pg_inherits i on i.inhrelid = c.oid "
		"where c.relkind = 'r' and coalesce(i.inhparent, c.oid) = any "
		"('{issuance,signature,claim,device_key,nonce_used,in_use,chain}'::regclass[]) "
		"and (not coalesce(c.reloptions @> '{autovacuum_analyze_scale_factor=1}', false) "
		"or exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 "
		"and coalesce(a.attstattarget, -1) not between 0 and 10))";
	struct world *world = *state;
	long before = world_count(world, "select count(*) from pg_inherits where inhparent = 'issuance'::regclass");

	assert_int_equal(world_count(world, "select extend_partitions(current_date + 3652 + 200)") > 0, 1);
	assert_int_equal(world_count(world, "select count(*) from pg_inherits where inhparent = 'issuance'::regclass") >
				 before,
			 1);
	assert_int_equal(world_count(world, unbounded), 0);
	assert_int_equal(world_count(world, "select tune_tables()"), 0);
}

/* The chain: everything above is in it. */

static int verify(struct world *world, const char *heads, char out[4096])
{
	char command[700];
	FILE *p;
	size_t n;

	snprintf(command, sizeof(command),
		 "tests/integration/sql/verify_chain.py 'host=%s dbname=assay user=assay_read' %s%s", world->dir,
		 heads == NULL ? "" : "--heads ", heads == NULL ? "" : heads);
	p = popen(command, "r");
	assert_non_null(p);
	n = fread(out, 1, 4095, p);
	out[n] = '\0';
	return pclose(p);
}

static void the_chain_covers_every_row_and_alteration_is_found(void **state)
{
	static const struct {
		const char *alter, *undo, *says;
	} cases[] = {
		{ "update issuance set requester = 'rig:other' where convert_from(element, 'UTF8') = 'dev-chain'",
		  "update issuance set requester = 'rig:station-1' where convert_from(element, 'UTF8') = 'dev-chain'",
		  "its rows are not what was written" },
		{ "update signature s set tail = 'other' from issuance i where i.serial = s.serial and i.element = "
		  "'dev-chain'",
		  "update signature s set tail = 'the tail' from issuance i where i.serial = s.serial and i.element = "
		  "'dev-chain'",
		  "its rows are not what was written" },
		{ "update chain set at = at + interval '1 us' where node = 'chain' and seq = 1",
		  "update chain set at = at - interval '1 us' where node = 'chain' and seq = 1",
		  "its hash is not that of its contents" },
		{ "create table kept as select * from signature where node = 'chain'; delete from signature where node "
		  "= 'chain'",
		  "insert into signature select * from kept; drop table kept", "0 rows, 1 were written" },
		{ "create table kept as select * from chain where node = 'chain' and seq = 1; delete from chain where "
		  "node = 'chain' and seq = 1",
		  "insert into chain select * from kept; drop table kept", "row 1 is missing" },
		{ "insert into signature select serial_floor(current_date), node, stream, seq, at, tail from signature "
		  "where node = 'chain'",
		  "delete from signature where serial = serial_floor(current_date)",
		  "signed or void without an intent" },
		{ "update claim set key_hash = sha256('x') where serial in (select serial from issuance where element "
		  "= 'dev-chain')",
		  "update claim c set key_hash = i.key_hash from issuance i where i.serial = c.serial and element = "
		  "'dev-chain'",
		  "follows from no issuance" },
		{ "insert into device_key values (sha256('x'), sha256('y'))",
		  "delete from device_key where key_hash = sha256('x')", "follows from no issuance" },
	};
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "chain", "intend", WINDOW_S);
	struct request r;
	static char out[4096];
	char path[320];
	FILE *file;

	request_enrol(&r, "dev-chain", "key-chain");
	request_nonce(&r, "nonce-chain");
	issue(ledger, &r);
	ledger_close(ledger);
	if (verify(world, NULL, out) != 0)
		fail_msg("%s", out);
	snprintf(path, sizeof(path), "%s/heads", world->anchors);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(out, file);
	fclose(file);
	world_sql(world, "set session_replication_role = replica"); /* a superuser gets past the triggers */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_sql(world, "%s", cases[i].alter);
		assert_int_not_equal(verify(world, NULL, out), 0);
		if (strstr(out, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].alter, out);
		world_sql(world, "%s", cases[i].undo);
		if (verify(world, path, out) != 0)
			fail_msg("%s: %s", cases[i].undo, out);
	}
	/* cut short: only an exported head tells */
	world_sql(world, "delete from signature where node = 'chain'");
	world_sql(world, "delete from chain where node = 'chain' and seq = 2");
	assert_int_equal(verify(world, NULL, out), 0);
	assert_int_not_equal(verify(world, path, out), 0);
	assert_non_null(strstr(out, "not there any more"));
	world_sql(world, "set session_replication_role = origin");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_two_nodes_with_one_claim_the_first_wins_in_either_order),
		cmocka_unit_test(of_two_keys_for_one_device_at_once_one_wins),
		cmocka_unit_test(of_two_devices_with_one_key_or_nonce_at_once_one_wins),
		cmocka_unit_test(of_two_known_devices_with_one_key_or_nonce_at_once_one_wins),
		cmocka_unit_test(a_renewal_on_its_way_keeps_its_device_from_a_new_key),
		cmocka_unit_test(a_signature_on_its_way_keeps_the_intent_from_becoming_void),
		cmocka_unit_test(a_revocation_waits_for_the_number_before_its_own),
		cmocka_unit_test(two_nodes_in_a_storm_never_issue_twice_nor_deadlock),
		cmocka_unit_test(a_batch_is_split_until_the_bad_row_is_alone),
		cmocka_unit_test(a_serial_used_before_and_one_of_no_partition_are_refused),
		cmocka_unit_test(recovers_by_itself_when_postgresql_comes_back),
		cmocka_unit_test(an_intent_whose_answer_was_lost_is_void),
		cmocka_unit_test(a_ledger_that_went_back_in_time_issues_nothing),
		cmocka_unit_test(a_server_that_may_forget_is_refused),
		cmocka_unit_test(a_second_writer_of_a_stream_is_kept_out),
		cmocka_unit_test(a_chain_row_from_elsewhere_stops_the_stream),
		cmocka_unit_test(a_chain_row_that_is_gone_stops_the_stream),
		cmocka_unit_test(nobody_alters_what_is_written),
		cmocka_unit_test(the_reading_role_may_call_nothing_that_writes),
		cmocka_unit_test(partitions_reach_ten_years_ahead),
		cmocka_unit_test(the_upkeep_of_a_new_partition_is_bounded_like_that_of_the_others),
		cmocka_unit_test(the_chain_covers_every_row_and_alteration_is_found),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
