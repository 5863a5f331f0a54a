/* issuer_fixture.c - see issuer_fixture.h. */
#include "expect.h"

#include "issuer_fixture.h"

#include <assert.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tbs.h"

#define YEAR_S INT64_C(31536000)
#define MUST(expr) must((expr), #expr)

static void must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fixture: %s\n", what);
		abort();
	}
}

struct issuer_options fixture_options(void)
{
	return (struct issuer_options){
		.name = "attested",
		.level_min = LEVEL_VOUCHED,
		.level_max = LEVEL_NATIVE,
		.validity_max_s = 10 * YEAR_S,
		.hourly_max = 100,
		.ca_issuers_url = "http://127.0.0.1:8445/ca/attested.cer",
		.crl_url = "http://127.0.0.1:8445/crl/attested.crl",
	};
}

static void make_ca(struct fixture *fixture, int64_t not_after_s)
{
	struct pubkey public;
	struct ca_cert_ask ask = {
		.n_subject = 2,
		.subject = { { .type = OID_AT_ORG, .value = "Test" }, { .type = OID_AT_CN, .value = "Test CA" } },
		.key = &public,
		.ca = true,
		.path_len = 0,
		.key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN,
		.not_before_s = FIXTURE_NOW_S - 86400,
		.not_after_s = not_after_s,
	};

	MUST(ca_cert_public(fixture->ca_key, &public, NULL) == REASON_OK);
	MUST(ca_cert_issue(&(struct ca_signer){ .memory = fixture->ca_key }, &ask, &fixture->ca_der, NULL) ==
	     REASON_OK);
}

void fixture_open_with(struct fixture *fixture, int64_t not_after_s, const struct issuer_options *options)
{
	char path[] = "/tmp/assay-issuer-XXXXXX";
	struct issuer_options with_file = *options;
	struct fault fault = { 0 };
	FILE *file;
	int fd;

	oid_init();
	memset(fixture, 0, sizeof(*fixture));
	fixture->ca_key = EVP_EC_gen("P-256");
	make_ca(fixture, not_after_s);
	fd = mkstemp(path);
	file = fdopen(fd, "w");
	MUST(file != NULL && PEM_write(file, "CERTIFICATE", "", fixture->ca_der.ptr, (long)fixture->ca_der.len) > 0);
	fclose(file);
	with_file.certificate = path;
	if (issuer_open(&with_file, NULL, &fixture->issuer, &fault) != REASON_OK)
		must(false, fault.detail);
	unlink(path);
}

void fixture_open(struct fixture *fixture)
{
	struct issuer_options options = fixture_options();

	fixture_open_with(fixture, FIXTURE_NOW_S + 15 * YEAR_S, &options);
}

void fixture_close(struct fixture *fixture)
{
	issuer_free(fixture->issuer);
	buf_done(&fixture->ca_der);
	EVP_PKEY_free(fixture->ca_key);
}

struct pubkey fixture_key(const char *type)
{
	EVP_PKEY *key = strcmp(type, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_EC_gen(type);
	struct pubkey public;

	MUST(key != NULL && ca_cert_public(key, &public, NULL) == REASON_OK);
	EVP_PKEY_free(key);
	return public;
}

struct grant *fixture_grant(void)
{
	struct grant *grant = grant_new();

	MUST(grant != NULL);
	grant->kind = GRANT_ENROL;
	strcpy(grant->profile, "line");
	strcpy(grant->family, "device");
	strcpy(grant->issuer, "attested");
	strcpy(grant->requester, "rig:station-7");
	strcpy(grant->device.format, "assay.1.1");
	grant->device.element_len = 17;
	memset(grant->device.element, 0xa5, 17);
	grant->key = fixture_key("P-256");
	grant->level = LEVEL_NATIVE;
	grant->level_needed = LEVEL_NATIVE;
	grant->n_subject = 2;
	grant->subject[0] = (struct name_attr){ .type = OID_AT_CN, .value = "01a5a5a5" };
	grant->subject[1] = (struct name_attr){ .type = OID_AT_SERIAL_NUMBER, .value = "01a5a5a5" };
	grant->validity_s = 5 * YEAR_S;
	grant->key_usage = KU_DIGITAL_SIGNATURE;
	grant->n_ekus = 1;
	grant->eku[0] = *oid_of(OID_KP_CLIENT_AUTH);
	strcpy(grant->evidence_format, "assay.1.1");
	MUST(buf_copy(BLOB("evidence", 8), &grant->evidence, NULL) == REASON_OK);
	return grant;
}

void fixture_refuses(const struct hostile *cases, size_t n)
{
	struct fixture fixture;

	fixture_open(&fixture);
	for (size_t i = 0; i < n; i++) {
		struct grant *grant = fixture_grant();
		struct fault fault = { 0 };
		enum reason reason;

		cases[i].change(grant);
		reason = issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, &fault);
		if (reason != REASON_GRANT_REFUSED || strstr(fault.detail, cases[i].detail) == NULL)
			fail_msg("%s: %s, \"%s\"; expected \"%s\"", cases[i].name, reason_info(reason)->name,
				 fault.detail, cases[i].detail);
		grant_free(grant);
	}
	fixture_close(&fixture);
}

void fixture_takes(void (*const *changes)(struct grant *g), size_t n)
{
	struct fixture fixture;

	fixture_open(&fixture);
	for (size_t i = 0; i < n; i++) {
		struct grant *grant = fixture_grant();
		struct fault fault = { 0 };

		changes[i](grant);
		if (issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, &fault) != REASON_OK)
			fail_msg("change %zu: %s", i, fault.detail);
		grant_free(grant);
	}
	fixture_close(&fixture);
}

struct buf fixture_sign(const struct fixture *fixture, struct blob tbs)
{
	uint8_t signature[256], room[512];
	struct derw tail = derw_over(room, sizeof(room));
	size_t len = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct buf der = { 0 };

	MUST(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, fixture->ca_key) == 1);
	MUST(EVP_DigestSign(ctx, signature, &len, tbs.ptr, tbs.len) == 1);
	EVP_MD_CTX_free(ctx);
	tbs_tail(&tail, SIG_ECDSA_SHA256, BLOB(signature, len));
	MUST(signed_assemble(tbs, derw_blob(&tail), &der, NULL) == REASON_OK);
	return der;
}

X509 *fixture_x509(struct blob der)
{
	const uint8_t *p = der.ptr;
	X509 *x = d2i_X509(NULL, &p, (long)der.len);

	MUST(x != NULL && p == der.ptr + der.len);
	return x;
}

int fixture_verify(const struct fixture *fixture, X509 *leaf)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *ca = fixture_x509(buf_blob(&fixture->ca_der));
	int error;

	MUST(X509_STORE_add_cert(store, ca) == 1 && X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1);
	X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), FIXTURE_NOW_S);
	X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_free(ca);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return error;
}
