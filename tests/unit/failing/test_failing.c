/*
 * test_failing.c - what the roles do with libraries, the n-th call or allocation failing, for every n until none fails:
 * a refusal that says why, outputs untouched, nothing leaked (the sanitizer build says), and success once all is well.
 * Parsers have test_starved.c.
 */
#include "walk.h"

#include <gnutls/gnutls.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle.h"
#include "ca_cert.h"
#include "channel/channel.h"
#include "config.h"
#include "csr.h"
#include "csrattrs.h"
#include "evidence.h"
#include "http/body.h"
#include "http/tls.h"
#include "issuer_fixture.h"
#include "make.h"
#include "nonce.h"
#include "pkcs7.h"
#include "policy.h"
#include "quote.h"

#define CORPUS "tests/fuzz/corpus/"
#define NOW 1750000000 /* when the corpus's evidence is judged */

static struct bed {
	char folder[40];
	char tls_cert[64], tls_key[64], secret[64], ca[64], socket[64];
	struct fixture fixture; /* an issuer with its key in memory */
	struct grant *grant;
	EVP_PKEY *key; /* RSA: its way through EVP is the longest */
	struct buf message, signature;
} bed;

static const char *const issuers[] = { "attested", "unattested", "idevid", "rigs", NULL };

/* --- evidence --- */

static struct pubkey quoted_key(struct blob der)
{
	struct bundle bundle;
	struct quote quote;

	assert_ok(bundle_parse(der, &bundle, NULL));
	assert_ok(quote_parse(bundle.statement[0].stmt, &quote, NULL));
	return quote.key;
}

struct assessment {
	struct blob bundle;
	struct pubkey key;
};

/* Vendors anew each time: their cache would take the long way to the root off later rounds. */
static enum reason run_evidence(const void *with, struct fault *f)
{
	static const struct vendor_options acme = { "assay.1.1", "acme", "tests/fuzz/vendor-root.pem" };
	const struct assessment *a = with;
	struct claims claims = { 0 }, *batch = &claims;
	struct verdict verdict, before;
	struct vendors *vendors = NULL;
	enum reason reason = vendors_open(&acme, 1, &vendors, f);

	assert_true((reason == REASON_OK) == (vendors != NULL));
	TRY(reason);
	memset(&verdict, 0x5a, sizeof(verdict));
	before = verdict;
	AUTO(evidence_freep) struct evidence *evidence = evidence_new();
	reason = evidence == NULL ? fault_set(f, REASON_NO_MEMORY, "evidence")
				  : evidence_assess(evidence, vendors, a->bundle, &a->key, NOW, &claims, &verdict, f);
	if (reason != REASON_OK)
		assert_memory_equal(&verdict, &before, sizeof(verdict));
	else
		claims_check(&batch, 1, f);
	vendors_free(vendors);
	return reason == REASON_OK ? f->reason : reason;
}

/* --- signatures --- */

static struct claim claim_of(const struct pubkey *key, enum sig_alg alg, struct blob signature)
{
	return (struct claim){
		.key = key,
		.alg = alg,
		.message = buf_blob(&bed.message),
		.signature = signature,
		.refusal = REASON_CSR_SIGNATURE,
		.what = "test",
	};
}

static enum reason run_rsa(const void *with, struct fault *f)
{
	struct claims claims = { 0 }, *batch = &claims;

	TRY(claims_add(&claims, claim_of(with, SIG_RSA_SHA256, buf_blob(&bed.signature)), f));
	claims_check(&batch, 1, f);
	return f->reason;
}

/* A signature that does not hold never does, whatever fails while it is looked at. */
static void a_false_signature_stays_false(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *ec = make_key(KEY_EC_P256), *other = make_key(KEY_EC_P256);
	AUTO(buf_done) struct buf by_other = make_signature(other, "SHA256", buf_blob(&bed.message));
	struct pubkey rsa_key = make_pubkey(bed.key), ec_key = make_pubkey(ec);
	struct claim wrong[] = {
		claim_of(&ec_key, SIG_ECDSA_SHA256, buf_blob(&by_other)),
		claim_of(&rsa_key, SIG_RSA_SHA256, buf_blob(&bed.signature)),
		claim_of(&rsa_key, SIG_RSA_PSS_SHA256, buf_blob(&bed.signature)), /* it is PKCS#1 v1.5 */
	};

	(void)state;
	wrong[1].message.len--;
	for (size_t i = 0; i < 2 * N_OF(wrong); i++) {
		const struct claim *claim = &wrong[i / 2];
		unsigned long n = 0;

		do {
			struct claims claims = { .n = 1, .item = { *claim } }, *batch = &claims;
			struct fault verdict = { 0 };

			failing_start(++n, i % 2 == 0 ? FAILING_ONCE : FAILING_FROM);
			claims_check(&batch, 1, &verdict);
			assert_false(claim_holds(claim));
			failing_stop();
			assert_int_not_equal(verdict.reason, REASON_OK);
		} while (failing_happened());
		assert_true(n > 3);
	}
}

