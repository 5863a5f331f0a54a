/* ecdsa.c - see ecdsa.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* this file alone */
#include "ecdsa.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>

AUTO_FREE(EC_KEY, ec_key_freep, EC_KEY_free)

enum verified ecdsa_verify(const struct pubkey *key, struct blob digest, struct blob signature)
{
	const EC_GROUP *group = pubkey_group(key->type);
	AUTO(ec_key_freep) EC_KEY *ec = EC_KEY_new();

	if (group == NULL || ec == NULL || EC_KEY_set_group(ec, group) != 1)
		return VERIFIED_NO_MEMORY;
	if (EC_KEY_oct2key(ec, key->raw, key->len, NULL) != 1)
		return VERIFIED_FALSE; /* no such point: nobody can have signed */
	return ECDSA_verify(0, digest.ptr, (int)digest.len, signature.ptr, (int)signature.len, ec) == 1
		       ? VERIFIED_TRUE
		       : VERIFIED_FALSE;
}
