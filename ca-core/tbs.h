/*
 * tbs.h - the pieces that certificates and CRLs are written from, whoever signs them.
 *
 * Everything is written backwards (derw.h): extensions last one first, then tbs_certificate() for all that stands
 * before them. The hot path (issuer.h) and the ceremony (ca_cert.h) share these, so that there is one encoding.
 *
 * Threads:  pure.
 * Spec:     RFC 5280 sections 4.1, 4.2 and 5.1; RFC 4108 section 5 (hardwareModuleName).
 */
#ifndef ASSAY_TBS_H
#define ASSAY_TBS_H

#include "derw.h"
#include "grant.h"

#define KEY_ID_BYTES 20            /* SHA-1 */
#define TBS_BYTES LIMIT_CERT_BYTES /* room for one TBSCertificate; ours are under 1 KiB */

/* What a key of this type signs with: SHA-384 for P-384, SHA-256 for P-256 and RSA; SIG_NONE for other types. */
enum sig_alg tbs_alg_of(const struct pubkey *key);
void tbs_algorithm(struct derw *w, enum sig_alg alg); /* AlgorithmIdentifier */
/* AlgorithmIdentifier and BIT STRING: what follows the TBS in certificate and CRL. */
void tbs_tail(struct derw *w, enum sig_alg alg, struct blob signature);

/* Name, in the order given: C and serialNumber as PrintableString, all others as UTF8String. */
void tbs_name(struct derw *w, const struct name_attr *attrs, size_t n);

/*
 * RFC 5280 section 4.2.1.2, method 1: SHA-1 over the BIT STRING's octets. It only names a key and protects nothing;
 * it is what OpenSSL, GnuTLS and Go compute by themselves when they look for an issuer.
 */
void tbs_key_id(const struct pubkey *key, uint8_t out[KEY_ID_BYTES]);

/* Whole Extensions. */
void ext_wrap(struct derw *w, enum oid_id id, bool critical,
	      const uint8_t *mark);                     /* what was written since is the value */
void ext_basic(struct derw *w, bool ca, int path_len);  /* critical; path_len -1: none */
void ext_key_usage(struct derw *w, unsigned key_usage); /* critical */
void ext_eku(struct derw *w, const struct oid *eku, size_t n);
void ext_san(struct derw *w, const struct san *san, size_t n);
void ext_ski(struct derw *w, struct blob key_id);
void ext_aki(struct derw *w, struct blob key_id);
void ext_aia(struct derw *w, const char *ca_issuers_url, const char *ocsp_url); /* either may be NULL, not both */
void ext_crldp(struct derw *w, const char *crl_url);
void ext_freshest(struct derw *w, const char *delta_url);
void ext_no_rev_avail(struct derw *w); /* RFC 9608 section 2 */
/* issuingDistributionPoint { fullName }, critical. Not onlyContainsUserCerts: OpenSSL and others need no more to take
 * the list for a certificate that names this URL. */
void ext_idp(struct derw *w, const char *crl_url);
/* assay.3.1: SEQUENCE { format OID, level ENUMERATED, evidenceHash OCTET STRING (SHA-256) } */
void ext_result(struct derw *w, const struct oid *format, enum level level, struct blob evidence);

struct tbs_fields {
	struct blob serial;          /* magnitude, big endian */
	struct blob algorithm;       /* AlgorithmIdentifier, DER */
	struct blob issuer, subject; /* Name, DER */
	int64_t not_before_s, not_after_s;
	const struct pubkey *key;
};
/* Version 3; what was written since `mark` are the extensions. */
void tbs_certificate(struct derw *w, const struct tbs_fields *fields, const uint8_t *mark);

#endif
