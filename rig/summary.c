/*
 * summary.c - percentiles by sorting: a run has thousands of boards, not millions of millions.
 */
#include "summary.h"

#include <jansson.h>
#include <string.h>

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nearest rank: the smallest value with at least that share at or below it. */
static double percentile(const double *sorted, size_t n, unsigned percent)
{
	size_t rank = (n * percent + 99) / 100;

	return sorted[rank == 0 ? 0 : rank - 1];
}

static struct summary_step figures(double *values, size_t n)
{
	if (n == 0)
		return (struct summary_step){ 0 };
	qsort(values, n, sizeof(*values), by_size);
	return (struct summary_step){ percentile(values, n, 50), percentile(values, n, 99), values[n - 1] };
}

static double total_ms(const struct outcome *outcome)
{
	double sum = 0;

	for (size_t i = 0; i < STEP_COUNT; i++)
		sum += outcome->ms[i];
	return sum;
}

/* Failures are of one kind when the server gave one name, or else when they read alike. */
static bool same_reason(const struct outcome *a, const struct outcome *b)
{
	if (a->reason[0] != '\0' || b->reason[0] != '\0')
		return strcmp(a->reason, b->reason) == 0;
	return a->last == b->last && strcmp(a->trouble.text, b->trouble.text) == 0;
}

static void count_reason(struct summary *s, const struct outcome *outcome)
{
	for (size_t i = 0; i < s->n_reasons; i++) {
		if (same_reason(s->reason[i].first, outcome)) {
			s->reason[i].count++;
			return;
		}
	}
	if (s->n_reasons < SUMMARY_REASONS_MAX) {
		s->reason[s->n_reasons].first = outcome;
		s->reason[s->n_reasons].count = 1;
		s->n_reasons++;
	}
}

static void count(struct summary *s, const struct outcome *outcome)
{
	if (!outcome->begun)
		return;
	s->begun++;
	s->retries += outcome->retries;
	if (outcome->ok) {
		s->enrolled++;
	} else {
		s->failed++;
		count_reason(s, outcome);
	}
}

bool summary_make(const struct outcome *outcomes, size_t boards, unsigned stations, double seconds,
		  struct summary *ret_summary)
{
	struct summary s = { .boards = boards, .stations = stations, .seconds = seconds };
	AUTO(auto_free) double *values = calloc(boards + 1, sizeof(*values));

	if (values == NULL)
		return false;
	for (size_t i = 0; i < boards; i++)
		count(&s, &outcomes[i]);
	for (size_t step = 0; step <= STEP_COUNT; step++) {
		struct summary_step *to = step < STEP_COUNT ? &s.step[step] : &s.total;
		size_t n = 0;

		for (size_t i = 0; i < boards; i++)
			if (outcomes[i].ok)
				values[n++] = step < STEP_COUNT ? outcomes[i].ms[step] : total_ms(&outcomes[i]);
		*to = figures(values, n);
	}
	*ret_summary = s;
	return true;
}

static double rate(const struct summary *s)
{
	return s->seconds > 0 ? (double)s->enrolled / s->seconds : 0;
}

static void row(FILE *out, const char *name, const struct summary_step *step)
{
	(void)fprintf(out, "%-16s %10.2f %10.2f %10.2f\n", name, step->p50_ms, step->p99_ms, step->max_ms);
}

void summary_table(const struct summary *summary, FILE *out)
{
	if (summary->enrolled > 0) {
		(void)fprintf(out, "%-16s %10s %10s %10s\n", "step", "p50 ms", "p99 ms", "max ms");
		for (size_t i = 0; i < STEP_COUNT; i++)
			row(out, step_names[i], &summary->step[i]);
		row(out, "board", &summary->total);
	}
	(void)fprintf(
		out,
		"%zu of %zu devices got their certificate, %zu failed, %lu retries, %u station%s, %.2f s, %.1f/s\n",
		summary->enrolled, summary->boards, summary->failed, summary->retries, summary->stations,
		summary->stations == 1 ? "" : "s", summary->seconds, rate(summary));
}

void summary_failures(const struct summary *summary, FILE *out)
{
	for (size_t i = 0; i < summary->n_reasons; i++) {
		const struct outcome *first = summary->reason[i].first;

		(void)fprintf(out, "%zu failed at %s, the first (%s): %s\n", summary->reason[i].count,
			      step_names[first->last], first->id[0] == '\0' ? "no identity yet" : first->id,
			      first->trouble.text);
	}
}

static json_t *step_json(const struct summary_step *step)
{
	return json_pack("{s:f, s:f, s:f}", "p50", step->p50_ms, "p99", step->p99_ms, "max", step->max_ms);
}

void summary_json(const struct summary *summary, FILE *out)
{
	json_t *object = json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "devices", (json_int_t)summary->boards,
				   "enrolled", (json_int_t)summary->enrolled, "failed", (json_int_t)summary->failed,
				   "retries", (json_int_t)summary->retries, "stations", (json_int_t)summary->stations,
				   "seconds", summary->seconds, "rate", rate(summary));
	json_t *steps = json_object(), *failures = json_array();

	for (size_t i = 0; i < STEP_COUNT; i++)
		(void)json_object_set_new(steps, step_names[i], step_json(&summary->step[i]));
	(void)json_object_set_new(steps, "board", step_json(&summary->total));
	for (size_t i = 0; i < summary->n_reasons; i++) {
		const struct outcome *first = summary->reason[i].first;

		(void)json_array_append_new(failures, json_pack("{s:I, s:s, s:s, s:s, s:s}", "count",
								(json_int_t)summary->reason[i].count, "step",
								step_names[first->last], "reason", first->reason,
								"ueid", first->id, "text", first->trouble.text));
	}
	(void)json_object_set_new(object, "ms", steps);
	(void)json_object_set_new(object, "failures", failures);
	(void)json_dumpf(object, out, JSON_COMPACT | JSON_REAL_PRECISION(7));
	(void)fputc('\n', out);
	json_decref(object);
}
