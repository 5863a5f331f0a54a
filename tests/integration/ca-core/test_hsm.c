/*
 * test_hsm.c - does signing behave with a real SoftHSM: every key type, many sessions, wrong PINs, a token that is
 * away?
 *
 * Where a token has to misbehave, the shim of tests/fault stands before the real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "softhsm.h"
#include "token.h"

static const char *const keys[] = { "p256", "p384", "rsa" };

static struct hsm *open_hsm(unsigned sessions)
{
	struct hsm_options options = softhsm_options(sessions);
	struct fault fault = { 0 };
	struct hsm *hsm;

	if (hsm_open(&options, &hsm, &fault) != REASON_OK)
		fail_msg("hsm_open: %s", fault.detail);
	return hsm;
}

static void signs_with_every_key_type_in_every_session(void **state)
{
	static const enum sig_alg algs[] = { SIG_ECDSA_SHA256, SIG_ECDSA_SHA384, SIG_RSA_SHA256 };
	struct hsm *hsm = open_hsm(20); /* two lists of slots */
	uint8_t sig[LIMIT_SIGNATURE_BYTES];
	const struct hsm_key *key, *again;
	size_t len;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct fault fault = { 0 };

		if (hsm_key(hsm, keys[i], &key, &fault) != REASON_OK)
			fail_msg("%s: %s", keys[i], fault.detail);
		assert_int_equal(hsm_key(hsm, keys[i], &again, NULL), REASON_OK);
		assert_ptr_equal(key, again);
		assert_int_equal(hsm_key_alg(key), algs[i]);
		for (unsigned slot = 0; slot < 20; slot++) {
			struct blob message = BLOB(keys[i], 1 + slot % 3);

			assert_int_equal(hsm_sign(key, slot, message, sig, &len, NULL), REASON_OK);
			assert_true(softhsm_verifies(key, message, sig, len));
			sig[len / 2] ^= 1;
			assert_false(softhsm_verifies(key, message, sig, len));
		}
	}
	hsm_close(hsm);
}

static struct grant *make_grant(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	struct grant *grant = grant_new();
	uint8_t *spki = NULL;
	int len = i2d_PUBKEY(key, &spki);

	assert_int_equal(pubkey_parse(BLOB(spki, (size_t)len), &grant->key, NULL), REASON_OK);
	OPENSSL_free(spki);
	EVP_PKEY_free(key);
	grant->kind = GRANT_ENROL;
	grant->n_subject = 2;
	grant->subject[0] = (struct name_attr){ .type = OID_AT_CN, .value = "device" };
	grant->subject[1] = (struct name_attr){ .type = OID_AT_SERIAL_NUMBER, .value = "device" };
	grant->validity_s = 86400;
	grant->key_usage = KU_DIGITAL_SIGNATURE;
	return grant;
}

static X509_STORE *store_of(const struct issuer *issuer, X509_CRL *crl)
{
	const uint8_t *p = issuer_der(issuer).ptr;
	X509 *ca = d2i_X509(NULL, &p, (long)issuer_der(issuer).len);
	X509_STORE *store = X509_STORE_new();

	assert_int_equal(X509_STORE_add_cert(store, ca), 1);
	X509_STORE_set_flags(store, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
	if (crl != NULL) {
		assert_int_equal(X509_STORE_add_crl(store, crl), 1);
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	}
	X509_free(ca);
	return store;
}

static int verify_error(X509_STORE *store, X509 *leaf)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int error;

	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
	X509_verify_cert(ctx);
	error = X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	return error;
}

static X509 *issue(const struct issuer *issuer, const struct grant *grant, const uint8_t serial[SERIAL_BYTES],
		   unsigned slot)
{
	AUTO(buf_done) struct buf tbs = { 0 };
	AUTO(buf_done) struct buf tail = { 0 };
	AUTO(buf_done) struct buf der = { 0 };
	int64_t from, until;
	const uint8_t *p;
	X509 *x;

	assert_int_equal(issuer_build(issuer, grant, NULL, serial, clock_wall_s(), &tbs, &from, &until, NULL),
			 REASON_OK);
	assert_int_equal(issuer_sign(issuer, slot, buf_blob(&tbs), &tail, NULL), REASON_OK);
	assert_int_equal(signed_assemble(buf_blob(&tbs), buf_blob(&tail), &der, NULL), REASON_OK);
	p = der.ptr;
	x = d2i_X509(NULL, &p, (long)der.len);
	assert_non_null(x);
	assert_ptr_equal(p, der.ptr + der.len);
	return x;
}

