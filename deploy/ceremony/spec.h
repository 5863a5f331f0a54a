/*
 * spec.h - what a key ceremony is to make, read from JSON and checked whole before anything is touched.
 *
 * quickstart.json beside this file is the example. Paths are relative to the home. Keys of the objects:
 *   root, issuers[]   name (its key's label in the token and its file, ca/<name>.pem), key (ec-p256, ec-p384, rsa-2048,
 *                     rsa-3072, rsa-4096), cn, validity ("15y", "90d", "none")
 *   certificates[]    cn, issuer (the name of one), file, key_file, chain (append the issuer's), eku[] (names or OIDs),
 *                     san[] ("dns:NAME", "ip:ADDRESS"), validity; their keys are P-256, made in software. With
 * token_key (a label) instead of key_file the key is made in the token and stays there: the one that signs heads
 *   trust[]           file, issuers[]: a list of trust anchors
 *   custodians[]      names; or, with quorum, objects of name and key (public, PEM: openssl pkey -pubout)
 *   quorum            how many custodians have to sign the transcript (quorum.h)
 *   root_token        like token, where the root's key is: a ceremony in parts (ceremony.h); absent: in token
 *   ocsp_key          the label of a P-256 key for OCSP answers; the ca issues its certificates itself
 *   software_vendor   true: also a vendor of software secure elements, for trying things out
 *
 * A home whose ceremony was held without an ocsp_key, or without a certificate with token_key, gets them added, with a
 * transcript of their own.
 *
 * Owns:    everything it points to; spec_free() frees it.
 * Threads: one.
 */
#ifndef ASSAY_CEREMONY_SPEC_H
#define ASSAY_CEREMONY_SPEC_H

#include <jansson.h>

#include "ca_cert.h"

#define SPEC_ISSUERS_MAX LIMIT_ISSUERS
#define SPEC_ENDS_MAX 32
#define SPEC_TRUST_MAX 8
#define SPEC_NO_EXPIRY (-1)

struct spec_ca {
	const char *name, *cn;
	enum key_type type;
	unsigned rsa_bits;
	int64_t validity_s; /* SPEC_NO_EXPIRY: none */
};

struct spec_end {
	const char *cn, *file, *key_file, *token_key; /* one of the two keys is NULL */
	size_t issuer;                                /* in ca[] */
	bool chain;
	size_t n_ekus;
	struct oid eku[LIMIT_EKUS];
	size_t n_sans;
	const char *san[CA_CERT_SANS];
	int64_t validity_s;
};

struct spec_trust {
	const char *file;
	size_t n;
	size_t issuer[SPEC_ISSUERS_MAX]; /* in ca[] */
};

struct spec_token {
	const char *module, *label, *pin_file, *so_pin_file;
};

struct spec {
	json_t *json;       /* owns the strings */
	uint8_t sha256[32]; /* of the file */
	const char *organization;
	json_t *custodians;                  /* array as in the file, borrowed from json */
	unsigned quorum;                     /* 0: none */
	struct spec_token token, root_token; /* root_token.module NULL: the root is in token */
	const char *nonce_key, *ocsp_key;    /* ocsp_key may be NULL */
	size_t n_cas;                        /* ca[0] is the root */
	struct spec_ca ca[1 + SPEC_ISSUERS_MAX];
	size_t n_ends;
	struct spec_end end[SPEC_ENDS_MAX];
	size_t n_trust;
	struct spec_trust trust[SPEC_TRUST_MAX];
	bool software_vendor;
};

MUST_CHECK enum reason spec_load(const char *path, struct spec **ret_spec, struct fault *f);
void spec_free(struct spec *spec); /* accepts NULL */
AUTO_FREE(struct spec, spec_freep, spec_free)

#endif
