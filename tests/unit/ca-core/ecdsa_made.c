/* ecdsa_made.c - see ecdsa_made.h. */
#include "expect.h"

#include <string.h>

#include "ecdsa_made.h"
#include "oid.h"

struct made_curve ec;

int made_open(void)
{
	ec.group = pubkey_group(KEY_EC_P256);
	ec.n = ec.group == NULL ? NULL : EC_GROUP_get0_order(ec.group);
	ec.ctx = BN_CTX_new();
	return ec.n == NULL || ec.ctx == NULL;
}

void made_close(void)
{
	BN_CTX_free(ec.ctx);
}

int made_setup(void **state)
{
	(void)state;
	oid_init();
	return made_open();
}

int made_teardown(void **state)
{
	(void)state;
	made_close();
	return 0;
}

BIGNUM *bn(void)
{
	BIGNUM *number = BN_new();

	assert_non_null(number);
	return number;
}

BIGNUM *random_scalar(void)
{
	BIGNUM *number = bn();

	do
		assert_int_equal(BN_rand_range(number, ec.n), 1);
	while (BN_is_zero(number));
	return number;
}

BIGNUM *from(const uint8_t bytes[32])
{
	BIGNUM *number = BN_bin2bn(bytes, 32, NULL);

	assert_non_null(number);
	return number;
}

void put(const BIGNUM *number, uint8_t out[32])
{
	assert_int_equal(BN_bn2binpad(number, out, 32), 32);
}

void put_point(const EC_POINT *point, struct pubkey *ret_key)
{
	*ret_key = (struct pubkey){ .type = KEY_EC_P256, .bits = 256, .len = 65 };
	assert_int_equal(EC_POINT_point2oct(ec.group, point, POINT_CONVERSION_UNCOMPRESSED, ret_key->raw, 65, ec.ctx),
			 65);
}

void sign(const BIGNUM *d, const BIGNUM *k, const BIGNUM *e, struct made *made)
{
	EC_POINT *point = EC_POINT_new(ec.group);
	BIGNUM *r = bn(), *s = bn(), *inverse = bn();

	assert_int_equal(EC_POINT_mul(ec.group, point, d, NULL, NULL, ec.ctx), 1);
	put_point(point, &made->key);
	assert_int_equal(EC_POINT_mul(ec.group, point, k, NULL, NULL, ec.ctx), 1);
	assert_int_equal(EC_POINT_get_affine_coordinates(ec.group, point, r, NULL, ec.ctx), 1);
	assert_int_equal(BN_nnmod(r, r, ec.n, ec.ctx), 1);
	assert_non_null(BN_mod_inverse(inverse, k, ec.n, ec.ctx));
	assert_int_equal(BN_mod_mul(s, r, d, ec.n, ec.ctx), 1);
	assert_int_equal(BN_mod_add(s, s, e, ec.n, ec.ctx), 1);
	assert_int_equal(BN_mod_mul(s, s, inverse, ec.n, ec.ctx), 1);
	put(e, made->digest);
	put(r, made->signature);
	put(s, made->signature + 32);
	EC_POINT_free(point);
	BN_free(r), BN_free(s), BN_free(inverse);
}

void random_made(struct made *made)
{
	BIGNUM *d = random_scalar(), *k = random_scalar(), *e = random_scalar();

	sign(d, k, e, made);
	BN_free(d), BN_free(k), BN_free(e);
}

void made_exceptional(struct made made[8])
{
	for (unsigned i = 0; i < 8; i++) {
		BIGNUM *d = random_scalar(), *k = random_scalar(), *e = random_scalar(), *r;

		sign(d, k, e, &made[i]);
		r = from(made[i].signature);
		assert_int_equal(BN_mod_mul(e, r, d, ec.n, ec.ctx), 1);
		if (i % 2 == 1) {
			assert_int_equal(BN_sub(e, ec.n, e), 1);
			put(e, made[i].digest); /* the sum is the point at infinity: never true */
		} else {
			sign(d, k, e, &made[i]);
		}
		BN_free(d), BN_free(k), BN_free(e), BN_free(r);
	}
}

/* The key is made to fit: Q = (s R - e G) / r, so that the sum is R, whatever r is. */
static void made_fitting(const EC_POINT *sum, const BIGNUM *r, struct made *made)
{
	EC_POINT *point = EC_POINT_new(ec.group), *shift = EC_POINT_new(ec.group);
	BIGNUM *s = random_scalar(), *e = random_scalar(), *inverse = bn();

	put(e, made->digest);
	put(r, made->signature);
	put(s, made->signature + 32);
	assert_non_null(BN_mod_inverse(inverse, r, ec.n, ec.ctx));
	assert_int_equal(EC_POINT_mul(ec.group, shift, e, NULL, NULL, ec.ctx), 1);
	assert_int_equal(EC_POINT_invert(ec.group, shift, ec.ctx), 1);
	assert_int_equal(EC_POINT_mul(ec.group, point, NULL, sum, s, ec.ctx), 1);
	assert_int_equal(EC_POINT_add(ec.group, point, point, shift, ec.ctx), 1);
	assert_int_equal(EC_POINT_mul(ec.group, point, NULL, point, inverse, ec.ctx), 1);
	put_point(point, &made->key);
	EC_POINT_free(point), EC_POINT_free(shift);
	BN_free(s), BN_free(e), BN_free(inverse);
}

