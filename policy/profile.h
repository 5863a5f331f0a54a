/*
 * profile.h - inside policy/: one profile as read from its JSON file. README.md of this folder is the reference.
 *
 * Owns:    profile_free() frees what profile_parse() made.
 * Threads: read-only after parsing.
 */
#ifndef ASSAY_PROFILE_H
#define ASSAY_PROFILE_H

#include <regex.h>

#include "policy.h"
#include "template.h"

#define WHO(kind) (1U << (kind))
#define PROFILE_KEYS 8

enum new_key { NEW_KEY_NO, NEW_KEY_EVIDENCE, NEW_KEY_FREE };

struct profile {
	char label[LIMIT_LABEL_CHARS + 1], family[LIMIT_PROFILE_CHARS + 1], issuer[LIMIT_PROFILE_CHARS + 1];
	struct {
		unsigned who; /* WHO() bits; none: nobody enrols here */
		bool evidence;
	} enrol;
	struct {
		unsigned who;
		enum new_key new_key;
		bool same_key;
		unsigned expired_grace_s;
	} reenrol;
	enum level level; /* lowest */
	size_t n_subject;
	struct {
		enum oid_id type;
		struct template value;
	} subject[LIMIT_NAME_ATTRS];
	size_t n_sans;
	struct san_rule {
		enum san_type type;
		struct template value;
		struct oid hw_type;
	} san[LIMIT_SANS];
	bool has_unit;
	struct {
		struct template pattern; /* also an entry of san[] */
		regex_t format;
	} unit;
	size_t n_keys;
	struct key_rule {
		enum key_type type;
		unsigned bits;
	} key[PROFILE_KEYS];
	uint64_t validity_s; /* 0: none */
	unsigned key_usage;
	size_t n_ekus;
	struct oid eku[LIMIT_EKUS];
	unsigned nonce_lifetime_s; /* 0: no nonce asked for */
	enum grant_crl crl;
	bool stamp;
	bool binding; /* only CSRs that are linked to their TLS connection */
	struct buf csrattrs;
};

/* `file` is the name alone, "line.json". Everything is checked; the fault names file, key, allowed and given. */
MUST_CHECK enum reason profile_parse(const char *file, struct blob bytes, const char *const *issuers,
				     struct profile **ret_profile, struct fault *f);
void profile_free(struct profile *profile); /* accepts NULL */
AUTO_FREE(struct profile, profile_freep, profile_free)

/* profile_check.c: what has to hold between keys. */
MUST_CHECK enum reason profile_check(const struct profile *profile, const char *file, const char *const *issuers,
				     struct fault *f);

/* Does a new key or a first one need evidence anywhere here? */
bool profile_takes_evidence(const struct profile *profile);
/* Characters that a common name may have: A-Z a-z 0-9 . : - */
bool name_is_clean(const char *name);

#endif
