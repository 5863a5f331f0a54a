/*
 * bundle.h - an AttestationBundle taken apart, still unread: statements and certificates.
 *
 * Owns:    nothing: blobs point into the DER given.
 * Threads: pure.
 * Spec:    draft-ietf-lamps-csr-attestation-29 section 4 and appendix B (module with IMPLICIT TAGS).
 */
#ifndef ASSAY_BUNDLE_H
#define ASSAY_BUNDLE_H

#include "base/blob.h"
#include "base/limits.h"

struct bundle {
	size_t n_statements;
	struct {
		struct blob type; /* content octets of the OID */
		struct blob stmt; /* whole DER element */
	} statement[LIMIT_STATEMENTS];
	size_t n_certs;
	struct blob certs[LIMIT_BUNDLE_CERTS]; /* X.509 certificates, whole DER; `other` ones are left out */
};

/* REASON_EVIDENCE_DER for anything malformed, over a limit, in an earlier draft's shape, or with a forbidden choice. */
MUST_CHECK enum reason bundle_parse(struct blob der, struct bundle *ret_bundle, struct fault *f);

#endif