static X509_CRL *issue_crl(const struct issuer *issuer, const struct revoked_entry *revoked, size_t n)
{
	AUTO(buf_done) struct buf tbs = { 0 };
	AUTO(buf_done) struct buf tail = { 0 };
	AUTO(buf_done) struct buf der = { 0 };
	int64_t now_s = clock_wall_s() - 1; /* time(), which OpenSSL asks, may be a few ms behind */
	const uint8_t *p;
	X509_CRL *crl;

	assert_int_equal(
		issuer_build_crl(issuer, &(struct crl_scope){ 0 }, 7, now_s, now_s + 86400, revoked, n, &tbs, NULL),
		REASON_OK);
	assert_int_equal(issuer_sign(issuer, 0, buf_blob(&tbs), &tail, NULL), REASON_OK);
	assert_int_equal(signed_assemble(buf_blob(&tbs), buf_blob(&tail), &der, NULL), REASON_OK);
	p = der.ptr;
	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	assert_non_null(crl);
	return crl;
}

static struct issuer *open_issuer(struct hsm *hsm, const char *key)
{
	char path[96];
	struct issuer_options options = softhsm_ca(hsm, key, path);
	struct issuer *issuer;

	assert_int_equal(issuer_open(&options, hsm, &issuer, NULL), REASON_OK);
	return issuer;
}

static void issues_a_hundred_certificates_that_verify_strictly(void **state)
{
	struct hsm *hsm = open_hsm(4);
	struct grant *grant = make_grant();

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct issuer *issuer = open_issuer(hsm, keys[k]);
		X509_STORE *store = store_of(issuer, NULL);

		for (unsigned i = 0; i < 100; i++) {
			uint8_t serial[SERIAL_BYTES];
			X509 *x;

			assert_int_equal(serial_new(clock_wall_us(), serial, NULL), REASON_OK);
			x = issue(issuer, grant, serial, i % 4);
			assert_int_equal(verify_error(store, x), X509_V_OK);
			X509_free(x);
		}
		X509_STORE_free(store);
		issuer_free(issuer);
	}
	grant_free(grant);
	hsm_close(hsm);
}

static void signs_crls_that_bite(void **state)
{
	struct hsm *hsm = open_hsm(1);
	struct grant *grant = make_grant();

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct issuer *issuer = open_issuer(hsm, keys[k]);
		struct revoked_entry revoked = { .serial_len = SERIAL_BYTES, .reason = 1, .at_s = clock_wall_s() };
		X509_CRL *empty = issue_crl(issuer, NULL, 0), *full;
		X509_STORE *before = store_of(issuer, empty), *after;
		X509 *x;

		assert_int_equal(serial_new(clock_wall_us(), revoked.serial, NULL), REASON_OK);
		x = issue(issuer, grant, revoked.serial, 0);
		assert_int_equal(verify_error(before, x), X509_V_OK);
		full = issue_crl(issuer, &revoked, 1);
		after = store_of(issuer, full);
		assert_int_equal(verify_error(after, x), X509_V_ERR_CERT_REVOKED);
		X509_free(x);
		X509_CRL_free(empty);
		X509_CRL_free(full);
		X509_STORE_free(before);
		X509_STORE_free(after);
		issuer_free(issuer);
	}
	grant_free(grant);
	hsm_close(hsm);
}

struct signer {
	const struct hsm_key *key;
	unsigned slot, good;
};

