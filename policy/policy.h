/*
 * policy.h - who may have what: profiles and users from JSON, and one pure decision.
 *
 * A profile is one JSON file named after its label; all of them and the users together are one immutable policy
 * with one hash, which every issuance names. Loading checks everything: an error names file, key, allowed values
 * and the value given.
 *
 * Owns:     policy_load() copies everything it reads; policy_free() frees it.
 * Threads:  read-only after load, but for the cache of verified passwords, which has its own lock.
 * Does not: verify signatures, read the ledger, or know HTTP.
 */
#ifndef ASSAY_POLICY_H
#define ASSAY_POLICY_H

#include "csr.h"
#include "evidence.h"
#include "grant.h"

struct policy;
struct profile;

/* `users_path` may be NULL. `issuers` are the configured issuers' names, NULL-terminated. */
MUST_CHECK enum reason policy_load(const char *profiles_dir, const char *users_path, const char *const *issuers,
                                   struct policy **ret_policy, struct fault *f);
void policy_free(struct policy *policy); /* accepts NULL */
AUTO_FREE(struct policy, policy_freep, policy_free)
void policy_hash(const struct policy *policy, uint8_t out[32]); /* SHA-256 over every file's name and bytes, in order */

const struct profile *policy_profile(const struct policy *policy, const char *label); /* NULL if unknown */
size_t policy_profiles(const struct policy *policy, const struct profile **out, size_t cap); /* all, by name */

/* Who asks, as far as TLS, Basic and the registry have established it. */
enum requester_kind { WHO_NOBODY, WHO_RIG, WHO_DEVICE, WHO_VENDOR, WHO_USER, WHO_RA };
const char *requester_kind_name(enum requester_kind kind); /* "nobody", "rig", "device", "vendor", "user", "ra" */

struct requester {
	enum requester_kind kind;
	char id[LIMIT_REQUESTER_CHARS + 1]; /* "rig:station-7", "device:01...", "user:legacy" */
	char names[LIMIT_NAME_CHARS + 1]; /* WHO_USER, WHO_RA: pattern of the CNs it may ask for, "legacy-*" */
	char labels[128]; /* registry: comma-separated labels it may use; empty: any that its kind may */
	const struct cert *cert; /* the TLS client certificate; NULL without */
	bool cert_expired; /* WHO_DEVICE only, and only within the profile's grace */
};

/* HTTP Basic. REASON_AUTH_PASSWORD if unknown or wrong; takes a slow hash's time when not cached. */
MUST_CHECK enum reason policy_user(const struct policy *policy, const char *user, const char *password,
                                   struct requester *ret_who, struct fault *f);

/* A yescrypt hash for the users file, with NUL; cap of 128 is enough. For `assayd --hash-password`. */
MUST_CHECK enum reason policy_hash_password(const char *password, char *out, size_t cap, struct fault *f);

enum est_op { EST_CACERTS, EST_CSRATTRS, EST_NONCE, EST_SIMPLEENROLL, EST_SIMPLEREENROLL };

/* What the listener needs to know of a profile before there is a CSR. */
struct profile_facts {
	const char *label, *family, *issuer;
	bool basic; /* HTTP Basic is allowed on this label */
	bool vendor_clients; /* vendor CAs' TLS client certificates are allowed */
	bool evidence; /* simpleenroll takes only keys with evidence */
	bool rigs; /* rigs renew their own certificates here */
	bool binding; /* takes only CSRs linked to their TLS connection (RFC 7030 section 3.5) */
	enum grant_crl crl; /* GRANT_CRL_SHARD: the issuer must have shards */
	unsigned nonce_lifetime_s; /* 0: no nonce asked for */
	unsigned expired_grace_s; /* how long after notAfter a device may still re-enrol */
	struct blob csrattrs; /* DER, may be empty: answer 204 */
};
void profile_facts(const struct profile *profile, struct profile_facts *ret_facts);

/* May this requester use this operation on this label at all? REASON_AUTH_REQUIRED (credentials would help), REASON_CLIENT_KIND. */
MUST_CHECK enum reason policy_may(const struct profile *profile, enum est_op op, const struct requester *who,
                                  struct fault *f);

struct ask {
	enum est_op op; /* EST_SIMPLEENROLL or EST_SIMPLEREENROLL */
	const struct requester *who;
	const struct csr *csr;
	struct blob csr_der;
	const struct verdict *verdict; /* NULL without evidence */
	enum reason freshness; /* of the verdict's nonce, REASON_OK if none is needed */
};

/*
 * The decision. On REASON_OK a grant that the caller owns: names from the attested identity (or, for users and RAs,
 * from the CSR within their pattern), everything else from the profile. A CSR that asks for another identity, a CA,
 * a key usage or a key type that the profile does not give is refused. Re-enrolment: subject and SAN both absent,
 * or equal to the presented certificate's (subject the same text, SAN equal as a set); a continuity signature, when
 * there, has become a claim of the caller's before.
 */
MUST_CHECK enum reason policy_decide(const struct policy *policy, const struct profile *profile, const struct ask *ask,
                                     struct grant **ret_grant, struct fault *f);

#endif
