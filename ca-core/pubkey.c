/*
 * pubkey.c - see pubkey.h.
 *
 * The three curve groups are made once and only read afterwards. They check that a point lies on its curve in about
 * a microsecond, where OpenSSL's own decoders take eighty for the whole key.
 */
#include "pubkey.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha.h"
#include "der.h"
#include "derw.h"

static const struct curve {
	const char *name;  /* ours */
	const char *group; /* OpenSSL's */
	int nid;
	unsigned bits;
	size_t point_len;
	enum oid_id oid;
} curves[KEY_TYPE_COUNT] = {
	[KEY_EC_P256] = { "ec-p256", "P-256", NID_X9_62_prime256v1, 256, 65, OID_EC_P256 },
	[KEY_EC_P384] = { "ec-p384", "P-384", NID_secp384r1, 384, 97, OID_EC_P384 },
	[KEY_EC_P521] = { "ec-p521", "P-521", NID_secp521r1, 521, 133, OID_EC_P521 },
};
static _Atomic(EC_GROUP *) groups[KEY_TYPE_COUNT];

#define POINT_BYTES_MAX 133

/* What it takes to look at a point: as long to make as the look itself, so one of each curve is kept. The point that
 * was good last is known again, for a quote names the key of the request that it came in. */
struct checker {
	BN_CTX *ctx;
	EC_POINT *point;
	size_t good_len;
	uint8_t good[POINT_BYTES_MAX];
};
static _Atomic(struct checker *) spare[KEY_TYPE_COUNT];

AUTO_FREE(BIGNUM, bn_freep, BN_free)
AUTO_FREE(OSSL_PARAM, param_freep, OSSL_PARAM_free)
AUTO_FREE(OSSL_PARAM_BLD, param_bld_freep, OSSL_PARAM_BLD_free)
AUTO_FREE(EVP_PKEY_CTX, pkey_ctx_freep, EVP_PKEY_CTX_free)

static bool is_ec(enum key_type type)
{
	return type == KEY_EC_P256 || type == KEY_EC_P384 || type == KEY_EC_P521;
}

const char *key_type_name(enum key_type type)
{
	if (is_ec(type))
		return curves[type].name;
	return type == KEY_RSA ? "rsa" : "none";
}

/* Made at first use; short of memory there is none now, and the next use tries again. */
const EC_GROUP *pubkey_group(enum key_type type)
{
	EC_GROUP *group, *none = NULL;

	if (!is_ec(type))
		return NULL;
	group = atomic_load(&groups[type]);
	if (group != NULL)
		return group;
	group = EC_GROUP_new_by_curve_name(curves[type].nid);
	if (group == NULL || atomic_compare_exchange_strong(&groups[type], &none, group))
		return group;
	EC_GROUP_free(group);
	return none; /* another thread's */
}

static void checker_free(struct checker *checker)
{
	if (checker == NULL)
		return;
	EC_POINT_free(checker->point);
	BN_CTX_free(checker->ctx);
	free(checker);
}

/* The spare one, or one more; NULL when memory is short. */
static struct checker *checker_take(enum key_type type, const EC_GROUP *group)
{
	struct checker *checker = atomic_exchange(&spare[type], NULL);

	if (checker != NULL || (checker = calloc(1, sizeof(*checker))) == NULL)
		return checker;
	checker->ctx = BN_CTX_new();
	checker->point = EC_POINT_new(group);
	if (checker->ctx != NULL && checker->point != NULL)
		return checker;
	checker_free(checker);
	return NULL;
}

static void checker_give(enum key_type type, struct checker *checker)
{
	checker_free(atomic_exchange(&spare[type], checker));
}

static bool on_curve(struct checker *checker, const EC_GROUP *group, const struct pubkey *key)
{
	if (checker->good_len == key->len && memcmp(checker->good, key->raw, key->len) == 0)
		return true;
	if (EC_POINT_oct2point(group, checker->point, key->raw, key->len, checker->ctx) != 1) {
		ERR_clear_error();
		return false;
	}
	memcpy(checker->good, key->raw, key->len);
	checker->good_len = key->len;
	return true;
}

static enum reason check_ec(const struct pubkey *key, struct fault *f)
{
	const struct curve *curve = &curves[key->type];

	if (key->len != curve->point_len || key->bits != curve->bits || key->raw[0] != 0x04)
		return fault_set(f, REASON_KEY_INVALID, "%s: %zu bytes, first 0x%02x: not an uncompressed point",
				 curve->name, key->len, key->raw[0]);
	const EC_GROUP *group = pubkey_group(key->type);
	if (group == NULL)
		return fault_set(f, REASON_NO_MEMORY, "group %s", curve->name);

