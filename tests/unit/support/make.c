/* make.c - keys, signatures and certificates: see make.h. */
#include "openssl_x509v3.h"

#include "make.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "trust.h"

void make_die(const char *what)
{
	fprintf(stderr, "test support: %s\n", what);
	ERR_print_errors_fp(stderr);
	abort();
}

static void must(bool ok, const char *what)
{
	if (!ok)
		make_die(what);
}

EVP_PKEY *make_ec(const char *group)
{
	EVP_PKEY *key = EVP_EC_gen(group);

	must(key != NULL, "EC key");
	return key;
}

EVP_PKEY *make_rsa(unsigned bits)
{
	EVP_PKEY *key = EVP_RSA_gen(bits);

	must(key != NULL, "RSA key");
	return key;
}

EVP_PKEY *make_key(enum key_type type)
{
	switch (type) {
	case KEY_EC_P256:
		return make_ec("P-256");
	case KEY_EC_P384:
		return make_ec("P-384");
	case KEY_EC_P521:
		return make_ec("P-521");
	case KEY_RSA:
		return make_rsa(2048);
	default:
		make_die("key type");
	}
}

static struct buf own(const uint8_t *bytes, int len)
{
	struct buf b = { 0 };

	must(bytes != NULL && len > 0 && buf_copy(BLOB(bytes, (size_t)len), &b, NULL) == REASON_OK, "encoding");
	return b;
}

struct buf make_spki(EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der);
	struct buf b = own(der, len);

	OPENSSL_free(der);
	return b;
}

struct pubkey make_pubkey(EVP_PKEY *key)
{
	AUTO(buf_done) struct buf spki = make_spki(key);
	struct pubkey pub;

	must(pubkey_parse(buf_blob(&spki), &pub, NULL) == REASON_OK, "pubkey_parse");
	return pub;
}

struct buf make_signature(EVP_PKEY *key, const char *md_name, struct blob message)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct buf b = { 0 };
	size_t len = 0;

	must(ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, md_name, NULL, NULL, key, NULL) == 1, "signer");
	must(EVP_DigestSign(ctx, NULL, &len, message.ptr, message.len) == 1, "signature's length");
	must(buf_reserve(&b, len, NULL) == REASON_OK, "memory");
	must(EVP_DigestSign(ctx, b.ptr, &len, message.ptr, message.len) == 1, "signature");
	b.len = len;
	EVP_MD_CTX_free(ctx);
	return b;
}

struct buf make_signature_raw(EVP_PKEY *key, const char *md_name, struct blob message)
{
	AUTO(buf_done) struct buf der = make_signature(key, md_name, message);
	const uint8_t *p = der.ptr;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der.len);
	int half = (EVP_PKEY_get_bits(key) + 7) / 8;
	struct buf b = { 0 };

	must(sig != NULL && buf_reserve(&b, 2 * (size_t)half, NULL) == REASON_OK, "raw signature");
	must(BN_bn2binpad(ECDSA_SIG_get0_r(sig), b.ptr, half) == half, "r");
	must(BN_bn2binpad(ECDSA_SIG_get0_s(sig), b.ptr + half, half) == half, "s");
	b.len = 2 * (size_t)half;
	ECDSA_SIG_free(sig);
	return b;
}

static void add_text(X509_NAME *name, const char *type, const char *value)
{
	if (value != NULL)
		must(X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0) == 1,
		     type);
}

struct buf make_name(const char *cn, const char *serial_number)
{
	X509_NAME *name = X509_NAME_new();
	uint8_t *der = NULL;
	struct buf b;
	int len;

	must(name != NULL, "name");
	add_text(name, "CN", cn);
	add_text(name, "serialNumber", serial_number);
	len = i2d_X509_NAME(name, &der);
	b = own(der, len);
	OPENSSL_free(der);
	X509_NAME_free(name);
	return b;
}

static void add_ext(X509 *cert, X509 *issuer, const char *oid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	if (value == NULL)
		return;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_nconf(NULL, &ctx, oid, value);
	must(ext != NULL && X509_add_ext(cert, ext, -1) == 1, oid);
	X509_EXTENSION_free(ext);
}

