/*
 * sha.h - SHA-256 and SHA-1 that cannot fail.
 *
 * OpenSSL 3's SHA256() and SHA1() allocate: short of memory they return NULL and leave the output as it
 * was, which would be
 * somebody else's hash left on the stack. The functions underneath need no memory.
 *
 * Threads: pure.
 */
#ifndef ASSAY_SHA_H
#define ASSAY_SHA_H

#include "base/blob.h"

void sha256(struct blob bytes, uint8_t out[32]);
void sha1(struct blob bytes, uint8_t out[20]); /* key identifiers alone, RFC 5280 section 4.2.1.2 */

#endif
