/*
 * test_ledger_cost.c - what does a request cost PostgreSQL, intent and record together?
 *
 * Prints CPU time of all PostgreSQL processes and wall time for each enrolment (1.5 KB a row), each repeat of it, each
 * refusal of another key, and each renewal, by batch size. ASSAY_LEDGER_ROWS (default 2000) is how many enrolments each
 * figure rests on. It fails only if work is left undone: figures are for people, and for bench/.
 */
#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define BATCH_MAX 256

struct load {
	const char *name; /* of its devices */
	struct ledger *intend, *record;
	struct request request[BATCH_MAX];
	struct intent batch[BATCH_MAX];
	struct signed_row row[BATCH_MAX];
	uint8_t tbs[600], evidence[900];
	uint8_t (*issued)[16]; /* serials of the last run of enrolments */
};

/* utime and stime of the postmaster and its children, in microseconds. */
static int64_t postgres_cpu_us(int postmaster)
{
	DIR *proc = opendir("/proc");
	unsigned long long ticks = 0;

	assert_non_null(proc);
	for (struct dirent *d; (d = readdir(proc)) != NULL;) {
		char path[300], comm[64], state;
		int pid, parent;
		unsigned long user, system;
		FILE *stat;

		snprintf(path, sizeof(path), "/proc/%s/stat", d->d_name);
		stat = d->d_name[0] >= '0' && d->d_name[0] <= '9' ? fopen(path, "r") : NULL;
		if (stat == NULL)
			continue;
		if (fscanf(stat, "%d (%63[^)]) %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &pid, comm, &state,
			   &parent, &user, &system) == 6 &&
		    (pid == postmaster || parent == postmaster))
			ticks += user + system;
		fclose(stat);
	}
	closedir(proc);
	return (int64_t)(ticks * 1000000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}

enum kind { ENROL, REPEAT, REFUSED, RENEW };

static void fill(struct load *l, enum kind kind, int batch, int first, int n)
{
	char device[40], key[48];

	for (int i = 0; i < n; i++) {
		struct request *r = &l->request[i];

		snprintf(device, sizeof(device), "%s-%d-%d", l->name, batch, first + i);
		snprintf(key, sizeof(key), "%s%s", device, kind == REFUSED ? "-other" : "");
		request_enrol(r, device, key);
		request_nonce(r, device);
		r->grant.once = kind == REFUSED;
		if (kind == RENEW) {
			struct request old = *r;

			memcpy(old.intent.serial, l->issued[first + i], 16);
			request_reenrol(r, &old, key);
		}
		r->grant.evidence = (struct buf){ .ptr = l->evidence, .len = sizeof(l->evidence) };
		l->batch[i] = r->intent;
		l->batch[i].tbs = BLOB_OF(l->tbs);
		l->row[i] = (struct signed_row){ .serial = BLOB(r->serial, 16), .tail = BLOB(l->tbs, 90) };
		if (kind == ENROL)
			memcpy(l->issued[first + i], r->serial, 16);
	}
}

static void run(struct load *l, enum kind kind, int rows, int batch)
{
	static const enum intent_outcome expected[] = { INTENT_NEW, INTENT_ISSUED, INTENT_REFUSED, INTENT_NEW };

	for (int done = 0; done < rows; done += batch) {
		fill(l, kind, batch, done, batch);
		assert_ok(ledger_intend(l->intend, l->batch, (size_t)batch, f));
		for (int i = 0; i < batch; i++) {
			assert_int_equal(l->batch[i].outcome, expected[kind]);
			buf_done(&l->batch[i].certificate);
		}
		if (expected[kind] == INTENT_NEW)
			assert_ok(ledger_record(l->record, l->row, (size_t)batch, f));
	}
}

static void run_cycles(struct load *l, struct ledger *line, int rows, int batch)
{
	struct signed_row signed_rows[BATCH_MAX];
	uint8_t serials[BATCH_MAX][16];
	size_t n_signed = 0;

	for (int done = 0; done < rows; done += batch) {
		fill(l, ENROL, batch, done, batch);
		assert_ok(ledger_cycle(line, signed_rows, n_signed, l->batch, (size_t)batch, f));
		for (int i = 0; i < batch; i++) {
			assert_int_equal(l->batch[i].outcome, INTENT_NEW);
			memcpy(serials[i], l->request[i].serial, 16);
			signed_rows[i] = l->row[i];
			signed_rows[i].serial = BLOB_OF(serials[i]);
		}
		n_signed = (size_t)batch;
	}
	assert_ok(ledger_record(line, signed_rows, n_signed, f));
}

static void fill_bytes(struct load *l)
{
	for (size_t i = 0; i < sizeof(l->evidence); i++)
		l->evidence[i] = (uint8_t)(i * 131 + i / 7);
	memcpy(l->tbs, l->evidence, sizeof(l->tbs));
}

static void prints_what_each_request_costs(void **state)
{
	static const int sizes[] = { 1, 8, 64, 256 };
	static const char *const names[] = { "enrolments", "repeats", "refusals", "renewals" };
	static struct load l = { .name = "cost" };
	struct world *world = *state;
	const char *wanted = getenv("ASSAY_LEDGER_ROWS");
	int rows = wanted != NULL ? atoi(wanted) : 2000;
	int postmaster = (int)world_count(world, "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");

	l.intend = world_ledger(world, "cost", "intend", WINDOW_S);
	l.record = world_ledger(world, "cost", "record", WINDOW_S);
	l.issued = calloc((size_t)rows + BATCH_MAX, sizeof(*l.issued));
	assert_non_null(l.issued);
	fill_bytes(&l);
	run(&l, ENROL, 32 * 7, 7); /* plans are made */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (enum kind kind = ENROL; kind <= RENEW; kind++) {
			int64_t cpu_us = postgres_cpu_us(postmaster), wall_us = clock_mono_us();
			int n = rows / sizes[i] * sizes[i];

			run(&l, kind, n, sizes[i]);
			printf("%-10s in batches of %3d: %4lld us of PostgreSQL's CPU each, %4lld us of time\n",
			       names[kind], sizes[i], (long long)(postgres_cpu_us(postmaster) - cpu_us) / n,
			       (long long)(clock_mono_us() - wall_us) / n);
		}
	}
	free(l.issued);
	ledger_close(l.intend);
	ledger_close(l.record);
}

