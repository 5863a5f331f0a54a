/*
 * drive.h - the stations: one thread, one epoll, each station a small state machine with a connection of its own.
 *
 * Closed loop: a station begins its next board when it has finished one. Open loop (takt): a station begins a board
 * every takt, and its time counts from when it should have begun, so that a slow server cannot hide its waiting times
 * by slowing the load down (coordinated omission).
 *
 * A 503 is waited out as Retry-After says and counted; a lost connection is opened again and the same request sent
 * again, which the server promises to be safe.
 *
 * Owns:     the caller's boards and times; everything else ends with drive_run().
 * Threads:  one.
 */
#ifndef BENCH_DRIVE_H
#define BENCH_DRIVE_H

#include "board.h"
#include "wire.h"

enum work {
	WORK_ENROL,     /* nonce, attested enrolment */
	WORK_RENEW,     /* re-enrolment of a device over its own connection, with its own certificate */
	WORK_HANDSHAKE, /* a handshake, nothing else: the peer need not speak EST */
	WORK_HOLD,      /* one request, then the connection stays open */
};

enum connections { CONNECT_KEEP, CONNECT_FULL, CONNECT_RESUMED };

struct drive_result {
	size_t begun, done, failed, retried, lost;
	double seconds;
	double *whole_ms,
		*request_ms;      /* of the done; the caller frees; from the (intended) start; of the last request */
	double retry_after_min_s; /* smallest Retry-After seen; 0: none */
	size_t refused_without_retry_after;
	char tls[96];
	struct trouble first; /* failure */
};

struct drive_plan {
	enum work work;
	enum connections connections;
	const char *label; /* EST label */
	struct wire_context *context;
	struct board *boards; /* n of them; NULL where the work needs none */
	size_t n;
	unsigned stations;
	double takt_s;       /* 0: closed loop */
	double seconds;      /* no board begins later; 0: until all are done */
	bool until_input;    /* no board begins once standard input has something to read or has ended */
	void (*begin)(void); /* the connections are there, the clock starts; may be NULL */
	void (*end)(const struct drive_result *result); /* the connections are still there; may be NULL */
};

MUST_CHECK bool drive_run(const struct drive_plan *plan, struct drive_result *ret_result, struct trouble *t);
void drive_result_done(struct drive_result *result);

#endif
