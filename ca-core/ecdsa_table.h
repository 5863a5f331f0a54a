/*
 * ecdsa_table.h - P-256 verification under a key that signs often, with multiples of that key made beforehand.
 *
 * Of a verification's 44 us OpenSSL spends 30 on multiplying the signer's key. For the curve's own generator it has a
 * table of multiples and takes 5; it makes such a table for any point that a group calls its generator, in 16 ms and
 * 150 KiB. That pays after 750 verifications: a batch CA signs every chip that is enrolled in a month, an issuer every
 * certificate. So a key that claims call often (claims.h) gets a table at its ECDSA_TABLE_USES-th use, and the
 * ECDSA_TABLES keys used last keep theirs. A verification then takes 22 us.
 *
 * Its word counts only where it says yes, as that of ecdsa_mb.h: what it does not confirm, ECDSA_verify() decides.
 *
 * Owns:     the tables, to the end of the process.
 * Threads:  any; a lock for the search alone. Who makes a table waits for it, the others go on without.
 * Does not: hide timing: keys and signatures are public. Nor judge keys: strangers' keys are to be kept away from it.
 */
#ifndef ASSAY_ECDSA_TABLE_H
#define ASSAY_ECDSA_TABLE_H

#include "pubkey.h"

#define ECDSA_TABLES 16
#define ECDSA_TABLE_USES 512
#define ECDSA_TABLE_US 22 /* a verification */

/* True: this signature holds. False says nothing. key: of P-256, accepted by pubkey_check(); r, s: big endian. */
MUST_CHECK bool ecdsa_table_verify(const struct pubkey *key, const uint8_t digest[32], struct blob r, struct blob s);

#endif
