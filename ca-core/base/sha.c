/* sha.c - see sha.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* this file alone: what replaces them allocates */
#include "base/sha.h"

#include <openssl/sha.h>

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
