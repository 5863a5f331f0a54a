/* test_ca_faults.c - what if the ca, the ledger or the token dies here? Nothing is lost, nothing is issued twice. */
#include "plant.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define DEVICES 300

static struct peer ra;

static int start(void **state)
{
	struct plant *plant = *state;

	plant_start(plant);
	peer_open(&ra, plant, ROLE_RA, true);
	wait_ready(plant, &ra);
	return 0;
}

static int stop(void **state)
{
	struct plant *plant = *state;

	peer_close(&ra);
	return plant->ca == 0 ? 0 : plant_stop(plant);
}

static long unaccounted(struct plant *plant)
{
	return world_count(plant->world, "select count(*) from issuance i "
					 "where not exists (select from signature s where s.serial = i.serial) "
					 "and not exists (select from void v where v.serial = i.serial)");
}

/* Kills the ca after so many answers, starts it again, and lets every rig send the same again. */
static void kill_after(struct plant *plant, unsigned answers, unsigned first_element)
{
	struct grant *grants[DEVICES];
	uint8_t before[DEVICES][LIMIT_SERIAL_BYTES];
	bool had[DEVICES];

	for (unsigned i = 0; i < DEVICES; i++) {
		grants[i] = grant_for(first_element + i);
		assert_true(peer_enrol(&ra, i, grants[i]));
	}
	for (unsigned i = 0; i < answers; i++)
		(void)peer_answer(&ra, i);
	plant_kill(plant);
	for (unsigned i = 0; i < DEVICES; i++) {
		had[i] = peer_has(&ra, i);
		if (had[i])
			memcpy(before[i], enrolled_of(plant, peer_answer(&ra, i)).serial, sizeof(before[i]));
	}
	plant_start(plant);
	for (unsigned i = 0; i < DEVICES; i++) {
		struct enrolled e = enrol_patiently(plant, &ra, i, grants[i]);

		if (had[i]) { /* who had an answer gets the same one */
			assert_true(e.repeated);
			assert_memory_equal(e.serial, before[i], e.serial_len);
		}
		grant_free(grants[i]);
	}
	assert_int_equal(unaccounted(plant), 0);
}

static void killed_at_any_point_it_accounts_for_everything(void **state)
{
	struct plant *plant = *state;
	unsigned seed = (unsigned)time(NULL);

	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 6; round++)
		kill_after(plant, (unsigned)rand_r(&seed) % DEVICES, 1000 + round * DEVICES);
	assert_int_equal(world_count(plant->world,
				     "select count(*) from (select device_format, vendor_root, element from issuance i "
				     "join signature using (serial) group by 1, 2, 3 having count(*) > 1) d"),
			 0);
}

static void without_postgresql_it_refuses_and_recovers_by_itself(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(1);
	struct enrolled e;

	world_postgres(plant->world, "stop");
	assert_true(peer_enrol(&ra, 1, grant));
	assert_refusal(&ra, 1, REASON_LEDGER_AWAY);
	while (view_fresh(ra.view, clock_mono_us(), NULL) == REASON_OK) /* no heartbeat without a ledger */
		sched_yield();
	world_postgres(plant->world, "start");
	world_admin(plant->world);
	e = enrol_patiently(plant, &ra, 2, grant);
	assert_false(e.repeated);
	assert_int_equal(unaccounted(plant), 0);
	grant_free(grant);
}

static void postgresql_may_come_after_the_ca(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(2);

	assert_int_equal(plant_stop(plant), 0);
	world_postgres(plant->world, "stop");
	plant_start(plant);
	while (!peer_enrol(&ra, 1, grant))
		sched_yield();
	assert_refusal(&ra, 1, REASON_LEDGER_AWAY);
	world_postgres(plant->world, "start");
	world_admin(plant->world);
	(void)enrol_patiently(plant, &ra, 2, grant);
	grant_free(grant);
}

/* PostgreSQL dies under load, as in a crash: signatures that were made while it was away are recorded when it is back.
 */
static void a_crash_of_postgresql_under_load_loses_nothing(void **state)
{
	struct plant *plant = *state;
	struct grant *grants[DEVICES];

	for (unsigned i = 0; i < DEVICES; i++) {
		grants[i] = grant_for(50000 + i);
		assert_true(peer_enrol(&ra, i, grants[i]));
	}
	(void)peer_answer(&ra, 0);
	world_postgres(plant->world, "stop -m immediate");
	world_postgres(plant->world, "start");
	world_admin(plant->world);
	for (unsigned i = 0; i < DEVICES; i++) {
		if (!peer_has(&ra, i) || ra.answer[i].type != FRAME_ENROLLED)
			(void)enrol_patiently(plant, &ra, DEVICES + i, grants[i]);
		grant_free(grants[i]);
	}
	assert_int_equal(plant_stop(plant), 0);
	assert_int_equal(unaccounted(plant), 0);
}

