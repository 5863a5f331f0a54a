/*
 * ecdsa_batch.h - P-256 verifications of a whole batch, with what they can share.
 *
 * ECDSA_verify() takes 48 us, and an EC_KEY for it 1.5. Of that 10 are an inversion of s, one of the sum's last
 * coordinate, and parsing what has been parsed. Here the s of a batch are inverted together (Montgomery: one inversion
 * and three multiplications each), and the sum is compared as it is: 39 us, and 14 where the key has a table of
 * multiples (ecdsa_table.h).
 *
 * Points and numbers are OpenSSL's; only the equation stands here. Its word counts only where it says yes, as that of
 * ecdsa_mb.h: what it does not confirm, ECDSA_verify() decides.
 *
 * Threads:  any.
 * Does not: hide timing: keys and signatures are public.
 */
#ifndef ASSAY_ECDSA_BATCH_H
#define ASSAY_ECDSA_BATCH_H

#include "pubkey.h"

#define ECDSA_BATCH_MAX 96
#define ECDSA_BATCH_US 39 /* a verification */
#define ECDSA_TABLE_US 14 /* with a table */

struct ecdsa_item {
	const struct pubkey *key; /* of P-256 */
	bool often;               /* it may get a table: the key of a CA with a checked path, or our own */
	uint8_t digest[32];
	struct blob r, s; /* big endian */
	bool holds;       /* the answer: this signature holds; false says nothing */
};

/* n: up to ECDSA_BATCH_MAX, 0 too. */
void ecdsa_batch_verify(struct ecdsa_item *item, size_t n);

#endif
