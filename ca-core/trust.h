/*
 * trust.h - one list of trust anchors and the paths that lead to them.
 *
 * Every use has a list of its own (rigs, own issuing CAs, vendors' TLS CAs, vendor roots per evidence format), so
 * that an anchor of one never vouches for another. A CA certificate met for the first time is checked in full (path,
 * signatures, path lengths, critical extensions, dates) and remembered; a leaf under a remembered CA then costs
 * its parse and one claim, and the certificates above that CA need not come along again. Dates are looked at anew at
 * every use. At most LIMIT_BUNDLE_CERTS certificates may come with a leaf, at most LIMIT_CHAIN_DEPTH make a path.
 *
 * Owns:     copies of the anchors; trust_free() frees all.
 * Threads:  read-only after open but for what is remembered, which has locks of its own.
 * Spec:     RFC 5280 section 6, without policies and name constraints: a CA with a critical extension other than
 *           basicConstraints and keyUsage is refused.
 * Does not: check revocation.
 */
#ifndef ASSAY_TRUST_H
#define ASSAY_TRUST_H

#include "cert.h"

struct trust;

/* `what` names the list in refusals. PEM with any number of certificates; none at all is an error. */
MUST_CHECK enum reason trust_open(const char *what, const char *pem_path, struct trust **ret_trust, struct fault *f);
/* The same from PEM bytes: for tests and for lists that were pushed. */
MUST_CHECK enum reason trust_open_pem(const char *what, struct blob pem, struct trust **ret_trust, struct fault *f);
void trust_free(struct trust *trust); /* accepts NULL */
AUTO_FREE(struct trust, trust_freep, trust_free)

/* Is this one of the CA certificates that are remembered, byte for byte? Then it is read and known already. */
bool trust_has_ca(const struct trust *trust, struct blob der);

struct trust_path {
	uint8_t root_spki_hash[32]; /* the anchor's key: "vendor root" in a device's identity */
	uint8_t issuer_hash[32]; /* SHA-256 of the SPKI of the leaf's issuer */
};

/*
 * Finds the path from leaf to an anchor through `untrusted` (any order, extra ones ignored), checks dates of every
 * certificate at now_s, that no unknown critical extension is there and that the leaf is not a CA, and adds the
 * leaf's signature to `claims` (refusal REASON_CHAIN_SIGNATURE), which the caller must have checked before it
 * believes ret_path. Anchors' own dates are checked too. A leaf that is itself an anchor is refused.
 */
MUST_CHECK enum reason trust_path(struct trust *trust, const struct cert *leaf, const struct blob *untrusted,
                                  size_t n_untrusted, int64_t now_s, struct claims *claims,
                                  struct trust_path *ret_path, struct fault *f);

/*
 * For leaves that come again and again, as rigs' do with each connection. What trust_path() led to `path`: has its
 * signature been found good before, under that very key? Then its claim need not be checked again. Remembered is what
 * the caller says after its claims_check().
 */
bool trust_leaf_known(struct trust *trust, const struct cert *leaf, const struct trust_path *path);
void trust_leaf_remember(struct trust *trust, const struct cert *leaf, const struct trust_path *path);

#endif
