/*
 * se_soft.c - what the software element does when the rig asks.
 */
#include "soft.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <string.h>

#include "soft_quote.h"

#define SOFT_VERSION "assay-soft 1" /* what an applet would say of itself */

static const struct key_kind {
	const char *group; /* NULL: RSA */
	int bits;
} kinds[ELEMENT_KEY_COUNT] = {
	[ELEMENT_EC_P256] = { "prime256v1", 256 },
	[ELEMENT_EC_P384] = { "secp384r1", 384 },
	[ELEMENT_RSA_2048] = { NULL, 2048 },
	[ELEMENT_RSA_3072] = { NULL, 3072 },
};

void element_evidence_done(struct element_evidence *evidence)
{
	bytes_done(&evidence->stmt);
	for (size_t i = 0; i < evidence->n_certs; i++)
		bytes_done(&evidence->cert[i]);
	evidence->n_certs = 0;
}

EVP_PKEY *soft_generate(enum element_key kind)
{
	const struct key_kind *k = &kinds[kind];

	return k->group != NULL ? EVP_EC_gen(k->group) : EVP_RSA_gen((unsigned)k->bits);
}

bool soft_key_is(const EVP_PKEY *key, enum element_key kind)
{
	return EVP_PKEY_get_bits(key) == kinds[kind].bits &&
	       EVP_PKEY_is_a(key, kinds[kind].group != NULL ? "EC" : "RSA") == 1;
}

static struct soft *self(struct element *e)
{
	return (struct soft *)e; /* base is its first member */
}

static void slot_clear(struct soft_slot *slot)
{
	EVP_PKEY_free(slot->key);
	X509_free(slot->cert);
	*slot = (struct soft_slot){ 0 };
}

void soft_free(struct soft *soft)
{
	slot_clear(&soft->slot[ELEMENT_CURRENT]);
	slot_clear(&soft->slot[ELEMENT_NEXT]);
	EVP_PKEY_free(soft->attestation_key);
	X509_free(soft->attestation_cert);
	X509_free(soft->batch_ca);
	free(soft->folder);
	free(soft);
}

static bool power_up(struct element *e, struct trouble *t)
{
	if (e->id[0] == '\0')
		return trouble_set(t, "element has no identity");
	return true;
}

static bool generate_keypair(struct element *e, enum element_key kind, struct trouble *t)
{
	struct soft *soft = self(e);
	struct soft_slot *next = &soft->slot[ELEMENT_NEXT];

	if (next->key != NULL && soft_key_is(next->key, kind))
		return true;
	slot_clear(next);
	next->key = soft_generate(kind);
	if (next->key == NULL)
		return trouble_openssl(t, "element cannot make a key pair");
	return soft_store_key(soft, t);
}

static bool keep_keypair(struct element *e, struct trouble *t)
{
	struct soft *soft = self(e);
	EVP_PKEY *current = soft->slot[ELEMENT_CURRENT].key;

	if (current == NULL || EVP_PKEY_up_ref(current) != 1)
		return trouble_set(t, "element %s has no key to keep", e->id);
	slot_clear(&soft->slot[ELEMENT_NEXT]);
	soft->slot[ELEMENT_NEXT].key = current;
	return true;
}

/* Borrowed; NULL if there is none. */
static EVP_PKEY *slot_key(struct element *e, enum element_slot slot, struct trouble *t)
{
	EVP_PKEY *key = self(e)->slot[slot].key;

	if (key == NULL)
		(void)trouble_set(t, "element %s has no %s key", e->id, slot == ELEMENT_NEXT ? "new" : "present");
	return key;
}

/* `der` by its address: C does not say which argument is evaluated first. */
static bool take_der(int len, uint8_t *const *der, struct bytes *ret_bytes, struct trouble *t)
{
	if (len <= 0)
		return trouble_openssl(t, "cannot encode");
	*ret_bytes = (struct bytes){ *der, (size_t)len };
	return true;
}

static bool public_key(struct element *e, enum element_slot slot, struct bytes *ret_spki, struct trouble *t)
{
	EVP_PKEY *key = slot_key(e, slot, t);
	uint8_t *der = NULL;

	return key != NULL && take_der(i2d_PUBKEY(key, &der), &der, ret_spki, t);
}

/* The COSE_Sign1 in an OCTET STRING: what assay.1.1 has for its stmt. */
static bool wrap_octets(const struct bytes *cose, struct bytes *ret_der, struct trouble *t)
{
	ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
	uint8_t *der = NULL;
	int len = -1;

	if (string != NULL && ASN1_OCTET_STRING_set(string, cose->ptr, (int)cose->len) == 1)
		len = i2d_ASN1_OCTET_STRING(string, &der);
	ASN1_OCTET_STRING_free(string);
	return take_der(len, &der, ret_der, t);
}

static bool attest(struct element *e, const uint8_t *nonce, size_t nonce_len, struct element_evidence *ret_evidence,
		   struct trouble *t)
{
	struct soft *soft = self(e);
	AUTO(bytes_done) struct bytes cose = { 0 };
	AUTO(element_evidence_done) struct element_evidence evidence = { .type = ASSAY_OID_QUOTE };
	struct soft_quote quote = { .nonce = nonce,
				    .nonce_len = nonce_len,
				    .ueid = soft->ueid,
				    .ueid_len = SOFT_UEID_BYTES,
				    .properties =
					    QUOTE_GENERATED_ON_CHIP | QUOTE_NOT_EXPORTABLE | QUOTE_OWN_PURPOSE_ONLY,
				    .version = SOFT_VERSION };
	X509 *const chain[] = { soft->attestation_cert, soft->batch_ca };

