/*
 * soft_mint.c - the factory of software elements: what a vendor's line does when it gives a chip its attestation key
 * and a certificate of the batch CA.
 */
#include "soft.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "soft_quote.h"

#define MINT_YEARS 20        /* longer than any device that the element goes into */
#define MINT_BACKDATE_S 3600 /* clocks of rigs and servers differ */

struct soft_vendor {
	X509 *batch_ca;
	EVP_PKEY *key;
};

void soft_vendor_free(struct soft_vendor *vendor)
{
	if (vendor == NULL)
		return;
	X509_free(vendor->batch_ca);
	EVP_PKEY_free(vendor->key);
	free(vendor);
}

static void auto_vendor(struct soft_vendor **vendor)
{
	soft_vendor_free(*vendor);
}

bool soft_vendor_open(const char *folder, struct soft_vendor **ret_vendor, struct trouble *t)
{
	char cert_path[4096], key_path[4096];
	AUTO(auto_vendor) struct soft_vendor *vendor = calloc(1, sizeof(*vendor));
	AUTO(auto_file) FILE *cert = NULL;
	AUTO(auto_file) FILE *key = NULL;

	if (vendor == NULL)
		return trouble_set(t, "not enough memory");
	if (!path_join(folder, "batch-ca.pem", cert_path, t) || !path_join(folder, "batch-ca.key", key_path, t))
		return false;
	cert = fopen(cert_path, "re");
	key = fopen(key_path, "re");
	if (cert == NULL || key == NULL)
		return trouble_set(t, "%s: cannot be read (software vendor's folder: --vendor or ASSAY_VENDOR_DIR)",
				   cert == NULL ? cert_path : key_path);
	vendor->batch_ca = PEM_read_X509(cert, NULL, NULL, NULL);
	vendor->key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
	if (vendor->batch_ca == NULL || vendor->key == NULL)
		return trouble_openssl(t, vendor->batch_ca == NULL ? cert_path : key_path);
	if (X509_check_private_key(vendor->batch_ca, vendor->key) != 1)
		return trouble_set(t, "%s: is not the key of %s", key_path, cert_path);
	*ret_vendor = TAKE(vendor);
	return true;
}

static bool add_extension(X509 *cert, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, ctx, nid, value);
	bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return ok;
}

/* A leaf that may sign quotes and nothing else. */
static bool add_extensions(X509 *cert, X509 *issuer)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	return add_extension(cert, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(cert, &ctx, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(cert, &ctx, NID_ext_key_usage, ASSAY_OID_KP_QUOTE) &&
	       add_extension(cert, &ctx, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, &ctx, NID_authority_key_identifier, "keyid:always");
}

static bool set_serial(X509 *cert)
{
	uint8_t random[16];
	BIGNUM *number;
	bool ok;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	random[0] = (uint8_t)((random[0] & 0x7f) | 0x40); /* positive, and always 16 octets */
	number = BN_bin2bn(random, sizeof(random), NULL);
	ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
	BN_free(number);
	return ok;
}

/* From an hour ago for MINT_YEARS, but never outliving the batch CA (RFC 5280 would let no path end there). */
static bool set_validity(X509 *cert, const X509 *issuer)
{
	const ASN1_TIME *last = X509_get0_notAfter(issuer);

	if (X509_gmtime_adj(X509_getm_notBefore(cert), -MINT_BACKDATE_S) == NULL ||
	    X509_time_adj_ex(X509_getm_notAfter(cert), MINT_YEARS * 365, 0, NULL) == NULL)
		return false;
	return ASN1_TIME_compare(X509_get0_notAfter(cert), last) <= 0 || X509_set1_notAfter(cert, last) == 1;
}

/* X.520 serialNumber = the ueid: this is how the certificate says whose quotes its key signs. */
static bool set_subject(X509 *cert, const char *id)
{
	return X509_NAME_add_entry_by_NID(X509_get_subject_name(cert), NID_serialNumber, MBSTRING_ASC,
					  (const unsigned char *)id, -1, -1, 0) == 1;
}

static X509 *certify(const struct soft_vendor *vendor, const char *id, EVP_PKEY *key)
{
	AUTO(auto_x509) X509 *cert = X509_new();

	if (cert == NULL || X509_set_version(cert, X509_VERSION_3) != 1 || !set_serial(cert) ||
	    X509_set_issuer_name(cert, X509_get_subject_name(vendor->batch_ca)) != 1 ||
	    !set_validity(cert, vendor->batch_ca) || !set_subject(cert, id) || X509_set_pubkey(cert, key) != 1 ||
	    !add_extensions(cert, vendor->batch_ca) || X509_sign(cert, vendor->key, EVP_sha256()) == 0)
		return NULL;
	return TAKE(cert);
}

static bool give_attestation(struct soft *soft, const struct soft_options *options, struct trouble *t)
{
	if (options->attestation_key != ELEMENT_EC_P256 && options->attestation_key != ELEMENT_EC_P384)
		return trouble_set(t, "attestation keys are ec-p256 or ec-p384: COSE has no quote by another");
	soft->attestation_key = soft_generate(options->attestation_key);
	if (soft->attestation_key != NULL)
		soft->attestation_cert = certify(options->vendor, soft->base.id, soft->attestation_key);
	if (soft->attestation_cert == NULL || X509_up_ref(options->vendor->batch_ca) != 1)
		return trouble_openssl(t, "cannot mint an attestation certificate");
	soft->batch_ca = options->vendor->batch_ca;
	return true;
}

bool soft_mint(const struct soft_options *options, struct element **ret_element, struct trouble *t)
{
	AUTO(auto_soft) struct soft *soft = soft_new();

	if (soft == NULL)
		return trouble_set(t, "not enough memory");
	soft->ueid[0] = 1;
	if (RAND_bytes(soft->ueid + 1, SOFT_UEID_BYTES - 1) != 1)
		return trouble_openssl(t, "no random numbers");
	hex_encode(soft->ueid, SOFT_UEID_BYTES, soft->base.id);
	if (options->vendor != NULL && !give_attestation(soft, options, t))
		return false;
	if (options->folder != NULL && !soft_store_element(soft, options->folder, t))
		return false;
	*ret_element = &TAKE(soft)->base;
	return true;
}
