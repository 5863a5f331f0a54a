/*
 * progress.h - how far a run is: a bar on a terminal, a line every tenth otherwise, nothing when quiet.
 *
 * Threads: one thread draws.
 */
#ifndef RIG_PROGRESS_H
#define RIG_PROGRESS_H

#include "basics.h"

enum progress_style { PROGRESS_QUIET, PROGRESS_LINES, PROGRESS_BAR };

struct progress {
	enum progress_style style;
	FILE *out;
	size_t total;
	double begin_ms;
	unsigned tenths; /* lines printed so far */
};

/* A bar where `out` is a terminal, else lines. */
void progress_init(struct progress *progress, FILE *out, size_t total, bool quiet);
void progress_show(struct progress *progress, size_t done, size_t failed);
void progress_end(struct progress *progress, size_t done, size_t failed); /* the bar's last state, and a newline */

#endif
