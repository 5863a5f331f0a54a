/*
 * underway.h - how many requests each requester has under way, so that none can fill a lane that others need too.
 *
 * Keyed by who asks ("rig:...", "user:...", a device by its subject), whatever connections, addresses and certificates
 * the requests come by.
 * Only who has something under way takes memory: an entry appears with the first place and goes with the last.
 *
 * Threads: any. The table is cut into parts with a lock each.
 */
#ifndef ASSAY_UNDERWAY_H
#define ASSAY_UNDERWAY_H

#include <stdint.h>

#include "base/reason.h"

struct underway;
struct underway_place; /* one request's; ends with underway_leave() */

struct underway *underway_new(void);           /* NULL when memory is short */
void underway_free(struct underway *underway); /* after the last place has been left; accepts NULL */

/* At most `most` places for this id, 0: as many as come. REASON_REQUESTER_BUSY beyond. */
MUST_CHECK enum reason underway_enter(struct underway *underway, const char *id, unsigned most,
				      struct underway_place **ret_place, struct fault *f);
void underway_leave(struct underway_place *place);       /* accepts NULL */
int64_t underway_count(const struct underway *underway); /* places taken, of all */

#endif
