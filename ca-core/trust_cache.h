/*
 * trust_cache.h - CA certificates whose path to an anchor has been checked, byte for byte.
 *
 * Only what validated gets in, so strangers cannot fill it. A full set of the cache gives up its oldest entry;
 * entries are copied out, so that nobody holds one that is being replaced.
 *
 * Owns:     a copy of each certificate.
 * Threads:  any; a read-write lock.
 * Does not: check dates: an entry carries the window in which the whole path is valid, for every use to look at.
 */
#ifndef ASSAY_TRUST_CACHE_H
#define ASSAY_TRUST_CACHE_H

#include "cert.h"

/* A CA certificate as the head of a valid path. */
struct ca_state {
	uint8_t spki_hash[32]; /* SHA-256 of its SPKI */
	uint8_t root_spki_hash[32];
	int64_t not_before_s, not_after_s; /* latest start and earliest end of all certificates up to the anchor */
	int cas_below; /* how many further CAs may stand under it, by every pathLen up to the anchor */
	int depth;     /* certificates from it to the anchor, both counted */
	struct pubkey key;
};

struct trust_cache;

struct trust_cache *trust_cache_new(void);        /* NULL when memory is short */
void trust_cache_free(struct trust_cache *cache); /* accepts NULL */

/* The issuer that a certificate names, in the cache and this very one? Its key identifier must match if both have one.
 */
struct ca_wanted {
	struct blob subject; /* Name, DER */
	struct blob key_id;  /* may be absent */
};
enum cache_match { CACHE_NONE, CACHE_NAME, CACHE_KEY_ID }; /* by name alone, or by name and key identifier */
enum cache_match trust_cache_find(struct trust_cache *cache, struct blob der, const struct ca_wanted *wanted,
				  struct ca_state *ret_state);
bool trust_cache_has(struct trust_cache *cache, struct blob der);

/* Remembers it; when memory is short it is merely not remembered. */
void trust_cache_put(struct trust_cache *cache, const struct cert *ca, const struct ca_state *state);

#endif
