/*
 * failing_crypto.c - calls of OpenSSL that fail on purpose, see failing.h: every one that Assay makes and
 * that can fail for other reasons than its input. The linker reads its --wrap options from the FAILS() lines.
 */
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "failing_call.h"

/* clang-format off */
FAILS(int, 0, RAND_bytes, (unsigned char *out, int n), (out, n))

FAILS(BIO *, NULL, BIO_new_file, (const char *path, const char *mode), (path, mode))
FAILS(BIO *, NULL, BIO_new_mem_buf, (const void *bytes, int len), (bytes, len))
FAILS(int, 0, PEM_read_bio, (BIO *bio, char **name, char **header, unsigned char **data, long *len), (bio, name, header, data, len))
FAILS(int, 0, PEM_bytes_read_bio, (unsigned char **data, long *len, char **out, const char *name, BIO *bio, pem_password_cb *cb, void *u), (data, len, out, name, bio, cb, u))
FAILS(X509_CRL *, NULL, d2i_X509_CRL, (X509_CRL **crl, const unsigned char **in, long len), (crl, in, len))
FAILS(int, -1, i2d_PUBKEY, (const EVP_PKEY *key, unsigned char **out), (key, out))

FAILS(BIGNUM *, NULL, BN_bin2bn, (const unsigned char *bytes, int len, BIGNUM *n), (bytes, len, n))
FAILS(BN_CTX *, NULL, BN_CTX_new, (void), ())
FAILS(BIGNUM *, NULL, BN_mod_inverse, (BIGNUM *inverse, const BIGNUM *a, const BIGNUM *n, BN_CTX *ctx), (inverse, a, n, ctx))
FAILS(int, 0, BN_mod_mul_montgomery, (BIGNUM *product, const BIGNUM *a, const BIGNUM *b, BN_MONT_CTX *mont, BN_CTX *ctx), (product, a, b, mont, ctx))
FAILS(BN_MONT_CTX *, NULL, BN_MONT_CTX_new, (void), ())
FAILS(int, 0, BN_MONT_CTX_set, (BN_MONT_CTX *mont, const BIGNUM *n, BN_CTX *ctx), (mont, n, ctx))
FAILS(int, 0, BN_to_montgomery, (BIGNUM *out, const BIGNUM *a, BN_MONT_CTX *mont, BN_CTX *ctx), (out, a, mont, ctx))
FAILS(int, 0, BN_from_montgomery, (BIGNUM *out, const BIGNUM *a, BN_MONT_CTX *mont, BN_CTX *ctx), (out, a, mont, ctx))
FAILS(int, 0, EC_POINT_mul, (const EC_GROUP *group, EC_POINT *sum, const BIGNUM *n, const EC_POINT *q, const BIGNUM *m, BN_CTX *ctx), (group, sum, n, q, m, ctx))
FAILS(EC_GROUP *, NULL, EC_GROUP_new_by_curve_name, (int nid), (nid))
FAILS(EC_POINT *, NULL, EC_POINT_new, (const EC_GROUP *group), (group))
FAILS(EC_KEY *, NULL, EC_KEY_new, (void), ())
FAILS(int, 0, EC_KEY_set_group, (EC_KEY *key, const EC_GROUP *group), (key, group))
FAILS(int, 0, EC_KEY_oct2key, (EC_KEY *key, const unsigned char *bytes, size_t len, BN_CTX *ctx), (key, bytes, len, ctx))
FAILS(int, -1, ECDSA_verify, (int type, const unsigned char *digest, int len, const unsigned char *sig, int sig_len, EC_KEY *key), (type, digest, len, sig, sig_len, key))

