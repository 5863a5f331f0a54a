/* test_doorkeeper.c - is one address held to its connections and beginnings, are strangers held together, and is
 * another left alone? */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/doorkeeper.h"

#define S INT64_C(1000000)

static struct sockaddr_in v4(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	assert_int_equal(inet_pton(AF_INET, text, &a.sin_addr), 1);
	return a;
}

static struct sockaddr_in6 v6(const char *text)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };

	assert_int_equal(inet_pton(AF_INET6, text, &a.sin6_addr), 1);
	return a;
}

/* Another address that happens to share no slot with the first: tried until one does not. */
static struct sockaddr_in stranger(struct doorkeeper *keeper, unsigned slot)
{
	for (unsigned i = 1; i < 100; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000000 + i) };
		unsigned other = doorkeeper_entered(keeper, (struct sockaddr *)&a);

		doorkeeper_left(keeper, other, false, S);
		if (other != slot)
			return a;
	}
	fail();
	return v4("0.0.0.0");
}

static void an_address_has_so_many_connections(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .per_address = 3 });
	struct sockaddr_in from = v4("192.0.2.1"), other;
	unsigned slot = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
		slot = doorkeeper_entered(keeper, (struct sockaddr *)&from);
	}
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_ADDRESS);
	other = stranger(keeper, slot);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&other, S), DOOR_OPEN);
	doorkeeper_left(keeper, slot, false, S);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
	doorkeeper_free(keeper);
}

/* Which slots 1,000 addresses have: how many of them, and a few to compare. */
static unsigned slots_of_a_thousand(unsigned *ret_first, size_t n_first)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ 0 });
	static bool used[DOORKEEPER_SLOTS];
	unsigned n = 0;

	assert_non_null(keeper);
	memset(used, 0, sizeof(used));
	for (unsigned i = 0; i < 1000; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000000 + i) };
		unsigned slot = doorkeeper_entered(keeper, (struct sockaddr *)&a);

		assert_true(slot < DOORKEEPER_SLOTS);
		assert_int_equal(doorkeeper_entered(keeper, (struct sockaddr *)&a), slot);
		n += !used[slot];
		used[slot] = true;
		if (i < n_first)
			ret_first[i] = slot;
	}
	doorkeeper_free(keeper);
	return n;
}

/* By chance some 30 of 1,000 share one; nobody can know which, for each doorkeeper has a key of its own. */
static void addresses_spread_over_the_slots_by_a_key(void **state)
{
	unsigned one[20], other[20];

	(void)state;
	assert_in_range(slots_of_a_thousand(one, 20), 900, 1000);
	assert_in_range(slots_of_a_thousand(other, 20), 900, 1000);
	assert_memory_not_equal(one, other, sizeof(one));
}

static void an_address_begins_so_many_a_second(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .per_address_s = 10 });
	struct sockaddr_in from = v4("192.0.2.1");
	unsigned admitted = 0;

	(void)state;
	while (doorkeeper_admit(keeper, (struct sockaddr *)&from, 100 * S) == DOOR_OPEN)
		admitted++;
	assert_int_equal(admitted, 10 * DOORKEEPER_BURST_S + 1);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, 100 * S + S / 10), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, 100 * S + S / 10), DOOR_ADDRESS);
	for (admitted = 0; doorkeeper_admit(keeper, (struct sockaddr *)&from, 200 * S) == DOOR_OPEN; admitted++)
		;
	assert_int_equal(admitted, 10 * DOORKEEPER_BURST_S + 1); /* a long rest saves up no more than a burst */
	doorkeeper_free(keeper);
}

static void ipv6_counts_by_its_site_and_mapped_ipv4_as_ipv4(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .per_address = 1 });
	struct sockaddr_in6 one = v6("2001:db8::1"), same = v6("2001:db8::ffff:2"), mapped = v6("::ffff:192.0.2.1");
	struct sockaddr_in four = v4("192.0.2.1");

	(void)state;
	assert_int_equal(doorkeeper_entered(keeper, (struct sockaddr *)&one),
			 doorkeeper_entered(keeper, (struct sockaddr *)&same));
	assert_int_equal(doorkeeper_entered(keeper, (struct sockaddr *)&four),
			 doorkeeper_entered(keeper, (struct sockaddr *)&mapped));
	doorkeeper_free(keeper);
}

