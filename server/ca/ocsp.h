/*
 * ocsp.h - the ca's part of OCSP: the delegated responder's certificates, and answers on record before they are signed.
 *
 * A station of its own ("ocsp") beside the line, with a ledger stream of its own, so that neither a long CRL nor a
 * flood of questions holds up the other. What the va asks for is a question alone: the state of each certificate is
 * looked up here. One commit records the hashes of a whole batch of answers; then they go to the sign station on the
 * lane that gets the fewest turns. Signatures are rationed (status.ocsp_s): questions with a nonce, which nobody else
 * can use the answer of, have three quarters of the ration, so that there is always something left to fill the va's
 * memory with.
 *
 * Certificates: one under each issuer for the one key, made by the ca for itself when there is none or half of the time
 * is over in which the configured kind serves (certificates.responder). One that is in the ledger is used again after a
 * restart, and by other nodes with the same key.
 *
 * Threads: what is marked so below is the station's one thread's; `lock` guards the ration.
 */
#ifndef ASSAY_CA_OCSP_H
#define ASSAY_CA_OCSP_H

#include "ca/ca.h"
#include "channel/status_frames.h"
#include "status.h"

#define OCSP_BATCH 64                           /* questions in one commit */
#define OCSP_VALIDITY_S 3600                    /* of an answer; the va asks for a new one at its half */
#define RESPONDER_BACKDATE_S 3600               /* relying parties' clocks */
#define RESPONDER_LAST_S (OCSP_VALIDITY_S + 60) /* no answer that its signer's certificate would not outlive */

/* A responder's certificate, shared by the answers that carry it. */
struct certificate {
	atomic_uint references;
	struct buf der;
};

struct responder {
	struct ocsp_issuer id;
	struct certificate *certificate; /* NULL: none yet */
	int64_t not_after_s;
};

struct ocsp_desk {
	struct ledger *ledger;     /* the station's */
	const struct hsm_key *key; /* between keys_use() and keys_used(); NULL: away */
	bool key_known;            /* the token has been there: these two stay as they are */
	struct pubkey public;
	uint8_t key_hash[32];
	struct responder responder[LIMIT_ISSUERS]; /* the station's, but for id: read only */
	struct status_row row[OCSP_BATCH * LIMIT_OCSP_IDS];
	struct issue *issue[OCSP_BATCH];
	_Atomic int64_t look_at_us; /* when to look after the certificates again */
	pthread_mutex_t lock;
	double ration;
	int64_t rationed_us;
};

/* A question on its way; issue->tbs and issue->tail are its answer's. */
struct ocsp_job {
	struct message_ocsp_ask ask;
	size_t issuer;           /* index */
	enum ocsp_status status; /* of the first */
	int64_t this_s, next_s;
	struct certificate *certificate;
};
void ocsp_job_free(struct ocsp_job *job); /* accepts NULL */

/* Nothing is opened, and *ret_desk stays NULL, when the configuration names no responder. */
MUST_CHECK enum reason ocsp_open(struct ca *ca, struct ocsp_desk **ret_desk, struct fault *f);
void ocsp_close(struct ocsp_desk *desk); /* accepts NULL */
/* keys.c's: the key comes with the token, and goes with it, while nobody signs. */
MUST_CHECK enum reason ocsp_attach(struct ca *ca, struct fault *f);
void ocsp_detach(struct ocsp_desk *desk); /* accepts NULL */
/* A frame of the va's. A reason other than OK ends the connection. */
MUST_CHECK enum reason ocsp_take(struct ca *ca, struct channel *channel, const struct frame *frame, struct fault *f);
/* From time to time: looks after the certificates, whether anybody asks or not. */
void ocsp_nudge(struct ca *ca);
/* The sign station's: makes the signature of an answer. */
MUST_CHECK enum reason ocsp_sign_answer(struct ca *ca, struct issue *issue, unsigned slot, struct fault *f);
/* The sign station's: an answer is signed, or issue->fault says why not. */
void ocsp_signed(struct ca *ca, struct issue *issue);
void station_ocsp(void *role, unsigned thread, struct job **batch, size_t n);

#endif
