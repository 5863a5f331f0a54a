/*
 * ca_cert.h - certificates that are not a device's: CAs, and the servers, rigs and operators around them.
 *
 * Made in key ceremonies and never on the line. The same encoding as issuer.h (tbs.h); the signature comes from the
 * token or, for a software vendor, from a key in memory, and is verified before anybody sees the certificate.
 *
 * Owns:     nothing; ret_der is the caller's.
 * Threads:  pure, but for the token.
 * Spec:     RFC 5280 sections 4.1 and 4.2. CA certificates: basicConstraints and keyUsage critical, no extKeyUsage.
 */
#ifndef ASSAY_CA_CERT_H
#define ASSAY_CA_CERT_H

#include "grant.h"
#include "hsm.h"

struct ca_signer {
	const struct hsm_key *token; /* either this, */
	EVP_PKEY *memory;            /* or this */
	struct blob name;            /* its subject, DER; absent: self-signed, the subject asked for */
};

#define CA_CERT_SANS 8

struct ca_cert_ask {
	size_t n_subject;
	struct name_attr subject[LIMIT_NAME_ATTRS];
	const struct pubkey *key;
	bool ca;
	int path_len;       /* with ca; -1: none */
	unsigned key_usage; /* KU_ bits */
	size_t n_ekus;
	struct oid eku[LIMIT_EKUS];
	size_t n_sans;
	const char *san[CA_CERT_SANS]; /* "dns:localhost", "ip:127.0.0.1", "ip:::1" */
	int64_t not_before_s, not_after_s;
};

/* REASON_CONFIG with the detail if something asked for cannot be in a certificate. The serial is random. */
MUST_CHECK enum reason ca_cert_issue(const struct ca_signer *signer, const struct ca_cert_ask *ask, struct buf *ret_der,
				     struct fault *f);

/* Could this stand in ask.san? */
bool ca_cert_san_fits(const char *san);

/* The public half of a key in memory. */
MUST_CHECK enum reason ca_cert_public(EVP_PKEY *key, struct pubkey *ret_public, struct fault *f);

#endif
