/* test_pubkey.c - pubkey.h: keys of every type come through unchanged, everything else has its reason. */
#include "expect.h"

#include <openssl/sha.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "der.h"
#include "make.h"
#include "oid.h"

static const struct {
	enum key_type type;
	const char *name;
	unsigned bits;
	size_t raw_len;
} types[] = {
	{ KEY_EC_P256, "ec-p256", 256, 65 },
	{ KEY_EC_P384, "ec-p384", 384, 97 },
	{ KEY_EC_P521, "ec-p521", 521, 133 },
	{ KEY_RSA, "rsa", 2048, 256 },
};

static void every_type_is_read_and_written_back_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(types); i++) {
		AUTO(make_key_freep) EVP_PKEY *key = make_key(types[i].type);
		AUTO(make_key_freep) EVP_PKEY *again = NULL;
		AUTO(buf_done) struct buf spki = make_spki(key);
		uint8_t written[LIMIT_SPKI_BYTES], hash[32], expected[32];
		struct pubkey pub;

		assert_ok(pubkey_parse(buf_blob(&spki), &pub, NULL));
		assert_int_equal(pub.type, types[i].type);
		assert_int_equal(pub.bits, types[i].bits);
		assert_int_equal(pub.len, types[i].raw_len);
		assert_string_equal(key_type_name(pub.type), types[i].name);
		assert_true(blob_equal(BLOB(written, pubkey_spki(&pub, written)), buf_blob(&spki)));
		pubkey_hash(&pub, hash);
		SHA256(spki.ptr, spki.len, expected);
		assert_memory_equal(hash, expected, 32);
		again = pubkey_evp(&pub);
		assert_non_null(again);
		assert_int_equal(EVP_PKEY_eq(key, again), 1);
	}
}

static void rsa_up_to_4096_bits_is_read(void **state)
{
	(void)state;
	for (unsigned bits = 3072; bits <= 4096; bits += 1024) {
		AUTO(make_key_freep) EVP_PKEY *key = make_rsa(bits);
		AUTO(buf_done) struct buf spki = make_spki(key);
		uint8_t written[LIMIT_SPKI_BYTES];
		struct pubkey pub = make_pubkey(key);

		assert_int_equal(pub.bits, bits);
		assert_true(blob_equal(BLOB(written, pubkey_spki(&pub, written)), buf_blob(&spki)));
	}
}

static enum reason parse_made(EVP_PKEY *made)
{
	AUTO(make_key_freep) EVP_PKEY *key = made;
	AUTO(buf_done) struct buf spki = make_spki(key);
	struct pubkey pub;

	return pubkey_parse(buf_blob(&spki), &pub, NULL);
}

static void other_types_and_sizes_have_their_reason(void **state)
{
	(void)state;
	assert_reason(parse_made(make_ec("secp256k1")), REASON_KEY_TYPE);
	assert_reason(parse_made(make_ec("brainpoolP256r1")), REASON_KEY_TYPE);
	assert_reason(parse_made(make_ec("P-224")), REASON_KEY_TYPE);
	assert_reason(parse_made(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")), REASON_KEY_TYPE);
	assert_reason(parse_made(make_rsa(1024)), REASON_KEY_WEAK);
	assert_reason(parse_made(make_rsa(2040)), REASON_KEY_WEAK);
	assert_reason(parse_made(make_rsa(4104)), REASON_KEY_TYPE);
}

/* Replaces the first occurrence of `from` by as many bytes. */
static void replace(struct buf *b, const char *from, const char *to, size_t len)
{
	uint8_t *at = memmem(b->ptr, b->len, from, len);

	assert_non_null(at);
	memcpy(at, to, len);
}

static void a_point_off_the_curve_is_invalid(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++) {
		AUTO(make_key_freep) EVP_PKEY *key = make_key(types[i].type);
		AUTO(buf_done) struct buf spki = make_spki(key);
		struct pubkey pub = make_pubkey(key), untouched = { .bits = 7 };

		spki.ptr[spki.len - 1] ^= 1;
		assert_reason(pubkey_parse(buf_blob(&spki), &untouched, NULL), REASON_KEY_INVALID);
		assert_int_equal(untouched.bits, 7);
		pub.raw[pub.len - 1] ^= 1;
		assert_reason(pubkey_check(&pub, NULL), REASON_KEY_INVALID);
		memset(pub.raw + 1, 0xff, pub.len - 1); /* coordinates beyond the field */
		assert_reason(pubkey_check(&pub, NULL), REASON_KEY_INVALID);
	}
}

static struct pubkey key_of(enum key_type type)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(type);
	AUTO(buf_done) struct buf spki = make_spki(key);
	struct pubkey pub;

	assert_ok(pubkey_parse(buf_blob(&spki), &pub, NULL));
	return pub;
}

