/*
 * quote.h - inside attestation/: what a quote (assay.1.1) says, before anybody has decided to believe it.
 *
 * Owns:    nothing: blobs point into the bytes given.
 * Threads: pure.
 * Spec:    README.md of this folder; RFC 9052 section 4.2 (COSE_Sign1), RFC 9053 sections 2.1 and 7.1, RFC 8392,
 *          RFC 8747 section 3.2 (cnf), RFC 9711 (EAT).
 */
#ifndef ASSAY_QUOTE_H
#define ASSAY_QUOTE_H

#include "claims.h"

/* claim -80000 */
#define QUOTE_ON_CHIP (1U << 0) /* generated on the chip */
#define QUOTE_NO_EXPORT (1U << 1)
#define QUOTE_OWN_PURPOSE (1U << 2) /* signs only for its owner's purpose */
#define QUOTE_DERIVED (1U << 3)     /* derived from a secret injected at personalisation */
#define QUOTE_FLAGS (QUOTE_ON_CHIP | QUOTE_NO_EXPORT | QUOTE_OWN_PURPOSE | QUOTE_DERIVED)

#define QUOTE_PROFILE "urn:uuid:a281f728-f5f8-4676-b182-37bdb2822fa5"

struct quote {
	enum sig_alg alg;
	enum key_type signer;  /* the curve that alg stands for here */
	struct blob protected; /* as received: the signature is over these */
	struct blob payload;
	struct blob signature; /* r || s */
	struct blob nonce;
	struct blob ueid;
	struct pubkey key; /* claim 8; on its curve */
	uint64_t flags;
};

/* The DER OCTET STRING with the COSE_Sign1. REASON_EVIDENCE_CONTENT, _PROFILE, _FLAGS, or KEY_ reasons for claim 8. */
MUST_CHECK enum reason quote_parse(struct blob stmt, struct quote *ret_quote, struct fault *f);

#endif
