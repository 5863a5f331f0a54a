/* test_ledger_race.c - does the ledger keep its rules when two write at once? */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asking {
	struct ledger *ledger;
	char node[24];
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

/* `first` is held when all is written but the hour's count, until `second` waits for it. */
static void race(struct world *world, struct asking *first, struct asking *second)
{
	pthread_t threads[2];

	world_sql(world,
		  "create or replace function hold() returns trigger language plpgsql as $$ begin if new.node = '%s' "
		  "then "
		  "perform pg_advisory_xact_lock(99); end if; return new; end $$",
		  first->node);
	world_sql(world, "create or replace trigger hold before insert on work.issuer_hour for each row "
			 "execute function hold()");
	world_sql(world, "select pg_advisory_lock(99)");
	assert_int_equal(pthread_create(&threads[0], NULL, ask_thread, first), 0);
	await(waiting_sessions(world) == 1);
	assert_int_equal(pthread_create(&threads[1], NULL, ask_thread, second), 0);
	await(waiting_sessions(world) == 2);
	world_sql(world, "select pg_advisory_unlock(99)");
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	world_sql(world, "drop trigger hold on work.issuer_hour");
}

/* Two nodes with a request each. */
struct rivals {
	struct world *world;
	struct asking a, b;
};

static struct rivals open_rivals(void **state)
{
	static unsigned count; /* nodes of their own, so that a test that fails locks no stream of the next */
	struct rivals r = { .world = *state };

	snprintf(r.a.node, sizeof(r.a.node), "rival-%u-a", ++count);
	r.a.ledger = world_ledger(r.world, r.a.node, "intend", WINDOW_S);
	snprintf(r.b.node, sizeof(r.b.node), "rival-%u-b", count);
	r.b.ledger = world_ledger(r.world, r.b.node, "intend", WINDOW_S);
	return r;
}

static void close_rivals(struct rivals *r)
{
	ledger_close(r->a.ledger);
	ledger_close(r->b.ledger);
}

/* What each of them asks for next. */
static void rivals_ask(struct rivals *r, const char *device_a, const char *key_a, const char *device_b,
		       const char *key_b)
{
	request_enrol(&r->a.request, device_a, key_a);
	request_enrol(&r->b.request, device_b, key_b);
}

static void the_first_wins(struct rivals *r, enum reason second)
{
	race(r->world, &r->a, &r->b);
	assert_int_equal(r->a.request.intent.outcome, INTENT_NEW);
	assert_int_equal(r->b.request.intent.outcome, INTENT_REFUSED);
	assert_int_equal(r->b.request.intent.verdict.reason, second);
}

static void of_two_nodes_with_one_claim_the_first_wins_in_either_order(void **state)
{
	struct rivals r = open_rivals(state);

	for (int order = 0; order < 2; order++) {
		struct asking *first = order == 0 ? &r.a : &r.b, *second = order == 0 ? &r.b : &r.a;

		rivals_ask(&r, order == 0 ? "dev-race-1" : "dev-race-2", order == 0 ? "key-race-1" : "key-race-2",
			   order == 0 ? "dev-race-1" : "dev-race-2", order == 0 ? "key-race-1" : "key-race-2");
		race(r.world, first, second);
		assert_int_equal(first->request.intent.outcome, INTENT_NEW);
		assert_int_equal(second->request.intent.outcome, INTENT_PENDING);
		assert_string_equal(second->request.hex, first->request.hex);
	}
	close_rivals(&r);
}

static void of_two_keys_for_one_device_at_once_one_wins(void **state)
{
	struct rivals r = open_rivals(state);

	rivals_ask(&r, "dev-race-keys", "key-race-keys-1", "dev-race-keys", "key-race-keys-2");
	the_first_wins(&r, REASON_CLAIM_PENDING);
	close_rivals(&r);
}

static void of_two_devices_with_one_key_or_nonce_at_once_one_wins(void **state)
{
	struct rivals r = open_rivals(state);

	rivals_ask(&r, "dev-race-k1", "key-race-k", "dev-race-k2", "key-race-k");
	the_first_wins(&r, REASON_KEY_BOUND);
	rivals_ask(&r, "dev-race-n1", "key-race-n1", "dev-race-n2", "key-race-n2");
	request_nonce(&r.a.request, "nonce-race");
	request_nonce(&r.b.request, "nonce-race");
	the_first_wins(&r, REASON_NONCE_REUSED);
	assert_int_equal(world_count(r.world, "select count(*) from claim where serial = '\\x%s'", r.b.request.hex), 0);
	close_rivals(&r);
}

/* Who waits for whom: two ways of writing that took these keys in different orders would wait for each other. */
static void whichever_way_it_is_written_claims_come_first_then_keys_then_nonces(void **state)
{
	static const char *const tables[] = { "claim", "device_key", "nonce_used" };
	struct pair p = open_pair(state);
	struct request new, again, wary;

	world_sql(p.world,
		  "create table written (n bigserial, what text); create function note_written() returns trigger "
		  "language plpgsql security definer set search_path = public as "
		  "$$ begin insert into written (what) values (tg_table_name); return new; end $$");
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		world_sql(
			p.world,
			"create trigger note_written before insert on %s for each row execute function note_written()",
			tables[i]);
	request_enrol(&new, "dev-order-1", "key-order-1");
	request_nonce(&new, "nonce-order-1");
	assert_int_equal(ask(p.now, &new), INTENT_NEW);
	assert_string_equal(world_sql(p.world, "select string_agg(what, ' ' order by n) from written"),
			    "claim device_key nonce_used");
	again = new;
	assert_int_equal(ask(p.now, &again), INTENT_PENDING); /* from here on nothing is taken for new */
	world_sql(p.world, "truncate written");
	request_enrol(&wary, "dev-order-2", "key-order-2");
	request_nonce(&wary, "nonce-order-2");
	assert_int_equal(ask(p.now, &wary), INTENT_NEW);
	assert_string_equal(world_sql(p.world, "select string_agg(what, ' ' order by n) from written"),
			    "claim device_key nonce_used");
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		world_sql(p.world, "drop trigger note_written on %s", tables[i]);
	world_sql(p.world, "drop function note_written(); drop table written");
	close_pair(&p);
}

/* The same for devices that are known already, whose entries are settled one by one. */
static void of_two_known_devices_with_one_key_or_nonce_at_once_one_wins(void **state)
{
	struct rivals r = open_rivals(state);
	static const char *const devices[2][2] = { { "dev-race-v0", "dev-race-v1" }, { "dev-race-v2", "dev-race-v3" } };

	for (int shared_key = 0; shared_key < 2; shared_key++) {
		for (int i = 0; i < 2; i++) {
			struct request old;

			request_enrol(&old, devices[shared_key][i], devices[shared_key][i]);
			assert_int_equal(ask(r.a.ledger, &old), INTENT_NEW);
			assert_ok(ledger_void(r.a.ledger, BLOB(old.serial, 16), "token away", f));
		}
		rivals_ask(&r, devices[shared_key][0], shared_key ? "key-race-v" : "key-race-v0",
			   devices[shared_key][1], shared_key ? "key-race-v" : "key-race-v1");
		if (!shared_key) {
			request_nonce(&r.a.request, "nonce-race-v");
			request_nonce(&r.b.request, "nonce-race-v");
		}
		the_first_wins(&r, shared_key ? REASON_KEY_BOUND : REASON_NONCE_REUSED);
	}
	close_rivals(&r);
}

static void a_renewal_on_its_way_keeps_its_device_from_a_new_key(void **state)
{
	struct rivals r = open_rivals(state);
	struct request first;

	enrol(r.a.ledger, &first, "dev-race-use", "key-race-use-1");
	request_reenrol(&r.a.request, &first, "key-race-use-1");
	request_enrol(&r.b.request, "dev-race-use", "key-race-use-2");
	the_first_wins(&r, REASON_DEVICE_KNOWN);
	close_rivals(&r);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_two_nodes_with_one_claim_the_first_wins_in_either_order),
		cmocka_unit_test(of_two_keys_for_one_device_at_once_one_wins),
		cmocka_unit_test(of_two_devices_with_one_key_or_nonce_at_once_one_wins),
		cmocka_unit_test(whichever_way_it_is_written_claims_come_first_then_keys_then_nonces),
		cmocka_unit_test(of_two_known_devices_with_one_key_or_nonce_at_once_one_wins),
		cmocka_unit_test(a_renewal_on_its_way_keeps_its_device_from_a_new_key),
		cmocka_unit_test(a_signature_on_its_way_keeps_the_intent_from_becoming_void),
		cmocka_unit_test(a_revocation_waits_for_the_number_before_its_own),
		cmocka_unit_test(two_nodes_in_a_storm_never_issue_twice_nor_deadlock),
		cmocka_unit_test(the_chain_covers_all_of_it),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