/* The point that was good last is known again: by all its bytes, and on its own curve. */
static void a_good_point_lets_no_other_pass(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(types) - 1; i++) {
		struct pubkey good = key_of(types[i].type), other = key_of(types[i].type), bad;

		for (size_t at = 1; at < good.len; at++) {
			assert_ok(pubkey_check(&good, NULL));
			bad = good;
			bad.raw[at] ^= 1;
			assert_reason(pubkey_check(&bad, NULL), REASON_KEY_INVALID);
			assert_reason(pubkey_check(&bad, NULL), REASON_KEY_INVALID);
			assert_ok(pubkey_check(at % 2 == 0 ? &good : &other, NULL));
		}
	}
}

static void *check_many(void *arg)
{
	struct pubkey good = *(const struct pubkey *)arg, bad = good;
	size_t wrong = 0;

	bad.raw[good.len - 1] ^= 1;
	for (int i = 0; i < 2000; i++) {
		wrong += pubkey_check(&good, NULL) != REASON_OK;
		wrong += pubkey_check(&bad, NULL) != REASON_KEY_INVALID;
	}
	return (void *)wrong;
}

static void points_are_checked_by_many_threads_at_once(void **state)
{
	struct pubkey key[4];
	pthread_t thread[4];
	void *wrong;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		key[i] = key_of(KEY_EC_P256);
		assert_int_equal(pthread_create(&thread[i], NULL, check_many, &key[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &wrong), 0);
		assert_null(wrong);
	}
}

static void infinity_compressed_and_hybrid_points_are_refused(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	AUTO(buf_done) struct buf spki = make_spki(key);
	struct pubkey pub;
	/* the same key with the curve's generator compressed, and the point at infinity */
	static const uint8_t compressed[] = {
		0x30, 0x39, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
		0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x22, 0x00, 0x03, 0x6b, 0x17, 0xd1,
		0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03,
		0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
	};
	static const uint8_t infinity[] = {
		0x30, 0x19, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
		0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x02, 0x00, 0x00,
	};

	(void)state;
	assert_reason(pubkey_parse(BLOB_OF(compressed), &pub, NULL), REASON_KEY_TYPE);
	assert_reason(pubkey_parse(BLOB_OF(infinity), &pub, NULL), REASON_KEY_TYPE);
	spki.ptr[26] = (uint8_t)(0x06 | (spki.ptr[spki.len - 1] & 1)); /* hybrid form of the same point */
	assert_reason(pubkey_parse(buf_blob(&spki), &pub, NULL), REASON_KEY_TYPE);
}

static void algorithm_parameters_are_strict(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *rsa = make_key(KEY_RSA);
	AUTO(buf_done) struct buf spki = make_spki(rsa);
	struct pubkey pub;

	(void)state;
	/* NULL becomes an empty OCTET STRING */
	replace(&spki, "\x01\x01\x01\x05\x00", "\x01\x01\x01\x04\x00", 5);
	assert_reason(pubkey_parse(buf_blob(&spki), &pub, NULL), REASON_KEY_TYPE);

	AUTO(make_key_freep) EVP_PKEY *ec = make_key(KEY_EC_P256);
	AUTO(buf_done) struct buf ec_spki = make_spki(ec);
	/* the curve's name becomes an OCTET STRING */
	replace(&ec_spki, "\x06\x08\x2a\x86\x48\xce\x3d\x03", "\x04\x08\x2a\x86\x48\xce\x3d\x03", 8);
	assert_reason(pubkey_parse(buf_blob(&ec_spki), &pub, NULL), REASON_KEY_TYPE);
}

static void explicit_curve_parameters_are_refused(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	struct pubkey pub;

	(void)state;
	assert_int_equal(EVP_PKEY_set_utf8_string_param(key, "encoding", "explicit"), 1);
	AUTO(buf_done) struct buf spki = make_spki(key);
	assert_true(spki.len > 200);
	assert_reason(pubkey_parse(buf_blob(&spki), &pub, NULL), REASON_KEY_TYPE);
}