	struct checker *checker = checker_take(key->type, group);
	if (checker == NULL)
		return fault_set(f, REASON_NO_MEMORY, "point");
	bool good = on_curve(checker, group, key);
	checker_give(key->type, checker);
	return good ? REASON_OK : fault_set(f, REASON_KEY_INVALID, "%s: point is not on the curve", curve->name);
}

static unsigned modulus_bits(struct blob n)
{
	return n.len == 0 || n.ptr[0] == 0 ? 0 : (unsigned)(n.len * 8) - (unsigned)(__builtin_clz(n.ptr[0]) - 24);
}

/* Exponents of 65537 and up are what FIPS 186-5 allows; an even modulus or exponent is no RSA key at all. */
static enum reason check_rsa(const struct pubkey *key, struct fault *f)
{
	unsigned bits = modulus_bits(BLOB(key->raw, key->len));

	if (bits == 0 || bits != key->bits || (key->raw[key->len - 1] & 1) == 0)
		return fault_set(f, REASON_KEY_INVALID, "rsa: modulus of %u bits is padded, even or mislabelled", bits);
	if (bits < LIMIT_RSA_BITS_MIN)
		return fault_set(f, REASON_KEY_WEAK, "rsa: %u bits, at least %d needed", bits, LIMIT_RSA_BITS_MIN);
	if (key->rsa_e < 65537 || (key->rsa_e & 1) == 0)
		return fault_set(f, REASON_KEY_WEAK, "rsa: exponent %u, odd from 65537 on needed",
				 (unsigned)key->rsa_e);
	return REASON_OK;
}

enum reason pubkey_check(const struct pubkey *key, struct fault *f)
{
	if (key->len > sizeof(key->raw))
		return fault_set(f, REASON_KEY_INVALID, "%zu bytes, at most %zu", key->len, sizeof(key->raw));
	if (is_ec(key->type))
		return check_ec(key, f);
	if (key->type == KEY_RSA)
		return check_rsa(key, f);
	return fault_set(f, REASON_KEY_TYPE, "type %d", (int)key->type);
}

/* What follows id-ecPublicKey: the curve's name (explicit and inherited parameters are refused), then the point. */
static enum reason parse_ec(struct blob parameters, struct blob point, struct pubkey *key, struct fault *f)
{
	struct blob name;

	if (!der_oid(&parameters, &name) || parameters.len != 0)
		return fault_set(f, REASON_KEY_TYPE, "ec: parameters are not a curve's name alone");
	for (enum key_type type = KEY_NONE; type < KEY_TYPE_COUNT; type++) {
		if (is_ec(type) && oid_is(name, oid_of(curves[type].oid)))
			key->type = type;
	}
	if (key->type == KEY_NONE)
		return fault_set(f, REASON_KEY_TYPE, "ec: curve is not P-256, P-384 or P-521");
	if (point.len > 0 && point.ptr[0] != 0x04)
		return fault_set(f, REASON_KEY_TYPE, "ec: point is not uncompressed");
	if (point.len != curves[key->type].point_len)
		return fault_set(f, REASON_KEY_INVALID, "ec: point of %zu bytes", point.len);
	key->bits = curves[key->type].bits;
	key->len = point.len;
	memcpy(key->raw, point.ptr, point.len);
	return REASON_OK;
}

/* RSAPublicKey ::= SEQUENCE { n, e }, after NULL parameters (RFC 3279 section 2.3.1). */
static enum reason parse_rsa(struct blob parameters, struct blob der, struct pubkey *key, struct fault *f)
{
	struct blob in, n, e;

	if (!der_null(&parameters) || parameters.len != 0)
		return fault_set(f, REASON_KEY_TYPE, "rsa: parameters are not NULL");
	if (!der_only(der, DER_SEQUENCE, &in) || !der_unsigned(&in, &n) || !der_unsigned(&in, &e) || in.len != 0)
		return fault_set(f, REASON_KEY_INVALID, "rsa: not a DER RSAPublicKey");
	key->type = KEY_RSA;
	key->bits = modulus_bits(n);
	if (key->bits > LIMIT_RSA_BITS_MAX)
		return fault_set(f, REASON_KEY_TYPE, "rsa: %u bits, at most %d", key->bits, LIMIT_RSA_BITS_MAX);
	if (e.len > sizeof(key->rsa_e))
		return fault_set(f, REASON_KEY_WEAK, "rsa: exponent of %zu bytes", e.len);
	for (size_t i = 0; i < e.len; i++)
		key->rsa_e = key->rsa_e << 8 | e.ptr[i];
	key->len = n.len;
	memcpy(key->raw, n.ptr, n.len);
	return REASON_OK;
}