static void *sign_many(void *arg)
{
	struct signer *signer = arg;
	uint8_t sig[LIMIT_SIGNATURE_BYTES];
	size_t len;

	for (uint32_t i = 0; i < 50; i++) {
		uint32_t message[2] = { signer->slot, i };

		if (hsm_sign(signer->key, signer->slot, BLOB_OF((uint8_t *)message), sig, &len, NULL) == REASON_OK &&
		    softhsm_verifies(signer->key, BLOB_OF((uint8_t *)message), sig, len))
			signer->good++;
	}
	return NULL;
}

static void signs_on_twenty_threads_at_once(void **state)
{
	struct hsm *hsm = open_hsm(20);
	struct signer signer[20];
	pthread_t thread[20];

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		signer[i] = (struct signer){ .slot = i };
		assert_int_equal(hsm_key(hsm, "p256", &signer[i].key, NULL), REASON_OK);
	}
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, sign_many, &signer[i]), 0);
	for (unsigned i = 0; i < 20; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(signer[i].good, 50);
	}
	hsm_close(hsm);
}

static void refuses_an_issuer_whose_key_is_another(void **state)
{
	struct hsm *hsm = open_hsm(1);
	char path[96];
	struct issuer_options options = softhsm_ca(hsm, "p256", path);
	struct issuer *issuer = NULL;

	(void)state;
	options.key_label = "rsa";
	assert_int_equal(issuer_open(&options, hsm, &issuer, NULL), REASON_CONFIG);
	options.key_label = "nobody's";
	assert_int_equal(issuer_open(&options, hsm, &issuer, NULL), REASON_TOKEN_AWAY);
	assert_null(issuer);
	hsm_close(hsm);
}

static void says_what_is_wrong_with_token_pin_file_and_module(void **state)
{
	struct hsm_options options = softhsm_options(1);
	struct hsm *hsm = NULL;
	struct fault fault = { 0 };

	(void)state;
	options.token_label = "other";
	assert_int_equal(hsm_open(&options, &hsm, &fault), REASON_TOKEN_AWAY);
	assert_non_null(strstr(fault.detail, "no token 'other'"));
	options = softhsm_options(1);
	options.pin_file = "/nonexistent/pin";
	assert_int_equal(hsm_open(&options, &hsm, &fault), REASON_CONFIG);
	assert_non_null(strstr(fault.detail, "/nonexistent/pin"));
	options = softhsm_options(1);
	options.module = "/nonexistent/module.so";
	assert_int_equal(hsm_open(&options, &hsm, &fault), REASON_TOKEN_AWAY);
	options = softhsm_options(0);
	assert_int_equal(hsm_open(&options, &hsm, &fault), REASON_CONFIG);
	options = softhsm_options(65);
	assert_int_equal(hsm_open(&options, &hsm, &fault), REASON_CONFIG);
	assert_null(hsm);
}

/* The shim's control file: see tests/fault/shim/p11_shim.c. */
enum { WORD_MODE, WORD_DELAY_US, WORD_SIGNATURES = 3, WORD_LOGINS = 6, WORDS = 8 };
enum { MODE_FAIL_BEFORE = 1, MODE_GARBAGE = 5, MODE_SESSION_LOST = 6 };

static void write_control(uint64_t mode, uint64_t delay_us)
{
	uint64_t words[WORDS] = { [WORD_MODE] = mode, [WORD_DELAY_US] = delay_us };
	int fd = open(getenv("ASSAY_SHIM_CONTROL"), O_RDWR | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, words, sizeof(words), 0), sizeof(words));
	close(fd);
}

static uint64_t read_control(int word)
{
	uint64_t words[WORDS];
	int fd = open(getenv("ASSAY_SHIM_CONTROL"), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, words, sizeof(words), 0), sizeof(words));
	close(fd);
	return words[word];
}

static void use_shim(void)
{
	static char control[96], log[96];

	snprintf(control, sizeof(control), "%s/control", softhsm.dir);
	snprintf(log, sizeof(log), "%s/log", softhsm.dir);
	setenv("ASSAY_SHIM_MODULE", SOFTHSM_MODULE, 1);
	setenv("ASSAY_SHIM_CONTROL", control, 1);
	setenv("ASSAY_SHIM_LOG", log, 1);
	write_control(0, 0);
}

