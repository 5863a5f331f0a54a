/* test_metrics.c - does admin read what the roles counted, as Prometheus wants it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/blob.h"
#include "observe/metrics.h"

static char dir[64];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/assay-metrics-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int drop_dir(void **state)
{
	static const char *const roles[] = { "ra", "ca", "va", "admin", "supervisor" };
	char path[128];

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/metrics.%s", dir, roles[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static struct metrics *opened(const char *role)
{
	struct metrics *m;
	struct fault f = { 0 };

	if (metrics_open(dir, role, &m, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	return m;
}

static char *text(void)
{
	struct buf b = { 0 };
	struct fault f;

	assert_int_equal(metrics_text(dir, &b, &f), REASON_OK);
	assert_int_equal(buf_append(&b, BLOB("", 1), &f), REASON_OK);
	return (char *)b.ptr;
}

static void has(const char *all, const char *line)
{
	if (strstr(all, line) == NULL)
		fail_msg("no line %s in:\n%s", line, all);
}

static void counts_come_out_as_prometheus_text(void **state)
{
	struct metrics *ra = opened("ra"), *va = opened("va");
	char *all;

	(void)state;
	metrics_request(ra, OP_SIMPLEENROLL, REASON_OK, 400);
	metrics_request(ra, OP_SIMPLEENROLL, REASON_OK, 1500);
	metrics_request(ra, OP_SIMPLEENROLL, REASON_NONCE_STALE, 100000000);
	metrics_request(va, OP_CRL, REASON_OK, 10);
	strcpy(ra->station[0].name, "assay");
	ra->station[0].busy_us = 1500000;
	ra->station[0].depth = 3;
	metrics_gauge(ra, GAUGE_VIEW_AGE_MS, 250);
	metrics_gauge(ra, GAUGE_READY, 1);
	all = text();
	has(all, "\nassay_est_requests_total{role=\"ra\",op=\"simpleenroll\",reason=\"ok\"} 2\n");
	has(all, "\nassay_est_requests_total{role=\"ra\",op=\"simpleenroll\",reason=\"nonce_stale\"} 1\n");
	has(all, "\nassay_requests_total{role=\"va\",op=\"crl\",reason=\"ok\"} 1\n");
	has(all, "\nassay_latency_seconds_bucket{role=\"ra\",op=\"simpleenroll\",le=\"0.0005\"} 1\n");
	has(all, "\nassay_latency_seconds_bucket{role=\"ra\",op=\"simpleenroll\",le=\"0.002\"} 2\n");
	has(all, "\nassay_latency_seconds_bucket{role=\"ra\",op=\"simpleenroll\",le=\"8.192\"} 2\n");
	has(all, "\nassay_latency_seconds_bucket{role=\"ra\",op=\"simpleenroll\",le=\"+Inf\"} 3\n");
	has(all, "\nassay_latency_seconds_count{role=\"ra\",op=\"simpleenroll\"} 3\n");
	has(all, "\nassay_latency_seconds_sum{role=\"ra\",op=\"simpleenroll\"} 100.001900\n");
	has(all, "\nassay_station_depth{role=\"ra\",station=\"assay\"} 3\n");
	has(all, "\nassay_station_busy_seconds_total{role=\"ra\",station=\"assay\"} 1.500000\n");
	has(all, "\nassay_view_age_seconds{role=\"ra\"} 0.250\n");
	has(all, "\n# TYPE assay_latency_seconds histogram\n");
	assert_null(strstr(all, "role=\"admin\"")); /* it never started */
	free(all);
	munmap(ra, sizeof(*ra));
	munmap(va, sizeof(*va));
}

static void every_sample_stands_under_its_own_type(void **state)
{
	struct metrics *ca = opened("ca");
	char *all, *line, *next, current[128] = "";

	(void)state;
	metrics_request(ca, OP_SIGN, REASON_OK, 1);
	all = text();
	for (line = all; *line != '\0'; line = next) {
		next = strchr(line, '\n') + 1;
		if (sscanf(line, "# TYPE %127s", current) == 1 || line[0] == '#')
			continue;
		if (strncmp(line, current, strlen(current)) != 0)
			fail_msg("sample %.40s stands under %s", line, current);
	}
	free(all);
	munmap(ca, sizeof(*ca));
}

static void a_gauge_of_a_dead_role_can_be_set_and_read(void **state)
{
	struct metrics *ra = opened("ra");
	int64_t value;

	(void)state;
	metrics_gauge(ra, GAUGE_READY, 1);
	assert_true(metrics_read_gauge(dir, "ra", GAUGE_READY, &value));
	assert_int_equal(value, 1);
	munmap(ra, sizeof(*ra));
	metrics_write_gauge(dir, "ra", GAUGE_READY, 0);
	assert_true(metrics_read_gauge(dir, "ra", GAUGE_READY, &value));
	assert_int_equal(value, 0);
	assert_false(metrics_read_gauge(dir, "nobody", GAUGE_READY, &value));
}

static void a_file_of_another_size_is_not_read(void **state)
{
	char path[128];
	int64_t value;
	FILE *file;

	(void)state;
	snprintf(path, sizeof(path), "%s/metrics.admin", dir);
	file = fopen(path, "w");
	fputs("short", file);
	fclose(file);
	assert_false(metrics_read_gauge(dir, "admin", GAUGE_READY, &value));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_come_out_as_prometheus_text),
		cmocka_unit_test(every_sample_stands_under_its_own_type),
		cmocka_unit_test(a_gauge_of_a_dead_role_can_be_set_and_read),
		cmocka_unit_test(a_file_of_another_size_is_not_read),
	};

	return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
