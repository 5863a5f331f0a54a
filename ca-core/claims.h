/*
 * claims.h - signatures that still have to be checked, as data, and the one place that checks them.
 *
 * Parsers (CSR, evidence, chains) never verify: they add a claim. A station checks the claims of a whole batch at
 * once, so that a new evidence format cannot forget to verify and a faster engine fits in at one place.
 *
 * Owns:     nothing: key, message and signature are borrowed and must outlive claims_check().
 * Threads:  a struct claims belongs to one enrolment; claims_check() may run on several threads at once.
 */
#ifndef ASSAY_CLAIMS_H
#define ASSAY_CLAIMS_H

#include "base/blob.h"
#include "base/limits.h"
#include "pubkey.h"

enum sig_alg {
	SIG_NONE,
	SIG_ECDSA_SHA256,
	SIG_ECDSA_SHA384,
	SIG_ECDSA_SHA512,
	SIG_RSA_SHA256, /* PKCS#1 v1.5 */
	SIG_RSA_SHA384,
	SIG_RSA_SHA512,
	SIG_RSA_PSS_SHA256, /* salt as long as the hash */
	SIG_ALG_COUNT
};

enum sig_form { SIG_FORM_DER, SIG_FORM_RAW }; /* ECDSA: SEQUENCE { r, s }, or r || s (COSE, JOSE, ATECC) */

struct claim {
	const struct pubkey *key;
	enum sig_alg alg;
	enum sig_form form;
	bool prehashed; /* message is the digest itself (elements that sign a digest) */
	bool often;     /* the key is that of a CA with a checked path, or our own: it may get a table (ecdsa_table.h) */
	struct blob message;
	struct blob signature;
	enum reason refusal; /* what the enrolment is refused for if this does not verify */
	const char *what;    /* static text for the log: "CSR", "quote", "chip certificate" */
};

struct claims {
	size_t n;
	struct claim item[LIMIT_CLAIMS];
	size_t n_keys;
	struct pubkey keys[LIMIT_CLAIM_KEYS]; /* claims_keep_key() */
};

/* None, for the next use: what is beyond the counts is never read. */
static inline void claims_clear(struct claims *claims)
{
	claims->n = claims->n_keys = 0;
}

/* Does this algorithm go with this type of key? SIG_NONE goes with none. */
bool sig_alg_fits(enum sig_alg alg, enum key_type type);

/*
 * Adds a claim; refuses an algorithm that does not fit the key's type at once, with claim.refusal, and
 * REASON_INTERNAL past LIMIT_CLAIMS.
 */
MUST_CHECK enum reason claims_add(struct claims *claims, struct claim claim, struct fault *f);

/* Copies a key into the claims, for claims whose key nobody else keeps that long (an issuer from a cache). */
MUST_CHECK enum reason claims_keep_key(struct claims *claims, const struct pubkey *key, const struct pubkey **ret_key,
				       struct fault *f);

/* One claim, at once: for CA certificates met for the first time, whose result others wait for. */
MUST_CHECK bool claim_holds(const struct claim *claim);

/* Checks every claim of every entry. verdict[i].reason is REASON_OK or the refusal of i's first false claim. */
void claims_check(struct claims *const *batch, size_t n, struct fault *verdict);

#endif
