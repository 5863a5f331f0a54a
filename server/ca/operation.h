/*
 * operation.h - what the files of the operate station share: an operator's call in hand, and its end. The station and
 * notes: operate.c; plans and revocations: plans.c; the registry: requesters.c.
 *
 * Owns:    an operation is the task's that has it, until it is answered, refused, freed, or comes round again.
 * Threads: the station's one thread, but for what the line tells of a certificate and publish.h of an order: each goes
 *          on with an operation that the station has let go.
 */
#ifndef ASSAY_CA_OPERATION_H
#define ASSAY_CA_OPERATION_H

#include "ca/ca.h"
#include "channel/operate.h"

struct operation {
	struct job job;        /* first */
	struct channel *asker; /* NULL: nobody waits any more */
	uint64_t frame_id;
	struct operate ask;
	int64_t came_us;
	bool lapses;     /* our own: keys whose time is over are retired */
	uint64_t action; /* recorded, while the certificate that follows is made */
	bool looks;      /* for plans that were begun and cut off: ask is the plan it found last */
	bool begun;      /* its plan: some of it is in the ledger */
	uint64_t changed, n;
};

struct operations {
	struct ca *ca;
	struct ledger *ledger;
	struct line *line;
	bool looking; /* an operation that looks is in the line; of its thread */
};

/* How it ends. Each but the two that tell frees it. */
void operation_free(struct operation *op);
void operation_answer(struct operation *op, const struct operated *done);
/* What a part of ours says of itself is for the log; the operator reads what became of the call. */
void operation_refuse(struct operation *op, const struct fault *fault);
void operation_end(struct operation *op, enum reason reason, const struct operated *done, const struct fault *fault);
/* Nobody waits for more than one answer. */
void operation_tell(struct operation *op, const struct operated *done);
void operation_tell_fault(struct operation *op, enum reason reason, const char *detail);
/* To the end of the line, so that other calls pass; false when it stops. */
MUST_CHECK bool operation_again(struct operations *all, struct operation *op);

/* plans.c */
MUST_CHECK enum reason plans_list(struct operations *all, struct operation *op, struct operated *done, struct fault *f);
MUST_CHECK enum reason plans_make(struct operations *all, struct operation *op, struct operated *done, struct fault *f);
void plans_revoke(struct operations *all, struct operation *op); /* comes round again until its plan is done */
/* Does a piece of a plan that was begun and is not done; looks again until there is none, however long the ledger is
 * away. */
void plans_resume(struct operations *all, struct operation *op);

/* requesters.c */
MUST_CHECK enum reason requesters_register(struct operations *all, struct operation *op, struct operated *done,
					   struct fault *f);
void requesters_enrol(struct operations *all, struct operation *op); /* and renews */
void requesters_lapse(struct operations *all, struct operation *op);

#endif
