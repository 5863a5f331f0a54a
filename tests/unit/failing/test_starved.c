/*
 * test_starved.c - every parser over a valid input, its n-th allocation failing, for every n until none fails: a
 * refusal that has a reason, outputs untouched, and nothing leaked (the sanitizer build says). What gives somebody an
 * identity or a right gives the same or none, never another.
 */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bundle.h"
#include "channel/channel.h"
#include "channel/view.h"
#include "config.h"
#include "http/basic.h"
#include "http/body.h"
#include "make.h"
#include "profile.h"
#include "quote_make.h"
#include "ra/answer.h"
#include "ra/ra.h"
#include "trust.h"
#include "users.h"

#define CORPUS "tests/fuzz/corpus/"
#define NOW 1750000000

/* Each gives REASON_OK or a refusal, checks that a refusal left its outputs alone, and frees what it got. */
static enum reason run_csr(struct blob in, struct fault *f)
{
	struct claims claims = { 0 };
	struct csr csr, before;

	memset(&csr, 0x5a, sizeof(csr));
	before = csr;
	if (csr_parse(in, &csr, &claims, f) == REASON_OK)
		return REASON_OK;
	assert_memory_equal(&csr, &before, sizeof(csr));
	return f->reason;
}

static enum reason run_cert(struct blob in, struct fault *f)
{
	struct cert cert, before;

	memset(&cert, 0x5a, sizeof(cert));
	before = cert;
	if (cert_parse(in, &cert, f) == REASON_OK)
		return REASON_OK;
	assert_memory_equal(&cert, &before, sizeof(cert));
	return f->reason;
}

/* Nothing of ours allocates here: the loop is over at once, and says so when that changes. */
static enum reason run_bundle(struct blob in, struct fault *f)
{
	struct bundle bundle;

	return bundle_parse(in, &bundle, f);
}

static enum reason run_unbase64(struct blob in, struct fault *f)
{
	struct buf out = { 0 };
	enum reason reason = text_unbase64(in, &out, f);

	assert_true(reason == REASON_OK || out.ptr == NULL);
	buf_done(&out);
	return reason;
}

static enum reason run_body(struct blob in, struct fault *f)
{
	struct buf out = { 0 };
	enum reason reason = body_der(in, &out, f);

	assert_true(reason == REASON_OK || out.ptr == NULL);
	buf_done(&out);
	return reason;
}

static enum reason run_basic(struct blob in, struct fault *f)
{
	struct basic basic = { .user = "untouched" };
	enum reason reason = basic_parse(in, &basic, f);

	assert_true(reason == REASON_OK || strcmp(basic.user, "untouched") == 0);
	return reason;
}

static enum reason run_nonce_request(struct blob in, struct fault *f)
{
	size_t len = 0;
	enum reason reason = nonce_request(in, &len, f);

	assert_int_equal(len, reason == REASON_OK ? 64 : 0);
	return reason;
}

static enum reason run_trust(struct blob in, struct fault *f)
{
	struct trust *trust = NULL;
	enum reason reason = trust_open_pem("vendors", in, &trust, f);

	assert_true((reason == REASON_OK) == (trust != NULL));
	trust_free(trust);
	return reason;
}

static enum reason run_profile(struct blob in, struct fault *f)
{
	static const char *const issuers[] = { "attested", "unattested", "idevid", "rigs", NULL };
	struct profile *profile = NULL;
	enum reason reason = profile_parse("line.json", in, issuers, &profile, f);

	assert_true((reason == REASON_OK) == (profile != NULL));
	profile_free(profile);
	return reason;
}

static enum reason run_users(struct blob in, struct fault *f)
{
	struct users *users = NULL;
	enum reason reason = users_parse("users.json", in, &users, f);

	assert_true((reason == REASON_OK) == (users != NULL));
	users_free(users);
	return reason;
}

static enum reason run_config(struct blob in, struct fault *f)
{
	struct config *config = NULL;
	enum reason reason = config_parse(in, "/etc/assay/assay.json", &config, f);

	assert_true((reason == REASON_OK) == (config != NULL));
	if (config != NULL)
		assert_int_equal(config->home,
				 HOME_QUICKSTART); /* a key that memory had no room for must not fall back in silence */
	config_free(config);
	return reason;
}

/* The corpora of frames begin with an octet that says which. */
static enum reason run_grant(struct blob in, struct fault *f)
{
	struct grant *grant = NULL;
	enum reason reason = grant_decode(BLOB(in.ptr + 1, in.len - 1), &grant, f);

	assert_true((reason == REASON_OK) == (grant != NULL));
	grant_free(grant);
	return reason;
}

static enum reason run_view(struct blob in, struct fault *f)
{
	struct view *view = view_new();
	enum reason reason = REASON_NO_MEMORY;

	if (view == NULL)
		return fault_set(f, reason, "view");
	reason = view_apply(view, BLOB(in.ptr + 1, in.len - 1), 1, f);
	assert_true((view_fresh(view, 1, NULL) == REASON_OK) == (reason == REASON_OK));
	view_free(view);
	return reason;
}

static enum reason run_answer(struct blob in, struct fault *f)
{
	struct reply reply = { 0 };
	enum reason reason = answer_enrolled(BLOB(in.ptr + 1, in.len - 1), &reply, f);

	assert_true((reason == REASON_OK) == (reply.body.ptr != NULL));
	buf_done(&reply.body);
	return reason;
}

