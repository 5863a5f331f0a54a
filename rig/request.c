/*
 * request.c - builds the PKCS#10 with OpenSSL and has the element sign its digest, as a chip does.
 */
#include "request.h"

#include <openssl/asn1t.h>
#include <openssl/sha.h>
#include <string.h>

#include "soft_quote.h"

#define OID_ATTESTATION "1.2.840.113549.1.9.16.2.59" /* id-aa-attestation */

/* AttestationStatement ::= SEQUENCE { type OBJECT IDENTIFIER, stmt ANY DEFINED BY type } */
typedef struct attestation_statement {
	ASN1_OBJECT *type;
	ASN1_TYPE *stmt;
} ATTESTATION_STATEMENT;

ASN1_SEQUENCE(ATTESTATION_STATEMENT) = {
	ASN1_SIMPLE(ATTESTATION_STATEMENT, type, ASN1_OBJECT),
	ASN1_SIMPLE(ATTESTATION_STATEMENT, stmt, ASN1_ANY),
} static_ASN1_SEQUENCE_END(ATTESTATION_STATEMENT)

DEFINE_STACK_OF(ATTESTATION_STATEMENT)

/* AttestationBundle ::= SEQUENCE { attestations SEQUENCE OF AttestationStatement, certs SEQUENCE OF ... OPTIONAL } */
typedef struct attestation_bundle {
	STACK_OF(ATTESTATION_STATEMENT) * attestations;
	STACK_OF(X509) * certs;
} ATTESTATION_BUNDLE;

ASN1_SEQUENCE(ATTESTATION_BUNDLE) = {
	ASN1_SEQUENCE_OF(ATTESTATION_BUNDLE, attestations, ATTESTATION_STATEMENT),
	ASN1_SEQUENCE_OF_OPT(ATTESTATION_BUNDLE, certs, X509),
} static_ASN1_SEQUENCE_END(ATTESTATION_BUNDLE)

/* How a key signs: the digest that fits its strength, and the name of the two together. */
struct signer {
	const char *digest;
	size_t digest_len;
	int algorithm; /* NID */
};

static struct signer signer_of(const EVP_PKEY *key)
{
	if (EVP_PKEY_is_a(key, "RSA") == 1)
		return (struct signer){ "SHA256", 32, NID_sha256WithRSAEncryption };
	if (EVP_PKEY_get_bits(key) == 384)
		return (struct signer){ "SHA384", 48, NID_ecdsa_with_SHA384 };
	return (struct signer){ "SHA256", 32, NID_ecdsa_with_SHA256 };
}

static void auto_request(X509_REQ **request)
{
	X509_REQ_free(*request);
}

static void auto_bundle(ATTESTATION_BUNDLE **bundle)
{
	ASN1_item_free((ASN1_VALUE *)*bundle, ASN1_ITEM_rptr(ATTESTATION_BUNDLE));
}

static void auto_statement(ATTESTATION_STATEMENT **statement)
{
	ASN1_item_free((ASN1_VALUE *)*statement, ASN1_ITEM_rptr(ATTESTATION_STATEMENT));
}

static bool add_statement(ATTESTATION_BUNDLE *bundle, const struct element_evidence *evidence)
{
	const uint8_t *p = evidence->stmt.ptr;
	AUTO(auto_statement)
	ATTESTATION_STATEMENT *statement =
		(ATTESTATION_STATEMENT *)ASN1_item_new(ASN1_ITEM_rptr(ATTESTATION_STATEMENT));

	if (statement == NULL)
		return false;
	ASN1_OBJECT_free(statement->type);
	statement->type = OBJ_txt2obj(evidence->type, 1);
	if (statement->type == NULL || d2i_ASN1_TYPE(&statement->stmt, &p, (long)evidence->stmt.len) == NULL ||
	    sk_ATTESTATION_STATEMENT_push(bundle->attestations, statement) <= 0)
		return false;
	statement = NULL;
	return true;
}

static bool add_certs(ATTESTATION_BUNDLE *bundle, const struct element_evidence *evidence)
{
	bundle->certs = sk_X509_new_null();
	for (size_t i = 0; bundle->certs != NULL && i < evidence->n_certs; i++) {
		const uint8_t *p = evidence->cert[i].ptr;
		AUTO(auto_x509) X509 *cert = d2i_X509(NULL, &p, (long)evidence->cert[i].len);

		if (cert == NULL || sk_X509_push(bundle->certs, cert) <= 0)
			return false;
		cert = NULL;
	}
	return bundle->certs != NULL;
}

static bool bundle_build(const struct element_evidence *evidence, struct bytes *ret_der)
{
	uint8_t *der = NULL;
	int len;
	AUTO(auto_bundle)
	ATTESTATION_BUNDLE *bundle = (ATTESTATION_BUNDLE *)ASN1_item_new(ASN1_ITEM_rptr(ATTESTATION_BUNDLE));

	if (bundle == NULL || !add_statement(bundle, evidence) ||
	    (evidence->n_certs > 0 && !add_certs(bundle, evidence)))
		return false;
	len = ASN1_item_i2d((ASN1_VALUE *)bundle, &der, ASN1_ITEM_rptr(ATTESTATION_BUNDLE));
	if (len <= 0)
		return false;
	*ret_der = (struct bytes){ der, (size_t)len };
	return true;
}

static bool add_evidence(X509_REQ *req, const struct element_evidence *evidence)
{
	AUTO(bytes_done) struct bytes bundle = { 0 };

	return evidence == NULL ||
	       (bundle_build(evidence, &bundle) &&
		X509_REQ_add1_attr_by_txt(req, OID_ATTESTATION, V_ASN1_SEQUENCE, bundle.ptr, (int)bundle.len) == 1);
}

