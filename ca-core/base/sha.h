/*
 * sha.h - SHA-256, SHA-1 and HMAC-SHA-512 that cannot fail.
 *
 * OpenSSL 3's SHA256(), SHA1() and HMAC() allocate: short of memory they return NULL and leave the output as it
 * was, which would be somebody else's hash left on the stack. The functions underneath need no memory, and look up no
 * algorithm by its name, which costs more than the HMAC of a nonce.
 *
 * Threads: pure.
 */
#ifndef ASSAY_SHA_H
#define ASSAY_SHA_H

#include "base/blob.h"

void sha256(struct blob bytes, uint8_t out[32]);
void sha1(struct blob bytes, uint8_t out[20]); /* key identifiers alone, RFC 5280 section 4.2.1.2 */
void hmac_sha512(struct blob key, struct blob bytes, uint8_t out[64]); /* RFC 2104; key of at most 128 bytes */

#endif