static const struct parser {
	const char *name, *input;
	enum reason (*run)(struct blob in, struct fault *f);
	bool allocates;
} parsers[] = {
	{ "PKCS#10", CORPUS "csr/rich-p256", run_csr, false },
	{ "certificate", CORPUS "cert/leaf", run_cert, false },
	{ "bundle", CORPUS "bundle/quote", run_bundle, false },
	{ "base64", CORPUS "base64/crlf", run_unbase64, true },
	{ "body", CORPUS "body/base64", run_body, true },
	{ "Basic", CORPUS "basic/good", run_basic, true },
	{ "nonce request", CORPUS "nonce_request/type", run_nonce_request, false },
	{ "trust list", "tests/fuzz/vendor-root.pem", run_trust, true },
	{ "profile", "deploy/profiles/line.json", run_profile, true },
	{ "users", CORPUS "users/two.json", run_users, true },
	{ "configuration", CORPUS "config/quickstart.json", run_config, true },
	{ "grant frame", CORPUS "frame/grant-enrol", run_grant, true },
	{ "view frame", CORPUS "frame/view-first", run_view, true },
	{ "enrolled frame", CORPUS "answer/enrolled", run_answer, true },
};

struct parsing {
	const struct parser *parser;
	struct blob in;
};

static enum reason parse(const void *with, struct fault *f)
{
	const struct parsing *parsing = with;

	return parsing->parser->run(parsing->in, f);
}

static void starve(const struct parser *parser, struct blob in, enum failing_mode mode)
{
	unsigned long n = walk(parser->name, parse, &(struct parsing){ parser, in }, mode);

	if (parser->allocates != (n > 0))
		fail_msg("%s: %lu allocations", parser->name, n);
}

static void every_parser_outlives_every_failing_allocation(void **state)
{
	struct fault f;

	(void)state;
	for (size_t i = 0; i < N_OF(parsers); i++) {
		AUTO(buf_done) struct buf in = walk_input(parsers[i].input);

		(void)parsers[i].run(buf_blob(&in), &f); /* what is made at the first use stays */
		starve(&parsers[i], buf_blob(&in), FAILING_ONCE);
		starve(&parsers[i], buf_blob(&in), FAILING_FROM);
	}
}

static void a_hash_is_right_however_little_memory_there_is(void **state)
{
	struct device_id device = { .format = "assay.1.1", .element_len = 3 };
	EVP_PKEY *key = make_key(KEY_EC_P256);
	struct pubkey pub = make_pubkey(key);
	uint8_t spki[32], element[32], again[32];

	(void)state;
	pubkey_hash(&pub, spki);
	device_hash(&device, element);
	failing_start(1, FAILING_FROM);
	memset(again, 0, sizeof(again));
	pubkey_hash(&pub, again);
	assert_memory_equal(again, spki, 32);
	device_hash(&device, again);
	assert_memory_equal(again, element, 32);
	failing_stop();
	EVP_PKEY_free(key);
}

/* First uses of a process, and memory short just then: refused now, served later. */
static void curves_and_digests_come_back_with_memory(void **state)
{
	AUTO(buf_done) struct buf in = walk_input(CORPUS "csr/p384-sha384");
	struct claims claims = { 0 }, *batch = &claims;
	struct fault verdict = { 0 };
	struct csr csr;

	(void)state;
	failing_start(1, FAILING_FROM);
	assert_int_not_equal(csr_parse(buf_blob(&in), &csr, &claims, &verdict), REASON_OK);
	failing_stop();
	assert_true(walk("first use", parse, &(struct parsing){ &parsers[0], buf_blob(&in) }, FAILING_ONCE) > 0);
	claims = (struct claims){ 0 };
	assert_ok(csr_parse(buf_blob(&in), &csr, &claims, &verdict));
	failing_start(1, FAILING_FROM);
	claims_check(&batch, 1, &verdict);
	failing_stop();
	assert_reason(verdict.reason, REASON_NO_MEMORY);
	claims_check(&batch, 1, &verdict);
	assert_ok(verdict.reason);
}

/* A right password stands in the cache, and on the stack: a wrong one behind it must not be taken for it. */
static void a_wrong_password_stays_wrong(void **state)
{
	char hash[128], file[512];
	struct users *users = NULL;
	struct requester who;

	(void)state;
	assert_ok(policy_hash_password("right", hash, sizeof(hash), NULL));
	snprintf(file, sizeof(file), "[{\"user\":\"u\",\"hash\":\"%s\",\"names\":\"a*\",\"labels\":[\"x\"]}]", hash);
	assert_ok(users_parse("users.json", BLOB_STR(file), &users, NULL));
	for (unsigned long n = 1; n <= 24; n++) {
		assert_ok(users_verify(users, "u", "right", &who, NULL));
		failing_start(n, n % 2 == 0 ? FAILING_ONCE : FAILING_FROM);
		assert_reason(users_verify(users, "u", "wrong", &who, NULL), REASON_AUTH_PASSWORD);
		failing_stop();
	}
	users_free(users);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(curves_and_digests_come_back_with_memory,
					  walk_stop), /* first: before anybody's first use */
		cmocka_unit_test_teardown(every_parser_outlives_every_failing_allocation, walk_stop),
		cmocka_unit_test_teardown(a_hash_is_right_however_little_memory_there_is, walk_stop),
		cmocka_unit_test_teardown(a_wrong_password_stays_wrong, walk_stop),
	};

	oid_init();
	EVP_PKEY_free(make_key(KEY_EC_P521)); /* OpenSSL 3.0 itself crashes when memory is short while it first loads */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
