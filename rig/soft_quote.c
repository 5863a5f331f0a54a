/*
 * soft_quote.c - builds the quote with libcbor, every map in deterministic order, every number in its shortest form.
 */
#include "soft_quote.h"

#include <cbor.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <string.h>

#define COSE_SIGN1_TAG 18
#define COORDINATE_MAX 48 /* P-384 */

/* COSE, EAT and Assay labels */
enum { COSE_ALG = 1, COSE_ES256 = -7, COSE_ES384 = -35 };
enum { KEY_KTY = 1, KEY_KTY_EC2 = 2, KEY_CRV = -1, KEY_X = -2, KEY_Y = -3 };
enum { CLAIM_CNF = 8, CLAIM_NONCE = 10, CLAIM_UEID = 256, CLAIM_PROFILE = 265 };
enum { CLAIM_PROPERTIES = -80000, CLAIM_VERSION = -80001, CNF_KEY = 1 };

static const struct curve {
	const char *group;
	int cose_curve, cose_alg;
	size_t bytes;
	const char *digest;
} curves[] = {
	{ "prime256v1", 1, COSE_ES256, 32, "SHA256" },
	{ "secp384r1", 2, COSE_ES384, 48, "SHA384" },
};

static const struct curve *curve_of(const EVP_PKEY *key)
{
	char group[64];

	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
		    strcmp(group, curves[i].group) == 0)
			return &curves[i];
	return NULL;
}

static void auto_cbor(cbor_item_t **item)
{
	if (*item != NULL)
		cbor_decref(item);
}

/* libcbor writes a number as wide as it was built: build the narrowest. */
static cbor_item_t *integer(int64_t value)
{
	uint64_t n = value < 0 ? (uint64_t)(-1 - value) : (uint64_t)value;
	cbor_item_t *item = n <= UINT8_MAX    ? cbor_build_uint8((uint8_t)n)
			    : n <= UINT16_MAX ? cbor_build_uint16((uint16_t)n)
			    : n <= UINT32_MAX ? cbor_build_uint32((uint32_t)n)
					      : cbor_build_uint64(n);

	if (item != NULL && value < 0)
		cbor_mark_negint(item);
	return item;
}

/* Consumes value, also when it fails. */
static bool put(cbor_item_t *map, int64_t label, cbor_item_t *value)
{
	cbor_item_t *key = integer(label);
	bool ok = key != NULL && value != NULL;

	if (ok)
		ok = cbor_map_add(map, (struct cbor_pair){ .key = key, .value = value });
	auto_cbor(&key);
	auto_cbor(&value);
	return ok;
}

/* Consumes value, also when it fails. */
static bool push(cbor_item_t *array, cbor_item_t *value)
{
	bool ok = value != NULL && cbor_array_push(array, value);

	auto_cbor(&value);
	return ok;
}

static cbor_item_t *bstr(const void *ptr, size_t len)
{
	return cbor_build_bytestring(ptr, len);
}

static bool encode(const cbor_item_t *item, struct bytes *ret_bytes)
{
	size_t cap, len;
	unsigned char *buffer;

	len = cbor_serialize_alloc(item, &buffer, &cap);
	if (len == 0)
		return false;
	*ret_bytes = (struct bytes){ buffer, len };
	return true;
}

static bool coordinate(const EVP_PKEY *key, const char *name, uint8_t *out, size_t len)
{
	BIGNUM *number = NULL;
	bool ok = EVP_PKEY_get_bn_param(key, name, &number) == 1 && BN_bn2binpad(number, out, (int)len) == (int)len;

	BN_free(number);
	return ok;
}

static cbor_item_t *cose_key(const EVP_PKEY *key)
{
	const struct curve *curve = curve_of(key);
	uint8_t x[COORDINATE_MAX], y[COORDINATE_MAX];
	AUTO(auto_cbor) cbor_item_t *map = cbor_new_definite_map(4);

	if (curve == NULL || map == NULL || !coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X, x, curve->bytes) ||
	    !coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y, y, curve->bytes))
		return NULL;
	if (!put(map, KEY_KTY, integer(KEY_KTY_EC2)) || !put(map, KEY_CRV, integer(curve->cose_curve)) ||
	    !put(map, KEY_X, bstr(x, curve->bytes)) || !put(map, KEY_Y, bstr(y, curve->bytes)))
		return NULL;
	return TAKE(map);
}

static cbor_item_t *confirmation(const EVP_PKEY *key)
{
	AUTO(auto_cbor) cbor_item_t *map = cbor_new_definite_map(1);

	return map != NULL && put(map, CNF_KEY, cose_key(key)) ? TAKE(map) : NULL;
}

