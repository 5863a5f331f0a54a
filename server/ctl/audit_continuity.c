/*
 * audit_continuity.c - the old key's word for the new one: assay.4.1, a signature that proves a renewal without trust
 * in the CA; see audit.h.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <string.h>

#include "audit.h"
#include "base/limits.h"

#define LABEL "assay-continuity-v1"

static void x509_freep(X509 **x)
{
	X509_free(*x);
}

static void digest_freep(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx);
}

bool audit_continuity_holds(struct blob previous_der, const char *previous_serial, const char *key_hash,
			    struct blob signature)
{
	const uint8_t *p = previous_der.ptr;
	AUTO(x509_freep) X509 *previous = d2i_X509(NULL, &p, (long)previous_der.len);
	AUTO(digest_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *key = previous == NULL ? NULL : X509_get0_pubkey(previous);
	const size_t serial_len = strlen(previous_serial) / 2, label_len = sizeof(LABEL) - 1;
	uint8_t message[sizeof(LABEL) - 1 + LIMIT_SERIAL_BYTES + AUDIT_HASH] = LABEL;
	const EVP_MD *md;

	if (key == NULL || ctx == NULL || serial_len > LIMIT_SERIAL_BYTES ||
	    strlen(key_hash) != (size_t)2 * AUDIT_HASH ||
	    !audit_unhex(previous_serial, message + label_len, serial_len) ||
	    !audit_unhex(key_hash, message + label_len + serial_len, AUDIT_HASH))
		return false;
	md = EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 384 ? EVP_sha384() : EVP_sha256();
	return EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, signature.ptr, signature.len, message, label_len + serial_len + AUDIT_HASH) == 1;
}
