/*
 * ocsp.h - OCSP: requests as hostile bytes, answers from structured data.
 *
 * The va parses what strangers send; the ca builds ResponseData from (issuer, hash, serial, status) alone, and its
 * token signs it with a delegated responder's key.
 *
 * Owns:     a request's blobs point into the DER given; built bytes are the caller's.
 * Threads:  pure.
 * Spec:     RFC 6960 section 4; RFC 5019 (what lightweight clients send); RFC 9654 (nonces of 1 to 128 octets).
 * Does not: verify signatures of requests: they are optional, and say nothing that an answer would depend on.
 */
#ifndef ASSAY_OCSP_H
#define ASSAY_OCSP_H

#include "cert.h"

enum ocsp_hash { OCSP_SHA1, OCSP_SHA256, OCSP_HASHES };

/* How an issuer is named in a CertID, by each hash; made once an issuer. */
struct ocsp_issuer {
	uint8_t name[OCSP_HASHES][32], key[OCSP_HASHES][32];
};
size_t ocsp_hash_len(enum ocsp_hash hash); /* 20 or 32 */
void ocsp_issuer_of(const struct cert *issuer, struct ocsp_issuer *ret_issuer);

struct ocsp_cert_id {
	bool known_hash; /* else the rest but `serial` is unset, and nobody's certificate is meant */
	enum ocsp_hash hash;
	bool null_params; /* the AlgorithmIdentifier has NULL parameters: an answer repeats the form */
	struct blob name_hash, key_hash;
	struct blob serial; /* content octets of the INTEGER */
	struct blob whole;  /* the CertID, DER */
};

struct ocsp_request {
	size_t n;
	struct ocsp_cert_id id[LIMIT_OCSP_IDS];
	struct blob nonce; /* the octets of RFC 9654's OCTET STRING; absent without */
};

/* REASON_OCSP_REQUEST for anything malformed, a critical extension that is not known, no CertID or too many. */
MUST_CHECK enum reason ocsp_parse(struct blob der, struct ocsp_request *ret_request, struct fault *f);
/* Does the CertID name this issuer? */
bool ocsp_names(const struct ocsp_cert_id *id, const struct ocsp_issuer *issuer);

enum ocsp_status { OCSP_GOOD, OCSP_REVOKED, OCSP_UNKNOWN };

struct ocsp_single {
	enum ocsp_hash hash;
	bool null_params;
	const struct ocsp_issuer *issuer;
	uint8_t serial_len, serial[LIMIT_SERIAL_BYTES];
	enum ocsp_status status;
	uint8_t reason; /* OCSP_REVOKED: CRLReason; 0 is omitted */
	int64_t revoked_s;
	int64_t this_s, next_s;
};

/* ResponseData, DER: what is signed. Responder by the hash of `responder`'s key; nonce may be absent. */
MUST_CHECK enum reason ocsp_build(const struct pubkey *responder, const struct ocsp_single *single, size_t n,
				  struct blob nonce, int64_t produced_s, struct buf *ret_tbs, struct fault *f);
/* OCSPResponse, DER: tbs, tail (AlgorithmIdentifier || BIT STRING, as issuer_sign() gives it), responder's certificate.
 */
MUST_CHECK enum reason ocsp_assemble(struct blob tbs, struct blob tail, struct blob certificate, struct buf *ret_der,
				     struct fault *f);

/*
 * The delegated responder's certificate (RFC 6960 section 4.2.2.2): OCSPSigning alone, digitalSignature, and ocsp-nocheck
 * (4.2.2.2.1), for it lives too short to be worth revoking. issuer_check() lets no grant have this usage: the ca makes
 * these certificates for its own key, by itself.
 */
struct issuer;
struct hsm_key;
MUST_CHECK enum reason ocsp_build_responder(const struct issuer *issuer, const struct pubkey *key, struct blob serial,
					    int64_t not_before_s, int64_t not_after_s, struct buf *ret_tbs,
					    struct fault *f);
/* Signs ResponseData with the responder's key and verifies the result; ret_tail as issuer_sign() gives it. */
MUST_CHECK enum reason ocsp_sign(const struct hsm_key *key, unsigned slot, struct blob tbs, struct buf *ret_tail,
				 struct fault *f);

/* OCSPResponse without an answer, RFC 6960 section 4.2.1: five octets that live for ever. */
enum ocsp_error { OCSP_MALFORMED = 1, OCSP_INTERNAL = 2, OCSP_TRY_LATER = 3, OCSP_UNAUTHORIZED = 6 };
struct blob ocsp_error(enum ocsp_error error);

#endif