static void tries_a_wrong_pin_once_and_says_so(void **state)
{
	struct hsm_options options = softhsm_options(40); /* three lists would be three logins */
	char pin_file[96];
	struct hsm *hsm = NULL;
	struct fault fault = { 0 };

	(void)state;
	use_shim();
	snprintf(pin_file, sizeof(pin_file), "%s/wrong-pin", softhsm.dir);
	softhsm_write(pin_file, "0000-0000\n");
	options.pin_file = pin_file;
	options.module = SHIM_MODULE;
	assert_int_equal(hsm_open(&options, &hsm, &fault), REASON_TOKEN_PIN);
	assert_null(hsm);
	assert_null(strstr(fault.detail, "0000"));
	assert_int_equal(read_control(WORD_LOGINS), 1);
}

/* A token that signs wrongly must not be believed; one that fails says with what. */
static void believes_no_signature_that_does_not_verify(void **state)
{
	struct hsm_options options = softhsm_options(1);
	struct fault fault = { 0 };
	struct issuer *issuer;
	struct buf tail = { 0 };
	struct hsm *hsm;

	(void)state;
	use_shim();
	options.module = SHIM_MODULE;
	assert_int_equal(hsm_open(&options, &hsm, &fault), REASON_OK);
	issuer = open_issuer(hsm, "p256");
	write_control(MODE_GARBAGE, 0);
	assert_int_equal(issuer_sign(issuer, 0, BLOB("tbs", 3), &tail, &fault), REASON_TOKEN_AWAY);
	assert_non_null(strstr(fault.detail, "does not verify"));
	assert_int_equal(read_control(WORD_SIGNATURES), 1);
	write_control(MODE_SESSION_LOST, 0);
	assert_int_equal(issuer_sign(issuer, 0, BLOB("tbs", 3), &tail, &fault), REASON_TOKEN_AWAY);
	assert_non_null(strstr(fault.detail, "CKR 0xb3"));
	assert_null(tail.ptr);
	issuer_free(issuer);
	hsm_close(hsm);
}

/* A batch is verified together, and each answers for itself. */
static void of_a_batch_only_what_does_not_verify_fails(void **state)
{
	struct hsm *hsm;
	struct issuer *issuer = NULL, *other = NULL;
	struct unproven batch[ISSUER_PROVE_MAX];
	struct buf made[ISSUER_PROVE_MAX] = { 0 }, tail[ISSUER_PROVE_MAX] = { 0 };
	struct fault verdict[ISSUER_PROVE_MAX] = { 0 };
	uint8_t tbs[ISSUER_PROVE_MAX];

	(void)state;
	hsm = open_hsm(1);
	issuer = open_issuer(hsm, "p256");
	other = open_issuer(hsm, "p384");
	for (unsigned i = 0; i < ISSUER_PROVE_MAX; i++) {
		const struct issuer *by = i == 3 ? other : issuer;

		tbs[i] = (uint8_t)i;
		assert_int_equal(issuer_make(by, 0, BLOB(&tbs[i], 1), &made[i], NULL), REASON_OK);
		batch[i] = (struct unproven){ by, BLOB(&tbs[i], 1), buf_blob(&made[i]), &tail[i], &verdict[i] };
	}
	made[5].ptr[made[5].len - 1] ^= 1;
	batch[7].made.len--;
	batch[9].tbs = BLOB(&tbs[8], 1); /* a signature over something else */
	batch[11].issuer = other;
	issuer_prove(batch, ISSUER_PROVE_MAX);
	for (unsigned i = 0; i < ISSUER_PROVE_MAX; i++) {
		bool bad = i == 5 || i == 7 || i == 9 || i == 11;

		assert_int_equal(verdict[i].reason, bad ? REASON_TOKEN_AWAY : REASON_OK);
		assert_int_equal(tail[i].ptr == NULL, bad);
		buf_done(&made[i]);
		buf_done(&tail[i]);
	}
	issuer_free(issuer);
	issuer_free(other);
	hsm_close(hsm);
}

