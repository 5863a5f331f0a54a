/* test_pace.c - do newcomers leave the machine to who is at work, and to who begins to work while they storm? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "http/pace.h"

#define NEVER_US INT64_MAX

/* What 3,000 newcomers wait in all on a machine whose processors are never idle, and the longest of one. */
static int64_t storm_us(unsigned processors, int64_t quiet_us, int64_t *ret_longest_us)
{
	struct pace pace = { .processors = processors };
	int64_t all_us = 0;

	*ret_longest_us = 0;
	for (int i = 0; i < 3000; i++) {
		struct pace_rest rest = pace_next(&pace, quiet_us, 0);
		int64_t us = rest.sleep_us + rest.lull_us;

		all_us += us;
		if (us > *ret_longest_us)
			*ret_longest_us = us;
	}
	return all_us;
}

static void beside_who_works_they_get_a_share_of_any_machine(void **state)
{
	int64_t longest_us;

	(void)state;
	assert_int_equal(storm_us(2, 0, &longest_us), 3000 * INT64_C(5000));
	assert_int_equal(longest_us, 5000);
	assert_int_equal(storm_us(4, 0, &longest_us), 3000 * INT64_C(2500));
}

/* A line that waits for its disk leaves processors idle: three quarters are waited all the same. */
static void an_idle_processor_shortens_little_of_it(void **state)
{
	struct pace pace = { .processors = 2 };
	struct pace_rest rest = pace_next(&pace, 0, 0);

	(void)state;
	assert_int_equal(rest.sleep_us, 3750);
	assert_int_equal(rest.lull_us, 1250);
}

static void a_station_at_a_takt_of_two_seconds_is_at_work(void **state)
{
	struct pace pace = { .processors = 2 };

	(void)state;
	assert_int_equal(pace_next(&pace, 2000000, 0).sleep_us, 3750);
	assert_int_equal(pace_next(&pace, 2000001, 0).sleep_us, 0);
}

/* Who begins to work in the middle of a storm does not find it all before him. */
static void with_nobody_at_work_no_more_come_in_than_can_be_served(void **state)
{
	int64_t longest_us;

	(void)state;
	assert_int_equal(storm_us(2, NEVER_US, &longest_us), 3000 * INT64_C(1000));
	assert_in_range(longest_us, 1000, 10000);
	assert_int_equal(storm_us(8, NEVER_US, &longest_us), 3000 * INT64_C(250));
}

static void with_nobody_at_work_an_idle_machine_takes_them_at_once(void **state)
{
	struct pace pace = { .processors = 2 };

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(pace_next(&pace, NEVER_US, 0).sleep_us,
				 0); /* and a lull that is there takes no time */
}

/* The first who work are seen after some requests, which take long behind many handshakes. */
static void behind_many_that_have_just_come_in_it_is_as_beside_work(void **state)
{
	struct pace pace = { .processors = 2 };

	(void)state;
	assert_int_equal(pace_next(&pace, NEVER_US, 2 * PACE_BEGINNERS_CORE).sleep_us, 0);
	assert_int_equal(pace_next(&pace, NEVER_US, 2 * PACE_BEGINNERS_CORE + 1).sleep_us, 3750);
	assert_int_equal(pace_next(&pace, NEVER_US, 2 * PACE_BEGINNERS_CORE).sleep_us, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beside_who_works_they_get_a_share_of_any_machine),
		cmocka_unit_test(an_idle_processor_shortens_little_of_it),
		cmocka_unit_test(a_station_at_a_takt_of_two_seconds_is_at_work),
		cmocka_unit_test(with_nobody_at_work_no_more_come_in_than_can_be_served),
		cmocka_unit_test(behind_many_that_have_just_come_in_it_is_as_beside_work),
		cmocka_unit_test(with_nobody_at_work_an_idle_machine_takes_them_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
