/* ecdsa_batch.c - see ecdsa_batch.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_POINT_get_Jprojective_coordinates_GFp() */
#include "ecdsa_batch.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdatomic.h>

#include "ecdsa_table.h"

AUTO_FREE(EC_POINT, ec_point_freep, EC_POINT_free)
AUTO_FREE(BN_CTX, bn_ctx_freep, BN_CTX_free)
AUTO_FREE(BN_MONT_CTX, mont_freep, BN_MONT_CTX_free)

/* Multiplication in Montgomery's form takes a fifth of BN_mod_mul(). Its constants: once for the process, never freed.
 */
static _Atomic(BN_MONT_CTX *) mont_of_order, mont_of_field;

/* NULL when memory is short: the next use tries again. */
static BN_MONT_CTX *mont_of(_Atomic(BN_MONT_CTX *) *place, const BIGNUM *modulus, BN_CTX *ctx)
{
	BN_MONT_CTX *known = atomic_load(place), *none = NULL;
	AUTO(mont_freep) BN_MONT_CTX *mont = known == NULL ? BN_MONT_CTX_new() : NULL;

	if (known != NULL || mont == NULL || BN_MONT_CTX_set(mont, modulus, ctx) != 1)
		return known;
	return atomic_compare_exchange_strong(place, &none, mont) ? TAKE(mont) : none;
}

/* What all verifications of a batch use one after the other. */
struct work {
	const EC_GROUP *curve;
	const BIGNUM *order, *field;
	BN_MONT_CTX *by_order, *by_field;
	BN_CTX *ctx;
	EC_POINT *sum, *part; /* part: the key, then its multiple */
	BIGNUM *e, *u1, *u2, *x, *z;
};

/* A signature whose numbers are in range. */
struct taken {
	struct ecdsa_item *item;
	BIGNUM *r, *s, *inverse; /* inverse: of s, both in Montgomery's form */
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
		if (in_range(item[i].r, w->order, taken.r) && in_range(item[i].s, w->order, taken.s) &&
		    BN_to_montgomery(taken.s, taken.s, w->by_order, w->ctx) == 1)
			ret_taken[n_taken++] = taken;
	}
	return n_taken;
}

static bool times(const struct work *w, BIGNUM *product, const BIGNUM *a, const BIGNUM *b)
{
	return BN_mod_mul_montgomery(product, a, b, w->by_order, w->ctx) == 1;
}

static bool invert(const struct work *w, BIGNUM *ret_inverse, const BIGNUM *number)
{
	return BN_from_montgomery(w->e, number, w->by_order, w->ctx) == 1 &&
	       BN_mod_inverse(ret_inverse, w->e, w->order, w->ctx) != NULL &&
	       BN_to_montgomery(ret_inverse, ret_inverse, w->by_order, w->ctx) == 1;
}

/* Montgomery's trick: the product of all s is inverted, and multiplied back by all but one. */
static bool invert_all(const struct work *w, struct taken *t, size_t n)
{
	BIGNUM *rest = w->x;

	if (BN_copy(t[0].inverse, t[0].s) == NULL)
		return false;
	for (size_t i = 1; i < n; i++)
		if (!times(w, t[i].inverse, t[i - 1].inverse, t[i].s))
			return false;
	if (!invert(w, rest, t[n - 1].inverse))
		return false;
	for (size_t i = n - 1; i > 0; i--)
		if (!times(w, t[i].inverse, rest, t[i - 1].inverse) || !times(w, rest, rest, t[i].s))
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

/* x of the sum is X / Z^2. Is that this number, of the field? z: Z^2. */
static bool x_is(const struct work *w, const BIGNUM *number)
{
	return BN_to_montgomery(w->e, number, w->by_field, w->ctx) == 1 &&
	       BN_mod_mul_montgomery(w->e, w->e, w->z, w->by_field, w->ctx) == 1 && BN_cmp(w->e, w->x) == 0;
}

static bool square(const struct work *w, BIGNUM *z)
{
	return BN_to_montgomery(w->e, z, w->by_field, w->ctx) == 1 &&
	       BN_mod_mul_montgomery(z, z, w->e, w->by_field, w->ctx) == 1;
}

/* Modulo the order r is r, or r and the order where the field has such a number. */
static bool x_is_r(const struct work *w, const BIGNUM *r)
{
	if (EC_POINT_is_at_infinity(w->curve, w->sum) != 0 ||
	    EC_POINT_get_Jprojective_coordinates_GFp(w->curve, w->sum, w->x, NULL, w->z, w->ctx) != 1 ||
	    BN_is_zero(w->z) || !square(w, w->z))
		return false;
	return x_is(w, r) || (BN_add(w->u1, r, w->order) == 1 && BN_cmp(w->u1, w->field) < 0 && x_is(w, w->u1));
}

/* Below the order, which is more than half of what 32 bytes can say. */
static bool digest_number(const struct work *w, const uint8_t digest[32], BIGNUM *ret_e)
{
	return BN_bin2bn(digest, 32, ret_e) != NULL &&
	       (BN_cmp(ret_e, w->order) < 0 || BN_sub(ret_e, ret_e, w->order) == 1);
}

/* FIPS 186-5 section 6.4.2: x of (e/s) G + (r/s) Q, modulo the order, is r. */
static bool equation(const struct work *w, const struct taken *t, const struct ecdsa_table *table)
{
	return digest_number(w, t->item->digest, w->e) && times(w, w->u1, w->e, t->inverse) &&
	       times(w, w->u2, t->r, t->inverse) && add_up(w, t->item->key, table) && x_is_r(w, t->r);
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
	w = (struct work){ .curve = curve,
			   .order = EC_GROUP_get0_order(curve),
			   .field = EC_GROUP_get0_field(curve),
			   .ctx = ctx,
			   .sum = sum,
			   .part = part,
			   .e = BN_CTX_get(ctx),
			   .u1 = BN_CTX_get(ctx),
			   .u2 = BN_CTX_get(ctx),
			   .x = BN_CTX_get(ctx),
			   .z = BN_CTX_get(ctx) };
	w.by_order = mont_of(&mont_of_order, w.order, ctx);
	w.by_field = mont_of(&mont_of_field, w.field, ctx);
	if (w.e != NULL && w.u1 != NULL && w.u2 != NULL && w.x != NULL && w.z != NULL && w.by_order != NULL &&
	    w.by_field != NULL)
		verify_all(&w, item, n);
	BN_CTX_end(ctx);
	ERR_clear_error(); /* what does not hold here is OpenSSL's to refuse */
}
