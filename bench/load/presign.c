/*
 * presign.c - s = (digest + r * d) / k = digest / k + offset, modulo the order of P-256.
 */
#include "presign.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <string.h>

struct presign_room {
	EC_GROUP *group;
	EC_POINT *point;
	BN_CTX *ctx;
	BIGNUM *a, *b, *c, *d;
};

void presign_room_free(struct presign_room *room)
{
	if (room == NULL)
		return;
	EC_POINT_free(room->point);
	EC_GROUP_free(room->group);
	BN_clear_free(room->a);
	BN_clear_free(room->b);
	BN_clear_free(room->c);
	BN_clear_free(room->d);
	BN_CTX_free(room->ctx);
	free(room);
}

bool presign_room_new(struct presign_room **ret_room, struct trouble *t)
{
	struct presign_room *room = calloc(1, sizeof(*room));

	if (room != NULL) {
		room->group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
		room->point = room->group == NULL ? NULL : EC_POINT_new(room->group);
		room->ctx = BN_CTX_new();
		room->a = BN_new();
		room->b = BN_new();
		room->c = BN_new();
		room->d = BN_new();
	}
	if (room == NULL || room->point == NULL || room->ctx == NULL || room->a == NULL || room->b == NULL ||
	    room->c == NULL || room->d == NULL) {
		presign_room_free(room);
		return trouble_set(t, "not enough memory");
	}
	*ret_room = room;
	return true;
}

static bool put(const BIGNUM *number, uint8_t out[PRESIGN_BYTES])
{
	return BN_bn2binpad(number, out, PRESIGN_BYTES) == PRESIGN_BYTES;
}

/* k, and the x of its point. */
static bool multiply(struct presign_room *room, const BIGNUM *k, BIGNUM *x, BIGNUM *y)
{
	return EC_POINT_mul(room->group, room->point, k, NULL, NULL, room->ctx) == 1 &&
	       EC_POINT_get_affine_coordinates(room->group, room->point, x, y, room->ctx) == 1;
}

bool presign_key_new(struct presign_room *room, struct presign_key *ret_key, struct trouble *t)
{
	BIGNUM *d = room->a, *x = room->b, *y = room->c;

	do {
		if (BN_priv_rand_range(d, EC_GROUP_get0_order(room->group)) != 1)
			return trouble_openssl(t, "no random numbers");
	} while (BN_is_zero(d));
	ret_key->point[0] = POINT_CONVERSION_UNCOMPRESSED;
	return (multiply(room, d, x, y) && put(d, ret_key->private) && put(x, ret_key->point + 1) &&
		put(y, ret_key->point + 1 + PRESIGN_BYTES)) ||
	       trouble_openssl(t, "cannot make a key");
}

bool presign_key_of(const EVP_PKEY *key, struct presign_key *ret_key, struct trouble *t)
{
	BIGNUM *d = NULL;
	size_t len = 0;
	bool ok = EVP_PKEY_get_bits(key) == 256 && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1 &&
		  put(d, ret_key->private) &&
		  EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, ret_key->point, sizeof(ret_key->point),
						  &len) == 1 &&
		  len == PRESIGN_POINT_BYTES && ret_key->point[0] == POINT_CONVERSION_UNCOMPRESSED;

	BN_clear_free(d);
	return ok || trouble_openssl(t, "not a P-256 key that can be taken apart");
}

static bool first_half(struct presign_room *room, const struct presign_key *key, struct presigned *out)
{
	const BIGNUM *order = EC_GROUP_get0_order(room->group);
	BIGNUM *k = room->a, *r = room->b, *inverse = room->c, *d = room->d;

	do {
		if (BN_priv_rand_range(k, order) != 1 || !multiply(room, k, r, NULL) ||
		    BN_nnmod(r, r, order, room->ctx) != 1)
			return false;
	} while (BN_is_zero(k) || BN_is_zero(r));
	return BN_bin2bn(key->private, PRESIGN_BYTES, d) != NULL &&
	       BN_mod_inverse(inverse, k, order, room->ctx) != NULL && put(r, out->r) && put(inverse, out->k_inverse) &&
	       BN_mod_mul(r, r, d, order, room->ctx) == 1 && BN_mod_mul(r, r, inverse, order, room->ctx) == 1 &&
	       put(r, out->offset);
}

bool presign(struct presign_room *room, const struct presign_key *key, struct presigned *ret_presigned,
	     struct trouble *t)
{
	return first_half(room, key, ret_presigned) || trouble_openssl(t, "cannot prepare a signature");
}

bool presign_finish(struct presign_room *room, const struct presigned *presigned, const uint8_t digest[32],
		    uint8_t ret_raw[2 * PRESIGN_BYTES])
{
	const BIGNUM *order = EC_GROUP_get0_order(room->group);

	if (BN_bin2bn(digest, 32, room->a) == NULL || BN_bin2bn(presigned->k_inverse, PRESIGN_BYTES, room->b) == NULL ||
	    BN_bin2bn(presigned->offset, PRESIGN_BYTES, room->c) == NULL ||
	    BN_mod_mul(room->a, room->a, room->b, order, room->ctx) != 1 ||
	    BN_mod_add_quick(room->a, room->a, room->c, order) != 1)
		return false;
	memcpy(ret_raw, presigned->r, PRESIGN_BYTES);
	return put(room->a, ret_raw + PRESIGN_BYTES);
}

static size_t put_integer(const uint8_t number[PRESIGN_BYTES], uint8_t *out)
{
	size_t skip = 0, sign;

	while (skip < PRESIGN_BYTES - 1 && number[skip] == 0)
		skip++;
	sign = number[skip] >= 0x80 ? 1 : 0; /* an INTEGER with its top bit set would be negative */
	out[0] = 0x02;
	out[1] = (uint8_t)(PRESIGN_BYTES - skip + sign);
	out[2] = 0;
	memcpy(out + 2 + sign, number + skip, PRESIGN_BYTES - skip);
	return 2 + sign + PRESIGN_BYTES - skip;
}

size_t presign_der(const uint8_t raw[2 * PRESIGN_BYTES], uint8_t out[PRESIGN_DER_MAX])
{
	size_t len = put_integer(raw, out + 2);

	len += put_integer(raw + PRESIGN_BYTES, out + 2 + len);
	out[0] = 0x30;
	out[1] = (uint8_t)len;
	return 2 + len;
}
