/*
 * ledger.h - the durable record: intents before signatures, signatures before replies.
 *
 * A struct ledger is one connection and one chain stream ("status", "view"), or the line's two ("intend", "record");
 * batches go over as arrays in one call of one function and one commit. Every commit that writes adds a chain row. After a batch the position of
 * the stream is written to the anchor file, and after each reconnect the ledger must still hold that row: if it does
 * not, it has gone back in time and every call is REASON_LEDGER_BEHIND until an operator looks.
 *
 * Owns:     out buffers named below are the caller's to free.
 * Threads:  one thread per struct ledger.
 * Blocks:   a call takes as long as PostgreSQL; away it fails at once with REASON_LEDGER_AWAY and tries to connect
 *           again at most every 200 ms.
 * Errors:   a batch refused for one row's sake (SQLSTATE 22, 23, 54) is split until that row is alone, which gets
 *           REASON_LEDGER_REFUSED; 40P01 and 40001 are tried again; connection errors fail the whole call.
 */
#ifndef ASSAY_LEDGER_H
#define ASSAY_LEDGER_H

#include "grant.h"

struct ledger;
struct ledger_options {
	const char *conninfo; /* of the writing role */
	const char *node; /* this node's name in chains, at most 32 characters */
	const char *anchor_dir; /* where the position of each stream is kept */
	unsigned retry_window_s; /* how long a repeated enrolment gets the same certificate */
};

/* Whether this connection string leads over a network, and not to a Unix socket of this machine. */
MUST_CHECK bool ledger_over_network(const char *conninfo);
/* The file with the password that a connection string names; the caller frees it; NULL if it names none. */
MUST_CHECK char *ledger_passfile(const char *conninfo);

/* Does not need PostgreSQL to be there yet. */
MUST_CHECK enum reason ledger_open(const struct ledger_options *options, const char *stream, struct ledger **ret_ledger,
                                   struct fault *f);
/* One connection for both of the line's streams, "intend" and "record": what ledger_cycle() needs. */
MUST_CHECK enum reason ledger_open_line(const struct ledger_options *options, struct ledger **ret_ledger,
                                        struct fault *f);
void ledger_close(struct ledger *ledger); /* accepts NULL */
/* Connects if needed and checks schema version and anchor. */
MUST_CHECK enum reason ledger_ready(struct ledger *ledger, struct fault *f);

/* From the next connection on, commits that revoke or register, on whatever node, end ledger_wait(). */
void ledger_listen(struct ledger *ledger);
/* Waits for such a commit, for wake_fd to be readable, or for the time; may end early. Without a connection: the latter two. */
void ledger_wait(struct ledger *ledger, int wake_fd, int timeout_ms);

/* After REASON_LEDGER_BEHIND: the chain row that is not there; else 0. */
uint64_t ledger_missing_row(const struct ledger *ledger);

/* What is known of a certificate that a device presents to re-enrol. */
struct previous {
	/* in */
	struct blob serial;
	/* out */
	bool found; /* signed and recorded */
	bool revoked; /* revoked, held or void */
	char profile[LIMIT_PROFILE_CHARS + 1], family[LIMIT_PROFILE_CHARS + 1], issuer[LIMIT_PROFILE_CHARS + 1];
	struct device_id device;
	enum level level;
	uint8_t key_hash[32];
	uint8_t batch_ca[32]; /* zeros: none on record */
	struct buf tbs; /* the caller frees */
};
MUST_CHECK enum reason ledger_previous(struct ledger *ledger, struct previous *batch, size_t n, struct fault *f);

enum intent_outcome {
	INTENT_REFUSED, /* see verdict */
	INTENT_NEW, /* recorded: sign it */
	INTENT_ISSUED, /* this claim has its certificate already */
	INTENT_PENDING, /* this claim's intent is recorded but not signed yet: serial names it */
};

struct intent {
	/* in, all borrowed */
	const struct grant *grant; /* GRANT_REENROL: device, level and family filled in from the previous certificate */
	uint8_t serial[LIMIT_SERIAL_BYTES]; /* out too: the serial that counts */
	size_t serial_len;
	struct blob tbs;
	int64_t not_before_s, not_after_s;
	/* out */
	enum intent_outcome outcome;
	struct fault verdict;
	struct buf certificate; /* INTENT_ISSUED: DER; the caller frees */
};

/*
 * One commit for the batch; rows are sorted by claim inside, so that nodes do not deadlock. Per entry, by the rules
 * "Identity, retry, renewal" of ARCHITECTURE.md: claims already met come back with their certificate, whatever the
 * nonce's freshness; only new ones need grant->freshness == REASON_OK, a nonce that has served no other claim, a key
 * bound to no other device, a unit serial that is free, and room under the issuer's count.
 */
MUST_CHECK enum reason ledger_intend(struct ledger *ledger, struct intent *batch, size_t n, struct fault *f);

