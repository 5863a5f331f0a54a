/* test_issuer_limits.c - the ca's own bounds: how long a certificate lives, which level, how many in an hour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

#include <cmocka.h>

#include "base/clock.h"
#include "issuer_fixture.h"

#define YEAR_S UINT64_C(31536000)

static void gives_no_validity_beyond_its_own(void **state)
{
	struct issuer_options options = fixture_options();
	struct grant *grant = fixture_grant();
	struct fixture fixture;

	(void)state;
	options.validity_max_s = 0;
	fixture_open_with(&fixture, FIXTURE_NOW_S + 1000, &options);
	grant->validity_s = 1000;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	grant->validity_s = 1001;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	grant->validity_s = 1;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 1001, NULL), REASON_GRANT_REFUSED);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S - 86401, NULL), REASON_GRANT_REFUSED);
	grant->validity_s = 0;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	fixture_close(&fixture);
	grant_free(grant);
}

static void gives_no_expiry_only_where_it_has_none_and_no_cap(void **state)
{
	struct issuer_options options = fixture_options();
	struct grant *grant = fixture_grant();
	struct fixture fixture;

	(void)state;
	grant->validity_s = 0;
	fixture_open_with(&fixture, TIME_NO_EXPIRY, &options);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	fixture_close(&fixture);
	options.validity_max_s = 0;
	fixture_open_with(&fixture, TIME_NO_EXPIRY, &options);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	grant->validity_s = UINT64_C(300000000000); /* past the year 9999: cannot be written */
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	fixture_close(&fixture);
	grant_free(grant);
}

static void an_unattested_issuer_takes_no_attested_grant(void **state)
{
	struct issuer_options options = fixture_options();
	struct grant *grant = fixture_grant();
	struct fixture fixture;

	(void)state;
	options.level_min = options.level_max = LEVEL_NONE;
	fixture_open_with(&fixture, FIXTURE_NOW_S + (int64_t)(15 * YEAR_S), &options);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	grant->level = grant->level_needed = LEVEL_NONE;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	fixture_close(&fixture);
	grant_free(grant);
}

static void counts_an_hour_and_gives_back_what_was_not_used(void **state)
{
	struct issuer_options options = fixture_options();
	struct grant *grant = fixture_grant();
	struct fixture fixture;

	(void)state;
	options.hourly_max = 3;
	fixture_open_with(&fixture, FIXTURE_NOW_S + (int64_t)(15 * YEAR_S), &options);
	for (int i = 0; i < 3; i++)
		assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3599, NULL), REASON_ISSUER_LIMIT);
	issuer_uncount(fixture.issuer);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3599, NULL), REASON_OK);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3599, NULL), REASON_ISSUER_LIMIT);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3600, NULL), REASON_OK);
	for (int i = 0; i < 9; i++)
		issuer_uncount(fixture.issuer); /* never below none */
	for (int i = 0; i < 3; i++)
		assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3600, NULL), REASON_OK);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3600, NULL), REASON_ISSUER_LIMIT);
	fixture_close(&fixture);
	grant_free(grant);
}

static void goes_on_from_what_the_ledger_counted(void **state)
{
	const int64_t hour = FIXTURE_NOW_S / 3600;
	struct issuer_options options = fixture_options();
	struct grant *grant = fixture_grant();
	struct fixture fixture;

	(void)state;
	options.hourly_max = 5;
	fixture_open_with(&fixture, FIXTURE_NOW_S + (int64_t)(15 * YEAR_S), &options);
	issuer_counted(fixture.issuer, hour, 2, 1); /* two before a restart, one of another node */
	for (int i = 0; i < 2; i++)
		assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_ISSUER_LIMIT);
	issuer_counted(fixture.issuer, hour, 3, 1); /* the ledger has not heard of all: nothing becomes free */
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_ISSUER_LIMIT);
	issuer_counted(fixture.issuer, hour - 1, 9, 9); /* an hour that is past */
	for (int i = 0; i < 5; i++)
		assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3600, NULL), REASON_OK);
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S + 3600, NULL), REASON_ISSUER_LIMIT);
	fixture_close(&fixture);
	grant_free(grant);
}

static void does_not_count_what_it_refuses(void **state)
{
	struct issuer_options options = fixture_options();
	struct grant *grant = fixture_grant();
	struct fixture fixture;

	(void)state;
	options.hourly_max = 1;
	fixture_open_with(&fixture, FIXTURE_NOW_S + (int64_t)(15 * YEAR_S), &options);
	grant->key_usage = KU_KEY_CERT_SIGN;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	grant->key_usage = KU_DIGITAL_SIGNATURE;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	fixture_close(&fixture);
	grant_free(grant);
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
	struct issuer_options options = fixture_options();
	struct grant *grant = fixture_grant();
	struct counting counting[4];
	pthread_t thread[4];
	struct fixture fixture;
	unsigned passed = 0;

	(void)state;
	options.hourly_max = 1000;
	fixture_open_with(&fixture, FIXTURE_NOW_S + (int64_t)(15 * YEAR_S), &options);
	for (int i = 0; i < 4; i++) {
		counting[i] = (struct counting){ fixture.issuer, grant, 0 };
		assert_int_equal(pthread_create(&thread[i], NULL, count_many, &counting[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		passed += counting[i].passed;
	}
	assert_int_equal(passed, 1000);
	fixture_close(&fixture);
	grant_free(grant);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_no_validity_beyond_its_own),
		cmocka_unit_test(gives_no_expiry_only_where_it_has_none_and_no_cap),
		cmocka_unit_test(an_unattested_issuer_takes_no_attested_grant),
		cmocka_unit_test(counts_an_hour_and_gives_back_what_was_not_used),
		cmocka_unit_test(goes_on_from_what_the_ledger_counted),
		cmocka_unit_test(does_not_count_what_it_refuses),
		cmocka_unit_test(counts_exactly_with_many_threads),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
