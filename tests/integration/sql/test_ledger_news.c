/* test_ledger_news.c - does the ledger tell the other roles what they have to know, and give CRLs what is in them? */
#include "fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(news_are_gapless_and_come_in_order),
		cmocka_unit_test(the_registry_tells_who_came_and_who_went),
		cmocka_unit_test(a_number_of_shards_that_was_taken_stays),
		cmocka_unit_test(a_crl_counts_up_and_holds_what_is_revoked_now),
		cmocka_unit_test(a_shard_holds_its_serials_and_a_delta_what_came_after_its_base),
		cmocka_unit_test(what_a_crl_signs_is_recorded_once_under_a_number_that_was_given_out),
		cmocka_unit_test(what_others_revoke_or_register_ends_a_wait),
		cmocka_unit_test(knows_its_newest_time_and_each_policy_once),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
