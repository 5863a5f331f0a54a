/*
 * test_est.c - does the client send the same again when it should, and only then?
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <signal.h>
#include <string.h>

#include "fixture.h"
#include "persist.h"
#include "scripted.h"

#define PKCS7 "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n"
#define FRESHNESS "Content-Type: application/est-attestation-freshness+json\r\n"
#define TEXT "Content-Type: text/plain\r\n"
#define N(array) (sizeof(array) / sizeof((array)[0]))

struct talk {
	struct est_reply reply;
	unsigned retries;
	size_t n;
	struct scripted_request request[SCRIPTED_REQUESTS];
};

/* One est_persist() against the script. */
static void talk(const struct fixture *fixture, const struct scripted_reply *script, size_t n,
		 enum est_operation operation, double patience_s, struct talk *ret_talk)
{
	char cacert[4096];
	struct trouble t;
	struct est *est = NULL;
	struct bytes csr = { (uint8_t *)(uintptr_t) "not a CSR, but bytes", 20 };
	struct scripted *server;
	struct est_options options = { .cacert = cacert, .timeout_ms = 5000 };

	*ret_talk = (struct talk){ 0 };
	assert_true(path_join(fixture->folder, "scripted.pem", cacert, &t));
	server = scripted_start(cacert, script, n);
	options.url = scripted_url(server);
	if (!est_open(&options, &est, &t))
		fail_msg("%s", t.text);
	est_persist(est, "line", operation, operation == EST_ENROL ? &csr : NULL, patience_s, &ret_talk->retries,
		    &ret_talk->reply);
	est_close(est);
	ret_talk->n = scripted_stop(server, ret_talk->request);
}

static void asks_as_rfc_7030_says(void **state)
{
	static const struct scripted_reply script[] = { { 200, PKCS7, "AAEC\r\nAw==\n" } };
	struct talk t;

	talk(*state, script, N(script), EST_ENROL, 0, &t);
	assert_int_equal(t.reply.outcome, EST_DONE);
	assert_int_equal(t.reply.body.len, 4);
	assert_string_equal(t.request[0].path, "/.well-known/est/line/simpleenroll");
	assert_non_null(strstr(t.request[0].head, "\r\nContent-Type: application/pkcs10\r\n"));
	assert_non_null(strstr(t.request[0].head, "\r\nContent-Transfer-Encoding: base64\r\n"));
	assert_null(strcasestr(t.request[0].head, "\r\nExpect:"));
	assert_string_equal(t.request[0].body, "bm90IGEgQ1NSLCBidXQgYnl0ZXM=");
	est_reply_done(&t.reply);
}

static void sends_the_same_again_when_asked_or_cut_off(void **state)
{
	static const struct scripted_reply script[] = {
		{ 0 },
		{ 503, TEXT, "busy, try again later (overloaded, request 1)\n" },
		{ 0 },
		{ 202, NULL, NULL },
		{ 504, NULL, NULL },
		{ 200, PKCS7, "AAEC" },
	};
	struct talk t;

	talk(*state, script, N(script), EST_ENROL, 60, &t);
	assert_int_equal(t.reply.outcome, EST_DONE);
	assert_int_equal(t.n, N(script));
	assert_true(t.retries >= 3); /* libcurl itself sends again on a kept connection that was closed */
	for (size_t i = 1; i < t.n; i++)
		assert_string_equal(t.request[i].body, t.request[0].body);
	est_reply_done(&t.reply);
}

static void obeys_retry_after(void **state)
{
	static const struct scripted_reply script[] = { { 503, "Retry-After: 1\r\n", NULL }, { 200, PKCS7, "AAEC" } };
	double begin = clock_ms();
	struct talk t;

	talk(*state, script, N(script), EST_ENROL, 60, &t);
	assert_int_equal(t.reply.outcome, EST_DONE);
	assert_int_equal(t.retries, 1);
	assert_true(clock_ms() - begin >= 1000);
	est_reply_done(&t.reply);
}

static void gives_up_when_the_wait_is_longer_than_its_patience(void **state)
{
	static const struct scripted_reply script[] = { { 503, "Retry-After: 3600\r\n", "away (ca_away, request 1)" } };
	double begin = clock_ms();
	struct talk t;

	talk(*state, script, N(script), EST_ENROL, 60, &t);
	assert_int_equal(t.reply.outcome, EST_RETRY);
	assert_int_equal(t.n, 1);
	assert_true(clock_ms() - begin < 30000);
	assert_non_null(strstr(t.reply.text, "503 away (ca_away, request 1)"));
	assert_non_null(strstr(t.reply.text, "--patience"));
}

static void a_refusal_is_final_and_told_in_the_servers_words(void **state)
{
	static const struct {
		int status;
		const char *body, *reason, *text;
	} cases[] = {
		{ 403, "nonce has expired; ask /nonce again (nonce_stale, request 7f3a)\n", "nonce_stale",
		  "403 nonce has expired; ask /nonce again (nonce_stale, request 7f3a)" },
		{ 409, "a (b) c (device_known, request 1)", "device_known", "409 a (b) c (device_known, request 1)" },
		{ 400, "no reason named", "", "400 no reason named" },
		{ 400, "(unfinished", "", "400 (unfinished" },
		{ 400, "(,", "", "400 (," },
		{ 500, "\x1b[31mred\x07\n\nlines", "", "500  [31mred   lines" },
		{ 400, "na\xc3\xafve", "", "400 na  ve" },
		{ 404, NULL, "", "404" },
		{ 401, "", "", "401" },
	};

	for (size_t i = 0; i < N(cases); i++) {
		struct scripted_reply script[] = { { cases[i].status, TEXT, cases[i].body }, { 200, PKCS7, "AAEC" } };
		struct talk t;

		talk(*state, script, N(script), EST_ENROL, 60, &t);
		assert_int_equal(t.reply.outcome, EST_REFUSED);
		assert_int_equal(t.n, 1);
		assert_string_equal(t.reply.reason, cases[i].reason);
		assert_string_equal(t.reply.text, cases[i].text);
	}
}