/* "assay-continuity-v1", the previous serial's content octets, SHA-256 of the new SubjectPublicKeyInfo. */
static bool continuity_digest(const X509 *previous, const struct bytes *new_spki, const struct signer *signer,
			      uint8_t *out)
{
	static const char label[] = "assay-continuity-v1";
	const ASN1_INTEGER *serial = X509_get0_serialNumber(previous);
	uint8_t content[64], spki_hash[SHA256_DIGEST_LENGTH];
	uint8_t *p = content;
	int len = i2d_ASN1_INTEGER(serial, NULL); /* tag, one length octet, content */
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_MD *md = EVP_MD_fetch(NULL, signer->digest, NULL);
	bool ok = false;

	if (ctx != NULL && md != NULL && len > 2 && (size_t)len <= sizeof(content) &&
	    i2d_ASN1_INTEGER(serial, &p) == len)
		ok = SHA256(new_spki->ptr, new_spki->len, spki_hash) != NULL && EVP_DigestInit_ex(ctx, md, NULL) == 1 &&
		     EVP_DigestUpdate(ctx, label, sizeof(label) - 1) == 1 &&
		     EVP_DigestUpdate(ctx, content + 2, (size_t)len - 2) == 1 &&
		     EVP_DigestUpdate(ctx, spki_hash, sizeof(spki_hash)) == 1 &&
		     EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_free(md);
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool add_continuity(X509_REQ *req, struct element *element, const X509 *previous, const struct bytes *new_spki,
			   struct trouble *t)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	AUTO(bytes_done) struct bytes signature = { 0 };
	struct signer signer;

	if (previous == NULL)
		return true;
	signer = signer_of(X509_get0_pubkey(previous));
	if (!continuity_digest(previous, new_spki, &signer, digest))
		return trouble_openssl(t, "cannot compose the continuity proof");
	if (!element->ops->sign(element, ELEMENT_CURRENT, digest, signer.digest_len, &signature, t))
		return false;
	if (X509_REQ_add1_attr_by_txt(req, ASSAY_OID_CONTINUITY, V_ASN1_OCTET_STRING, signature.ptr,
				      (int)signature.len) != 1)
		return trouble_openssl(t, "cannot add the continuity proof");
	return true;
}

/* X509_REQ_sign() wants the private key; an element gives only signatures over digests. */
static bool sign_request(X509_REQ *req, struct element *element, const struct signer *signer, struct trouble *t)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	uint8_t *info = NULL;
	AUTO(bytes_done) struct bytes signature = { 0 };
	ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	X509_ALGOR *algorithm = X509_ALGOR_new();
	int rsa = signer->algorithm == NID_sha256WithRSAEncryption, len;
	bool ok;

	len = i2d_re_X509_REQ_tbs(req, &info);
	ok = bits != NULL && algorithm != NULL && len > 0 &&
	     EVP_Q_digest(NULL, signer->digest, NULL, info, (size_t)len, digest, NULL) == 1;
	OPENSSL_free(info);
	ok = ok ? element->ops->sign(element, ELEMENT_NEXT, digest, signer->digest_len, &signature, t)
		: trouble_openssl(t, "cannot encode the request");
	if (ok &&
	    X509_ALGOR_set0(algorithm, OBJ_nid2obj(signer->algorithm), rsa ? V_ASN1_NULL : V_ASN1_UNDEF, NULL) == 1 &&
	    ASN1_BIT_STRING_set(bits, signature.ptr, (int)signature.len) == 1 &&
	    X509_REQ_set1_signature_algo(req, algorithm) == 1) {
		bits->flags =
			(bits->flags & ~0x07L) | ASN1_STRING_FLAG_BITS_LEFT; /* no unused bits, whatever its end */
		X509_REQ_set0_signature(req, bits);
		bits = NULL;
	} else if (ok) {
		ok = trouble_openssl(t, "cannot put the signature into the request");
	}
	ASN1_BIT_STRING_free(bits);
	X509_ALGOR_free(algorithm);
	return ok;
}

static bool set_subject(X509_REQ *req, const char *common_name)
{
	return common_name == NULL ||
	       X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(req), NID_commonName, MBSTRING_UTF8,
					  (const unsigned char *)common_name, -1, -1, 0) == 1;
}

bool request_build(struct element *element, const struct request *request, struct bytes *ret_der, struct trouble *t)
{
	AUTO(bytes_done) struct bytes spki = { 0 };
	AUTO(auto_pkey) EVP_PKEY *key = NULL;
	AUTO(auto_request) X509_REQ *req = X509_REQ_new();
	const uint8_t *p;
	struct signer signer;
	uint8_t *der = NULL;
	int len;

	if (!element->ops->public_key(element, ELEMENT_NEXT, &spki, t))
		return false;
	p = spki.ptr;
	key = d2i_PUBKEY(NULL, &p, (long)spki.len);
	if (req == NULL || key == NULL || X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
	    X509_REQ_set_pubkey(req, key) != 1 || !set_subject(req, request->common_name) ||
	    !add_evidence(req, request->evidence))
		return trouble_openssl(t, "cannot compose the request");
	signer = signer_of(key);
	if (!add_continuity(req, element, request->previous, &spki, t) || !sign_request(req, element, &signer, t))
		return false;
	len = i2d_X509_REQ(req, &der);
	if (len <= 0)
		return trouble_openssl(t, "cannot encode the request");
	*ret_der = (struct bytes){ der, (size_t)len };
	return true;
}