/* --- issuing --- */

static enum reason run_issuer_open(const void *with, struct fault *f)
{
	struct issuer_options options = fixture_options();
	struct issuer *issuer = NULL;
	enum reason reason;

	(void)with;
	options.certificate = bed.ca;
	reason = issuer_open(&options, NULL, &issuer, f);
	assert_true((reason == REASON_OK) == (issuer != NULL));
	issuer_free(issuer);
	return reason;
}

static enum reason run_build(const void *with, struct fault *f)
{
	uint8_t serial[SERIAL_BYTES] = { 1, 2, 3 };
	int64_t from_s = 77, until_s = 77;
	struct buf tbs = { 0 };
	struct copied_names none = { 0 };
	enum reason reason =
		issuer_build(bed.fixture.issuer, with, &none, serial, FIXTURE_NOW_S, &tbs, &from_s, &until_s, f);

	assert_true((reason == REASON_OK) == (tbs.ptr != NULL));
	assert_true(reason == REASON_OK || (from_s == 77 && until_s == 77));
	buf_done(&tbs);
	return reason;
}

static enum reason run_crl(const void *with, struct fault *f)
{
	struct revoked_entry revoked[40] = { 0 };
	struct buf tbs = { 0 };
	enum reason reason;

	(void)with;
	for (size_t i = 0; i < N_OF(revoked); i++) {
		revoked[i].serial[0] = 1;
		revoked[i].serial[1] = (uint8_t)i;
		revoked[i].serial_len = SERIAL_BYTES;
		revoked[i].reason = (uint8_t)(i % 6);
		revoked[i].at_s = FIXTURE_NOW_S;
	}
	reason = issuer_build_crl(bed.fixture.issuer, &(struct crl_scope){ 0 }, 7, FIXTURE_NOW_S, FIXTURE_NOW_S + 3600,
				  revoked, N_OF(revoked), &tbs, f);
	assert_true((reason == REASON_OK) == (tbs.ptr != NULL));
	buf_done(&tbs);
	return reason;
}

static enum reason run_assemble(const void *with, struct fault *f)
{
	struct buf der = { 0 };
	enum reason reason = signed_assemble(buf_blob(&bed.message), buf_blob(&bed.signature), &der, f);

	(void)with;
	assert_true((reason == REASON_OK) == (der.ptr != NULL));
	buf_done(&der);
	return reason;
}

/* A CA certificate of its own key: the way a ceremony goes, signature included. */
static enum reason run_ca_cert(const void *with, struct fault *f)
{
	struct pubkey public = { 0 };
	struct ca_cert_ask ask = {
		.n_subject = 1,
		.subject = { { .type = OID_AT_CN, .value = "Test CA" } },
		.key = &public,
		.ca = true,
		.key_usage = KU_KEY_CERT_SIGN,
		.not_before_s = FIXTURE_NOW_S,
		.not_after_s = FIXTURE_NOW_S + 86400,
	};
	struct buf der = { 0 };
	enum reason reason;

	(void)with;
	TRY(ca_cert_public(bed.fixture.ca_key, &public, f));
	reason = ca_cert_issue(&(struct ca_signer){ .memory = bed.fixture.ca_key }, &ask, &der, f);
	assert_true((reason == REASON_OK) == (der.ptr != NULL));
	buf_done(&der);
	return reason;
}

/* --- what clients get --- */

static enum reason run_answer(const void *with, struct fault *f)
{
	struct blob certs[] = { buf_blob(&bed.fixture.ca_der), buf_blob(&bed.fixture.ca_der) };
	AUTO(buf_done) struct buf der = { 0 }, line = { 0 }, lines = { 0 };
	enum reason reason = pkcs7_certs_only(certs, 2, &der, f);

	(void)with;
	assert_true((reason == REASON_OK) == (der.ptr != NULL));
	TRY(reason);
	reason = body_base64(buf_blob(&der), &line, f);
	assert_true((reason == REASON_OK) == (line.ptr != NULL));
	TRY(reason);
	reason = body_lines(buf_blob(&line), &lines, f);
	assert_true((reason == REASON_OK) == (lines.ptr != NULL));
	return reason;
}

