/*
 * ecdsa.h - one ECDSA verification without the price of an EVP_PKEY.
 *
 * Making an EVP_PKEY from a P-256 point and a context for it takes 16 us, the verification itself 42; an EC_KEY takes
 * 1.4. The EC_KEY interface is deprecated in OpenSSL 3 but there is no other way past the 16 us, so it stands in this
 * one file, behind the interface that a faster engine would have as well.
 *
 * Threads: any.
 */
#ifndef ASSAY_ECDSA_H
#define ASSAY_ECDSA_H

#include "pubkey.h"

enum verified { VERIFIED_TRUE, VERIFIED_FALSE, VERIFIED_NO_MEMORY };

/* signature: DER SEQUENCE { r, s }, strictly. key: an EC key that pubkey_check() has accepted. */
MUST_CHECK enum verified ecdsa_verify(const struct pubkey *key, struct blob digest, struct blob signature);

#endif