static void *sign_one(void *arg)
{
	struct signer *signer = arg;
	uint8_t sig[LIMIT_SIGNATURE_BYTES];
	size_t len;

	signer->good = hsm_sign(signer->key, signer->slot, BLOB("tbs", 3), sig, &len, NULL) == REASON_OK;
	return NULL;
}

/* How long twenty signatures take that are asked for at once. */
static int64_t twenty_us(struct signer signer[20])
{
	int64_t begun_us = clock_mono_us();
	pthread_t thread[20];

	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, sign_one, &signer[i]), 0);
	for (unsigned i = 0; i < 20; i++) {
		pthread_join(thread[i], NULL);
		assert_int_equal(signer[i].good, 1);
	}
	return clock_mono_us() - begun_us;
}

/*
 * A token that takes a second: twenty at once take one second; in libp11's pool of sixteen sessions they would take
 * two, always. So the lower bound of what is wrong is certain; what is right has 0.8 s to spare, and some tries.
 */
static void keeps_twenty_signatures_outstanding_at_once(void **state)
{
	struct hsm_options options = softhsm_options(20);
	struct signer signer[20];
	int64_t best_us = INT64_MAX;
	struct hsm *hsm;

	(void)state;
	use_shim();
	options.module = SHIM_MODULE;
	assert_int_equal(hsm_open(&options, &hsm, NULL), REASON_OK);
	for (unsigned i = 0; i < 20; i++) {
		signer[i] = (struct signer){ .slot = i };
		assert_int_equal(hsm_key(hsm, "p256", &signer[i].key, NULL), REASON_OK);
	}
	write_control(0, 1000000);
	for (int tries = 0; tries < 10 && best_us > 1800000; tries++) {
		int64_t took_us = twenty_us(signer);

		best_us = took_us < best_us ? took_us : best_us;
	}
	assert_in_range(best_us, 1000000, 1800000);
	hsm_close(hsm);
}

static CK_ULONG attribute(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
			  CK_ATTRIBUTE_TYPE type, CK_RV *ret_rv)
{
	CK_BYTE value[1024];
	CK_ATTRIBUTE wanted = { type, value, sizeof(value) };

	*ret_rv = p11->C_GetAttributeValue(session, object, &wanted, 1);
	return *ret_rv == CKR_OK ? value[0] : 99;
}

/* What the ceremony's keys may do, asked of the token itself. */
static void keys_sign_and_do_nothing_else_and_never_leave(void **state)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		CK_ULONG value;
	} expected[] = {
		{ CKA_SIGN, 1 },   { CKA_SENSITIVE, 1 },   { CKA_ALWAYS_SENSITIVE, 1 }, { CKA_NEVER_EXTRACTABLE, 1 },
		{ CKA_LOCAL, 1 },  { CKA_EXTRACTABLE, 0 }, { CKA_DECRYPT, 0 },          { CKA_UNWRAP, 0 },
		{ CKA_DERIVE, 0 },
	};
	void *library = dlopen(SOFTHSM_MODULE, RTLD_NOW);
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)(uintptr_t)dlsym(library, "C_GetFunctionList");
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE private = { CKA_CLASS, &class, sizeof(class) };
	CK_OBJECT_HANDLE object[8];
	CK_FUNCTION_LIST *p11;
	CK_SLOT_ID slots[8];
	CK_ULONG n = 8;
	CK_SESSION_HANDLE session;
	CK_RV rv;

	(void)state;
	assert_int_equal(get(&p11), CKR_OK);
	assert_int_equal(p11->C_Initialize(NULL), CKR_OK);
	assert_int_equal(p11->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
	assert_int_equal(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
	assert_int_equal(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)SOFTHSM_PIN, strlen(SOFTHSM_PIN)),
			 CKR_OK);
	assert_int_equal(p11->C_FindObjectsInit(session, &private, 1), CKR_OK);
	assert_int_equal(p11->C_FindObjects(session, object, 8, &n), CKR_OK);
	assert_int_equal(n, 3);
	for (CK_ULONG i = 0; i < n; i++) {
		for (size_t a = 0; a < sizeof(expected) / sizeof(expected[0]); a++) {
			assert_int_equal(attribute(p11, session, object[i], expected[a].type, &rv), expected[a].value);
			assert_int_equal(rv, CKR_OK);
		}
		attribute(p11, session, object[i], CKA_VALUE, &rv);
		assert_true(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID);
		attribute(p11, session, object[i], CKA_PRIVATE_EXPONENT, &rv);
		assert_true(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID);
	}
	p11->C_Finalize(NULL);
	dlclose(library);
}

