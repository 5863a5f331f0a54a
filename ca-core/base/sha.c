/* sha.c - see sha.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* this file alone: what replaces them allocates */
#include "base/sha.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

void sha256(struct blob bytes, uint8_t out[32])
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, bytes.ptr, bytes.len);
	SHA256_Final(out, &ctx);
}

void sha1(struct blob bytes, uint8_t out[20])
{
	SHA_CTX ctx;

	SHA1_Init(&ctx);
	SHA1_Update(&ctx, bytes.ptr, bytes.len);
	SHA1_Final(out, &ctx);
}

/* H(key ^ pad || bytes) */
static void padded(struct blob key, uint8_t pad, struct blob bytes, uint8_t out[64])
{
	uint8_t block[SHA512_CBLOCK];
	SHA512_CTX ctx;

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < key.len; i++)
		block[i] ^= key.ptr[i];
	SHA512_Init(&ctx);
	SHA512_Update(&ctx, block, sizeof(block));
	SHA512_Update(&ctx, bytes.ptr, bytes.len);
	SHA512_Final(out, &ctx);
	OPENSSL_cleanse(block, sizeof(block));
	OPENSSL_cleanse(&ctx, sizeof(ctx));
}

void hmac_sha512(struct blob key, struct blob bytes, uint8_t out[64])
{
	uint8_t inner[64];

	assert(key.len <= SHA512_CBLOCK);
	padded(key, 0x36, bytes, inner);
	padded(key, 0x5c, BLOB_OF(inner), out);
	OPENSSL_cleanse(inner, sizeof(inner));
}
