/*
 * line.h - a line of stations: queues, threads, batches.
 *
 * A role's table of struct station *is* its request path. Each station takes everything that waits at it, up to its
 * cap, as one batch: under light load a batch is one job and the wait is minimal; under load batches grow by
 * themselves. No timers.
 *
 * Owns:     threads and queues; jobs belong to whoever has them in hand (a queue, or the station's work function).
 * Threads:  line_put() from anywhere. `work` runs on the station's own threads, which it may block.
 */
#ifndef ASSAY_LINE_H
#define ASSAY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct metrics;

/* Embedded as the first member of whatever moves along the line. */
struct job {
	struct job *next;
	int64_t entered_us; /* clock_mono_us() when it was put */
};

#define LINE_LANES_MAX 5

/* A lane of a station's queue. Taking turns by weight: a lane never starves, a busy one never starves another. */
struct lane {
	const char *name;
	unsigned weight; /* jobs taken per round */
	unsigned cap;    /* waiting jobs; line_put() refuses beyond */
};

struct station {
	const char *name;
	/* Must pass every job on (line_put, or answer it). `thread` counts from 0 within the station. */
	void (*work)(void *role, unsigned thread, struct job **batch, size_t n);
	unsigned threads;
	unsigned batch;                    /* most jobs in one batch */
	struct lane lanes[LINE_LANES_MAX]; /* an entry without name ends the list; at least one */
};

struct line;
/* Copies the table. */
MUST_CHECK enum reason line_open(const struct station *stations, size_t n, void *role, struct metrics *metrics,
				 struct line **ret_line, struct fault *f);
/* Before the first line_put(): how many one thread of a station takes at present, 1 to `batch`, so that the others find
 * the rest. Called under the station's lock. */
void line_share(struct line *line, unsigned station, unsigned (*most)(void *role));
/* False if the lane is full or the line is closing: the job stays the caller's. */
MUST_CHECK bool line_put(struct line *line, unsigned station, unsigned lane, struct job *job);
/* As line_put(), but nobody is woken before line_wake(): for several that come together and are best taken as one
 * batch. */
MUST_CHECK bool line_lay(struct line *line, unsigned station, unsigned lane, struct job *job);
void line_wake(struct line *line, unsigned station);
/* For a station's own thread, at work on a batch: takes what has come meanwhile, up to n, without waiting. */
MUST_CHECK size_t line_more(struct line *line, unsigned station, struct job **batch, size_t n);
/* Lets every station finish what waits, in order, then joins all threads; line_put() refuses from then on. */
void line_drain(struct line *line);
/* Drains, then frees: nobody may put any more. Accepts NULL. */
void line_close(struct line *line);

#endif
