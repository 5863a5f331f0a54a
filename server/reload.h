/*
 * reload.h - a role's life with files that change under it: on SIGHUP, and by itself when a file has changed.
 *
 * Once a second the files' dates and sizes are looked at; a change is acted on when it has stood for a second, so that
 * files that are written piece by piece, or one after the other, are read when they are done. What cannot be used
 * changes nothing: the log says why, and GAUGE_RELOAD_REFUSED stays 1 until files are good again.
 *
 * What was read at the start alone and has changed, the configuration itself among it, is said once a change
 * ("restart_needed"): the role goes on with what it has.
 *
 * Threads: everything happens on the role's main thread.
 */
#ifndef ASSAY_RELOAD_H
#define ASSAY_RELOAD_H

#include <stddef.h>

#include "config.h"
#include "observe/metrics.h"

struct reloading {
	const struct config *config;
	bool issuers_stay;        /* issuers' certificates, too, are read at the start alone */
	const char *const *paths; /* files, and folders of *.json; NULL among them is left out */
	size_t n;
	enum reason (*reload)(void *role,
			      struct fault *f); /* all of it, or nothing; NULL: there is nothing to reload */
	void *role;
	struct metrics *metrics;
};

/* Until it is time to stop; reloads meanwhile. The exit status. */
int role_serve(const struct reloading *r);

#endif