	if (soft->attestation_key == NULL)
		return trouble_set(t, "element %s has no attestation key", e->id);
	if (nonce_len < ELEMENT_NONCE_MIN || nonce_len > ELEMENT_NONCE_MAX)
		return trouble_set(t, "a nonce has %d to %d bytes, this one %zu", ELEMENT_NONCE_MIN, ELEMENT_NONCE_MAX,
				   nonce_len);
	quote.key = slot_key(e, ELEMENT_NEXT, t);
	if (quote.key == NULL || !soft_quote_build(&quote, soft->attestation_key, &cose, t) ||
	    !wrap_octets(&cose, &evidence.stmt, t))
		return false;
	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
		uint8_t *der = NULL;

		if (!take_der(i2d_X509(chain[i], &der), &der, &evidence.cert[i], t))
			return false;
		evidence.n_certs = i + 1;
	}
	*ret_evidence = evidence;
	evidence = (struct element_evidence){ 0 }; /* handed out */
	return true;
}

static bool sign(struct element *e, enum element_slot slot, const uint8_t *digest, size_t digest_len,
		 struct bytes *ret_signature, struct trouble *t)
{
	const EVP_MD *md = digest_len == 32 ? EVP_sha256() : digest_len == 48 ? EVP_sha384() : NULL;
	EVP_PKEY *key = slot_key(e, slot, t);
	EVP_PKEY_CTX *ctx;
	size_t len = 512; /* RSA-4096 */
	uint8_t *out;
	bool ok;

	if (key == NULL)
		return false;
	if (md == NULL)
		return trouble_set(t, "element signs digests of 32 or 48 bytes, not of %zu", digest_len);
	ctx = EVP_PKEY_CTX_new(key, NULL);
	out = malloc(len);
	ok = ctx != NULL && out != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
	     EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 && EVP_PKEY_sign(ctx, out, &len, digest, digest_len) == 1;
	EVP_PKEY_CTX_free(ctx);
	if (!ok) {
		free(out);
		return trouble_openssl(t, "element cannot sign");
	}
	*ret_signature = (struct bytes){ out, len };
	return true;
}

static bool import_certificate(struct element *e, const uint8_t *der, size_t len, struct trouble *t)
{
	struct soft *soft = self(e);
	const uint8_t *p = der;
	AUTO(auto_x509) X509 *cert = d2i_X509(NULL, &p, (long)len);
	const EVP_PKEY *key = slot_key(e, ELEMENT_NEXT, t);

	if (key == NULL)
		return false;
	if (cert == NULL || p != der + len)
		return trouble_openssl(t, "element cannot read the certificate");
	if (EVP_PKEY_eq(X509_get0_pubkey(cert), key) != 1)
		return trouble_set(t, "element %s: the certificate is for another key", e->id);
	X509_free(soft->slot[ELEMENT_NEXT].cert);
	soft->slot[ELEMENT_NEXT].cert = TAKE(cert);
	return soft_store_certificate(soft, t);
}

static bool get_certificate(struct element *e, enum element_slot slot, struct bytes *ret_der, struct trouble *t)
{
	X509 *cert = self(e)->slot[slot].cert;
	uint8_t *der = NULL;

	if (cert == NULL)
		return trouble_set(t, "element %s has no %s certificate", e->id,
				   slot == ELEMENT_NEXT ? "new" : "present");
	return take_der(i2d_X509(cert, &der), &der, ret_der, t);
}

static bool activate(struct element *e, struct trouble *t)
{
	struct soft *soft = self(e);
	struct soft_slot *current = &soft->slot[ELEMENT_CURRENT], *next = &soft->slot[ELEMENT_NEXT];

	if (next->key == NULL || next->cert == NULL)
		return trouble_set(t, "element %s has nothing new to take into use", e->id);
	if (!soft_store_activate(soft, next->key != current->key, t))
		return false;
	slot_clear(current);
	*current = *next;
	*next = (struct soft_slot){ 0 };
	return true;
}

static bool tls_key(struct element *e, EVP_PKEY **ret_key, struct trouble *t)
{
	EVP_PKEY *key = slot_key(e, ELEMENT_CURRENT, t);

	if (key == NULL)
		return false;
	if (EVP_PKEY_up_ref(key) != 1)
		return trouble_openssl(t, "element gives no key for TLS");
	*ret_key = key;
	return true;
}

static void close_element(struct element *e)
{
	soft_free(self(e));
}

static const struct element_ops soft_ops = {
	.name = "software",
	.power_up = power_up,
	.generate_keypair = generate_keypair,
	.keep_keypair = keep_keypair,
	.public_key = public_key,
	.attest = attest,
	.sign = sign,
	.import_certificate = import_certificate,
	.get_certificate = get_certificate,
	.activate = activate,
	.tls_key = tls_key,
	.close = close_element,
};

struct soft *soft_new(void)
{
	struct soft *soft = calloc(1, sizeof(*soft));

	if (soft != NULL)
		soft->base.ops = &soft_ops;
	return soft;
}
