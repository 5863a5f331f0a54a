/* test_doorkeeper.c - is one address held to its connections and beginnings, and another left alone? */
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

		doorkeeper_left(keeper, other);
		if (other != slot)
			return a;
	}
	fail();
	return v4("0.0.0.0");
}

static void an_address_has_so_many_connections(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(3, 0);
	struct sockaddr_in from = v4("192.0.2.1"), other;
	unsigned slot = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_true(doorkeeper_admit(keeper, (struct sockaddr *)&from, S));
		slot = doorkeeper_entered(keeper, (struct sockaddr *)&from);
	}
	assert_false(doorkeeper_admit(keeper, (struct sockaddr *)&from, S));
	other = stranger(keeper, slot);
	assert_true(doorkeeper_admit(keeper, (struct sockaddr *)&other, S));
	doorkeeper_left(keeper, slot);
	assert_true(doorkeeper_admit(keeper, (struct sockaddr *)&from, S));
	doorkeeper_free(keeper);
}

static void an_address_begins_so_many_a_second(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(0, 10);
	struct sockaddr_in from = v4("192.0.2.1");
	unsigned admitted = 0;

	(void)state;
	while (doorkeeper_admit(keeper, (struct sockaddr *)&from, 100 * S))
		admitted++;
	assert_int_equal(admitted, 10 * DOORKEEPER_BURST_S + 1);
	assert_true(doorkeeper_admit(keeper, (struct sockaddr *)&from, 100 * S + S / 10));
	assert_false(doorkeeper_admit(keeper, (struct sockaddr *)&from, 100 * S + S / 10));
	for (admitted = 0; doorkeeper_admit(keeper, (struct sockaddr *)&from, 200 * S); admitted++)
		;
	assert_int_equal(admitted, 10 * DOORKEEPER_BURST_S + 1); /* a long rest saves up no more than a burst */
	doorkeeper_free(keeper);
}

static void ipv6_counts_by_its_site_and_mapped_ipv4_as_ipv4(void **state)
{
	struct doorkeeper *keeper = doorkeeper_new(1, 0);
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
	struct doorkeeper *keeper = doorkeeper_new(0, 0);
	struct sockaddr_in from = v4("192.0.2.1");

	(void)state;
	for (int i = 0; i < 10000; i++) {
		assert_true(doorkeeper_admit(keeper, (struct sockaddr *)&from, S));
		(void)doorkeeper_entered(keeper, (struct sockaddr *)&from);
	}
	doorkeeper_free(keeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_so_many_connections),
		cmocka_unit_test(an_address_begins_so_many_a_second),
		cmocka_unit_test(ipv6_counts_by_its_site_and_mapped_ipv4_as_ipv4),
		cmocka_unit_test(without_limits_everybody_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
