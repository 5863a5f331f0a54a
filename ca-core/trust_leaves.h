/*
 * trust_leaves.h - end certificates whose signature has been found good under a key.
 *
 * That these bytes are signed by that key is a fact that no time, revocation or change of lists alters; whether the key
 * may still be believed is worked out anew at each use. So a leaf is remembered by the hash of its bytes together with
 * its issuer's key, and nothing about its path.
 *
 * Only what verified gets in, so strangers cannot fill it. Two that meet in a place: the later one stays, the other
 * costs a verification again.
 *
 * Owns:    LIMIT_TRUST_LEAVES places of 64 bytes.
 * Threads: any; a lock.
 */
#ifndef ASSAY_TRUST_LEAVES_H
#define ASSAY_TRUST_LEAVES_H

#include "base/blob.h"
#include "base/limits.h"

struct trust_leaves;

struct trust_leaves *trust_leaves_new(void);         /* NULL when memory is short */
void trust_leaves_free(struct trust_leaves *leaves); /* accepts NULL */

bool trust_leaves_has(struct trust_leaves *leaves, struct blob der, const uint8_t issuer_hash[32]);
void trust_leaves_put(struct trust_leaves *leaves, struct blob der, const uint8_t issuer_hash[32]);

#endif
