/* ecdsa_batch.c - see ecdsa_batch.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_POINT_get_Jprojective_coordinates_GFp() */
#include "ecdsa_batch.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "ecdsa_table.h"

AUTO_FREE(EC_POINT, ec_point_freep, EC_POINT_free)
AUTO_FREE(BN_CTX, bn_ctx_freep, BN_CTX_free)

/* What all verifications of a batch use one after the other. */
struct work {
	const EC_GROUP *curve;
	const BIGNUM *order, *field;
	BN_CTX *ctx;
	EC_POINT *sum, *part; /* part: the key, then its multiple */
	BIGNUM *e, *u1, *u2, *x, *z;
};

/* A signature whose numbers are in range. */
struct taken {
	struct ecdsa_item *item;
	BIGNUM *r, *s, *inverse; /* inverse: of s */
};

static bool in_range(struct blob bytes, const BIGNUM *order, BIGNUM *ret_number)
{
	return bytes.len <= 32 && BN_bin2bn(bytes.ptr, (int)bytes.len, ret_number) != NULL && !BN_is_zero(ret_number) &&
	       BN_cmp(ret_number, order) < 0;
}

/* The items that can hold at all; fewer when memory is short. */
static size_t take_all(const struct work *w, struct ecdsa_item *item, size_t n, struct taken *ret_taken)
{
	size_t n_taken = 0;

	for (size_t i = 0; i < n; i++) {
		struct taken taken = { &item[i], BN_CTX_get(w->ctx), BN_CTX_get(w->ctx), BN_CTX_get(w->ctx) };

		if (taken.inverse == NULL) /* the last NULL tells of the others */
			break;
		if (in_range(item[i].r, w->order, taken.r) && in_range(item[i].s, w->order, taken.s))
			ret_taken[n_taken++] = taken;
	}
	return n_taken;
}

/* Montgomery's trick: the product of all s is inverted, and multiplied back by all but one. */
static bool invert_all(const struct work *w, struct taken *t, size_t n)
{
	BIGNUM *rest = w->x;

	if (BN_copy(t[0].inverse, t[0].s) == NULL)
		return false;
	for (size_t i = 1; i < n; i++)
		if (BN_mod_mul(t[i].inverse, t[i - 1].inverse, t[i].s, w->order, w->ctx) != 1)
			return false;
	if (BN_mod_inverse(rest, t[n - 1].inverse, w->order, w->ctx) == NULL)
		return false;
	for (size_t i = n - 1; i > 0; i--)
		if (BN_mod_mul(t[i].inverse, rest, t[i - 1].inverse, w->order, w->ctx) != 1 ||
		    BN_mod_mul(rest, rest, t[i].s, w->order, w->ctx) != 1)
			return false;
	return BN_copy(t[0].inverse, rest) != NULL;
}

/* sum = u1 G + u2 Q, by the table of Q's multiples or without one. */
static bool add_up(const struct work *w, const struct pubkey *key, const struct ecdsa_table *table)
{
	if (table == NULL)
		return EC_POINT_oct2point(w->curve, w->part, key->raw, key->len, w->ctx) == 1 &&
		       EC_POINT_mul(w->curve, w->sum, w->u1, w->part, w->u2, w->ctx) == 1;
	return EC_POINT_mul(w->curve, w->sum, w->u1, NULL, NULL, w->ctx) == 1 &&
	       EC_POINT_mul(ecdsa_table_group(table), w->part, w->u2, NULL, NULL, w->ctx) == 1 &&
	       EC_POINT_add(w->curve, w->sum, w->sum, w->part, w->ctx) == 1;
}

/* x of the sum is X / Z^2. Is that this number? */
static bool x_is(const struct work *w, const BIGNUM *number)
{
	return BN_mod_mul(w->e, number, w->z, w->field, w->ctx) == 1 && BN_cmp(w->e, w->x) == 0;
}

/* Modulo the order r is r, or r and the order where the field has such a number. */
static bool x_is_r(const struct work *w, const BIGNUM *r)
{
	if (EC_POINT_is_at_infinity(w->curve, w->sum) != 0 ||
	    EC_POINT_get_Jprojective_coordinates_GFp(w->curve, w->sum, w->x, NULL, w->z, w->ctx) != 1 ||
	    BN_is_zero(w->z) || BN_mod_sqr(w->z, w->z, w->field, w->ctx) != 1)
		return false;
	return x_is(w, r) || (BN_add(w->u1, r, w->order) == 1 && BN_cmp(w->u1, w->field) < 0 && x_is(w, w->u1));
}

/* FIPS 186-5 section 6.4.2: x of (e/s) G + (r/s) Q, modulo the order, is r. */
static bool equation(const struct work *w, const struct taken *t, const struct ecdsa_table *table)
{
	return BN_bin2bn(t->item->digest, 32, w->e) != NULL &&
	       BN_mod_mul(w->u1, w->e, t->inverse, w->order, w->ctx) == 1 &&
	       BN_mod_mul(w->u2, t->r, t->inverse, w->order, w->ctx) == 1 && add_up(w, t->item->key, table) &&
	       x_is_r(w, t->r);
}

static void verify_one(const struct work *w, const struct taken *t)
{
	AUTO(ecdsa_table_unrefp) struct ecdsa_table *table = t->item->often ? ecdsa_table_get(t->item->key) : NULL;

	t->item->holds = equation(w, t, table);
}

static void verify_all(struct work *w, struct ecdsa_item *item, size_t n)
{
	struct taken taken[ECDSA_BATCH_MAX];
	size_t n_taken = take_all(w, item, n, taken);

	if (n_taken == 0 || !invert_all(w, taken, n_taken))
		return;
	/* those with tables one after the other: 150 KiB are quick only while the processor's caches have them */
	for (int often = 0; often < 2; often++)
		for (size_t i = 0; i < n_taken; i++)
			if (taken[i].item->often == (often == 1))
				verify_one(w, &taken[i]);
}

void ecdsa_batch_verify(struct ecdsa_item *item, size_t n)
{
	const EC_GROUP *curve = pubkey_group(KEY_EC_P256);
	AUTO(bn_ctx_freep) BN_CTX *ctx = n == 0 || curve == NULL ? NULL : BN_CTX_new();
	AUTO(ec_point_freep) EC_POINT *sum = ctx == NULL ? NULL : EC_POINT_new(curve);
	AUTO(ec_point_freep) EC_POINT *part = sum == NULL ? NULL : EC_POINT_new(curve);
	struct work w;

	assert(n <= ECDSA_BATCH_MAX);
	for (size_t i = 0; i < n; i++) {
		assert(item[i].key->type == KEY_EC_P256);
		item[i].holds = false;
	}
	if (part == NULL)
		return;
	BN_CTX_start(ctx);
	w = (struct work){ curve,
			   EC_GROUP_get0_order(curve),
			   EC_GROUP_get0_field(curve),
			   ctx,
			   sum,
			   part,
			   BN_CTX_get(ctx),
			   BN_CTX_get(ctx),
			   BN_CTX_get(ctx),
			   BN_CTX_get(ctx),
			   BN_CTX_get(ctx) };
	if (w.z != NULL)
		verify_all(&w, item, n);
	BN_CTX_end(ctx);
	ERR_clear_error(); /* what does not hold here is OpenSSL's to refuse */
}