static void move_token(struct plant *plant, const char *from, const char *to)
{
	char a[256], b[256];

	snprintf(a, sizeof(a), "%s/%s", plant->home, from);
	snprintf(b, sizeof(b), "%s/%s", plant->home, to);
	assert_int_equal(rename(a, b), 0);
}

/* 0: it runs. */
static bool runs(const struct plant *plant)
{
	return plant->ca != 0 && kill(plant->ca, 0) == 0;
}

static void without_its_token_it_says_so_stays_and_comes_back_whole(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(3);
	pid_t before = plant->ca;

	move_token(plant, "token", "token.away");
	assert_true(peer_enrol(&ra, 1, grant));
	assert_refusal(&ra, 1, REASON_TOKEN_AWAY);
	assert_int_equal(unaccounted(plant), 0); /* the intent is void already */
	move_token(plant, "token.away", "token");
	(void)enrol_patiently(plant, &ra, 2, grant);
	assert_int_equal(plant->ca, before);
	assert_true(runs(plant));
	grant_free(grant);
}

static void a_start_without_its_token_waits_for_it(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(4);

	assert_int_equal(plant_stop(plant), 0);
	move_token(plant, "token", "token.away");
	plant_start(plant);
	while (!peer_enrol(&ra, 3, grant))
		sched_yield();
	assert_refusal(&ra, 3, REASON_TOKEN_AWAY);
	assert_true(runs(plant));
	move_token(plant, "token.away", "token");
	(void)enrol_patiently(plant, &ra, 4, grant);
	grant_free(grant);
}

#define MANY 150000 /* at 2,000 in 200 ms they would take 15 s, on any machine */
#define MANY_S 14

/* Who has its view keeps it fresh while another one gathers a long one. */
static void a_view_of_very_many_comes_at_once_and_makes_nobody_wait(void **state)
{
	struct plant *plant = *state;
	struct peer va;
	int64_t from_us, worst_us = 0;
	uint8_t serial[16];
	size_t len;

	(void)world_sql(plant->world,
			"insert into revocation (number, node, stream, seq, at, serial, issuer, reason, who) "
			"select (select coalesce(max(number), 0) from revocation) + g, 'many', 'many', 1, now(), "
			"'\\x01'::bytea || substr(sha256(int8send(g)), 1, 15), 'attested', 1, 'many' "
			"from generate_series(1, %d) g",
			MANY);
	assert_true(text_unhex(world_sql(plant->world, "select encode('\\x01'::bytea || substr(sha256(int8send(%d)), 1, "
						       "15), 'hex')",
					 MANY),
			       32, serial, sizeof(serial), &len));
	while (!view_revoked(ra.view, BLOB_OF(serial)))
		sched_yield();
	from_us = clock_mono_us();
	peer_open(&va, plant, ROLE_VA, false);
	while (view_fresh(va.view, clock_mono_us(), NULL) != REASON_OK) {
		int64_t age_us = view_age_us(ra.view, clock_mono_us());

		worst_us = age_us > worst_us ? age_us : worst_us;
		sched_yield();
	}
	print_message("%d revoked: a new view after %lld ms, the other's at most %lld ms old\n", MANY,
		      (long long)(clock_mono_us() - from_us) / 1000, (long long)worst_us / 1000);
	assert_true(clock_mono_us() - from_us < MANY_S * 1000000LL);
	assert_true(view_revoked(va.view, BLOB_OF(serial)));
	peer_close(&va);
}

static void a_wrong_pin_is_tried_once_and_told_apart(void **state)
{
	struct plant *plant = *state;
	char path[256];
	FILE *file;

	assert_int_equal(plant_stop(plant), 0);
	snprintf(path, sizeof(path), "%s/secrets/pin", plant->home);
	file = fopen(path, "w");
	fputs("00000000\n", file);
	fclose(file);
	plant_start(plant);
	assert_int_equal(plant_wait(plant), EXIT_TOKEN_PIN);
	assert_true(plant_logged(plant, "token_pin"));
	assert_false(plant_logged(plant, "00000000"));
	file = fopen(path, "w");
	fputs("12345678\n", file);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(killed_at_any_point_it_accounts_for_everything, start, stop),
		cmocka_unit_test_setup_teardown(without_postgresql_it_refuses_and_recovers_by_itself, start, stop),
		cmocka_unit_test_setup_teardown(postgresql_may_come_after_the_ca, start, stop),
		cmocka_unit_test_setup_teardown(a_crash_of_postgresql_under_load_loses_nothing, start, stop),
		cmocka_unit_test_setup_teardown(without_its_token_it_says_so_stays_and_comes_back_whole, start, stop),
		cmocka_unit_test_setup_teardown(a_start_without_its_token_waits_for_it, start, stop),
		cmocka_unit_test_setup_teardown(a_view_of_very_many_comes_at_once_and_makes_nobody_wait, start, stop),
		cmocka_unit_test_setup_teardown(a_wrong_pin_is_tried_once_and_told_apart, start, stop),
	};

	return cmocka_run_group_tests(tests, plant_setup, plant_teardown);
}
