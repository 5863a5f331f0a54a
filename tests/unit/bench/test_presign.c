/* test_presign.c - are signatures made in two halves ordinary ones? OpenSSL verifies them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rand.h>

#include "presign.h"

#define ROUNDS 200 /* r and s with leading zeros and with a top bit among them */

static bool verifies(EVP_PKEY *key, const uint8_t *digest, const uint8_t *der, size_t len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	bool ok = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_verify(ctx, der, len, digest, 32) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static void sign_and_verify(struct presign_room *room, const struct presign_key *scalar, EVP_PKEY *key)
{
	struct trouble t = { 0 };

	for (int i = 0; i < ROUNDS; i++) {
		struct presigned half;
		uint8_t digest[32], raw[64], der[PRESIGN_DER_MAX];
		size_t len;

		assert_int_equal(RAND_bytes(digest, sizeof(digest)), 1);
		assert_true(presign(room, scalar, &half, &t));
		assert_true(presign_finish(room, &half, digest, raw));
		len = presign_der(raw, der);
		assert_true(verifies(key, digest, der, len));
		digest[0] ^= 1;
		assert_false(verifies(key, digest, der, len));
	}
}

static void test_openssl_verifies_them(void **state)
{
	AUTO(auto_pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
	struct presign_room *room = NULL;
	struct presign_key scalar;
	struct trouble t = { 0 };

	(void)state;
	assert_true(presign_room_new(&room, &t));
	assert_true(presign_key_of(key, &scalar, &t));
	sign_and_verify(room, &scalar, key);
	presign_room_free(room);
}

static EVP_PKEY *public_key(struct presign_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){ "P-256" }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, key->point, sizeof(key->point)),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *made = NULL;

	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(EVP_PKEY_fromdata(ctx, &made, EVP_PKEY_PUBLIC_KEY, params), 1);
	EVP_PKEY_CTX_free(ctx);
	return made;
}

static void test_a_key_made_here_is_an_ordinary_one(void **state)
{
	struct presign_room *room = NULL;
	struct presign_key scalar, other;
	struct trouble t = { 0 };

	(void)state;
	assert_true(presign_room_new(&room, &t));
	assert_true(presign_key_new(room, &scalar, &t));
	assert_true(presign_key_new(room, &other, &t));
	assert_memory_not_equal(scalar.point, other.point, sizeof(other.point));
	AUTO(auto_pkey) EVP_PKEY *key = public_key(&scalar);
	sign_and_verify(room, &scalar, key);
	presign_room_free(room);
}

static void test_a_key_of_another_curve_is_refused(void **state)
{
	AUTO(auto_pkey) EVP_PKEY *key = EVP_EC_gen("P-384");
	struct presign_key scalar;
	struct trouble t = { 0 };

	(void)state;
	assert_false(presign_key_of(key, &scalar, &t));
}

static void test_small_numbers_have_no_leading_zeros(void **state)
{
	static const uint8_t expected[] = { 0x30, 0x07, 0x02, 0x01, 0x05, 0x02, 0x02, 0x00, 0x80 };
	uint8_t raw[64] = { 0 }, der[PRESIGN_DER_MAX];

	(void)state;
	raw[31] = 0x05;
	raw[63] = 0x80;
	assert_int_equal(presign_der(raw, der), sizeof(expected));
	assert_memory_equal(der, expected, sizeof(expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openssl_verifies_them),
		cmocka_unit_test(test_a_key_made_here_is_an_ordinary_one),
		cmocka_unit_test(test_a_key_of_another_curve_is_refused),
		cmocka_unit_test(test_small_numbers_have_no_leading_zeros),
	};

	return cmocka_run_group_tests_name("presign", tests, NULL, NULL);
}