static void generates_no_key_whose_label_is_taken(void **state)
{
	struct token *token;
	struct fault fault = { 0 };
	struct token_info info;
	unsigned n;
	bool found;

	(void)state;
	assert_int_equal(token_open(SOFTHSM_MODULE, &token, &fault), REASON_OK);
	assert_int_equal(token_find(token, SOFTHSM_TOKEN, &found, &fault), REASON_OK);
	assert_true(found);
	assert_int_equal(token_describe(token, &info, &fault), REASON_OK);
	assert_string_equal(info.label, SOFTHSM_TOKEN);
	assert_int_equal(token_login(token, "0000-0000", &fault), REASON_TOKEN_PIN);
	token_close(token);
	assert_int_equal(token_open(SOFTHSM_MODULE, &token, &fault), REASON_OK);
	assert_int_equal(token_find(token, SOFTHSM_TOKEN, &found, &fault), REASON_OK);
	assert_int_equal(token_login(token, SOFTHSM_PIN, &fault), REASON_OK);
	assert_int_equal(token_generate(token, "p256", 9, KEY_EC_P256, 0, &fault), REASON_CONFIG);
	assert_int_equal(token_generate(token, "p521", 9, KEY_EC_P521, 0, &fault), REASON_CONFIG);
	assert_int_equal(token_generate(token, "weak", 9, KEY_RSA, 1024, &fault), REASON_CONFIG);
	assert_int_equal(token_count_keys(token, "p256", &n, &fault), REASON_OK);
	assert_int_equal(n, 1);
	assert_int_equal(token_count_keys(token, "weak", &n, &fault), REASON_OK);
	assert_int_equal(n, 0);
	token_close(token);
}

/* Last, for it takes the token away. */
static void says_that_the_token_is_away_when_its_folder_is(void **state)
{
	struct hsm *hsm = open_hsm(1);
	struct issuer *issuer = open_issuer(hsm, "p256");
	char from[96], to[96];
	struct buf tail = { 0 };
	struct fault fault = { 0 };

	(void)state;
	snprintf(from, sizeof(from), "%s/token", softhsm.dir);
	snprintf(to, sizeof(to), "%s/away", softhsm.dir);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(issuer_sign(issuer, 0, BLOB("tbs", 3), &tail, &fault), REASON_TOKEN_AWAY);
	assert_null(tail.ptr);
	assert_int_equal(rename(to, from), 0);
	issuer_free(issuer);
	hsm_close(hsm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_with_every_key_type_in_every_session),
		cmocka_unit_test(issues_a_hundred_certificates_that_verify_strictly),
		cmocka_unit_test(signs_crls_that_bite),
		cmocka_unit_test(signs_on_twenty_threads_at_once),
		cmocka_unit_test(refuses_an_issuer_whose_key_is_another),
		cmocka_unit_test(says_what_is_wrong_with_token_pin_file_and_module),
		cmocka_unit_test(tries_a_wrong_pin_once_and_says_so),
		cmocka_unit_test(believes_no_signature_that_does_not_verify),
		cmocka_unit_test(of_a_batch_only_what_does_not_verify_fails),
		cmocka_unit_test(keeps_twenty_signatures_outstanding_at_once),
		cmocka_unit_test(keys_sign_and_do_nothing_else_and_never_leave),
		cmocka_unit_test(generates_no_key_whose_label_is_taken),
		cmocka_unit_test(says_that_the_token_is_away_when_its_folder_is),
	};

	int missing = softhsm_missing();

	return missing != 0 ? missing : cmocka_run_group_tests(tests, softhsm_setup, softhsm_teardown);
}
