/*
 * test_vendor_chains.c - certificates of secure elements that are sold (tests/vectors/SOURCES.md): what a strict reader
 * must still take, and that a broken one among them is refused.
 */
#include "expect.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "make.h"
#include "oid.h"
#include "trust.h"

#define IN_2025 1750000000
#define VECTORS "tests/vectors/"

/* The certificate in a file, DER or PEM, as OpenSSL reads it. */
static X509 *read_x509(const char *name)
{
	BIO *bio = BIO_new_file(name, "rb");
	X509 *x;

	if (bio == NULL)
		fail_msg("%s is missing", name);
	x = d2i_X509_bio(bio, NULL);
	if (x == NULL) {
		assert_int_equal(BIO_reset(bio), 0);
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	}
	BIO_free(bio);
	if (x == NULL)
		fail_msg("%s is no certificate", name);
	return x;
}

/* OpenSSL keeps the bytes it read, so this is the file's DER. */
static struct buf file(const char *name)
{
	AUTO(make_cert_freep) X509 *x = read_x509(name);

	return make_der(x);
}

static struct trust *anchor(const char *name)
{
	AUTO(make_cert_freep) X509 *x = read_x509(name);
	AUTO(buf_done) struct buf pem = make_pem(&x, 1);
	struct trust *trust = NULL;
	struct fault f = { 0 };

	if (trust_open_pem("vendor", buf_blob(&pem), &trust, &f) != REASON_OK)
		fail_msg("%s: %s", name, f.detail);
	return trust;
}

static enum reason walk(const char *root, const char *issuer, const char *leaf)
{
	AUTO(trust_freep) struct trust *trust = anchor(root);
	AUTO(buf_done) struct buf leaf_der = file(leaf), issuer_der = file(issuer);
	struct blob untrusted = buf_blob(&issuer_der);
	struct claims claims = { 0 }, *batch = &claims;
	struct trust_path path;
	struct fault f = { 0 };
	struct cert cert;

	if (cert_parse(buf_blob(&leaf_der), &cert, &f) != REASON_OK)
		fail_msg("%s: %s", leaf, f.detail);
	if (trust_path(trust, &cert, &untrusted, 1, IN_2025, &claims, &path, &f) == REASON_OK)
		claims_check(&batch, 1, &f);
	return f.reason;
}

static void an_atecc608_chain_holds(void **state)
{
	(void)state;
	assert_ok(walk(VECTORS "microchip/crypto_auth_root_ca_002.pem",
		       VECTORS "microchip/x5c_01232b4e0931d16901_1.der",
		       VECTORS "microchip/x5c_01232b4e0931d16901_0.der"));
}

static void an_se050_chain_holds_and_a_broken_one_does_not(void **state)
{
	(void)state;
	assert_ok(walk(VECTORS "nxp-se05x/63709315050002.crt", VECTORS "nxp-se05x/63709315060003.crt",
		       VECTORS "nxp-se05x/2A66F1B2.crt"));
	assert_reason(walk(VECTORS "nxp-se05x/63709315050002.crt", VECTORS "nxp-se05x/63709315060003.crt",
			   VECTORS "nxp-se05x/2A66F1B2_bad_signature.crt"),
		      REASON_CHAIN_SIGNATURE);
	assert_reason(walk(VECTORS "microchip/crypto_auth_root_ca_002.pem", VECTORS "nxp-se05x/63709315060003.crt",
			   VECTORS "nxp-se05x/2A66F1B2.crt"),
		      REASON_CHAIN_UNTRUSTED);
}

/* No certificate of such a chip is public; its CAs are. */
static void optiga_cas_are_anchors_and_issuers(void **state)
{
	static const char *const pairs[][2] = {
		{ VECTORS "infineon-trustm/OptigaECCRootCA2.crt", VECTORS "infineon-trustm/OptigaTrustEccCA306.crt" },
		{ VECTORS "infineon-trustm/OptigaRSARootCA2.crt", VECTORS "infineon-trustm/OptigaTrustRsaCA309.crt" },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(pairs); i++) {
		AUTO(buf_done) struct buf root_der = file(pairs[i][0]), ca_der = file(pairs[i][1]);
		struct cert root, ca;

		trust_free(anchor(pairs[i][0]));
		trust_free(anchor(pairs[i][1]));
		assert_ok(cert_parse(buf_blob(&root_der), &root, NULL));
		assert_ok(cert_parse(buf_blob(&ca_der), &ca, NULL));
		assert_int_equal(ca.key_usage, KU_KEY_CERT_SIGN | KU_CRL_SIGN);
		struct claim claim = { .key = &root.key, .alg = ca.alg, .message = ca.tbs, .signature = ca.signature };
		assert_true(claim_holds(&claim));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_atecc608_chain_holds),
		cmocka_unit_test(an_se050_chain_holds_and_a_broken_one_does_not),
		cmocka_unit_test(optiga_cas_are_anchors_and_issuers),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
