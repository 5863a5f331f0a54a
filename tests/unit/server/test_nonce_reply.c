/* test_nonce_reply.c - does /nonce take the draft's request and nothing else, and answer with a nonce that counts? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "ra/ra.h"

static void takes_lengths_from_8_to_64(void **state)
{
	static const struct {
		const char *body;
		size_t len;
	} cases[] = {
		{ "", 16 },
		{ "{}", 16 },
		{ "{\"len\":8}", 16 }, /* more than asked for is what we give */
		{ "{\"len\":16}", 16 },
		{ "{\"len\":20}", 20 },
		{ "{\"len\":64,\"reqTypeInfo\":{\"type\":\"1.2.3\",\"reqInfo\":\"AA\"}}", 64 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = 0;
		struct fault f;

		if (nonce_request(BLOB_STR(cases[i].body), &len, &f) != REASON_OK)
			fail_msg("%s: %s", cases[i].body, f.detail);
		assert_int_equal(len, cases[i].len);
	}
}

static void refuses_everything_else(void **state)
{
	static const char *const bodies[] = {
		"{\"len\":7}",
		"{\"len\":65}",
		"{\"len\":-16}",
		"{\"len\":\"16\"}",
		"{\"len\":16.0}",
		"{\"len\":null}",
		"[]",
		"16",
		"{\"len\":16,\"len\":20}",
		"{\"len\":16} {}",
		"{\"len\":16",
		"MAMCAQA=",
		"{\"reqTypeInfo\":[]}",
		"{\"len\":99999999999999999999}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		size_t len;

		if (nonce_request(BLOB_STR(bodies[i]), &len, NULL) != REASON_HTTP_BODY)
			fail_msg("%s was taken", bodies[i]);
	}
}

static struct nonce_key *new_key(void)
{
	static const uint8_t bytes[32] = { 1, 2, 3 };
	char path[] = "/tmp/assay-nonce-XXXXXX";
	int fd = mkstemp(path);
	struct nonce_key *key = NULL;
	struct fault f;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
	if (nonce_key_open(path, &key, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	unlink(path);
	return key;
}

/* base64url without padding, as a client would read it */
static size_t decode(const char *text, uint8_t *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	for (; *text != '\0'; text++) {
		const char *digit = strchr(digits, *text);

		assert_non_null(digit);
		bits = bits << 6 | (uint32_t)(digit - digits);
		held += 6;
		if (held >= 8) {
			held -= 8;
			out[n++] = (uint8_t)(bits >> held);
		}
	}
	return n;
}

static void gives_a_nonce_bound_to_requester_and_label(void **state)
{
	struct rules rules = { .nonce_key = new_key() };
	struct label label = { .facts = { .label = "line", .nonce_lifetime_s = 600 } };
	struct requester who = { .kind = WHO_RIG, .id = "rig:station-7" };
	struct reply reply;
	uint8_t nonce[LIMIT_NONCE_BYTES_MAX];
	json_t *json;
	size_t len;

	(void)state;
	assert_int_equal(nonce_reply(&rules, &label, &who, 20, &reply, NULL), REASON_OK);
	assert_string_equal(reply.type, "application/est-attestation-freshness+json");
	json = json_loadb((const char *)reply.body.ptr, reply.body.len, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(json, "expiry")), 600);
	len = decode(json_string_value(json_object_get(json, "nonce")), nonce);
	assert_int_equal(len, 20);
	assert_int_equal(nonce_check(rules.nonce_key, "rig:station-7", "line", BLOB(nonce, len), 600, NULL), REASON_OK);
	assert_int_equal(nonce_check(rules.nonce_key, "rig:station-8", "line", BLOB(nonce, len), 600, NULL),
			 REASON_NONCE_FOREIGN);
	assert_int_equal(nonce_check(rules.nonce_key, "rig:station-7", "field", BLOB(nonce, len), 600, NULL),
			 REASON_NONCE_FOREIGN);
	json_decref(json);
	reply_done(&reply);
	nonce_key_free(rules.nonce_key);
}

static void says_that_no_freshness_is_needed(void **state)
{
	struct rules rules = { 0 };
	struct label label = { .facts = { .label = "unattested" } };
	struct requester who = { .kind = WHO_USER, .id = "user:legacy" };
	struct reply reply;

	(void)state;
	assert_int_equal(nonce_reply(&rules, &label, &who, 16, &reply, NULL), REASON_OK);
	assert_true(blob_equal(buf_blob(&reply.body), BLOB_STR("{\"nonce\":\"\"}\n")));
	reply_done(&reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_lengths_from_8_to_64),
		cmocka_unit_test(refuses_everything_else),
		cmocka_unit_test(gives_a_nonce_bound_to_requester_and_label),
		cmocka_unit_test(says_that_no_freshness_is_needed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