static void next_on_curve(BIGNUM *x, EC_POINT *point)
{
	do
		assert_int_equal(BN_add_word(x, 1), 1);
	while (EC_POINT_set_compressed_coordinates(ec.group, point, x, 0, ec.ctx) != 1);
}

void made_beyond(struct made made[8])
{
	EC_POINT *sum = EC_POINT_new(ec.group);
	BIGNUM *x = BN_dup(ec.n), *r = bn();

	for (unsigned i = 0; i < 8; i++) {
		next_on_curve(x, sum);
		assert_int_equal(BN_sub(r, x, ec.n), 1);
		made_fitting(sum, r, &made[i]);
		if (i % 3 == 2)
			made[i].digest[0] ^= 1;
	}
	EC_POINT_free(sum), BN_free(x), BN_free(r);
}

void made_wrapped(struct made made[8])
{
	EC_POINT *sum = EC_POINT_new(ec.group);
	BIGNUM *x = bn(), *r = bn();

	for (unsigned i = 0; i < 8; i++) {
		next_on_curve(x, sum);
		assert_int_equal(BN_add(r, x, EC_GROUP_get0_field(ec.group)), 1);
		assert_int_equal(BN_sub(r, r, ec.n), 1);
		made_fitting(sum, r, &made[i]);
	}
	EC_POINT_free(sum), BN_free(x), BN_free(r);
}

void made_small(struct made made[16])
{
	for (unsigned i = 0; i < 16; i++) {
		BIGNUM *d = bn(), *k = random_scalar(), *e = random_scalar();

		assert_int_equal(BN_set_word(d, i / 2 % 4 + 1), 1);
		if (i % 2 == 1)
			assert_int_equal(BN_sub(d, ec.n, d), 1);
		if (i >= 8)
			BN_zero(e);
		if (i >= 14)
			assert_non_null(BN_copy(e, ec.n));
		if (i == 15)
			assert_int_equal(BN_add_word(e, 2), 1);
		if (i == 3)
			assert_int_equal(BN_set_word(k, 1), 1);
		sign(d, k, e, &made[i]);
		BN_free(d), BN_free(k), BN_free(e);
	}
}

void made_no_points(struct made *made, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		random_made(&made[i]);
		if (i % 4 == 0)
			made[i].key.raw[64] ^= 1;
		else if (i % 4 == 1)
			memset(made[i].key.raw + 1, 0, 64); /* infinity has no such encoding */
		else if (i % 4 == 2)
			memset(made[i].key.raw + 1, 0xff, 32);
	}
}

void made_edges(uint8_t edge[MADE_EDGES][32])
{
	BIGNUM *number = BN_dup(ec.n);

	memset(edge, 0, MADE_EDGES * sizeof(edge[0]));
	put(number, edge[1]);
	assert_int_equal(BN_sub_word(number, 1), 1);
	put(number, edge[2]);
	assert_int_equal(BN_add_word(number, 2), 1);
	put(number, edge[3]);
	memset(edge[4], 0xff, 32);
	edge[5][31] = 1;
	BN_free(number);
}

void made_flip(struct made *made, unsigned bit)
{
	unsigned at = bit % 512;

	if (bit >= 1024)
		made->digest[at / 16] ^= (uint8_t)(1 << at % 8);
	else if (bit >= 512)
		made->signature[at / 8] ^= (uint8_t)(1 << at % 8);
	else
		made->key.raw[1 + at / 8] ^= (uint8_t)(1 << at % 8);
}

struct ecdsa_item item_of(const struct made *made)
{
	struct ecdsa_item item = { .key = &made->key,
				   .r = BLOB(made->signature, 32),
				   .s = BLOB(made->signature + 32, 32) };

	memcpy(item.digest, made->digest, sizeof(item.digest));
	return item;
}

struct claim claim_of(const struct made *made)
{
	return (struct claim){ .key = &made->key,
			       .alg = SIG_ECDSA_SHA256,
			       .form = SIG_FORM_RAW,
			       .prehashed = true,
			       .message = BLOB_OF(made->digest),
			       .signature = BLOB_OF(made->signature),
			       .refusal = REASON_EVIDENCE_SIGNATURE,
			       .what = "test" };
}
