/*
 * issuer.h - an issuing CA: its certificate, its key in the token, its own rules, and the bytes it makes.
 *
 * The order on the line: issuer_check() (the ca's own rules, whatever it was asked), issuer_build() (TBS), the
 * ledger's intent, issuer_sign() or issuer_make() and issuer_prove() (signature, verified before anybody sees it), the
 * ledger's record.
 *
 * Owns:     issuer_open() reads the certificate; the caller frees with issuer_free().
 * Threads:  read-only after open but for the hourly count, which is atomic.
 * Spec:     RFC 5280 sections 4.1 and 4.2; serials: 01, three bytes of day since 1970, three of time, twelve random.
 */
#ifndef ASSAY_ISSUER_H
#define ASSAY_ISSUER_H

#include "grant.h"
#include "hsm.h"

#define SERIAL_BYTES 19

struct issuer;

/* Whom an issuer's certificates are for. One of another use than devices never signs what the ra grants, but for
 * renewals of rigs, and its certificates are no device's. */
enum issuer_use { ISSUER_DEVICES, ISSUER_RIGS, ISSUER_SERVICES };

struct issuer_options {
	const char *name; /* "attested" */
	enum issuer_use use;
	const char *certificate;    /* PEM path */
	const char *key_label;      /* in the token */
	enum level level_min;       /* lowest level this issuer signs: attested issuers refuse LEVEL_NONE */
	enum level level_max;       /* highest: the unattested issuer takes LEVEL_NONE only */
	uint64_t validity_max_s;    /* 0: only the issuer's own notAfter bounds it */
	uint32_t hourly_max;        /* certificates per hour; what a breached ra could have at most */
	uint32_t device_hourly;     /* of these, what one device gets by renewal; 0: no bound */
	const char *ca_issuers_url; /* AIA; may be NULL */
	const char *crl_url;        /* CRLDP: the complete list's; may be NULL, and with it the next is */
	const char *crl_base_url;   /* before "/<shard>.crl" and "-delta.crl" */
	unsigned crl_shards; /* 0: none; else a power of two up to CRL_SHARDS_MAX, and it can never change: certificates
				name theirs */
	const char *ocsp_url; /* AIA; may be NULL */
};

/* hsm NULL: no key yet, or none ever (va, ra): verification, names and CRL reading work. */
MUST_CHECK enum reason issuer_open(const struct issuer_options *options, struct hsm *hsm, struct issuer **ret_issuer,
				   struct fault *f);
/* Gives an open issuer its key, and takes it away again, while nobody signs. REASON_CONFIG: the token's is another key.
 */
MUST_CHECK enum reason issuer_attach(struct issuer *issuer, const struct issuer_options *options, struct hsm *hsm,
				     struct fault *f);
void issuer_detach(struct issuer *issuer);
void issuer_free(struct issuer *issuer); /* accepts NULL */
const char *issuer_name(const struct issuer *issuer);
struct blob issuer_der(const struct issuer *issuer); /* the CA certificate */
const struct cert *issuer_cert(const struct issuer *issuer);
/* Whether this issuer's key made the certificate. */
MUST_CHECK bool issuer_signed(const struct issuer *issuer, const struct cert *cert);

/* REASON_NO_MEMORY when the generator fails: no serial then, rather than one that can be guessed or met twice. */
MUST_CHECK enum reason serial_new(int64_t now_us, uint8_t ret_serial[SERIAL_BYTES], struct fault *f);
/* For a batch; after a failure `serials` holds nothing of use. */
MUST_CHECK enum reason serial_fill(int64_t now_us, uint8_t (*serials)[SERIAL_BYTES], size_t n, struct fault *f);

/*
 * The ca's own rules: end-entity only (no keyCertSign, cRLSign; no cmcRA, cmcCA, OCSPSigning, timeStamping,
 * codeSigning, anyExtendedKeyUsage), validity within its cap and the issuer's notAfter, no expiry only under an
 * issuer without one, level within [level_min, level_max] and at least level_needed, key valid (pubkey_check) and not
 * P-521, texts clean, CN and serialNumber present on enrol, hourly count. REASON_GRANT_REFUSED with the detail, or
 * REASON_ISSUER_LIMIT.
 */
MUST_CHECK enum reason issuer_check(struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f);
/* Gives one back: the claim checked turned out to have its certificate already, or was refused by the ledger. */
void issuer_uncount(struct issuer *issuer);

/* What the ledger has of one hour (since 1970): a count that has come less far, as after a restart, goes on from there.
 */
void issuer_counted(struct issuer *issuer, int64_t hour, uint32_t own, uint32_t others);

