/*
 * request.h - the certificate request (PKCS#10) that a rig forwards, signed by the element.
 *
 * Threads: pure, but for what the element does.
 * Spec:    RFC 2986 section 4, draft-ietf-lamps-csr-attestation-29 section 4.
 */
#ifndef RIG_REQUEST_H
#define RIG_REQUEST_H

#include "element.h"

struct request {
	const char *common_name; /* NULL: empty subject, the server names the device by what was attested */
	const struct element_evidence *evidence; /* NULL: none */
	/*
	 * Re-enrolment with a new key: the certificate to be replaced; the present key then signs for the new one
	 * (attribute assay.4.1), which proves the succession to anybody, without trust in the CA. NULL: none.
	 */
	const X509 *previous;
};

/* For the key in NEXT; DER. */
MUST_CHECK bool request_build(struct element *element, const struct request *request, struct bytes *ret_der,
			      struct trouble *t);

#endif