static void rsa_numbers_are_checked(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_RSA);
	struct pubkey good = make_pubkey(key), bad = good;

	(void)state;
	assert_ok(pubkey_check(&good, NULL));
	bad.raw[bad.len - 1] &= 0xfe; /* even modulus */
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_INVALID);
	bad = good;
	bad.raw[0] = 0;
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_INVALID);
	bad = good;
	bad.bits = 2049;
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_INVALID);
	bad = good;
	bad.len = sizeof(bad.raw) + 1;
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_INVALID);
	bad = good;
	bad.len = 0;
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_INVALID);
	for (uint32_t e = 0; e < 5; e++) {
		bad = good;
		bad.rsa_e = e;
		assert_reason(pubkey_check(&bad, NULL), REASON_KEY_WEAK);
	}
	bad.rsa_e = 65538;
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_WEAK);
	bad.type = KEY_NONE;
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_TYPE);
	bad.type = KEY_TYPE_COUNT;
	assert_reason(pubkey_check(&bad, NULL), REASON_KEY_TYPE);
}

/* Exact copies on the heap, so that AddressSanitizer sees one byte too many. */
static enum reason parse_copy(struct blob der)
{
	uint8_t *copy = malloc(der.len > 0 ? der.len : 1);
	struct pubkey pub;
	enum reason reason;

	assert_non_null(copy);
	memcpy(copy, der.ptr, der.len);
	reason = pubkey_parse(BLOB(copy, der.len), &pub, NULL);
	free(copy);
	return reason;
}

static void every_prefix_and_every_extra_byte_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(types); i++) {
		AUTO(make_key_freep) EVP_PKEY *key = make_key(types[i].type);
		AUTO(buf_done) struct buf spki = make_spki(key);

		for (size_t len = 0; len < spki.len; len++)
			assert_reason(parse_copy(BLOB(spki.ptr, len)), REASON_KEY_INVALID);
		assert_ok(buf_append(&spki, BLOB("\0", 1), NULL));
		assert_reason(parse_copy(buf_blob(&spki)), REASON_KEY_INVALID);
	}
}

/* What is accepted must have been the one encoding: written back it is the same. */
static void every_bit_flip_is_refused_or_another_key(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(types); i++) {
		AUTO(make_key_freep) EVP_PKEY *key = make_key(types[i].type);
		AUTO(buf_done) struct buf spki = make_spki(key);
		uint8_t written[LIMIT_SPKI_BYTES];
		struct pubkey pub;

		for (size_t bit = 0; bit < spki.len * 8; bit++) {
			spki.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
			if (pubkey_parse(buf_blob(&spki), &pub, NULL) == REASON_OK)
				assert_true(blob_equal(BLOB(written, pubkey_spki(&pub, written)), buf_blob(&spki)));
			spki.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
	}
}

static void equality_is_by_all_parts(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *one = make_key(KEY_EC_P256), *two = make_key(KEY_EC_P256);
	struct pubkey a = make_pubkey(one), b = make_pubkey(two), c = a;

	(void)state;
	assert_true(pubkey_equal(&a, &c));
	assert_false(pubkey_equal(&a, &b));
	c.rsa_e = 3;
	assert_false(pubkey_equal(&a, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_read_and_written_back_the_same),
		cmocka_unit_test(rsa_up_to_4096_bits_is_read),
		cmocka_unit_test(other_types_and_sizes_have_their_reason),
		cmocka_unit_test(a_point_off_the_curve_is_invalid),
		cmocka_unit_test(a_good_point_lets_no_other_pass),
		cmocka_unit_test(points_are_checked_by_many_threads_at_once),
		cmocka_unit_test(infinity_compressed_and_hybrid_points_are_refused),
		cmocka_unit_test(algorithm_parameters_are_strict),
		cmocka_unit_test(explicit_curve_parameters_are_refused),
		cmocka_unit_test(rsa_numbers_are_checked),
		cmocka_unit_test(every_prefix_and_every_extra_byte_is_refused),
		cmocka_unit_test(every_bit_flip_is_refused_or_another_key),
		cmocka_unit_test(equality_is_by_all_parts),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