enum reason pubkey_parse(struct blob spki, struct pubkey *ret_key, struct fault *f)
{
	struct pubkey key = { 0 };
	struct blob in, algorithm, oid, bytes;

	if (!der_only(spki, DER_SEQUENCE, &in) || !der_take(&in, DER_SEQUENCE, &algorithm) ||
	    !der_oid(&algorithm, &oid) || !der_bytes(&in, &bytes) || in.len != 0)
		return fault_set(f, REASON_KEY_INVALID, "not a DER SubjectPublicKeyInfo");
	if (oid_is(oid, oid_of(OID_EC_PUBLIC_KEY)))
		TRY(parse_ec(algorithm, bytes, &key, f));
	else if (oid_is(oid, oid_of(OID_RSA)))
		TRY(parse_rsa(algorithm, bytes, &key, f));
	else
		return fault_set(f, REASON_KEY_TYPE, "neither id-ecPublicKey nor rsaEncryption");
	TRY(pubkey_check(&key, f));
	*ret_key = key;
	return REASON_OK;
}

/* RSAPublicKey; derw writes the last field first. */
static void write_rsa(struct derw *w, const struct pubkey *key)
{
	const uint8_t *mark = derw_mark(w);

	derw_uint(w, DER_INTEGER, key->rsa_e);
	derw_uint_bytes(w, BLOB(key->raw, key->len));
	derw_wrap(w, DER_SEQUENCE, mark);
}

static void write_algorithm(struct derw *w, const struct pubkey *key)
{
	const uint8_t *mark = derw_mark(w);
	bool ec = is_ec(key->type);

	if (ec)
		derw_oid(w, oid_of(curves[key->type].oid));
	else
		derw_put(w, DER_NULL, BLOB(NULL, 0));
	derw_oid(w, oid_of(ec ? OID_EC_PUBLIC_KEY : OID_RSA));
	derw_wrap(w, DER_SEQUENCE, mark);
}

size_t pubkey_spki(const struct pubkey *key, uint8_t out[LIMIT_SPKI_BYTES])
{
	uint8_t room[LIMIT_SPKI_BYTES];
	struct derw w = derw_over(room, sizeof(room));
	const uint8_t *end = derw_mark(&w);

	if (is_ec(key->type)) {
		derw_bits(&w, BLOB(key->raw, key->len));
	} else {
		assert(key->type == KEY_RSA);
		write_rsa(&w, key);
		derw_raw(&w, BLOB("", 1)); /* no unused bits */
		derw_wrap(&w, DER_BIT_STRING, end);
	}
	write_algorithm(&w, key);
	derw_wrap(&w, DER_SEQUENCE, end);
	assert(!w.full);
	memcpy(out, derw_blob(&w).ptr, derw_blob(&w).len);
	return derw_blob(&w).len;
}

void pubkey_hash(const struct pubkey *key, uint8_t out[32])
{
	uint8_t spki[LIMIT_SPKI_BYTES];

	sha256(BLOB(spki, pubkey_spki(key, spki)), out);
}

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b)
{
	return a->type == b->type && a->bits == b->bits && a->rsa_e == b->rsa_e &&
	       blob_equal(BLOB(a->raw, a->len), BLOB(b->raw, b->len));
}

static EVP_PKEY *from_params(const char *algorithm, OSSL_PARAM *params)
{
	AUTO(pkey_ctx_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	EVP_PKEY *pkey = NULL;

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return pkey;
}

static EVP_PKEY *evp_ec(const struct pubkey *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)curves[key->type].group,
						 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)key->raw, key->len),
		OSSL_PARAM_construct_end(),
	};

	return from_params("EC", params);
}

static EVP_PKEY *evp_rsa(const struct pubkey *key)
{
	AUTO(param_bld_freep) OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
	AUTO(bn_freep) BIGNUM *n = BN_bin2bn(key->raw, (int)key->len, NULL);
	AUTO(param_freep) OSSL_PARAM *params = NULL;

	if (bld == NULL || n == NULL || OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
	    OSSL_PARAM_BLD_push_ulong(bld, OSSL_PKEY_PARAM_RSA_E, key->rsa_e) != 1)
		return NULL;
	params = OSSL_PARAM_BLD_to_param(bld);
	return params == NULL ? NULL : from_params("RSA", params);
}

EVP_PKEY *pubkey_evp(const struct pubkey *key)
{
	if (is_ec(key->type))
		return evp_ec(key);
	return key->type == KEY_RSA ? evp_rsa(key) : NULL;
}
