/*
 * operate.h - what an operator asks of the ca, as structured data: the admin role reads JSON, this goes over.
 *
 * Every call of the admin API ends as one operator_action row of the ledger, refused ones too: a call that changes
 * nothing is noted (OPERATE_NOTE) before it is answered, a call that changes something is recorded in the commit that
 * changes it. Revoking is two steps: a plan selects, counts and shows (the dry run); its id is the token that does it.
 *
 * Certificates of requesters (enrol, renew) are made by the ca from the registry's words and a key; the request's
 * signature has been checked by the admin role, which alone reads it.
 *
 * Owns:     `serials`, `sample` and `certificate`; operate_done() and operated_done() free them.
 * Threads:  values.
 * Spec:     reasons are CRLReason of RFC 5280 section 5.3.1.
 */
#ifndef ASSAY_OPERATE_H
#define ASSAY_OPERATE_H

#include "base/blob.h"
#include "base/limits.h"
#include "pubkey.h"

enum operate_op {
	OPERATE_NOTE = 1,     /* a call that changed nothing, or was refused: recorded only */
	OPERATE_LIST = 2,     /* serials of a list that comes in pieces: begins `plan`, or adds to it (by: SELECT_LIST) */
	OPERATE_PLAN = 3,     /* dry run: what would be revoked, held or released; nothing is */
	OPERATE_REVOKE = 4,   /* does plan `plan` */
	OPERATE_REGISTER = 5, /* gives a key rights, or other rights */
	OPERATE_RETIRE = 6,   /* takes a key's rights and certificates away */
	OPERATE_PUBLISH = 7,  /* signs the CRLs of an issuer (`value`; empty: of all) anew */
	OPERATE_ENROL = 8,    /* as OPERATE_REGISTER, and a certificate over `key` */
	OPERATE_RENEW = 9,    /* one's own: a certificate over `key`, in place of that of spki_hash, serial `serials` */
	OPERATE_OPS
};

/* What a plan selects by; `value` as said, dates in from_s and until_s. */
enum select_by {
	SELECT_NONE = 0,
	SELECT_SERIAL,   /* hex */
	SELECT_DEVICE,   /* the ledger's device hash, hex */
	SELECT_ORDER,    /* order's name */
	SELECT_RIG,      /* requester's name: "rig:<name>" in issuance */
	SELECT_PROFILE,  /* profile's name */
	SELECT_BATCH_CA, /* SHA-256 of the batch CA's SPKI, hex */
	SELECT_ELEMENT,  /* element id, hex */
	SELECT_KEY,      /* SHA-256 of the certificate's SPKI, hex */
	SELECT_ISSUED,   /* issued in [from_s, until_s) */
	SELECT_LIST,     /* the serials that OPERATE_LIST gathered in `plan` */
	SELECT_COUNT
};

#define OPERATE_VALUE_CHARS 255
#define OPERATE_NOTE_CHARS 200    /* why, in the operator's words; printable ASCII */
#define OPERATE_CALL_CHARS 200    /* "GET /v1/certificates?device=...", for the record */
#define OPERATE_LIST_SERIALS 4000 /* in one OPERATE_LIST */
#define OPERATE_PLAN_BYTES 16
#define OPERATE_PLAN_LIFETIME_S 900 /* a dry run older than this has to be made again */
#define CRL_REASON_CESSATION 5 /* cessationOfOperation: why a retired requester's certificates end, if nothing is said */
#define CRL_REASON_HOLD 6
#define CRL_REASON_RELEASE 8 /* removeFromCRL: ends a hold */

struct operate {
	enum operate_op op;
	char who[LIMIT_REQUESTER_CHARS + 1]; /* "operator:alice"; "stranger" if nobody could be made out */
	char call[OPERATE_CALL_CHARS + 1];
	char request[17];    /* id of the HTTP request: in log, answer and ledger */
	enum reason outcome; /* OPERATE_NOTE: how the call ended */
	char note[OPERATE_NOTE_CHARS + 1];

	uint8_t plan[OPERATE_PLAN_BYTES];    /* LIST, PLAN with SELECT_LIST, REVOKE; zeros: none */
	enum select_by by;                   /* PLAN, LIST */
	char value[OPERATE_VALUE_CHARS + 1]; /* PLAN */
	int64_t from_s, until_s;
	uint8_t reason;     /* PLAN: CRLReason, 6 holds, 8 releases holds */
	struct buf serials; /* LIST: u8 length and octets, each; RENEW: octets of the serial presented, until_s its end */

	/* REGISTER, ENROL, RETIRE (spki_hash and reason alone) */
	char kind[16], name[81], names[LIMIT_NAME_CHARS + 1], labels[128];
	uint8_t spki_hash[32];
	struct pubkey key; /* ENROL, RENEW; else KEY_NONE */
};

struct operated {
	enum reason reason; /* REASON_OK, or why not */
	char detail[256];   /* what the operator is told beside the reason */
	uint64_t action;    /* number of the operator_action row; 0 if none was written */
	uint64_t n;         /* PLAN: selected; REVOKE: revoked by this plan, in all; LIST: gathered so far */
	uint64_t already;   /* PLAN: of these, revoked before; REVOKE: left alone */
	uint8_t plan[OPERATE_PLAN_BYTES];
	int64_t expires_s; /* PLAN */
	struct buf certificate; /* ENROL, RENEW: DER */
	struct buf sample; /* PLAN: JSON array of at most 20 certificates, as the ledger's api functions write them;
			    * PUBLISH: JSON array of the lists with their numbers */
};

void operate_done(struct operate *operate);
void operated_done(struct operated *operated);

/* Bodies of FRAME_OPERATE and FRAME_OPERATED. Decoding refuses (REASON_CHANNEL_FRAME) every value out of its range. */
MUST_CHECK enum reason operate_encode(const struct operate *operate, struct buf *ret_body, struct fault *f);
MUST_CHECK enum reason operate_decode(struct blob body, struct operate *ret_operate, struct fault *f);
MUST_CHECK enum reason operated_encode(const struct operated *operated, struct buf *ret_body, struct fault *f);
MUST_CHECK enum reason operated_decode(struct blob body, struct operated *ret_operated, struct fault *f);

#endif
