/* test_log.c - is every log line one whole JSON object, whatever is in it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "observe/log.h"

static int saved, pipes[2];

/* Standard error goes into a pipe while a test runs. */
static int capture(void **state)
{
	(void)state;
	saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[1], STDERR_FILENO);
	close(pipes[1]);
	return 0;
}

static int release(void **state)
{
	(void)state;
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(pipes[0]);
	return 0;
}

static json_t *line_read(void)
{
	static char line[65536];
	ssize_t n = read(pipes[0], line, sizeof(line));
	json_t *json;

	assert_true(n > 0);
	assert_int_equal(line[n - 1], '\n');
	assert_ptr_equal(memchr(line, '\n', (size_t)n), line + n - 1); /* one line */
	json = json_loadb(line, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
	if (json == NULL)
		fail_msg("not JSON: %.*s", (int)n, line);
	return json;
}

static void a_line_has_time_level_role_event_and_fields(void **state)
{
	json_t *json;

	(void)state;
	log_init("ra", LOG_INFO);
	log_event(LOG_WARN, "enrol", "serial", LOG_STR, "01ab", "ms", LOG_INT, (int64_t)-3, "none", LOG_STR, NULL,
		  NULL);
	json = line_read();
	assert_int_equal(strlen(json_string_value(json_object_get(json, "ts"))), strlen("2026-01-01T00:00:00.000Z"));
	assert_string_equal(json_string_value(json_object_get(json, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(json, "role")), "ra");
	assert_string_equal(json_string_value(json_object_get(json, "event")), "enrol");
	assert_string_equal(json_string_value(json_object_get(json, "serial")), "01ab");
	assert_int_equal(json_integer_value(json_object_get(json, "ms")), -3);
	assert_string_equal(json_string_value(json_object_get(json, "none")), "");
	json_decref(json);
}

static void hostile_text_stays_inside_its_string(void **state)
{
	char all[256];
	json_t *json;

	(void)state;
	for (unsigned i = 0; i < 255; i++)
		all[i] = (char)(i + 1);
	all[255] = '\0';
	log_init("ra", LOG_INFO);
	log_event(LOG_INFO, "x", "a", LOG_STR, "\",\"level\":\"error", "b", LOG_STR, all, NULL);
	json = line_read();
	assert_string_equal(json_string_value(json_object_get(json, "level")), "info");
	assert_string_equal(json_string_value(json_object_get(json, "a")), "\",\"level\":\"error");
	assert_non_null(json_object_get(json, "b"));
	json_decref(json);
}

static void values_are_cut_and_a_line_stays_whole(void **state)
{
	static char longest[100000];
	json_t *json;

	(void)state;
	memset(longest, 1, sizeof(longest) - 1); /* each becomes six characters */
	log_init("ra", LOG_INFO);
	log_event(LOG_INFO, "x", "a", LOG_STR, longest, "b", LOG_STR, longest, "c", LOG_STR, longest, "d", LOG_STR,
		  longest, "e", LOG_INT, (int64_t)1, NULL);
	json = line_read();
	assert_int_equal(strlen(json_string_value(json_object_get(json, "a"))), 512);
	json_decref(json);
}

static void lower_levels_are_dropped(void **state)
{
	struct fault fault = { .reason = REASON_HTTP_PATH, .detail = "why" };
	json_t *json;

	(void)state;
	log_init("ca", LOG_WARN);
	log_event(LOG_INFO, "dropped", NULL);
	log_fault(LOG_ERROR, "kept", &fault);
	json = line_read();
	assert_string_equal(json_string_value(json_object_get(json, "event")), "kept");
	assert_string_equal(json_string_value(json_object_get(json, "reason")), "http_path");
	assert_string_equal(json_string_value(json_object_get(json, "detail")), "why");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_has_time_level_role_event_and_fields, capture, release),
		cmocka_unit_test_setup_teardown(hostile_text_stays_inside_its_string, capture, release),
		cmocka_unit_test_setup_teardown(values_are_cut_and_a_line_stays_whole, capture, release),
		cmocka_unit_test_setup_teardown(lower_levels_are_dropped, capture, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
