/*
 * ecdsa_table.h - multiples of P-256 keys that sign often, made beforehand.
 *
 * Of a verification OpenSSL spends 32 us on multiplying the signer's key. For the curve's own generator it has a table
 * of multiples and takes 6; it makes such a table for any point that a group calls its generator, in 16 ms and 150 KiB.
 * That pays after 600 verifications: a batch CA signs every chip that is enrolled in a month, an issuer every
 * certificate. So a key that claims call often (claims.h) gets a table at its ECDSA_TABLE_USES-th use, and the
 * ECDSA_TABLES keys used last keep theirs.
 *
 * Owns:     the tables, to the end of the process or of their last use.
 * Threads:  any; a lock for the search alone. Who makes a table waits for it, the others go on without.
 * Does not: judge keys: strangers' keys are to be kept away from it.
 */
#ifndef ASSAY_ECDSA_TABLE_H
#define ASSAY_ECDSA_TABLE_H

#include "pubkey.h"

#define ECDSA_TABLES 16
#define ECDSA_TABLE_USES 512

struct ecdsa_table;

/* Counts a use of this key, of P-256 and accepted by pubkey_check(). NULL: it has no table. */
struct ecdsa_table *ecdsa_table_get(const struct pubkey *key);
void ecdsa_table_unref(struct ecdsa_table *table); /* accepts NULL */
AUTO_FREE(struct ecdsa_table, ecdsa_table_unrefp, ecdsa_table_unref)

/* The curve once more, with that key as its generator. */
const EC_GROUP *ecdsa_table_group(const struct ecdsa_table *table);

#endif