FAILS(int, 0, EVP_Digest, (const void *data, size_t n, unsigned char *md, unsigned int *size, const EVP_MD *type, ENGINE *impl), (data, n, md, size, type, impl))
FAILS(EVP_MD *, NULL, EVP_MD_fetch, (OSSL_LIB_CTX *ctx, const char *algorithm, const char *properties), (ctx, algorithm, properties))
FAILS(EVP_MD_CTX *, NULL, EVP_MD_CTX_new, (void), ())
FAILS(int, 0, EVP_DigestInit_ex, (EVP_MD_CTX *ctx, const EVP_MD *type, ENGINE *impl), (ctx, type, impl))
FAILS(int, 0, EVP_DigestUpdate, (EVP_MD_CTX *ctx, const void *data, size_t n), (ctx, data, n))
FAILS(int, 0, EVP_DigestFinal_ex, (EVP_MD_CTX *ctx, unsigned char *md, unsigned int *size), (ctx, md, size))
FAILS(int, 0, EVP_DigestSignInit, (EVP_MD_CTX *ctx, EVP_PKEY_CTX **pctx, const EVP_MD *type, ENGINE *e, EVP_PKEY *key), (ctx, pctx, type, e, key))
FAILS(int, 0, EVP_DigestSign, (EVP_MD_CTX *ctx, unsigned char *sig, size_t *sig_len, const unsigned char *data, size_t len), (ctx, sig, sig_len, data, len))
FAILS(unsigned char *, NULL, HMAC, (const EVP_MD *type, const void *key, int key_len, const unsigned char *data, size_t n, unsigned char *md, unsigned int *md_len), (type, key, key_len, data, n, md, md_len))

FAILS(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_new, (EVP_PKEY *key, ENGINE *e), (key, e))
FAILS(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_new_from_name, (OSSL_LIB_CTX *ctx, const char *name, const char *properties), (ctx, name, properties))
FAILS(EVP_PKEY_CTX *, NULL, EVP_PKEY_CTX_new_from_pkey, (OSSL_LIB_CTX *ctx, EVP_PKEY *key, const char *properties), (ctx, key, properties))
FAILS(int, -1, EVP_PKEY_CTX_set_rsa_padding, (EVP_PKEY_CTX *ctx, int padding), (ctx, padding))
FAILS(int, -1, EVP_PKEY_CTX_set_rsa_pss_saltlen, (EVP_PKEY_CTX *ctx, int len), (ctx, len))
FAILS(int, -1, EVP_PKEY_CTX_set_signature_md, (EVP_PKEY_CTX *ctx, const EVP_MD *md), (ctx, md))
FAILS(int, 0, EVP_PKEY_fromdata_init, (EVP_PKEY_CTX *ctx), (ctx))
FAILS(int, 0, EVP_PKEY_fromdata, (EVP_PKEY_CTX *ctx, EVP_PKEY **key, int selection, OSSL_PARAM param[]), (ctx, key, selection, param))
FAILS(int, 0, EVP_PKEY_sign_init, (EVP_PKEY_CTX *ctx), (ctx))
FAILS(int, 0, EVP_PKEY_sign, (EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *sig_len, const unsigned char *digest, size_t len), (ctx, sig, sig_len, digest, len))
FAILS(int, 0, EVP_PKEY_verify_init, (EVP_PKEY_CTX *ctx), (ctx))
FAILS(int, -1, EVP_PKEY_verify, (EVP_PKEY_CTX *ctx, const unsigned char *sig, size_t sig_len, const unsigned char *digest, size_t len), (ctx, sig, sig_len, digest, len))
FAILS(OSSL_PARAM_BLD *, NULL, OSSL_PARAM_BLD_new, (void), ())
FAILS(int, 0, OSSL_PARAM_BLD_push_BN, (OSSL_PARAM_BLD *bld, const char *key, const BIGNUM *n), (bld, key, n))
FAILS(int, 0, OSSL_PARAM_BLD_push_ulong, (OSSL_PARAM_BLD *bld, const char *key, unsigned long v), (bld, key, v))
FAILS(OSSL_PARAM *, NULL, OSSL_PARAM_BLD_to_param, (OSSL_PARAM_BLD *bld), (bld))
/* clang-format on */
