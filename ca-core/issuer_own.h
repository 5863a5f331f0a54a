/*
 * issuer_own.h - what the files behind issuer.h and ca_cert.h share; nobody else includes it.
 *
 * Everything that is the same in each certificate of an issuer is encoded once, at issuer_open().
 */
#ifndef ASSAY_ISSUER_OWN_H
#define ASSAY_ISSUER_OWN_H

#include <stdatomic.h>

#include "issuer.h"
#include "tbs.h"

#define ISSUER_FIXED_BYTES 2048 /* AKI, AIA and CRLDP: three URLs and headers */

struct issuer {
	char name[LIMIT_PROFILE_CHARS + 1];
	struct buf der;
	struct cert cert;          /* points into der */
	const struct hsm_key *key; /* NULL without a token */
	enum sig_alg alg;
	enum level level_min, level_max;
	uint64_t validity_max_s;
	uint32_t hourly_max;
	struct buf algorithm;     /* AlgorithmIdentifier */
	struct buf fixed;         /* the Extensions AKI, AIA */
	struct buf fixed_quiet;   /* the same without an OCSP responder */
	struct buf crldp;         /* CRLDP of the complete list; empty without a URL */
	struct buf freshest;      /* freshestCRL, for the complete list; empty without a URL */
	char *crl_base_url;       /* NULL without */
	unsigned crl_shards;
	_Atomic uint64_t counted; /* the hour since 1970 in the upper half, certificates in it in the lower */
	_Atomic uint64_t elsewhere; /* the same of all other nodes, as the ledger said last */
};

#define CRL_URL_BYTES (LIMIT_SAN_CHARS + 16)
/* crl.c; both of an issuer that has crl_base_url */
void issuer_shard_url(const struct issuer *issuer, unsigned shard, char out[CRL_URL_BYTES]);
void issuer_delta_url(const struct issuer *issuer, char out[CRL_URL_BYTES]);

/* A signature of ours, checked before anybody sees it: REASON_TOKEN_AWAY if it does not verify. */
MUST_CHECK enum reason signed_verify(const struct pubkey *key, enum sig_alg alg, struct blob tbs, struct blob signature,
				     struct fault *f);

#endif
