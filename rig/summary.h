/*
 * summary.h - what a run came to: how many, how fast, where the time went, what went wrong.
 *
 * Threads: pure.
 */
#ifndef RIG_SUMMARY_H
#define RIG_SUMMARY_H

#include "station.h"

#define SUMMARY_REASONS_MAX 8 /* kinds of failure that are told apart */

struct summary_step {
	double p50_ms, p99_ms, max_ms;
};

struct summary {
	size_t boards, begun, enrolled, failed;
	unsigned stations;
	unsigned long retries;
	double seconds;
	struct summary_step step[STEP_COUNT], total; /* of those enrolled */
	size_t n_reasons;
	struct {
		const struct outcome *first;
		size_t count;
	} reason[SUMMARY_REASONS_MAX];
};

/* Points into outcomes. False when memory is short. */
MUST_CHECK bool summary_make(const struct outcome *outcomes, size_t boards, unsigned stations, double seconds,
			     struct summary *ret_summary);
void summary_table(const struct summary *summary, FILE *out);
void summary_failures(const struct summary *summary, FILE *out);
void summary_json(const struct summary *summary, FILE *out); /* one object, one line */

#endif