/* Labels in the order of their encoded bytes: 08, 0a, 19 01 00, 19 01 09, 3a .. 7f, 3a .. 80. */
static bool payload(const struct soft_quote *q, struct bytes *ret_bytes)
{
	AUTO(auto_cbor) cbor_item_t *map = cbor_new_definite_map(q->version == NULL ? 5 : 6);

	return map != NULL && put(map, CLAIM_CNF, confirmation(q->key)) &&
	       put(map, CLAIM_NONCE, bstr(q->nonce, q->nonce_len)) &&
	       put(map, CLAIM_UEID, bstr(q->ueid, q->ueid_len)) &&
	       put(map, CLAIM_PROFILE, cbor_build_string(ASSAY_EAT_PROFILE)) &&
	       put(map, CLAIM_PROPERTIES, integer(q->properties)) &&
	       (q->version == NULL || put(map, CLAIM_VERSION, cbor_build_string(q->version))) && encode(map, ret_bytes);
}

static bool protected_header(const struct curve *curve, struct bytes *ret_bytes)
{
	AUTO(auto_cbor) cbor_item_t *map = cbor_new_definite_map(1);

	return map != NULL && put(map, COSE_ALG, integer(curve->cose_alg)) && encode(map, ret_bytes);
}

/* What is signed: ["Signature1", protected, external_aad (empty), payload]. */
static bool sig_structure(const struct bytes *header, const struct bytes *body, struct bytes *ret_bytes)
{
	AUTO(auto_cbor) cbor_item_t *array = cbor_new_definite_array(4);

	return array != NULL && push(array, cbor_build_string("Signature1")) &&
	       push(array, bstr(header->ptr, header->len)) && push(array, bstr((const uint8_t *)"", 0)) &&
	       push(array, bstr(body->ptr, body->len)) && encode(array, ret_bytes);
}

/* COSE wants r || s, each as long as the curve, where OpenSSL gives SEQUENCE { r, s }. */
static bool raw_signature(const uint8_t *der, size_t len, size_t coordinate_len, uint8_t *out)
{
	const uint8_t *p = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
	bool ok = sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)coordinate_len) == (int)coordinate_len &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + coordinate_len, (int)coordinate_len) == (int)coordinate_len;

	ECDSA_SIG_free(sig);
	return ok;
}

static bool sign(EVP_PKEY *key, const struct curve *curve, const struct bytes *message, uint8_t *out)
{
	uint8_t der[160];
	size_t len = sizeof(der);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, curve->digest, NULL, NULL, key, NULL) == 1 &&
		  EVP_DigestSign(ctx, der, &len, message->ptr, message->len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok && raw_signature(der, len, curve->bytes, out);
}

static cbor_item_t *sign1(const struct bytes *header, const struct bytes *body, const uint8_t *signature, size_t len)
{
	AUTO(auto_cbor) cbor_item_t *array = cbor_new_definite_array(4);
	cbor_item_t *tagged;

	if (array == NULL || !push(array, bstr(header->ptr, header->len)) || !push(array, cbor_new_definite_map(0)) ||
	    !push(array, bstr(body->ptr, body->len)) || !push(array, bstr(signature, len)))
		return NULL;
	tagged = cbor_new_tag(COSE_SIGN1_TAG);
	if (tagged != NULL)
		cbor_tag_set_item(tagged, array);
	return tagged;
}

bool soft_quote_build(const struct soft_quote *quote, EVP_PKEY *attestation_key, struct bytes *ret_cose,
		      struct trouble *t)
{
	const struct curve *curve = curve_of(attestation_key);
	uint8_t signature[2 * COORDINATE_MAX];
	AUTO(bytes_done) struct bytes header = { 0 };
	AUTO(bytes_done) struct bytes body = { 0 };
	AUTO(bytes_done) struct bytes message = { 0 };
	AUTO(auto_cbor) cbor_item_t *cose = NULL;

	if (curve == NULL || curve_of(quote->key) == NULL)
		return trouble_set(t, "a quote takes EC keys on P-256 or P-384 only");
	if (!payload(quote, &body) || !protected_header(curve, &header) || !sig_structure(&header, &body, &message))
		return trouble_set(t, "quote: cannot encode");
	if (!sign(attestation_key, curve, &message, signature))
		return trouble_openssl(t, "quote: cannot sign");
	cose = sign1(&header, &body, signature, 2 * curve->bytes);
	if (cose == NULL || !encode(cose, ret_cose))
		return trouble_set(t, "quote: cannot encode");
	return true;
}
