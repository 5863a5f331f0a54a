/*
 * evidence.h - the evidence in a CSR: what a secure element says about a key, and how far to believe it.
 *
 * evidence_assess() parses the AttestationBundle, finds the one statement in a known format, lets that format read
 * it (format.h, one file each), and adds every signature that has to hold to the claims. Its verdict counts only
 * once those claims have been checked.
 *
 * Owns:     struct evidence keeps parsed certificates and built messages that claims point to; it must live until
 *           claims_check() is done. The bundle's bytes are borrowed for as long.
 * Threads:  a struct evidence belongs to one enrolment at a time; vendors are read-only after open.
 * Spec:     draft-ietf-lamps-csr-attestation-29 section 4.
 * Does not: check freshness (nonce.h), nor whether the level is enough (policy/).
 */
#ifndef ASSAY_EVIDENCE_H
#define ASSAY_EVIDENCE_H

#include "claims.h"
#include "grant.h"
#include "trust.h"

/* Vendor roots, per format: a root of one format never vouches in another. */
struct vendors;
struct vendor_options {
	const char *format; /* "assay.1.1" */
	const char *name; /* for logs: "acme", "quickstart software vendor" */
	const char *roots; /* PEM path */
};
/* An unknown format or unreadable file is REASON_CONFIG, saying which entry. */
MUST_CHECK enum reason vendors_open(const struct vendor_options *options, size_t n, struct vendors **ret_vendors,
                                    struct fault *f);
void vendors_free(struct vendors *vendors); /* accepts NULL */
AUTO_FREE(struct vendors, vendors_freep, vendors_free)

struct verdict {
	const char *format; /* "assay.1.1", static */
	enum level level;
	struct device_id device;
	struct pubkey key; /* the key the element vouches for: equal to the CSR's when assessment succeeds */
	uint8_t batch_ca_hash[32]; /* SHA-256 of the SPKI of the attestation certificate's issuer */
	bool has_freshness; /* the format carries a nonce or challenge */
	size_t nonce_len;
	uint8_t nonce[LIMIT_NONCE_BYTES_MAX];
};

/*
 * An element id as names carry it: lower-case hex up to 31 bytes, lower-case base32 without padding beyond. False if
 * it is empty or does not fit a serialNumber (over 40 bytes).
 */
MUST_CHECK bool element_text(struct blob element, char out[LIMIT_NAME_CHARS + 1]);

struct evidence;
struct evidence *evidence_new(void);
void evidence_clear(struct evidence *evidence); /* for the next enrolment; accepts NULL */
void evidence_free(struct evidence *evidence); /* accepts NULL */
AUTO_FREE(struct evidence, evidence_freep, evidence_free)

/* EVIDENCE_, CHAIN_ and KEY_ reasons; the verdict is filled only on REASON_OK. */
MUST_CHECK enum reason evidence_assess(struct evidence *evidence, const struct vendors *vendors, struct blob bundle,
                                       const struct pubkey *csr_key, int64_t now_s, struct claims *claims,
                                       struct verdict *ret_verdict, struct fault *f);

#endif
