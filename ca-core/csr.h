/*
 * csr.h - a PKCS#10 request as a view into its DER, with everything an EST client may have asked for.
 *
 * Owns:     nothing: blobs point into the DER given.
 * Threads:  pure.
 * Spec:     RFC 2986 section 4, RFC 7030 section 4.2.1, draft-ietf-lamps-csr-attestation-29 section 4.
 * Does not: decide what may be had (policy/), nor verify (the signature becomes a claim).
 */
#ifndef ASSAY_CSR_H
#define ASSAY_CSR_H

#include "cert.h"

struct csr {
	struct blob der;
	struct blob subject; /* Name, whole DER; may be the empty SEQUENCE */
	struct pubkey key;
	struct blob san;    /* requested GeneralNames, whole DER; absent if none */
	bool asks_ca;       /* basicConstraints with cA TRUE */
	unsigned key_usage; /* requested KU_ bits, 0 if none */
	size_t n_ekus;
	struct oid eku[LIMIT_EKUS];
	struct blob evidence;   /* the one AttestationBundle, whole DER; absent if none */
	struct blob challenge;  /* challengePassword's characters; absent if none */
	struct blob continuity; /* the OCTET STRING's bytes of assay.4.1; absent if none */
	bool asks_change_name;  /* changeSubjectName, RFC 6402 */
};

/*
 * One DER PKCS#10, nothing after it. Attributes and requested extensions that Assay has no use for (AKI, SKI and
 * CRLDP as some clients copy them) are ignored; so is the order of attributes; a repeated attribute or extension is
 * refused; two attestation attributes, or an attribute with two bundles, are REASON_EVIDENCE_DUPLICATE. Its
 * self-signature goes to claims (refusal REASON_CSR_SIGNATURE).
 */
MUST_CHECK enum reason csr_parse(struct blob der, struct csr *ret_csr, struct claims *claims, struct fault *f);

#endif