static void add_ordinary(X509 *cert, X509 *issuer, const struct make_cert *spec)
{
	char basic[64];

	snprintf(basic, sizeof(basic), "critical,CA:%s", spec->ca ? "TRUE" : "FALSE");
	if (spec->has_path_len)
		snprintf(basic + strlen(basic), sizeof(basic) - strlen(basic), ",pathlen:%u", spec->path_len);
	add_ext(cert, issuer, "basicConstraints", basic);
	add_ext(cert, issuer, "keyUsage", spec->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
	add_ext(cert, issuer, "subjectKeyIdentifier", "hash");
	if (X509_get0_subject_key_id(issuer) != NULL)
		add_ext(cert, issuer, "authorityKeyIdentifier", "keyid");
}

static void set_time(ASN1_TIME *time, int64_t at_s)
{
	if (at_s == TIME_NO_EXPIRY)
		must(ASN1_TIME_set_string(time, "99991231235959Z") == 1, "no expiry");
	else
		must(ASN1_TIME_set(time, (time_t)at_s) != NULL, "time");
}

static void set_dates(X509 *cert, const struct make_cert *spec)
{
	int64_t now = clock_wall_s();

	set_time(X509_getm_notBefore(cert), spec->not_before_s != 0 ? spec->not_before_s : now - 3600);
	set_time(X509_getm_notAfter(cert), spec->not_after_s != 0 ? spec->not_after_s : now + 365 * 86400L);
}

static void set_serial(X509 *cert)
{
	BIGNUM *serial = BN_new();

	must(serial != NULL && BN_rand(serial, 119, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1, "serial");
	must(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL, "serial");
	BN_free(serial);
}

X509 *make_cert(const struct make_cert *spec, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_NAME_new();
	const char *md_name = spec->md_name != NULL ? spec->md_name : "SHA256";

	must(cert != NULL && subject != NULL && X509_set_version(cert, X509_VERSION_3) == 1, "certificate");
	add_text(subject, "CN", spec->cn);
	add_text(subject, "serialNumber", spec->serial_number);
	add_text(subject, "O", spec->organization);
	set_serial(cert);
	must(X509_set_subject_name(cert, subject) == 1, "subject");
	must(X509_set_issuer_name(cert, issuer == NULL ? subject : X509_get_subject_name(issuer)) == 1, "issuer");
	set_dates(cert, spec);
	must(X509_set_pubkey(cert, spec->key) == 1, "key");
	if (!spec->bare)
		add_ordinary(cert, issuer == NULL ? cert : issuer, spec);
	add_ext(cert, issuer, "extendedKeyUsage", spec->eku);
	add_ext(cert, issuer, "subjectAltName", spec->san);
	for (size_t i = 0; i < MAKE_EXTS && spec->ext[i].oid != NULL; i++)
		add_ext(cert, issuer, spec->ext[i].oid, spec->ext[i].value);
	must(X509_sign(cert, issuer == NULL ? spec->key : issuer_key, EVP_get_digestbyname(md_name)) > 0, "X509_sign");
	X509_NAME_free(subject);
	return cert;
}

struct buf make_der(X509 *cert)
{
	uint8_t *der = NULL;
	int len = i2d_X509(cert, &der);
	struct buf b = own(der, len);

	OPENSSL_free(der);
	return b;
}

struct buf make_pem(X509 *const *certs, size_t n)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;
	struct buf b;

	must(bio != NULL, "memory");
	for (size_t i = 0; i < n; i++)
		must(PEM_write_bio_X509(bio, certs[i]) == 1, "PEM");
	len = BIO_get_mem_data(bio, &text);
	b = own((const uint8_t *)text, (int)len);
	BIO_free(bio);
	return b;
}

struct trust *make_trust(X509 *const *anchors, size_t n)
{
	AUTO(buf_done) struct buf pem = make_pem(anchors, n);
	struct trust *trust = NULL;

	must(trust_open_pem("test anchors", buf_blob(&pem), &trust, NULL) == REASON_OK, "trust_open_pem");
	return trust;
}