/* As the line does it: the signatures of one batch and the intents of the next are one commit. */
static void prints_what_an_enrolment_costs_in_shared_commits(void **state)
{
	static const int sizes[] = { 12, 23, 40, 64 };
	static struct load l = { .name = "line" };
	struct world *world = *state;
	const char *wanted = getenv("ASSAY_LEDGER_ROWS");
	int rows = wanted != NULL ? atoi(wanted) : 2000;
	int postmaster = (int)world_count(world, "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1)");
	struct ledger *line = world_ledger_line(world, "line", WINDOW_S);

	l.issued = calloc((size_t)rows + BATCH_MAX, sizeof(*l.issued));
	assert_non_null(l.issued);
	fill_bytes(&l);
	run_cycles(&l, line, 32 * 7, 7);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int64_t cpu_us = postgres_cpu_us(postmaster), wall_us = clock_mono_us();
		int n = rows / sizes[i] * sizes[i];

		run_cycles(&l, line, n, sizes[i]);
		printf("enrolments in shared commits of %3d: %4lld us of PostgreSQL's CPU each, %4lld us of time\n",
		       sizes[i], (long long)(postgres_cpu_us(postmaster) - cpu_us) / n,
		       (long long)(clock_mono_us() - wall_us) / n);
	}
	free(l.issued);
	ledger_close(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_what_an_enrolment_costs_in_shared_commits),
		cmocka_unit_test(prints_what_each_request_costs),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