static void without_limits_everybody_may(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ 0 });
	struct sockaddr_in from = v4("192.0.2.1");

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
		(void)doorkeeper_entered(keeper, (struct sockaddr *)&from);
	}
	doorkeeper_free(keeper);
}

/* Each from an address of its own. */
static enum door stranger_comes(struct doorkeeper *keeper, int64_t now_us)
{
	static uint32_t last = 0x0b000000;
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(++last) };
	enum door door = doorkeeper_admit(keeper, (struct sockaddr *)&from, now_us);

	if (door == DOOR_OPEN)
		(void)doorkeeper_entered(keeper, (struct sockaddr *)&from);
	return door;
}

static void strangers_leave_room_for_rigs(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .all = 10, .reserve = 3 });
	struct sockaddr_in rig = v4("192.0.2.1");
	unsigned slot = doorkeeper_entered(keeper, (struct sockaddr *)&rig);

	(void)state;
	doorkeeper_vouch(keeper, slot);
	for (int i = 0; i < 6; i++)
		assert_int_equal(stranger_comes(keeper, S), DOOR_OPEN);
	assert_int_equal(stranger_comes(keeper, S), DOOR_FULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&rig, S), DOOR_OPEN);
		(void)doorkeeper_entered(keeper, (struct sockaddr *)&rig);
	}
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&rig, S), DOOR_FULL);
	doorkeeper_free(keeper);
}

static void an_address_stays_known_for_a_while_after_its_last_rig(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .all = 4, .reserve = 2 });
	struct sockaddr_in rig = v4("192.0.2.1");
	unsigned slot = doorkeeper_entered(keeper, (struct sockaddr *)&rig);
	const int64_t until_us = 5 * S + DOORKEEPER_VOUCHED_S * S;

	(void)state;
	doorkeeper_vouch(keeper, slot);
	doorkeeper_left(keeper, slot, true, 5 * S);
	assert_int_equal(stranger_comes(keeper, S), DOOR_OPEN);
	assert_int_equal(stranger_comes(keeper, S), DOOR_OPEN);
	assert_int_equal(stranger_comes(keeper, S), DOOR_FULL);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&rig, until_us - 1), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&rig, until_us), DOOR_FULL);
	doorkeeper_free(keeper);
}

/* Newcomers may wait in the anteroom for a while. */
static void who_is_on_the_way_counts_for_the_address_too(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .per_address = 2 });
	struct sockaddr_in from = v4("192.0.2.1");

	(void)state;
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_ADDRESS);
	doorkeeper_failed(keeper, (struct sockaddr *)&from);
	(void)doorkeeper_entered(keeper, (struct sockaddr *)&from);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_ADDRESS);
	/* one that never comes does not keep its place for ever */
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, 32 * S), DOOR_OPEN);
	doorkeeper_free(keeper);
}

static void an_address_is_known_by_its_rigs_and_a_while_longer(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ 0 });
	struct sockaddr_in from = v4("192.0.2.1");
	unsigned slot = doorkeeper_entered(keeper, (struct sockaddr *)&from);

	(void)state;
	assert_false(doorkeeper_knows(keeper, (struct sockaddr *)&from, S));
	doorkeeper_vouch(keeper, slot);
	assert_true(doorkeeper_knows(keeper, (struct sockaddr *)&from, S));
	doorkeeper_left(keeper, slot, true, S);
	assert_true(doorkeeper_knows(keeper, (struct sockaddr *)&from, DOORKEEPER_VOUCHED_S * S));
	assert_false(doorkeeper_knows(keeper, (struct sockaddr *)&from, (DOORKEEPER_VOUCHED_S + 1) * S));
	doorkeeper_free(keeper);
}

