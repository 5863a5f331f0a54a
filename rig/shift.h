/*
 * shift.h - N boards over S stations: one thread and one kept-alive connection a station.
 *
 * Owns:    the caller's outcomes, one a board.
 * Threads: shift_run() starts them and joins them.
 */
#ifndef RIG_SHIFT_H
#define RIG_SHIFT_H

#include "progress.h"
#include "station.h"

struct shift {
	const struct plan *plan;
	size_t boards;
	unsigned stations;
	bool stop_on_first; /* failure */
};

/* Fills outcomes; those of boards not begun (stopped before) stay zero. False if a station cannot be set up. */
MUST_CHECK bool shift_run(const struct shift *shift, struct progress *progress, struct outcome *outcomes,
			  struct trouble *t);

/* Asks /cacerts and fills plan->trust and plan->intermediates; plan_done() frees them. */
MUST_CHECK bool plan_fetch_trust(struct plan *plan, struct trouble *t);
void plan_done(struct plan *plan);

#endif
