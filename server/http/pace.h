/*
 * pace.h - how long the next newcomer waits in the anteroom (anteroom.h).
 *
 * Beside clients at work over connections that last, one comes in every 10 ms a core: that is some 2 ms of work, so a
 * fifth of a busy machine, whatever its size. Three quarters of it are waited whatever the machine says: a line that
 * waits for its disk leaves processors idle all the time, and handshakes taken in each such moment would meet it when
 * it comes back. The last quarter ends as soon as a processor is idle.
 *
 * With nobody at work newcomers have the machine, but no more of them come in than it can serve: when a power cut is
 * over, devices and stations come back together, and who begins to work then would have all those handshakes before
 * him. So it is also as beside work while many have come in and have not asked for anything yet: clients that stall in
 * their handshakes make others slower that way, and hold up nobody.
 *
 * Threads: the acceptor's.
 */
#ifndef ASSAY_PACE_H
#define ASSAY_PACE_H

#include <stdint.h>

#define PACE_CORE_US 10000
#define PACE_FREE_CORE_US 2000  /* a handshake and what follows it */
#define PACE_FREE_TURNS 8       /* in one go, for to wait has its price too: by then an idle processor has work */
#define PACE_BEGINNERS_CORE 16  /* more than that keep a processor no busier */
#define PACE_AT_WORK_US 2000000 /* a station at a takt of 2 s is at work */

struct pace {
	unsigned processors;
	unsigned turns; /* newcomers since the last wait, with nobody at work */
};

/* First asleep, then until a processor is idle. */
struct pace_rest {
	int64_t sleep_us, lull_us;
};

/* After one has come in. quiet_us: since the last request over a connection that lasts; beginners: connections without
 * a request so far. */
struct pace_rest pace_next(struct pace *pace, int64_t quiet_us, unsigned beginners);

#endif