static enum reason run_csrattrs(const void *with, struct fault *f)
{
	struct buf der = { 0 };
	enum reason reason = csrattrs_build(KEY_EC_P256, 0, true, true, &der, f);

	(void)with;
	assert_true((reason == REASON_OK) == (der.ptr != NULL));
	buf_done(&der);
	return reason;
}

static enum reason run_nonce(const void *with, struct fault *f)
{
	uint8_t nonce[LIMIT_NONCE_OWN_BYTES], before[LIMIT_NONCE_OWN_BYTES];
	struct nonce_key *key = NULL;
	enum reason reason = nonce_key_open(bed.secret, &key, f);

	(void)with;
	assert_true((reason == REASON_OK) == (key != NULL));
	TRY(reason);
	memset(nonce, 0x5a, sizeof(nonce));
	memcpy(before, nonce, sizeof(nonce));
	reason = nonce_make(key, "rig:a", "line", sizeof(nonce), nonce, f);
	if (reason != REASON_OK)
		assert_memory_equal(nonce, before, sizeof(nonce));
	else
		reason = nonce_check(key, "rig:a", "line", BLOB_OF(nonce), 60, f);
	nonce_key_free(key);
	return reason;
}

/* --- what is loaded at start and at a reload --- */

static enum reason run_trust(const void *with, struct fault *f)
{
	struct trust *trust = NULL;
	enum reason reason = trust_open("vendors", with, &trust, f);

	assert_true((reason == REASON_OK) == (trust != NULL));
	trust_free(trust);
	return reason;
}

static enum reason run_config(const void *with, struct fault *f)
{
	struct config *config = NULL;
	enum reason reason = config_load(with, &config, f);

	assert_true((reason == REASON_OK) == (config != NULL));
	config_free(config);
	return reason;
}

static enum reason run_policy(const void *with, struct fault *f)
{
	struct policy *policy = NULL;
	enum reason reason = policy_load(with, CORPUS "users/two.json", issuers, &policy, f);

	assert_true((reason == REASON_OK) == (policy != NULL));
	policy_free(policy);
	return reason;
}

static enum reason run_password(const void *with, struct fault *f)
{
	char hash[128] = "untouched";
	enum reason reason = policy_hash_password(with, hash, sizeof(hash), f);

	assert_true((reason == REASON_OK) == (strcmp(hash, "untouched") != 0));
	return reason;
}

static enum reason run_tls(const void *with, struct fault *f)
{
	struct tls_keys *keys = NULL;
	struct tls *tls = NULL;
	enum reason reason = tls_open(bed.tls_cert, bed.tls_key, &tls, f);

	(void)with;
	assert_true((reason == REASON_OK) == (tls != NULL));
	TRY(reason);
	reason = tls_share_tickets(tls, bed.secret, f);
	if (reason == REASON_OK) {
		reason = tls_load(tls, &keys, f); /* what a reload does */
		assert_true((reason == REASON_OK) == (keys != NULL));
		if (reason == REASON_OK)
			tls_use(tls, keys);
	}
	tls_free(tls);
	return reason;
}

static enum reason run_session(const void *with, struct fault *f)
{
	struct tls_keys *keys = NULL;
	gnutls_session_t session;
	unsigned fragment = 0;
	enum reason reason;
	struct tls *tls;

	(void)with;
	TRY(tls_open(bed.tls_cert, bed.tls_key, &tls, f));
	if (gnutls_init(&session, GNUTLS_SERVER) != 0)
		make_die("gnutls_init");
	reason = tls_prepare(tls, session, &fragment, &keys, f);
	assert_true((reason == REASON_OK) == (keys != NULL));
	gnutls_deinit(session);
	tls_keys_unref(keys);
	tls_free(tls);
	return reason;
}

/* --- between the roles --- */

static void no_frame(void *user, struct channel *channel, const struct frame *frame)
{
	(void)user, (void)channel, (void)frame;
}

static enum reason run_channel(const void *with, struct fault *f)
{
	static const struct channel_events events = { .frame = no_frame };
	struct channel_server *server = NULL;
	struct channel_client *client = NULL;
	enum reason reason = channel_listen(bed.socket, geteuid(), &events, NULL, &server, f);

	(void)with;
	assert_true((reason == REASON_OK) == (server != NULL));
	TRY(reason);
	reason = channel_connect(bed.socket, &events, NULL, &client, f);
	assert_true((reason == REASON_OK) == (client != NULL));
	channel_client_close(client);
	channel_server_close(server);
	return reason;
}

