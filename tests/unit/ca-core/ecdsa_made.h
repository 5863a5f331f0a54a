/*
 * ecdsa_made.h - P-256 keys, digests and signatures made by arithmetic, so that odd ones can be made too.
 */
#ifndef ASSAY_ECDSA_MADE_H
#define ASSAY_ECDSA_MADE_H

#include <openssl/bn.h>

#include "claims.h"
#include "ecdsa_batch.h"

struct made {
	struct pubkey key;
	uint8_t digest[32], signature[64]; /* r || s */
};

/* made_open() fills it; made_close() ends it. */
extern struct made_curve {
	const EC_GROUP *group;
	const BIGNUM *n;
	BN_CTX *ctx;
} ec;

int made_open(void); /* 0: done */
void made_close(void);
/* The two, and oid_init(), as cmocka's group fixtures. */
int made_setup(void **state);
int made_teardown(void **state);

BIGNUM *bn(void);
BIGNUM *random_scalar(void);
BIGNUM *from(const uint8_t bytes[32]);
void put(const BIGNUM *number, uint8_t out[32]);
void put_point(const EC_POINT *point, struct pubkey *ret_key);

/* key = d G, r = x(k G), s = (e + r d) / k: holds, whatever d, k and e are. */
void sign(const BIGNUM *d, const BIGNUM *k, const BIGNUM *e, struct made *made);
void random_made(struct made *made);

/*
 * What is hard for an engine; each fills 8, some of them false.
 * exceptional: additions meet equal or opposite points (e = r d, e = -r d). beyond: x(R) from n up, r is x - n.
 * wrapped: r is x(R) - n modulo the field, never true.
 */
void made_exceptional(struct made made[8]);
void made_beyond(struct made made[8]);
void made_wrapped(struct made made[8]);

/*
 * small: keys of 1 to 4 and their negatives, some over a digest of zero, of the order and beyond it; all hold, and the
 * first key is the curve's own generator.
 * no_points: the key is off the curve, infinite, beyond the field, and (every fourth) good.
 */
void made_small(struct made made[16]);
void made_no_points(struct made *made, size_t n);

#define MADE_EDGES 6
#define MADE_EDGE_IN_RANGE(i) ((i) == 2 || (i) == 5)
/* For r and s: zero, the order, one less, one more, all bits, one. */
void made_edges(uint8_t edge[MADE_EDGES][32]);

/* One bit of key, signature or digest, of 1536. */
void made_flip(struct made *made, unsigned bit);

/* The same for who checks it: as a claim, or of a batch. */
struct claim claim_of(const struct made *made);
struct ecdsa_item item_of(const struct made *made);

#endif
