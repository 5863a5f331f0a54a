/*
 * test_quote.c - the quote's bytes, read again with libcbor's decoder and verified with OpenSSL: RFC 9052 section 4.4.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <cbor.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <string.h>

#include "fixture.h"
#include "make.h"
#include "soft_quote.h"

static const uint8_t nonce[16] = "sixteen bytes!!!";
static const uint8_t ueid[17] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 };

static struct bytes build(EVP_PKEY *key, EVP_PKEY *attestation_key, const char *version)
{
	struct soft_quote quote = { .nonce = nonce,
				    .nonce_len = sizeof(nonce),
				    .ueid = ueid,
				    .ueid_len = sizeof(ueid),
				    .key = key,
				    .properties = 7,
				    .version = version };
	struct bytes cose = { 0 };
	struct trouble t;

	if (!soft_quote_build(&quote, attestation_key, &cose, &t))
		fail_msg("%s", t.text);
	return cose;
}

/*
 * The four members of the COSE_Sign1; the caller releases *ret_root. The tag is read by hand: libcbor 0.8 encodes tag
 * 18 but does not decode it.
 */
static cbor_item_t **open_cose(const struct bytes *cose, cbor_item_t **ret_root)
{
	struct cbor_load_result result;
	cbor_item_t *root;

	assert_int_equal(cose->ptr[0], 0xc0 | 18);
	root = cbor_load(cose->ptr + 1, cose->len - 1, &result);
	assert_int_equal(result.error.code, CBOR_ERR_NONE);
	assert_int_equal(result.read, cose->len - 1); /* nothing after it */
	assert_true(cbor_isa_array(root) && cbor_array_is_definite(root));
	assert_int_equal(cbor_array_size(root), 4);
	*ret_root = root;
	return cbor_array_handle(root);
}

/* Sig_structure written out by hand, so that a mistake shared with libcbor's encoder would show. */
static size_t sig_structure(cbor_item_t **member, uint8_t *out)
{
	size_t header = cbor_bytestring_length(member[0]), payload = cbor_bytestring_length(member[2]), n = 0;

	memcpy(out, "\x84\x6aSignature1", 12);
	n = 12;
	assert_true(header < 24 && payload >= 24 && payload < 65536);
	out[n++] = (uint8_t)(0x40 + header);
	memcpy(out + n, cbor_bytestring_handle(member[0]), header);
	n += header;
	out[n++] = 0x40; /* external_aad: empty */
	if (payload < 256) {
		out[n++] = 0x58;
	} else {
		out[n++] = 0x59;
		out[n++] = (uint8_t)(payload >> 8);
	}
	out[n++] = (uint8_t)payload;
	memcpy(out + n, cbor_bytestring_handle(member[2]), payload);
	return n + payload;
}

static bool verifies(cbor_item_t **member, EVP_PKEY *key, const char *md, size_t coordinate)
{
	uint8_t message[1024], der[160], *p = der;
	size_t len = sig_structure(member, message);
	const uint8_t *raw = cbor_bytestring_handle(member[3]);
	ECDSA_SIG *sig = ECDSA_SIG_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int der_len;
	bool ok;

	assert_int_equal(cbor_bytestring_length(member[3]), 2 * coordinate);
	assert_int_equal(ECDSA_SIG_set0(sig, BN_bin2bn(raw, (int)coordinate, NULL),
					BN_bin2bn(raw + coordinate, (int)coordinate, NULL)),
			 1);
	der_len = i2d_ECDSA_SIG(sig, &p);
	ok = EVP_DigestVerifyInit_ex(ctx, NULL, md, NULL, NULL, key, NULL) == 1 &&
	     EVP_DigestVerify(ctx, der, (size_t)der_len, message, len) == 1;
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return ok;
}

/* Labels as signed numbers, in the order in which they stand. */
static void check_labels(const cbor_item_t *map, const long *labels, size_t n)
{
	assert_true(cbor_isa_map(map) && cbor_map_is_definite(map));
	assert_int_equal(cbor_map_size(map), n);
	for (size_t i = 0; i < n; i++) {
		const cbor_item_t *key = cbor_map_handle(map)[i].key;
		long label = (long)cbor_get_int(key);

		assert_int_equal(cbor_isa_negint(key) ? -1 - label : label, labels[i]);
	}
}

static cbor_item_t *value(const cbor_item_t *map, size_t i)
{
	return cbor_map_handle(map)[i].value;
}

static void check_bytes(const cbor_item_t *item, const void *bytes, size_t len)
{
	assert_true(cbor_isa_bytestring(item) && cbor_bytestring_is_definite(item));
	assert_int_equal(cbor_bytestring_length(item), len);
	assert_memory_equal(cbor_bytestring_handle(item), bytes, len);
}

static void check_key(const cbor_item_t *cnf, EVP_PKEY *key, uint64_t curve, size_t coordinate)
{
	static const long cnf_labels[] = { 1 }, key_labels[] = { 1, -1, -2, -3 };
	const cbor_item_t *map;
	uint8_t x[66], y[66];
	BIGNUM *bx = NULL, *by = NULL;

	check_labels(cnf, cnf_labels, 1);
	map = value(cnf, 0);
	check_labels(map, key_labels, 4);
	assert_int_equal(cbor_get_int(value(map, 0)), 2);
	assert_int_equal(cbor_get_int(value(map, 1)), curve);
	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &bx), 1);
	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &by), 1);
	assert_true(BN_bn2binpad(bx, x, (int)coordinate) > 0 && BN_bn2binpad(by, y, (int)coordinate) > 0);
	check_bytes(value(map, 2), x, coordinate);
	check_bytes(value(map, 3), y, coordinate);
	BN_free(bx);
	BN_free(by);
}

