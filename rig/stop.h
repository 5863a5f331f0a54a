/*
 * stop.h - Ctrl-C: devices in hand are finished, no new one is begun.
 *
 * Threads: stop_install() once, before any thread; the others from anywhere.
 */
#ifndef RIG_STOP_H
#define RIG_STOP_H

#include "basics.h"

/* SIGINT and SIGTERM ask for a stop; a second one ends the program at once. */
MUST_CHECK bool stop_install(struct trouble *t);
bool stop_requested(void);
/* Waits that long, or until a stop is asked for: true then. */
MUST_CHECK bool stop_wait(double ms);

#endif
