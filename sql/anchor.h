/*
 * anchor.h - the position of one chain stream, kept outside the ledger: how a ledger that went back in time is seen.
 *
 * The file <dir>/chain.<stream> holds one line of fixed length, the sequence number and the hash of the last row that
 * PostgreSQL said was durable. It is written after each batch and forced to disk at most once a second: an anchor
 * that is a second old still names a row that must exist. It has its full length from the beginning, so that a disk
 * that fills up later takes nothing from it; where it cannot be written all the same, nothing is asked of the ledger
 * until it can.
 *
 * Owns:     the file's descriptor.
 * Threads:  one thread per struct anchor.
 */
#ifndef ASSAY_ANCHOR_H
#define ASSAY_ANCHOR_H

#include "base/blob.h"

struct position {
	uint64_t seq;     /* 0: nothing written yet */
	uint8_t hash[32]; /* of row seq; zeros for seq 0 */
};

struct anchor {
	int fd;
	char path[512];
	int64_t synced_us;
	bool failed; /* the file is behind the position */
};

/* Opens or creates the file; ret_position is what it holds, seq 0 if it is new. REASON_CONFIG if it cannot be read,
 * REASON_LEDGER_AWAY if there is no room for it. */
MUST_CHECK enum reason anchor_open(const char *dir, const char *stream, struct anchor *ret_anchor,
				   struct position *ret_position, struct fault *f);
MUST_CHECK enum reason anchor_write(struct anchor *anchor, const struct position *position, struct fault *f);
/* Writes again what could not be written. */
MUST_CHECK enum reason anchor_mend(struct anchor *anchor, const struct position *position, struct fault *f);
/* The position in another stream's file, which its session may be writing; false if there is none to be had. */
bool anchor_peek(const char *path, struct position *ret_position);
void anchor_close(struct anchor *anchor);

#endif