static void says_what_part_1_of_the_format_demands(void **state)
{
	static const long with[] = { 8, 10, 256, 265, -80000, -80001 };
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	AUTO(make_key_freep) EVP_PKEY *signer = make_key(KEY_EC_P256);
	AUTO(bytes_done) struct bytes cose = build(key, signer, "applet 2");
	struct cbor_load_result result;
	cbor_item_t *root, **member = open_cose(&cose, &root), *claims;

	(void)state;
	check_bytes(member[0], "\xa1\x01\x26", 3); /* {1: -7} */
	assert_true(cbor_isa_map(member[1]));
	assert_int_equal(cbor_map_size(member[1]), 0);
	claims = cbor_load(cbor_bytestring_handle(member[2]), cbor_bytestring_length(member[2]), &result);
	assert_int_equal(result.read, cbor_bytestring_length(member[2]));
	check_labels(claims, with, 6);
	check_key(value(claims, 0), key, 1, 32);
	check_bytes(value(claims, 1), nonce, sizeof(nonce));
	check_bytes(value(claims, 2), ueid, sizeof(ueid));
	assert_true(cbor_isa_string(value(claims, 3)));
	assert_int_equal(cbor_string_length(value(claims, 3)), 45);
	assert_memory_equal(cbor_string_handle(value(claims, 3)), "urn:uuid:a281f728-f5f8-4676-b182-37bdb2822fa5", 45);
	assert_int_equal(cbor_get_int(value(claims, 4)), 7);
	assert_memory_equal(cbor_string_handle(value(claims, 5)), "applet 2", 8);
	assert_true(verifies(member, signer, "SHA256", 32));
	cbor_decref(&claims);
	cbor_decref(&root);
}

static void leaves_the_version_out(void **state)
{
	static const long without[] = { 8, 10, 256, 265, -80000 };
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P384);
	AUTO(make_key_freep) EVP_PKEY *signer = make_key(KEY_EC_P384);
	AUTO(bytes_done) struct bytes cose = build(key, signer, NULL);
	struct cbor_load_result result;
	cbor_item_t *root, **member = open_cose(&cose, &root), *claims;

	(void)state;
	check_bytes(member[0], "\xa1\x01\x38\x22", 4); /* {1: -35} */
	claims = cbor_load(cbor_bytestring_handle(member[2]), cbor_bytestring_length(member[2]), &result);
	check_labels(claims, without, 5);
	check_key(value(claims, 0), key, 2, 48);
	assert_true(verifies(member, signer, "SHA384", 48));
	cbor_decref(&claims);
	cbor_decref(&root);
}

/* RFC 8949 section 4.2.1: the head of each claim in its shortest form, byte for byte. */
static void is_in_deterministic_encoding(void **state)
{
	static const uint8_t begin[] = { 0xa5, 0x08, 0xa1, 0x01, 0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20 };
	static const uint8_t end[] = { 0x3a, 0x00, 0x01, 0x38, 0x7f, 0x07 };
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	AUTO(bytes_done) struct bytes cose = build(key, key, NULL);
	cbor_item_t *root, **member = open_cose(&cose, &root);
	const uint8_t *payload = cbor_bytestring_handle(member[2]);
	size_t len = cbor_bytestring_length(member[2]);

	(void)state;
	assert_memory_equal(cose.ptr, "\xd2\x84\x43\xa1\x01\x26\xa0\x58", 8);
	assert_memory_equal(payload, begin, sizeof(begin));
	assert_memory_equal(payload + len - sizeof(end), end, sizeof(end));
	cbor_decref(&root);
}

static void another_byte_makes_it_false(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	AUTO(bytes_done) struct bytes cose = build(key, key, NULL);
	cbor_item_t *root, **member = open_cose(&cose, &root);

	(void)state;
	assert_true(verifies(member, key, "SHA256", 32));
	cbor_bytestring_handle(member[2])[20] ^= 1;
	assert_false(verifies(member, key, "SHA256", 32));
	cbor_decref(&root);
}

static void refuses_keys_that_cose_has_no_quote_for(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *ec = make_key(KEY_EC_P256);
	AUTO(make_key_freep) EVP_PKEY *rsa = make_rsa(2048);
	AUTO(make_key_freep) EVP_PKEY *koblitz = make_ec("secp256k1");
	struct soft_quote quote = { .nonce = nonce, .nonce_len = 16, .ueid = ueid, .ueid_len = 17, .key = rsa };
	struct bytes none = { 0 };
	struct trouble t;

	(void)state;
	assert_false(soft_quote_build(&quote, ec, &none, &t));
	quote.key = koblitz;
	assert_false(soft_quote_build(&quote, ec, &none, &t));
	quote.key = ec;
	assert_false(soft_quote_build(&quote, rsa, &none, &t));
	assert_null(none.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_part_1_of_the_format_demands),
		cmocka_unit_test(leaves_the_version_out),
		cmocka_unit_test(is_in_deterministic_encoding),
		cmocka_unit_test(another_byte_makes_it_false),
		cmocka_unit_test(refuses_keys_that_cose_has_no_quote_for),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
