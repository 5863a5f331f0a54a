/* test_company.c - for whom does a commit wait: for many stations, never for one that is alone? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ca/ca.h"

/* So many batches of n, gap_us after each other; how often one of them would have waited. */
static unsigned waits(struct company *company, unsigned batches, size_t n, int64_t gap_us)
{
	unsigned waited = 0;

	for (unsigned i = 0; i < batches; i++) {
		waited += company_expected(company, n);
		company_came(company, n, company->last_us + gap_us);
	}
	return waited;
}

/* However quick the machine: grant and signature follow each other in 300 us. */
static void nobody_waits_for_one_station_alone(void **state)
{
	struct company company = { 0 };

	(void)state;
	assert_int_equal(waits(&company, 1000, 1, 300), 0);
}

static void many_stations_are_waited_for(void **state)
{
	struct company company = { 0 };

	(void)state;
	assert_in_range(waits(&company, 100, 3, 2000), 95, 100);
	assert_false(company_expected(&company, CA_BATCH_LARGE)); /* there already */
}

static void a_few_that_come_seldom_are_not_waited_for(void **state)
{
	struct company company = { 0 };

	(void)state;
	assert_int_equal(waits(&company, 1000, 2, 20000), 0);
}

static void who_is_left_alone_soon_waits_no_more(void **state)
{
	struct company company = { 0 };

	(void)state;
	(void)waits(&company, 100, 20, 8000);
	assert_in_range(waits(&company, 1000, 1, 300), 1, 20);
}

static void *bring_back(void *signing)
{
	signing_back(signing);
	signing_back(signing);
	return NULL;
}

/* As long as a test may take if it were never woken; nothing here waits for time to pass. */
#define FOR_EVER_US 600000000

static void signatures_are_waited_for_until_the_last_is_back(void **state)
{
	struct signing signing;
	pthread_t thread;

	(void)state;
	signing_init(&signing);
	signing_wait(&signing, FOR_EVER_US); /* none are under way */
	signing_began(&signing);
	signing_began(&signing);
	assert_int_equal(pthread_create(&thread, NULL, bring_back, &signing), 0);
	signing_wait(&signing, FOR_EVER_US);
	assert_int_equal(signing.n, 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	signing_done(&signing);
}

static void a_token_that_has_grown_slow_is_not_waited_for(void **state)
{
	struct signing signing;

	(void)state;
	signing_init(&signing);
	signing_began(&signing);
	signing_wait(&signing, 1000);
	assert_int_equal(signing.n, 1);
	signing_done(&signing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_waits_for_one_station_alone),
		cmocka_unit_test(many_stations_are_waited_for),
		cmocka_unit_test(a_few_that_come_seldom_are_not_waited_for),
		cmocka_unit_test(who_is_left_alone_soon_waits_no_more),
		cmocka_unit_test(signatures_are_waited_for_until_the_last_is_back),
		cmocka_unit_test(a_token_that_has_grown_slow_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
