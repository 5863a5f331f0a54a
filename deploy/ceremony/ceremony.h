/*
 * ceremony.h - key ceremonies, whole or in parts.
 *
 * ceremony_hold(): everything in one token, for trying things out and for one machine. In parts, when the root's key is
 * never to meet the server (the spec names a "root_token"): ceremony_request() on the server makes the issuing keys and
 * requests for them; ceremony_certify() on the machine that stays off the net makes the root, at its first time, and
 * certifies the requests; ceremony_accept() on the server takes the certificates and makes what is left. Each part
 * prints what it does and leaves a transcript; the server's holds the root's. The custodians sign it then: quorum.h.
 *
 * All are idempotent as far as keys go: a home with a transcript is left alone, one half made is refused.
 *
 * Threads: one. `module` overrides the spec's PKCS#11 module when not NULL.
 */
#ifndef ASSAY_CEREMONY_H
#define ASSAY_CEREMONY_H

#include "spec.h"

MUST_CHECK enum reason ceremony_hold(const struct spec *spec, const char *home, const char *module, struct fault *f);

/* `out`: a new folder, <issuer>.csr (PKCS#10, PEM) for each issuer. */
MUST_CHECK enum reason ceremony_request(const struct spec *spec, const char *home, const char *module, const char *out,
					struct fault *f);
/* `requests`: that folder. `out`: a new one: root.pem, <issuer>.pem, the transcript as ceremony.json. */
MUST_CHECK enum reason ceremony_certify(const struct spec *spec, const char *home, const char *module,
					const char *requests, const char *out, struct fault *f);
/* `certified`: that folder; of a CA that is not Assay's it may lack the transcript. */
MUST_CHECK enum reason ceremony_accept(const struct spec *spec, const char *home, const char *module,
				       const char *certified, struct fault *f);

/* The root's CRL, PEM, into the new file `out` and below `home`/crl/: who was on an earlier one stays. Relying parties that
 * check whole chains want it before the last one has run out. `revoked`: an issuer of the spec, or NULL. */
MUST_CHECK enum reason ceremony_crl(const struct spec *spec, const char *home, const char *module, const char *revoked,
				    unsigned days, const char *out, struct fault *f);

#endif