/* What a re-enrolment copies from an earlier certificate of ours; absent blobs mean "build from the grant". */
struct copied_names {
	struct blob subject; /* Name, DER */
	struct blob san;     /* GeneralNames, DER; absent if it had none */
	struct blob spki;    /* its key, DER: the stamp below is copied for the same key only */
	struct blob result;  /* assay.3.1 as it was stamped, DER; absent if it had none */
};
/* Finds them in a TBS of our own ledger, into which they point. */
MUST_CHECK enum reason tbs_names(struct blob tbs, struct copied_names *ret_names, struct fault *f);

/*
 * TBSCertificate, DER. notBefore is an hour before now_s; notAfter now_s + validity, never beyond the issuer's.
 * Extensions: basicConstraints (critical), keyUsage (critical), EKU, SAN, SKI, AKI, AIA, CRLDP or noRevAvail,
 * assay.3.1.
 */
MUST_CHECK enum reason issuer_build(const struct issuer *issuer, const struct grant *grant,
				    const struct copied_names *copied, const uint8_t serial[SERIAL_BYTES],
				    int64_t now_s, struct buf *ret_tbs, int64_t *ret_not_before_s,
				    int64_t *ret_not_after_s, struct fault *f);

/* Signs any to-be-signed bytes (TBS certificate, CRL) and verifies the result; ret_tail is AlgorithmIdentifier || BIT
 * STRING. */
MUST_CHECK enum reason issuer_sign(const struct issuer *issuer, unsigned slot, struct blob tbs, struct buf *ret_tail,
				   struct fault *f);

/*
 * The same in two steps, so that signatures made at different times and in different sessions are verified together.
 * What issuer_make() gives is no tail yet: only issuer_prove() makes one of it, and only if it verifies.
 */
MUST_CHECK enum reason issuer_make(const struct issuer *issuer, unsigned slot, struct blob tbs, struct buf *ret_made,
				   struct fault *f);

#define ISSUER_PROVE_MAX 16
struct unproven {
	const struct issuer *issuer;
	struct blob tbs, made;
	struct buf *ret_tail;  /* where the tail goes */
	struct fault *verdict; /* REASON_OK, or REASON_TOKEN_AWAY for this one alone; nothing is in ret_tail then */
};
void issuer_prove(const struct unproven *batch, size_t n); /* 1 to ISSUER_PROVE_MAX */

/* How long before now a certificate begins. */
#define ISSUER_BACKDATE_S 3600

/* SEQUENCE { tbs, tail }: the certificate (or CRL) itself. */
MUST_CHECK enum reason signed_assemble(struct blob tbs, struct blob tail, struct buf *ret_der, struct fault *f);
/* The token's signature over a message, verified: of what is no certificate and no CRL. ECDSA comes as DER. */
MUST_CHECK enum reason signed_make(const struct hsm_key *key, unsigned slot, struct blob message,
				   struct buf *ret_signature, struct fault *f);

/* Which list of an issuer's: RFC 5280 section 5. All of them share one sequence of numbers. */
#define CRL_SHARDS_MAX 256
enum crl_kind {
	CRL_COMPLETE, /* everything, without an issuing distribution point; names the delta in freshestCRL */
	CRL_DELTA,    /* what has changed since a complete one: deltaCRLIndicator, critical */
	CRL_SHARD,    /* the serials of one shard: issuingDistributionPoint, critical, with the shard's URL */
};
struct crl_scope {
	enum crl_kind kind;
	uint64_t base;  /* CRL_DELTA: number of the complete list it adds to */
	unsigned shard; /* CRL_SHARD: crl_shard() of every serial in it */
};
/* The shard of a serial: its last octet, which is random, modulo the number of shards. */
unsigned crl_shard(struct blob serial, unsigned shards);

#define CRL_NAME_CHARS (LIMIT_PROFILE_CHARS + 8)
/* The name of a list, as in its URL: "attested", "attested-delta", "attested/7". */
void crl_name(const char *issuer, const struct crl_scope *scope, char out[CRL_NAME_CHARS + 1]);
/* The reverse; false if this issuer, with so many shards, has no list of that name. base stays 0. */
MUST_CHECK bool crl_name_parse(const char *name, const char *issuer, unsigned shards, struct crl_scope *ret_scope);

/* TBSCertList: v2, AKI, CRL number, thisUpdate, nextUpdate, and what the scope asks for; `revoked` may be empty. */
struct revoked_entry {
	uint8_t serial[LIMIT_SERIAL_BYTES];
	uint8_t serial_len;
	uint8_t reason; /* CRLReason; 0 is omitted */
	int64_t at_s;
};
MUST_CHECK enum reason issuer_build_crl(const struct issuer *issuer, const struct crl_scope *scope, uint64_t number,
					int64_t now_s, int64_t next_s, const struct revoked_entry *revoked, size_t n,
					struct buf *ret_tbs, struct fault *f);

#endif
