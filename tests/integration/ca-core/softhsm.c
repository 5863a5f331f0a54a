/* softhsm.c - see softhsm.h. */
#include "softhsm.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ca_cert.h"
#include "token.h"

#define MUST(call)                                                                                                     \
	do {                                                                                                           \
		struct fault fault = { 0 };                                                                            \
		if ((call) != REASON_OK) {                                                                             \
			fprintf(stderr, "%s: %s\n", #call, fault.detail);                                              \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

struct softhsm softhsm;

void softhsm_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
		abort();
}

static void make_keys(void)
{
	struct token *token;
	bool found = true;

	MUST(token_open(SOFTHSM_MODULE, &token, &fault));
	MUST(token_find(token, SOFTHSM_TOKEN, &found, &fault));
	if (found)
		abort();
	MUST(token_init(token, SOFTHSM_TOKEN, "so-4711-8150", SOFTHSM_PIN, &fault));
	MUST(token_login(token, SOFTHSM_PIN, &fault));
	MUST(token_generate(token, "p256", 1, KEY_EC_P256, 0, &fault));
	MUST(token_generate(token, "p384", 2, KEY_EC_P384, 0, &fault));
	MUST(token_generate(token, "rsa", 3, KEY_RSA, 2048, &fault));
	token_close(token);
}

int softhsm_setup(void **state)
{
	char path[128], conf[256];

	(void)state;
	oid_init();
	snprintf(softhsm.dir, sizeof(softhsm.dir), "%s", "/tmp/assay-hsm-XXXXXX");
	if (mkdtemp(softhsm.dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/token", softhsm.dir);
	if (mkdir(path, 0700) != 0)
		abort();
	snprintf(conf, sizeof(conf), "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
		 path);
	snprintf(path, sizeof(path), "%s/softhsm2.conf", softhsm.dir);
	softhsm_write(path, conf);
	setenv("SOFTHSM2_CONF", path, 1);
	snprintf(softhsm.pin_file, sizeof(softhsm.pin_file), "%s/pin", softhsm.dir);
	softhsm_write(softhsm.pin_file, SOFTHSM_PIN "\n");
	make_keys();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

int softhsm_teardown(void **state)
{
	(void)state;
	return nftw(softhsm.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int softhsm_missing(void)
{
	if (access(SOFTHSM_MODULE, R_OK) == 0)
		return 0;
	fprintf(stderr, "SKIPPED, NOTHING TESTED: %s is not installed (package softhsm2)\n", SOFTHSM_MODULE);
	return 77;
}

bool softhsm_verifies(const struct hsm_key *key, struct blob message, const uint8_t *sig, size_t len)
{
	EVP_PKEY *public = pubkey_evp(hsm_key_public(key));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = hsm_key_alg(key) == SIG_ECDSA_SHA384 ? EVP_sha384() : EVP_sha256();
	bool good = EVP_DigestVerifyInit(ctx, NULL, md, NULL, public) == 1 &&
		    EVP_DigestVerify(ctx, sig, len, message.ptr, message.len) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(public);
	return good;
}

struct hsm_options softhsm_options(unsigned sessions)
{
	return (struct hsm_options){ .module = SOFTHSM_MODULE,
				     .token_label = SOFTHSM_TOKEN,
				     .pin_file = softhsm.pin_file,
				     .sessions = sessions };
}

struct issuer_options softhsm_ca(struct hsm *hsm, const char *key, char path[96])
{
	const struct hsm_key *ca_key;
	AUTO(buf_done) struct buf der = { 0 };
	FILE *file;
	struct ca_cert_ask ask = {
		.n_subject = 1,
		.subject = { { .type = OID_AT_CN } },
		.ca = true,
		.path_len = 0,
		.key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN,
		.not_before_s = clock_wall_s() - 7200,
		.not_after_s = TIME_NO_EXPIRY,
	};

	MUST(hsm_key(hsm, key, &ca_key, &fault));
	snprintf(ask.subject[0].value, sizeof(ask.subject[0].value), "CA %s", key);
	ask.key = hsm_key_public(ca_key);
	MUST(ca_cert_issue(&(struct ca_signer){ .token = ca_key }, &ask, &der, &fault));
	snprintf(path, 96, "%s/%s.pem", softhsm.dir, key);
	file = fopen(path, "w");
	if (file == NULL || PEM_write(file, "CERTIFICATE", "", der.ptr, (long)der.len) <= 0 || fclose(file) != 0)
		abort();
	return (struct issuer_options){ .name = key,
					.certificate = path,
					.key_label = key,
					.level_max = LEVEL_NATIVE,
					.hourly_max = 1000000,
					.crl_url = "http://127.0.0.1:1/crl" };
}
