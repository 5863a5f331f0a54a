/*
 * soft_quote.h - the quote assay.1.1: a secure element's own statement about a key, as a COSE_Sign1.
 *
 * Threads: pure.
 * Spec:    RFC 9052 section 4.2 and 4.4 (COSE_Sign1), RFC 9711 (EAT claims), RFC 8949 section 4.2.1 (deterministic
 *          encoding), RFC 9053 section 2.1 (ECDSA) and 7.1.1 (EC2 keys).
 */
#ifndef RIG_SOFT_QUOTE_H
#define RIG_SOFT_QUOTE_H

#include "basics.h"

#define ASSAY_ARC "1.2.840.113556.1.8000.2554.41601.63272.62968.18038.45442.3653042.8531877"
#define ASSAY_OID_QUOTE ASSAY_ARC ".1.1"
#define ASSAY_OID_KP_QUOTE ASSAY_ARC ".2.1" /* extended key usage: signs nothing but quotes */
#define ASSAY_OID_CONTINUITY ASSAY_ARC ".4.1"
#define ASSAY_EAT_PROFILE "urn:uuid:a281f728-f5f8-4676-b182-37bdb2822fa5"

/* Bits of claim -80000 */
#define QUOTE_GENERATED_ON_CHIP 1U
#define QUOTE_NOT_EXPORTABLE 2U
#define QUOTE_OWN_PURPOSE_ONLY 4U /* signs only for its owner's purpose */
#define QUOTE_INJECTED_SECRET 8U  /* derived from a secret put in at personalisation */

struct soft_quote {
	const uint8_t *nonce;
	size_t nonce_len;
	const uint8_t *ueid;
	size_t ueid_len;
	EVP_PKEY *key;       /* the attested key: P-256 or P-384 */
	unsigned properties; /* QUOTE_ bits */
	const char *version; /* of the applet; NULL leaves the claim out */
};

/* The tagged COSE_Sign1, signed with ES256 or ES384 as attestation_key's curve demands. */
MUST_CHECK bool soft_quote_build(const struct soft_quote *quote, EVP_PKEY *attestation_key, struct bytes *ret_cose,
				 struct trouble *t);

#endif
