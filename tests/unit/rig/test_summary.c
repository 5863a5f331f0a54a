/*
 * test_summary.c - percentiles, counts and reasons of a run, and the JSON that says them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "summary.h"

#define BOARDS 200

/* Board i takes i + 1 ms for `forward` and 1 ms for `prove`. */
static void fill(struct outcome *outcomes)
{
	memset(outcomes, 0, BOARDS * sizeof(*outcomes));
	for (size_t i = 0; i < BOARDS; i++) {
		outcomes[i].begun = outcomes[i].ok = true;
		outcomes[i].retries = i == 0 ? 3 : 0;
		outcomes[i].ms[STEP_FORWARD] = (double)(BOARDS - i);
		outcomes[i].ms[STEP_PROVE] = 1;
	}
}

static void fail_board(struct outcome *outcome, const char *reason, const char *text)
{
	outcome->ok = false;
	outcome->last = STEP_FORWARD;
	(void)snprintf(outcome->reason, sizeof(outcome->reason), "%s", reason);
	(void)snprintf(outcome->trouble.text, sizeof(outcome->trouble.text), "%s", text);
}

static void percentiles_are_nearest_rank(void **state)
{
	static struct outcome outcomes[BOARDS];
	struct summary s;

	(void)state;
	fill(outcomes);
	assert_true(summary_make(outcomes, BOARDS, 4, 2.0, &s));
	assert_true(s.step[STEP_FORWARD].p50_ms == 100 && s.step[STEP_FORWARD].p99_ms == 198);
	assert_true(s.step[STEP_FORWARD].max_ms == 200);
	assert_true(s.total.max_ms == 201 && s.total.p50_ms == 101);
	assert_int_equal(s.enrolled, BOARDS);
	assert_int_equal(s.retries, 3);
}

static void a_failure_is_counted_and_not_timed(void **state)
{
	static struct outcome outcomes[BOARDS];
	struct summary s;

	(void)state;
	fill(outcomes);
	fail_board(&outcomes[0], "device_known", "409 already (device_known, request 1)");
	fail_board(&outcomes[1], "device_known", "409 already (device_known, request 2)");
	fail_board(&outcomes[2], "", "no route");
	outcomes[3].begun = outcomes[3].ok = false;
	assert_true(summary_make(outcomes, BOARDS, 4, 2.0, &s));
	assert_int_equal(s.begun, BOARDS - 1);
	assert_int_equal(s.failed, 3);
	assert_int_equal(s.enrolled, BOARDS - 4);
	assert_true(s.step[STEP_FORWARD].max_ms == 196);
	assert_int_equal(s.n_reasons, 2);
	assert_int_equal(s.reason[0].count, 2);
	assert_ptr_equal(s.reason[0].first, &outcomes[0]);
	assert_ptr_equal(s.reason[1].first, &outcomes[2]);
}

static void nothing_enrolled_is_no_division_by_nothing(void **state)
{
	struct outcome outcome = { 0 };
	struct summary s;

	(void)state;
	assert_true(summary_make(&outcome, 1, 1, 0, &s));
	assert_int_equal(s.enrolled, 0);
	assert_true(s.total.max_ms == 0);
}

static void the_json_says_the_same(void **state)
{
	static struct outcome outcomes[BOARDS];
	struct summary s;
	AUTO(auto_free) char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	json_t *object, *failure;

	(void)state;
	fill(outcomes);
	fail_board(&outcomes[5], "evidence_key", "403 \"other\" key");
	assert_true(summary_make(outcomes, BOARDS, 4, 2.0, &s));
	summary_json(&s, out);
	assert_int_equal(fclose(out), 0);
	object = json_loads(text, 0, NULL);
	assert_non_null(object);
	assert_int_equal(json_integer_value(json_object_get(object, "enrolled")), BOARDS - 1);
	assert_int_equal(json_integer_value(json_object_get(object, "failed")), 1);
	assert_int_equal(json_object_size(json_object_get(object, "ms")), STEP_COUNT + 1);
	assert_true(json_real_value(
			    json_object_get(json_object_get(json_object_get(object, "ms"), "forward"), "max")) == 200);
	failure = json_array_get(json_object_get(object, "failures"), 0);
	assert_string_equal(json_string_value(json_object_get(failure, "reason")), "evidence_key");
	assert_string_equal(json_string_value(json_object_get(failure, "step")), "forward");
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_nearest_rank),
		cmocka_unit_test(a_failure_is_counted_and_not_timed),
		cmocka_unit_test(nothing_enrolled_is_no_division_by_nothing),
		cmocka_unit_test(the_json_says_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