/* Between admission and beginning a storm could otherwise go past every limit. */
static void who_is_on_the_way_counts(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .all = 2 });
	struct sockaddr_in from = v4("192.0.2.1");

	(void)state;
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_FULL);
	doorkeeper_failed(keeper, (struct sockaddr *)&from);
	(void)doorkeeper_entered(keeper, (struct sockaddr *)&from);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_OPEN);
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, S), DOOR_FULL);
	/* one that never comes does not keep its place for ever */
	assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&from, 60 * S), DOOR_OPEN);
	doorkeeper_free(keeper);
}

static void a_reserve_is_never_more_than_half(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .all = 4, .reserve = 200 });

	(void)state;
	assert_int_equal(stranger_comes(keeper, S), DOOR_OPEN);
	assert_int_equal(stranger_comes(keeper, S), DOOR_OPEN);
	assert_int_equal(stranger_comes(keeper, S), DOOR_FULL);
	doorkeeper_free(keeper);
}

static void strangers_together_begin_so_many_a_second_and_rigs_as_they_like(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(&(struct doorkeeper_limits){ .strangers_s = 10 });
	struct sockaddr_in rig = v4("192.0.2.1");
	unsigned admitted = 0;

	(void)state;
	doorkeeper_vouch(keeper, doorkeeper_entered(keeper, (struct sockaddr *)&rig));
	while (stranger_comes(keeper, 100 * S) == DOOR_OPEN)
		admitted++;
	assert_int_equal(admitted, 10 * DOORKEEPER_BURST_S + 1);
	assert_int_equal(stranger_comes(keeper, 100 * S), DOOR_STRANGERS);
	for (int i = 0; i < 100; i++)
		assert_int_equal(doorkeeper_admit(keeper, (struct sockaddr *)&rig, 100 * S), DOOR_OPEN);
	assert_int_equal(stranger_comes(keeper, 100 * S), DOOR_STRANGERS);
	assert_int_equal(stranger_comes(keeper, 100 * S + S / 10), DOOR_OPEN);
	assert_int_equal(stranger_comes(keeper, 100 * S + S / 10), DOOR_STRANGERS);
	doorkeeper_free(keeper);
}

/* One address in a storm is refused for its own sake and leaves the others' share alone. */
static void who_is_turned_away_uses_nothing_up(void **state)
{
	struct doorkeeper *keeper =
		doorkeeper_new(&(struct doorkeeper_limits){ .per_address_s = 1, .strangers_s = 10 });
	struct sockaddr_in loud = v4("192.0.2.1");
	unsigned admitted = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		admitted += doorkeeper_admit(keeper, (struct sockaddr *)&loud, 100 * S) == DOOR_OPEN;
	assert_int_equal(admitted, DOORKEEPER_BURST_S + 1);
	for (unsigned i = 0; i < 10 * DOORKEEPER_BURST_S - DOORKEEPER_BURST_S; i++)
		assert_int_equal(stranger_comes(keeper, 100 * S), DOOR_OPEN);
	doorkeeper_free(keeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_spread_over_the_slots_by_a_key),
		cmocka_unit_test(an_address_has_so_many_connections),
		cmocka_unit_test(an_address_begins_so_many_a_second),
		cmocka_unit_test(ipv6_counts_by_its_site_and_mapped_ipv4_as_ipv4),
		cmocka_unit_test(without_limits_everybody_may),
		cmocka_unit_test(strangers_leave_room_for_rigs),
		cmocka_unit_test(an_address_stays_known_for_a_while_after_its_last_rig),
		cmocka_unit_test(who_is_on_the_way_counts),
		cmocka_unit_test(who_is_on_the_way_counts_for_the_address_too),
		cmocka_unit_test(an_address_is_known_by_its_rigs_and_a_while_longer),
		cmocka_unit_test(a_reserve_is_never_more_than_half),
		cmocka_unit_test(strangers_together_begin_so_many_a_second_and_rigs_as_they_like),
		cmocka_unit_test(who_is_turned_away_uses_nothing_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
