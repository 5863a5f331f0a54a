/*
 * head.h - signed heads in the ledger: the next one's text, made of one moment and on record before it is signed, then
 * its signature. What a head says: server/ca/heads.h.
 *
 * Owns:     ret_ buffers are the caller's.
 * Threads:  one thread per struct ledger.
 * Errors:   as ledger.h has them.
 */
#ifndef ASSAY_LEDGER_HEADS_H
#define ASSAY_LEDGER_HEADS_H

#include "ledger.h"

struct head_intent {
	/* in: what the token gave this process, and how old the last head may become while nothing moves */
	int64_t since_s;
	uint64_t signatures;
	unsigned age_s;
	/* out */
	uint64_t number; /* 0: nothing moved, nothing is recorded */
	struct buf text; /* to be signed, byte for byte */
};
MUST_CHECK enum reason ledger_head_intend(struct ledger *ledger, struct head_intent *head, struct fault *f);
MUST_CHECK enum reason ledger_head_record(struct ledger *ledger, uint64_t number, struct blob signature,
					  struct fault *f);
/* The newest signed head of this node as a line for outside; empty if there is none. */
MUST_CHECK enum reason ledger_head_newest(struct ledger *ledger, struct buf *ret_line, struct fault *f);

#endif
