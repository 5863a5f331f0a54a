/*
 * cert.h - a certificate as a view into its DER, read with own ASN.1 templates (5 us instead of 89).
 *
 * Owns:     nothing: every blob points into the DER given, which must outlive the struct.
 * Threads:  pure.
 * Spec:     RFC 5280 section 4.1. DER is checked, not assumed, but for three departures of secure elements' vendors
 * that cert.c names. Does not: verify signatures or paths (trust.h), nor decide who may do what (policy/).
 */
#ifndef ASSAY_CERT_H
#define ASSAY_CERT_H

#include "claims.h"
#include "oid.h"
#include "pubkey.h"

/* keyUsage bits as X.509 numbers them */
#define KU_DIGITAL_SIGNATURE (1U << 0)
#define KU_NON_REPUDIATION (1U << 1)
#define KU_KEY_ENCIPHERMENT (1U << 2)
#define KU_DATA_ENCIPHERMENT (1U << 3)
#define KU_KEY_AGREEMENT (1U << 4)
#define KU_KEY_CERT_SIGN (1U << 5)
#define KU_CRL_SIGN (1U << 6)
#define KU_ENCIPHER_ONLY (1U << 7)
#define KU_DECIPHER_ONLY (1U << 8)

struct cert {
	struct blob der;             /* whole */
	struct blob tbs;             /* what is signed */
	struct blob serial;          /* content octets of the INTEGER */
	struct blob issuer, subject; /* Name, whole DER */
	struct blob san;             /* GeneralNames, whole DER; absent if none */
	struct blob ski, aki;        /* key identifiers; absent if none */
	struct blob signature;       /* of the BIT STRING */
	enum sig_alg alg;
	struct pubkey key;
	int64_t not_before_s, not_after_s; /* Unix time; TIME_NO_EXPIRY for 99991231235959Z */
	bool has_basic, is_ca;
	int path_len; /* -1: none */
	bool has_key_usage;
	unsigned key_usage; /* KU_ bits */
	size_t n_ekus;
	struct oid eku[LIMIT_EKUS];
	bool unknown_critical; /* a critical extension that Assay does not process */
};

/* REASON_CHAIN_DER for anything malformed (also over LIMIT_CERT_BYTES, trailing bytes, repeated extensions); KEY_
 * reasons for its key. */
MUST_CHECK enum reason cert_parse(struct blob der, struct cert *ret_cert, struct fault *f);
bool cert_has_eku(const struct cert *cert, enum oid_id eku);

/* One attribute of a Name, as text: false if absent, repeated, not printable or longer than LIMIT_NAME_CHARS. */
MUST_CHECK bool name_get(struct blob name, enum oid_id attribute, char out[LIMIT_NAME_CHARS + 1]);
bool name_empty(struct blob name); /* the SEQUENCE without elements, or absent */

#endif
