/*
 * make.h - keys, certificates and requests for tests, made at run time with OpenSSL.
 *
 * Every function ends the program with a message when OpenSSL refuses, so that tests need no checks of their own.
 * What is returned belongs to the caller: EVP_PKEY_free(), X509_free(), buf_done(), trust_free(); AUTO() with the
 * functions below.
 *
 * Threads: any. oid_init() must have been called.
 */
#ifndef ASSAY_TEST_MAKE_H
#define ASSAY_TEST_MAKE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "claims.h"
#include "pubkey.h"

struct trust; /* trust.h */

AUTO_FREE(EVP_PKEY, make_key_freep, EVP_PKEY_free)
AUTO_FREE(X509, make_cert_freep, X509_free)

EVP_PKEY *make_key(enum key_type type); /* RSA: 2048 bits */
EVP_PKEY *make_rsa(unsigned bits);
EVP_PKEY *make_ec(const char *group); /* any that OpenSSL knows: "secp256k1" */
struct buf make_spki(EVP_PKEY *key);
struct pubkey make_pubkey(EVP_PKEY *key); /* pubkey_parse() of its SubjectPublicKeyInfo */

/* A signature over the message; md_name as "SHA256", or NULL where the key type has none. ECDSA comes as DER. */
struct buf make_signature(EVP_PKEY *key, const char *md_name, struct blob message);
/* ECDSA as r || s, for COSE and JOSE. */
struct buf make_signature_raw(EVP_PKEY *key, const char *md_name, struct blob message);

struct make_ext {
	const char *oid;   /* OpenSSL's short name or a dotted OID */
	const char *value; /* as in openssl.cnf: "critical,CA:TRUE", "DER:0500" for OIDs it does not know */
};
#define MAKE_EXTS 12

struct make_cert {
	EVP_PKEY *key;             /* whose certificate it is */
	const char *cn;            /* NULL: none */
	const char *serial_number; /* subject's attribute; NULL: none */
	const char *organization;  /* NULL: none */
	bool ca; /* basicConstraints CA:TRUE and keyUsage keyCertSign, cRLSign; else digitalSignature and CA:FALSE */
	bool has_path_len;
	unsigned path_len;
	const char *eku;                   /* "clientAuth" or dotted, comma-separated; NULL: none */
	const char *san;                   /* "DNS:a,URI:b"; NULL: none */
	struct make_ext ext[MAKE_EXTS];    /* further ones, in order, up to the first without oid */
	bool bare;                         /* only ext: no basicConstraints, keyUsage, SKI or AKI by itself */
	int64_t not_before_s, not_after_s; /* 0: an hour ago, a year ahead; TIME_NO_EXPIRY as 99991231235959Z */
	const char *md_name;               /* NULL: SHA256 */
};

/* issuer NULL: self-signed with spec->key, and issuer_key does not matter. */
X509 *make_cert(const struct make_cert *spec, X509 *issuer, EVP_PKEY *issuer_key);
struct buf make_der(X509 *cert);
struct buf make_pem(X509 *const *certs, size_t n);        /* one PEM text of them all */
struct trust *make_trust(X509 *const *anchors, size_t n); /* trust_open_pem() of that */

/* A Name with these attributes, DER; NULL leaves one out. */
struct buf make_name(const char *cn, const char *serial_number);

struct make_csr {
	EVP_PKEY *key;
	const char *cn, *serial_number; /* both NULL: the empty Name */
	struct blob subject;            /* if present, the Name itself, instead */
	struct make_ext ext[MAKE_EXTS]; /* one extensionRequest with these, if any */
	struct blob attributes[8]; /* whole DER Attributes (make_attribute()), beside extensionRequest, sorted here */
	bool unsorted;             /* attributes in the order given, extensionRequest last */
	unsigned version;
	const char *md_name;   /* NULL: SHA256 */
	const char *algorithm; /* AlgorithmIdentifier's OID, instead of the one that fits; with NULL parameters */
	bool null_parameters;  /* ECDSA with NULL parameters, RSA without */
	bool wrong_signature;  /* made over other bytes */
};
struct buf make_csr(const struct make_csr *spec);

/* Attribute ::= SEQUENCE { OID, SET OF values }; each value whole DER, in the order given, up to the first absent. */
struct buf make_attribute(const char *dotted, const struct blob *values, size_t n);
/* SEQUENCE OF Extension, of MAKE_EXTS places up to the first without oid. */
struct buf make_extensions(const struct make_ext *ext);
/* One element: tag, length, content. */
struct buf make_element(unsigned tag, struct blob content);

_Noreturn void make_die(const char *what);

#endif
