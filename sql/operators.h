/*
 * operators.h - the ledger's side of what operators do, and what they read.
 *
 * Writing goes over a stream of its own ("operate") of the ca; reading is a connection of the reading role that the
 * admin role holds. Answers of reads are JSON made in SQL.
 *
 * Owns:     out buffers are the caller's to free.
 * Threads:  one thread per struct ledger, one per struct inspector.
 */
#ifndef ASSAY_OPERATORS_H
#define ASSAY_OPERATORS_H

#include "ledger.h"

/* A call that changed nothing: who, what, how it ended. Borrowed. */
struct action_note {
	const char *who, *call, *request, *outcome, *note;
};
/* One commit for the batch; ret_first is the first row's number, the others follow. */
MUST_CHECK enum reason ledger_note(struct ledger *ledger, const struct action_note *notes, size_t n,
				   uint64_t *ret_first, struct fault *f);

#define PLAN_BYTES 16
/* Begins a list, or adds to one; ret_n: how many serials it has. REASON_PLAN_UNKNOWN if there is none to add to that is
 * open and theirs. */
MUST_CHECK enum reason ledger_plan_list(struct ledger *ledger, const uint8_t id[PLAN_BYTES], const char *who, bool adds,
					const struct blob *serials, size_t n, uint64_t *ret_n, struct fault *f);

/* A dry run. `by` as plan_select() in the migrations names it; from_s, until_s: 0 for none. */
struct plan {
	uint8_t id[PLAN_BYTES];
	const char *who, *by, *value, *note;
	int64_t from_s, until_s;
	uint8_t reason;
	uint64_t n, already; /* out */
};
MUST_CHECK enum reason ledger_plan(struct ledger *ledger, struct plan *plan, struct fault *f);

/* One piece of a plan, one commit. REASON_PLAN_UNKNOWN, _PLAN_EXPIRED, _SECOND_OPERATOR: nothing was written. */
struct plan_piece {
	const uint8_t *id;
	const char *who, *call, *request;
	uint64_t lifetime_s, two_above; /* more certificates than this need a second operator */
	uint32_t max;                   /* certificates in this piece */
	uint64_t action, n, changed;    /* out */
	bool sent;                      /* out, also of a failure: whether it may have been done */
	bool more;                      /* out: call again */
};
MUST_CHECK enum reason ledger_plan_do(struct ledger *ledger, struct plan_piece *piece, struct fault *f);

/* A plan that was begun and is not done, if there is one: a ca that starts goes on with it. */
MUST_CHECK enum reason ledger_plan_begun(struct ledger *ledger, uint8_t ret_id[PLAN_BYTES],
					 char ret_who[LIMIT_REQUESTER_CHARS + 1], bool *ret_found, struct fault *f);

/* Gives a key rights (active), or takes them away (spki_hash and reason alone count then): those of the keys that it
 * follows or that follow it too, and with them the certificates that the ca issued over them. */
struct registration {
	const char *who, *call, *request, *note;
	const char *kind, *name, *names, *labels;
	const uint8_t *spki_hash;
	bool active;
	uint8_t reason;        /* CRLReason of the certificates */
	const uint8_t *device; /* hash; NULL if no certificate is to follow. REASON_KEY_BOUND: the key is another's */
	uint64_t action; /* out */
};
MUST_CHECK enum reason ledger_register(struct ledger *ledger, struct registration *registration, struct fault *f);

/* A requester renews its own certificate, whose key was `old_key` and which ends at until_s. REASON_REQUESTER_UNKNOWN,
 * _KEY_BOUND, _SUCCESSOR_PENDING: nothing was written. */
struct renewal {
	const char *who, *call, *request;
	const uint8_t *old_key, *new_key; /* hashes; may be the same */
	int64_t until_s;
	uint64_t action; /* out */
};
MUST_CHECK enum reason ledger_renew(struct ledger *ledger, struct renewal *renewal, struct fault *f);
/* Retires keys that others followed and whose time is over; ret_n: how many. */
MUST_CHECK enum reason ledger_lapse(struct ledger *ledger, uint64_t *ret_n, struct fault *f);
/* What the registry says of a key now: kind, name and active of the row. REASON_REQUESTER_UNKNOWN if nothing. */
MUST_CHECK enum reason ledger_requester(struct ledger *ledger, const uint8_t spki_hash[32],
					struct requester_row *ret_row, struct fault *f);

/* Reading. Connects when needed; REASON_LEDGER_AWAY at once when it cannot. */
struct inspector;
MUST_CHECK enum reason inspector_open(const char *conninfo, struct inspector **ret_inspector, struct fault *f);
void inspector_close(struct inspector *inspector); /* accepts NULL */

enum inspection {
	INSPECT_CERTIFICATE,  /* serial */
	INSPECT_PEM,          /* serial: text, not JSON */
	INSPECT_CERTIFICATES, /* after, limit, device, requester, profile, issuer, from, until */
	INSPECT_DEVICE,       /* device */
	INSPECT_DEVICES_OF,   /* element, key_hash */
	INSPECT_EVIDENCE,     /* serial */
	INSPECT_ACTIONS,      /* before, limit, who */
	INSPECT_REQUESTERS,   /* after, limit */
	INSPECT_PLAN,         /* id */
	INSPECT_STATUS,
	INSPECT_AUDIT, /* table, after, limit */
	INSPECT_HEADS, /* after, limit */
	INSPECTIONS
};
/*
 * Runs the api_ function of that name; `args` are texts (hex for bytes, RFC 3339 for times), NULL for none, in the
 * order above. An empty `ret_text` means: there is no such thing.
 */
MUST_CHECK enum reason inspect(struct inspector *inspector, enum inspection what, const char *const *args, size_t n,
			       struct buf *ret_text, struct fault *f);

#endif
