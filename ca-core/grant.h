/*
 * grant.h - what policy allowed, as structured data: all that the ca needs to build a certificate.
 *
 * The ra makes it, the channel carries it, the ca checks it against rules of its own and turns it into a TBS. No
 * bytes of a client are in it that the ca would have to parse: the key is raw numbers, names are checked text.
 *
 * Owns:     `evidence` and `continuity`; grant_free() frees them and the struct.
 * Threads:  belongs to one enrolment.
 */
#ifndef ASSAY_GRANT_H
#define ASSAY_GRANT_H

#include "cert.h"

/* How strong the evidence for a key is. A bigger number is stronger; stored as this number. */
enum level { LEVEL_NONE = 0, LEVEL_VOUCHED = 1, LEVEL_PROVISIONED = 2, LEVEL_NATIVE = 3 };
const char *level_name(enum level level); /* "none", "vouched", "provisioned", "native" */
MUST_CHECK bool level_by_name(const char *name, enum level *ret_level);

/* One secure element, or one name where there is none. */
struct device_id {
	char format[LIMIT_PROFILE_CHARS]; /* "assay.1.1", ..., or "name" for an unattested device */
	uint8_t vendor_root[32]; /* SHA-256 of the root's SPKI; zeros for "name" */
	size_t element_len;
	uint8_t element[LIMIT_ELEMENT_BYTES];
};
/* SHA-256 over format, NUL, vendor_root and element: the device's key in the ledger. */
void device_hash(const struct device_id *device, uint8_t out[32]);

struct name_attr {
	enum oid_id type; /* OID_AT_ values */
	char value[LIMIT_NAME_CHARS + 1]; /* printable ASCII without control characters */
};

enum san_type { SAN_URI, SAN_DNS, SAN_HW_MODULE };
struct san {
	enum san_type type;
	char value[LIMIT_SAN_CHARS + 1]; /* URI or DNS; SAN_HW_MODULE: lower-case hex of hwSerialNum */
	struct oid hw_type; /* SAN_HW_MODULE only */
};

/* How a relying party learns that a certificate is revoked. */
enum grant_crl {
	GRANT_CRL_COMPLETE, /* CRLDP: the issuer's complete list */
	GRANT_CRL_SHARD, /* CRLDP: the shard of its serial */
	GRANT_CRL_NONE, /* not at all: it ends within GRANT_UNREVOKED_MAX_S, and says so by noRevAvail (RFC 9608) */
};
#define GRANT_UNREVOKED_MAX_S 86400

enum grant_kind { GRANT_ENROL = 1, GRANT_REENROL = 2 };

struct grant {
	enum grant_kind kind;
	char profile[LIMIT_PROFILE_CHARS + 1];
	char family[LIMIT_PROFILE_CHARS + 1]; /* profiles of one family share a claim */
	char issuer[LIMIT_PROFILE_CHARS + 1];
	uint8_t policy_hash[32]; /* of the loaded policy that decided */
	char requester[LIMIT_REQUESTER_CHARS + 1]; /* "rig:<id>", "device:<serial>", "user:<name>" */
	bool once; /* the name may be enrolled once only, whatever the key (Basic on `unattested`) */

	struct device_id device; /* GRANT_REENROL without evidence: zero; the ledger knows */
	struct pubkey key;
	enum level level; /* reached by evidence; GRANT_REENROL with the same key: LEVEL_NONE, the ledger's is copied */
	enum level level_needed; /* the profile's lowest */
	bool rekey_needs_evidence; /* profile: a new key must come with evidence as strong as the old one's */

	/* GRANT_REENROL: these two are empty, the ca copies the old certificate's bytes */
	size_t n_subject;
	struct name_attr subject[LIMIT_NAME_ATTRS];
	size_t n_sans;
	struct san san[LIMIT_SANS];

	char unit_serial[LIMIT_NAME_CHARS + 1]; /* the product's serial as the rig asserts it; empty if the profile has none */
	uint64_t validity_s; /* 0: no expiry (99991231235959Z) */
	unsigned key_usage; /* KU_ bits */
	size_t n_ekus;
	struct oid eku[LIMIT_EKUS];
	enum grant_crl crl;
	bool stamp_result; /* put assay.3.1 into the certificate */
	char evidence_format[LIMIT_PROFILE_CHARS]; /* "assay.1.1"; empty without evidence */
	uint8_t batch_ca[32]; /* SHA-256 of the SPKI of the CA that certified the element; zeros: none */

	size_t nonce_len; /* 0: no nonce in the evidence */
	uint8_t nonce[LIMIT_NONCE_BYTES_MAX];
	enum reason freshness; /* REASON_OK, or why only an already issued certificate may be answered */

	size_t previous_len; /* GRANT_REENROL: serial presented in TLS, content octets */
	uint8_t previous[LIMIT_SERIAL_BYTES];

	struct buf evidence; /* AttestationBundle DER as received; empty without evidence */
	struct buf continuity; /* assay.4.1 signature, verified; empty if none came */
};

struct grant *grant_new(void); /* zeroed; NULL when memory is short */
void grant_free(struct grant *grant); /* accepts NULL */
AUTO_FREE(struct grant, grant_freep, grant_free)

#endif
