/*
 * status.h - what OCSP asks of the ledger: the state of certificates, the responder's certificates, and the record of
 * what is going to be signed.
 *
 * Owns:     ret_ buffers are the caller's.
 * Threads:  one thread per struct ledger.
 * Errors:   as ledger.h has them.
 */
#ifndef ASSAY_STATUS_H
#define ASSAY_STATUS_H

#include "ledger.h"
#include "ocsp.h"

struct status_row {
	/* in, borrowed */
	const char *issuer;
	struct blob serial;
	/* out */
	enum ocsp_status status; /* void is OCSP_REVOKED; what is not signed yet, or another issuer's, OCSP_UNKNOWN */
	uint8_t reason;          /* OCSP_REVOKED: CRLReason */
	int64_t at_s;
};
MUST_CHECK enum reason ledger_status(struct ledger *ledger, struct status_row *rows, size_t n, struct fault *f);
/* Records the SHA-256 of each ResponseData that is going to be signed, one after the other: one row, one commit. */
MUST_CHECK enum reason ledger_status_intend(struct ledger *ledger, struct blob hashes, struct fault *f);

/* The certificate of this key under this issuer that lives longest; empty if there is none. */
struct responder_row {
	int64_t not_before_s, not_after_s;
	struct buf certificate;
};
MUST_CHECK enum reason ledger_responder(struct ledger *ledger, const char *issuer, const uint8_t key_hash[32],
					struct responder_row *ret_row, struct fault *f);

struct responder_intent {
	const char *issuer;
	struct blob serial, tbs;
	const uint8_t *key_hash;
	int64_t not_before_s, not_after_s;
};
/* Before its signature, and after. */
MUST_CHECK enum reason ledger_responder_intend(struct ledger *ledger, const struct responder_intent *intent,
					       struct fault *f);
MUST_CHECK enum reason ledger_responder_record(struct ledger *ledger, struct blob serial, struct blob tail,
					       struct fault *f);

#endif