struct signed_row {
	struct blob serial;
	struct blob tail; /* AlgorithmIdentifier || BIT STRING */
	enum reason verdict; /* out: REASON_OK, or REASON_CLAIM_REVOKED if the serial was voided meanwhile, or REASON_LEDGER_REFUSED */
};
MUST_CHECK enum reason ledger_record(struct ledger *ledger, struct signed_row *batch, size_t n, struct fault *f);

/*
 * Both in one round trip and one commit: the signatures of the batch before, and the intents of the next; either may
 * be empty. A row at fault in one part does not touch the other. After any other reason than REASON_OK the signatures
 * may be recorded or not (call again with the same rows); the intents must not be signed.
 */
MUST_CHECK enum reason ledger_cycle(struct ledger *ledger, struct signed_row *signatures, size_t n_signatures,
                                    struct intent *batch, size_t n, struct fault *f);

/* Start of a ca: voids every intent of this node that has no signature; ret_n says how many. */
MUST_CHECK enum reason ledger_void_unsigned(struct ledger *ledger, size_t *ret_n, struct fault *f);
/* Voids one intent whose signing failed. */
MUST_CHECK enum reason ledger_void(struct ledger *ledger, struct blob serial, const char *why, struct fault *f);

/* What the other roles have to know: everything after the given numbers, in order, gapless. */
struct revocation_row {
	uint64_t number;
	uint8_t serial_len, serial[LIMIT_SERIAL_BYTES];
	uint8_t reason; /* CRLReason; 8 (removeFromCRL) releases a hold */
	char issuer[LIMIT_PROFILE_CHARS + 1];
	int64_t at_s;
};
struct requester_row {
	uint64_t number; /* a later row with the same key replaces an earlier one */
	char name[LIMIT_REQUESTER_CHARS + 1]; /* "station-7" */
	char kind[16]; /* "rig", "ra", "operator", "auditor", "administrator" */
	char names[LIMIT_NAME_CHARS + 1]; /* ra: pattern of CNs */
	char labels[128]; /* comma-separated, empty: any */
	uint8_t spki_hash[32];
	bool active;
};
#define LEDGER_NEWS_MAX 5000 /* revocations in one call: some tens of milliseconds */
struct ledger_news {
	struct revocation_row *revocation; /* allocated */
	size_t n_revocations;
	struct requester_row *requester; /* allocated */
	size_t n_requesters;
	bool more; /* the call stopped at its cap: ask again at once */
};
MUST_CHECK enum reason ledger_news(struct ledger *ledger, uint64_t after_revocation, uint64_t after_requester,
                                   struct ledger_news *ret_news, struct fault *f);
void ledger_news_done(struct ledger_news *news);

/* Records the hash of a policy that has been loaded, once per hash. */
MUST_CHECK enum reason ledger_policy(struct ledger *ledger, const uint8_t hash[32], const char *what, struct fault *f);

/* The next CRL number of an issuer, and everything revoked under it (holds included, releases taken out; void serials too). */
MUST_CHECK enum reason ledger_crl(struct ledger *ledger, const char *issuer, uint64_t *ret_number,
                                  struct revocation_row **ret_rows, size_t *ret_n, struct fault *f);
/*
 * The same of one list among several. A complete one says how far it goes (its entries may know more, never less), and a
 * delta upon it starts there: releases are in a delta, with reason 8.
 */
enum ledger_list { LEDGER_COMPLETE, LEDGER_DELTA, LEDGER_SHARD };
struct ledger_crl {
	/* in */
	const char *issuer;
	enum ledger_list list;
	uint64_t after;         /* LEDGER_DELTA: what a complete list gave as upto */
	unsigned shard, shards; /* LEDGER_SHARD */
	/* out */
	uint64_t number;
	uint64_t upto;               /* revocations up to this number are in it */
	struct revocation_row *rows; /* the caller frees */
	size_t n;
};
MUST_CHECK enum reason ledger_crl_list(struct ledger *ledger, struct ledger_crl *crl, struct fault *f);
/* Records the SHA-256 of the TBSCertList that is going to be signed under that number: before the token is asked. */
MUST_CHECK enum reason ledger_crl_intend(struct ledger *ledger, const char *issuer, uint64_t number,
                                         const uint8_t tbs_hash[32], struct fault *f);
/* How many certificates each of n issuers has had intended in this hour, by the database's clock. */
struct issuer_hour {
	int64_t hour; /* since 1970 */
	uint32_t own, others; /* by this node, by all others */
};
MUST_CHECK enum reason ledger_hour(struct ledger *ledger, const char *const *issuers, size_t n,
                                   struct issuer_hour *ret_hours, struct fault *f);
/* The number of shards that this issuer's certificates name, which `shards` becomes if there is none yet. */
MUST_CHECK enum reason ledger_crl_shards(struct ledger *ledger, const char *issuer, unsigned shards, unsigned *ret_hold,
					 struct fault *f);
/* Newest wall time in the ledger, Unix seconds: a clock behind it must not issue. */
MUST_CHECK enum reason ledger_newest(struct ledger *ledger, int64_t *ret_s, struct fault *f);

#endif