static void a_200_that_is_not_est_is_not_believed(void **state)
{
	static const struct scripted_reply scripts[] = {
		{ 200, "Content-Type: text/html\r\n", "<html>" },
		{ 200, NULL, "AAEC" },
		{ 200, "Content-Type: application/pkcs7-mimeX\r\n", "AAEC" },
		{ 200, PKCS7, "!!!" },
	};

	for (size_t i = 0; i < N(scripts); i++) {
		struct talk t;

		talk(*state, &scripts[i], 1, EST_ENROL, 60, &t);
		assert_int_equal(t.reply.outcome, EST_BROKEN);
		assert_null(t.reply.body.ptr);
	}
}

static void reads_a_nonce(void **state)
{
	static const struct {
		const char *body;
		int len; /* -1: refused */
	} cases[] = {
		{ "{\"nonce\":\"AAECAwQFBgc\",\"expiry\":600}", 8 },
		{ "{\"nonce\":\"\"}", 0 },
		{ "{\"nonce\":\"AAECAwQFBgc=\"}", -1 },
		{ "{\"nonce\":7}", -1 },
		{ "{}", -1 },
		{ "[]", -1 },
		{ "", -1 },
		{ "{\"nonce\":\"AAECAwQFBgc\",\"nonce\":\"AAECAwQFBgc\"}", -1 },
	};

	for (size_t i = 0; i < N(cases); i++) {
		struct scripted_reply script = { 200, FRESHNESS, cases[i].body };
		struct bytes nonce = { 0 };
		struct trouble trouble;
		struct talk t;

		talk(*state, &script, 1, EST_NONCE, 0, &t);
		assert_int_equal(t.reply.outcome, EST_DONE);
		assert_string_equal(t.request[0].path, "/.well-known/est/line/nonce");
		assert_int_equal(est_nonce(&t.reply.body, &nonce, &trouble), cases[i].len >= 0);
		if (cases[i].len >= 0)
			assert_int_equal(nonce.len, cases[i].len);
		bytes_done(&nonce);
		est_reply_done(&t.reply);
	}
}

static void trusts_only_the_anchor_it_was_given(void **state)
{
	static const struct scripted_reply script[] = { { 200, PKCS7, "AAEC" } };
	struct fixture *fixture = *state;
	struct scripted_request requests[SCRIPTED_REQUESTS];
	char cacert[4096], root[4096];
	struct trouble t;
	struct est *est = NULL;
	struct est_reply reply;
	struct scripted *server;
	unsigned retries = 0;

	assert_true(path_join(fixture->folder, "scripted.pem", cacert, &t));
	assert_true(path_join(fixture->folder, "root.pem", root, &t));
	server = scripted_start(cacert, script, 1);
	assert_true(est_open(&(struct est_options){ .url = scripted_url(server), .cacert = root, .timeout_ms = 5000 },
			     &est, &t));
	est_persist(est, NULL, EST_CACERTS, NULL, 60, &retries, &reply);
	assert_int_equal(reply.outcome, EST_BROKEN);
	assert_int_equal(retries, 0);
	assert_non_null(strstr(reply.text, "--cacert"));
	est_close(est);
	assert_int_equal(scripted_stop(server, requests), 0);
}

static void refuses_what_is_not_a_certs_only_pkcs7(void **state)
{
	static const uint8_t data[] = { 0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01 };
	const struct bytes cases[] = { { (uint8_t *)(uintptr_t)data, sizeof(data) },
				       { (uint8_t *)(uintptr_t)data, sizeof(data) - 1 },
				       { (uint8_t *)(uintptr_t) "", 0 } };
	struct trouble t;

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		STACK_OF(X509) *certs = NULL;

		assert_false(est_certs(&cases[i], &certs, &t));
		assert_null(certs);
	}
}

static int setup(void **state)
{
	(void)signal(SIGPIPE, SIG_IGN); /* a client that leaves must not end the scripted server */
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? fixture_setup(state) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_as_rfc_7030_says),
		cmocka_unit_test(sends_the_same_again_when_asked_or_cut_off),
		cmocka_unit_test(obeys_retry_after),
		cmocka_unit_test(gives_up_when_the_wait_is_longer_than_its_patience),
		cmocka_unit_test(a_refusal_is_final_and_told_in_the_servers_words),
		cmocka_unit_test(a_200_that_is_not_est_is_not_believed),
		cmocka_unit_test(reads_a_nonce),
		cmocka_unit_test(trusts_only_the_anchor_it_was_given),
		cmocka_unit_test(refuses_what_is_not_a_certs_only_pkcs7),
	};

	return cmocka_run_group_tests(tests, setup, fixture_teardown);
}
