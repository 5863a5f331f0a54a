/*
 * station.h - one station of the load: a state machine with a connection of its own; inside of drive.h.
 *
 * It goes through phases: open a connection where there is none, ask for the nonce, send the request, read the answer,
 * next. station_advance() is called whenever epoll or the clock has something for it and goes on until it must wait.
 *
 * Threads:  one, the drive's.
 */
#ifndef BENCH_STATION_H
#define BENCH_STATION_H

#include "drive.h"
#include "due.h"

enum phase { PHASE_REST, PHASE_OPEN, PHASE_NONCE, PHASE_REQUEST, PHASE_LEAVE, PHASE_PAUSE, PHASE_HELD, PHASE_OVER };

struct drive;

struct station {
	struct drive *drive;
	struct wire wire;
	enum phase phase, next; /* next: after opening or a pause */
	size_t board;
	unsigned lost;
	bool primed, busy;
	int64_t due_ns, request_ns;
	size_t ready; /* bytes of a request that is being tried again */
};

struct drive {
	const struct drive_plan *plan;
	int epoll;
	struct due due;
	struct presign_room *room;
	struct station *stations;
	char nonce_request[256];
	size_t nonce_request_len;
	bool running; /* the clock has started */
	bool stopping;
	unsigned active; /* stations that are not over */
	int64_t began_ns;
	struct drive_result result;
};

int64_t station_now_ns(void);
/* The phase that stands in s->phase begins: there may be a connection or not. */
void station_start(struct station *s);
void station_advance(struct station *s);
/* A pause is over. */
void station_due(struct station *s);
void station_pause_until(struct station *s, enum phase next, int64_t at_ns);

#endif
