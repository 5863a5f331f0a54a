/* test_issuer_limits.c - the ca's own bounds: how long a certificate lives, which level, how many in an hour. */
#include "expect.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "issuer_fixture.h"

#define IN_15_YEARS_S (FIXTURE_NOW_S + 15 * INT64_C(31536000))

/* An issuer whose options a test sets before bounds_open(), and a grant that it would sign. */
struct bounds {
	struct issuer_options options;
	struct fixture fixture;
	struct grant *grant;
};

static int set_up(void **state)
{
	struct bounds *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return -1;
	b->options = fixture_options();
	b->grant = fixture_grant();
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bounds *b = *state;

	fixture_close(&b->fixture);
	grant_free(b->grant);
	free(b);
	return 0;
}

static void bounds_open(struct bounds *b, int64_t not_after_s)
{
	fixture_open_with(&b->fixture, not_after_s, &b->options);
}

static enum reason asked(struct bounds *b, int64_t later_s)
{
	return issuer_check(b->fixture.issuer, b->grant, FIXTURE_NOW_S + later_s, NULL);
}

static void gives_no_validity_beyond_its_own(void **state)
{
	struct bounds *b = *state;

	b->options.validity_max_s = 0;
	bounds_open(b, FIXTURE_NOW_S + 1000);
	b->grant->validity_s = 1000;
	assert_reason(asked(b, 0), REASON_OK);
	b->grant->validity_s = 1001;
	assert_reason(asked(b, 0), REASON_GRANT_REFUSED);
	b->grant->validity_s = 1;
	assert_reason(asked(b, 1001), REASON_GRANT_REFUSED);
	assert_reason(asked(b, -86401), REASON_GRANT_REFUSED);
	b->grant->validity_s = 0;
	assert_reason(asked(b, 0), REASON_GRANT_REFUSED);
}

static void gives_no_expiry_only_where_it_has_none_and_no_cap(void **state)
{
	struct bounds *b = *state;

	b->grant->validity_s = 0;
	bounds_open(b, TIME_NO_EXPIRY);
	assert_reason(asked(b, 0), REASON_GRANT_REFUSED);
	fixture_close(&b->fixture);
	b->options.validity_max_s = 0;
	bounds_open(b, TIME_NO_EXPIRY);
	assert_reason(asked(b, 0), REASON_OK);
	b->grant->validity_s = UINT64_C(300000000000); /* past the year 9999: cannot be written */
	assert_reason(asked(b, 0), REASON_GRANT_REFUSED);
}

static void an_unattested_issuer_takes_no_attested_grant(void **state)
{
	struct bounds *b = *state;

	b->options.level_min = b->options.level_max = LEVEL_NONE;
	bounds_open(b, IN_15_YEARS_S);
	assert_reason(asked(b, 0), REASON_GRANT_REFUSED);
	b->grant->level = b->grant->level_needed = LEVEL_NONE;
	assert_reason(asked(b, 0), REASON_OK);
}

static void counts_an_hour_and_gives_back_what_was_not_used(void **state)
{
	struct bounds *b = *state;

	b->options.hourly_max = 3;
	bounds_open(b, IN_15_YEARS_S);
	for (int i = 0; i < 3; i++)
		assert_reason(asked(b, 0), REASON_OK);
	assert_reason(asked(b, 3599), REASON_ISSUER_LIMIT);
	issuer_uncount(b->fixture.issuer);
	assert_reason(asked(b, 3599), REASON_OK);
	assert_reason(asked(b, 3599), REASON_ISSUER_LIMIT);
	assert_reason(asked(b, 3600), REASON_OK);
	for (int i = 0; i < 9; i++)
		issuer_uncount(b->fixture.issuer); /* never below none */
	for (int i = 0; i < 3; i++)
		assert_reason(asked(b, 3600), REASON_OK);
	assert_reason(asked(b, 3600), REASON_ISSUER_LIMIT);
}

static void goes_on_from_what_the_ledger_counted(void **state)
{
	const int64_t hour = FIXTURE_NOW_S / 3600;
	struct bounds *b = *state;

	b->options.hourly_max = 5;
	bounds_open(b, IN_15_YEARS_S);
	issuer_counted(b->fixture.issuer, hour, 2, 1); /* two before a restart, one of another node */
	for (int i = 0; i < 2; i++)
		assert_reason(asked(b, 0), REASON_OK);
	assert_reason(asked(b, 0), REASON_ISSUER_LIMIT);
	issuer_counted(b->fixture.issuer, hour, 3, 1); /* the ledger has not heard of all: nothing becomes free */
	assert_reason(asked(b, 0), REASON_ISSUER_LIMIT);
	issuer_counted(b->fixture.issuer, hour - 1, 9, 9); /* an hour that is past */
	for (int i = 0; i < 5; i++)
		assert_reason(asked(b, 3600), REASON_OK);
	assert_reason(asked(b, 3600), REASON_ISSUER_LIMIT);
}

static void does_not_count_what_it_refuses(void **state)
{
	struct bounds *b = *state;

	b->options.hourly_max = 1;
	bounds_open(b, IN_15_YEARS_S);
	b->grant->key_usage = KU_KEY_CERT_SIGN;
	assert_reason(asked(b, 0), REASON_GRANT_REFUSED);
	b->grant->key_usage = KU_DIGITAL_SIGNATURE;
	assert_reason(asked(b, 0), REASON_OK);
}

struct counting {
	struct issuer *issuer;
	const struct grant *grant;
	unsigned passed;
};

static void *count_many(void *arg)
{
	struct counting *counting = arg;

	for (int i = 0; i < 400; i++)
		counting->passed += issuer_check(counting->issuer, counting->grant, FIXTURE_NOW_S, NULL) == REASON_OK;
	return NULL;
}

static void counts_exactly_with_many_threads(void **state)
{
	struct bounds *b = *state;
	struct counting counting[4];
	pthread_t thread[4];
	unsigned passed = 0;

	b->options.hourly_max = 1000;
	bounds_open(b, IN_15_YEARS_S);
	for (int i = 0; i < 4; i++) {
		counting[i] = (struct counting){ b->fixture.issuer, b->grant, 0 };
		assert_int_equal(pthread_create(&thread[i], NULL, count_many, &counting[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		passed += counting[i].passed;
	}
	assert_int_equal(passed, 1000);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(gives_no_validity_beyond_its_own),
		test(gives_no_expiry_only_where_it_has_none_and_no_cap),
		test(an_unattested_issuer_takes_no_attested_grant),
		test(counts_an_hour_and_gives_back_what_was_not_used),
		test(goes_on_from_what_the_ledger_counted),
		test(does_not_count_what_it_refuses),
		test(counts_exactly_with_many_threads),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
