/* test_renewals.c - is a device that renews too often told from the others, and for an hour alone? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "ca/ca.h"

#define NOON_S 1800000000

static const struct device_id a = { .format = "assay.1.1", .element_len = 1, .element = { 1 } };
static const struct device_id b = { .format = "assay.1.1", .element_len = 1, .element = { 2 } };

static void so_many_in_an_hour_and_another_its_own(void **state)
{
	struct renewals *renewals = calloc(1, sizeof(*renewals));

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_true(renewals_may(renewals, &a, 3, NOON_S));
		renewals_count(renewals, &a, NOON_S);
	}
	assert_false(renewals_may(renewals, &a, 3, NOON_S + 3599));
	assert_true(renewals_may(renewals, &b, 3, NOON_S));
	assert_true(renewals_may(renewals, &a, 3, NOON_S + 3600));
	free(renewals);
}

static void without_a_bound_nothing_overflows(void **state)
{
	struct renewals *renewals = calloc(1, sizeof(*renewals));

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		assert_true(renewals_may(renewals, &a, 0, NOON_S));
		renewals_count(renewals, &a, NOON_S);
	}
	assert_false(renewals_may(renewals, &a, 60000, NOON_S));
	free(renewals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_in_an_hour_and_another_its_own),
		cmocka_unit_test(without_a_bound_nothing_overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
