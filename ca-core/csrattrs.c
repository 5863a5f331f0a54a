/* csrattrs.c - see csrattrs.h. */
#include "csrattrs.h"

#include "derw.h"

static const struct {
	enum oid_id key, curve, signature;
} shapes[KEY_TYPE_COUNT] = {
	[KEY_EC_P256] = { OID_EC_PUBLIC_KEY, OID_EC_P256, OID_ECDSA_SHA256 },
	[KEY_EC_P384] = { OID_EC_PUBLIC_KEY, OID_EC_P384, OID_ECDSA_SHA384 },
	[KEY_EC_P521] = { OID_EC_PUBLIC_KEY, OID_EC_P521, OID_ECDSA_SHA512 },
	[KEY_RSA] = { OID_RSA, OID_COUNT, OID_RSA_SHA256 },
};

/* Attribute ::= SEQUENCE { key type, SET { curve or size } }; written last field first, as derw does. */
static void write_key_type(struct derw *w, enum key_type type, unsigned rsa_bits)
{
	const uint8_t *mark = derw_mark(w);

	if (type == KEY_RSA)
		derw_uint(w, DER_INTEGER, rsa_bits);
	else
		derw_oid(w, oid_of(shapes[type].curve));
	derw_wrap(w, DER_SET, mark);
	derw_oid(w, oid_of(shapes[type].key));
	derw_wrap(w, DER_SEQUENCE, mark);
}

enum reason csrattrs_build(enum key_type type, unsigned rsa_bits, bool evidence, bool challenge, struct buf *ret_der,
			   struct fault *f)
{
	uint8_t room[128];
	struct derw w = derw_over(room, sizeof(room));

	if (type <= KEY_NONE || type >= KEY_TYPE_COUNT)
		return fault_set(f, REASON_INTERNAL, "csrattrs for key type %d", (int)type);
	derw_oid(&w, oid_of(shapes[type].signature));
	if (evidence)
		derw_oid(&w, oid_of(OID_AA_ATTESTATION));
	write_key_type(&w, type, rsa_bits);
	if (challenge)
		derw_oid(&w, oid_of(OID_PKCS9_CHALLENGE));
	derw_wrap(&w, DER_SEQUENCE, w.end);
	if (w.full)
		return fault_set(f, REASON_INTERNAL, "csrattrs: over %zu bytes", sizeof(room));
	return buf_copy(derw_blob(&w), ret_der, f);
}
