/*
 * pubkey.h - a public key as plain data, without OpenSSL's 80 us decoders.
 *
 * Owns:     struct pubkey is a value, no heap.
 * Threads:  pure.
 * Spec:     RFC 5280 section 4.1.2.7, RFC 5480, RFC 8017 appendix A.1.
 */
#ifndef ASSAY_PUBKEY_H
#define ASSAY_PUBKEY_H

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/blob.h"
#include "base/limits.h"

enum key_type { KEY_NONE, KEY_EC_P256, KEY_EC_P384, KEY_EC_P521, KEY_RSA, KEY_TYPE_COUNT };

struct pubkey {
	enum key_type type;
	unsigned bits; /* 256, 384, 521, or the modulus' */
	uint32_t rsa_e; /* RSA only */
	size_t len; /* of raw */
	uint8_t raw[LIMIT_PUBKEY_BYTES]; /* EC: 04 || X || Y; RSA: n, big endian, no leading zero */
};

/*
 * Parses one SubjectPublicKeyInfo, DER, fully consumed: REASON_KEY_TYPE if it is none of the above (secp256k1,
 * explicit parameters, compressed points, ...), REASON_KEY_WEAK below LIMIT_RSA_BITS_MIN or with a bad exponent,
 * REASON_KEY_INVALID for a point off the curve. P-521 and RSA up to 4096 are for vendors' CAs; which types a
 * device may have is policy.
 */
MUST_CHECK enum reason pubkey_parse(struct blob spki, struct pubkey *ret_key, struct fault *f);

/* Checks a key that came as parts (from the channel, from a COSE_Key): point on curve, sizes, modulus. */
MUST_CHECK enum reason pubkey_check(const struct pubkey *key, struct fault *f);

/* The one DER SubjectPublicKeyInfo of a key; buffer of LIMIT_SPKI_BYTES; returns its length. */
size_t pubkey_spki(const struct pubkey *key, uint8_t out[LIMIT_SPKI_BYTES]);

/* SHA-256 of that SubjectPublicKeyInfo: the key's name everywhere in Assay. */
void pubkey_hash(const struct pubkey *key, uint8_t out[32]);

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b);
const char *key_type_name(enum key_type type); /* "ec-p256", "ec-p384", "ec-p521", "rsa" */

/* The curve of an EC type, made once for the process and only read; NULL for other types or when memory is short. */
const EC_GROUP *pubkey_group(enum key_type type);

/* An EVP_PKEY for verification; the caller frees it with EVP_PKEY_free(). NULL when memory is short. */
EVP_PKEY *pubkey_evp(const struct pubkey *key);

#endif