static void every_operation_outlives_every_failing_call(void **state)
{
	AUTO(buf_done) struct buf bundle = walk_input(CORPUS "evidence/whole-chain");
	struct assessment assessment = { buf_blob(&bundle), quoted_key(buf_blob(&bundle)) };
	struct pubkey rsa_key = make_pubkey(bed.key);
	const struct {
		const char *name;
		walked *run;
		const void *with;
	} operations[] = {
		{ "evidence", run_evidence, &assessment },
		{ "RSA signature", run_rsa, &rsa_key },
		{ "issuer", run_issuer_open, NULL },
		{ "certificate to sign", run_build, bed.grant },
		{ "CRL to sign", run_crl, NULL },
		{ "signed whole", run_assemble, NULL },
		{ "CA certificate", run_ca_cert, NULL },
		{ "EST answer", run_answer, NULL },
		{ "csrattrs", run_csrattrs, NULL },
		{ "nonce", run_nonce, NULL },
		{ "trust list", run_trust, "tests/fuzz/vendor-root.pem" },
		{ "configuration", run_config, CORPUS "config/quickstart.json" },
		{ "policy", run_policy, "deploy/profiles" },
		{ "password", run_password, "secret" },
		{ "TLS keys", run_tls, NULL },
		{ "TLS session", run_session, NULL },
		{ "channel", run_channel, NULL },
	};

	(void)state;
	for (size_t i = 0; i < 2 * N_OF(operations); i++) {
		enum failing_mode mode = i % 2 == 0 ? FAILING_ONCE : FAILING_FROM;
		unsigned long n = walk(operations[i / 2].name, operations[i / 2].run, operations[i / 2].with, mode);

		if (n == 0)
			fail_msg("%s: nothing can fail: is it wrapped?", operations[i / 2].name);
	}
}

/* --- */

static const char *write_file(char path[64], const char *name, struct blob bytes)
{
	FILE *file;

	snprintf(path, 64, "%s/%s", bed.folder, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes.ptr, 1, bytes.len, file) != bytes.len || fclose(file) != 0)
		make_die(path);
	chmod(path, 0600);
	return path;
}

static void write_tls(void)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	AUTO(make_cert_freep) X509 *cert = make_cert(&(struct make_cert){ .key = key, .cn = "localhost" }, NULL, NULL);
	AUTO(buf_done) struct buf pem = make_pem(&cert, 1);
	FILE *file;

	write_file(bed.tls_cert, "tls.pem", buf_blob(&pem));
	write_file(bed.tls_key, "tls.key", BLOB_STR(""));
	file = fopen(bed.tls_key, "wb");
	if (file == NULL || PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0)
		make_die("private key");
}

static int setup(void **state)
{
	(void)state;
	oid_init();
	EVP_PKEY_free(make_key(KEY_EC_P521)); /* OpenSSL 3.0 crashes when memory is short while it first loads */
	strcpy(bed.folder, "/tmp/assay-failing-XXXXXX");
	if (mkdtemp(bed.folder) == NULL)
		make_die(bed.folder);
	snprintf(bed.socket, sizeof(bed.socket), "%s/socket", bed.folder);
	write_tls();
	write_file(bed.secret, "secret", BLOB_STR("0123456789abcdef0123456789abcdef"));
	fixture_open(&bed.fixture);
	X509 *ca = fixture_x509(buf_blob(&bed.fixture.ca_der));
	AUTO(buf_done) struct buf pem = make_pem(&ca, 1);
	write_file(bed.ca, "ca.pem", buf_blob(&pem));
	X509_free(ca);
	bed.grant = fixture_grant();
	bed.key = make_key(KEY_RSA);
	assert_ok(buf_copy(BLOB_STR("message"), &bed.message, NULL));
	bed.signature = make_signature(bed.key, "SHA256", buf_blob(&bed.message));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	const char *files[] = { bed.tls_cert, bed.tls_key, bed.secret, bed.ca };

	for (size_t i = 0; i < N_OF(files); i++)
		unlink(files[i]);
	rmdir(bed.folder);
	fixture_close(&bed.fixture);
	grant_free(bed.grant);
	EVP_PKEY_free(bed.key);
	buf_done(&bed.message);
	buf_done(&bed.signature);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_operation_outlives_every_failing_call, walk_stop),
		cmocka_unit_test_teardown(a_false_signature_stays_false, walk_stop),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
