/*
 * test_mes.c - a record whole or not at all, whoever else writes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "fixture.h"
#include "mes.h"

#define WRITERS 4
#define LINES 250

static void path_of(const struct fixture *fixture, const char *name, char out[4096])
{
	struct trouble t;

	assert_true(path_join(fixture->folder, name, out, &t));
}

/* Every line a JSON object; how many. */
static size_t count_records(const char *path)
{
	AUTO(auto_file) FILE *file = fopen(path, "r");
	char line[4096];
	size_t n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

		assert_true(json_is_object(object));
		assert_int_equal(line[strlen(line) - 1], '\n');
		json_decref(object);
		n++;
	}
	return n;
}

static void *write_lines(void *path)
{
	struct mes *mes = NULL;
	struct trouble t;

	if (!mes_open(path, &mes, &t))
		return "open";
	for (int i = 0; i < LINES; i++) {
		char line[600];

		(void)snprintf(line, sizeof(line), "{\"n\":%d,\"pad\":\"%0*d\"}", i, 1 + i * 2, 0);
		if (!mes_append(mes, line, &t))
			return "append";
	}
	mes_close(mes);
	return NULL;
}

/* Each writer has its own descriptor, as programs have. */
static void lines_of_several_writers_do_not_mix(void **state)
{
	char path[4096];
	pthread_t threads[WRITERS];

	path_of(*state, "many.jsonl", path);
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, path), 0);
	for (size_t i = 0; i < WRITERS; i++) {
		void *trouble;

		assert_int_equal(pthread_join(threads[i], &trouble), 0);
		assert_null(trouble);
	}
	assert_int_equal(count_records(path), WRITERS * LINES);
}

/* A file size limit cuts a write short in the middle, as a full disk does. */
static void a_record_that_does_not_fit_leaves_no_part(void **state)
{
	struct rlimit old, small;
	char path[4096];
	struct mes *mes = NULL;
	struct trouble t;

	path_of(*state, "full.jsonl", path);
	assert_true(mes_open(path, &mes, &t));
	assert_true(mes_append(mes, "{\"fits\":true}", &t));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 20;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_false(mes_append(mes, "{\"fits\":false}", &t));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(t.text, "full.jsonl"));
	assert_true(mes_append(mes, "{\"fits\":true}", &t));
	mes_close(mes);
	assert_int_equal(count_records(path), 2);
}

static void says_which_file_cannot_be_opened(void **state)
{
	struct mes *none = NULL;
	struct trouble t;

	(void)state;
	assert_false(mes_open("/nonexistent/mes.jsonl", &none, &t));
	assert_non_null(strstr(t.text, "/nonexistent/mes.jsonl"));
	assert_null(none);
}

static void timestamps_are_rfc_3339(void **state)
{
	char ts[25];

	(void)state;
	mes_timestamp(ts);
	assert_int_equal(strlen(ts), 24);
	assert_int_equal(ts[10], 'T');
	assert_int_equal(ts[19], '.');
	assert_int_equal(ts[23], 'Z');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_several_writers_do_not_mix),
		cmocka_unit_test(a_record_that_does_not_fit_leaves_no_part),
		cmocka_unit_test(says_which_file_cannot_be_opened),
		cmocka_unit_test(timestamps_are_rfc_3339),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
