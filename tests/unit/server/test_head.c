/* test_head.c - does a signed head parse whole or not at all, and does only its own key verify it? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define TEXT                                                                                                           \
	"{\"assay_head\":1,\"node\":\"n1\",\"number\":7,\"at\":\"2026-11-21T09:00:00.000000Z\",\"previous\":\"" ZEROS  \
	"\",\"intents\":{\"certificates\":3,\"crls\":2,\"ocsp\":0,\"responders\":1,\"heads\":6},\"token\":{\"since\":" \
	"\"2026-11-21T08:00:00.000000Z\",\"signatures\":12},\"revocations\":0,\"positions\":[[\"n1\",\"intend\",4,"    \
	"\"" ZEROS "\"]]}"

static EVP_PKEY *key;

static int make_key(void **state)
{
	(void)state;
	key = EVP_EC_gen("P-256");
	return key == NULL;
}

static int free_key(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	return 0;
}

/* As the ca writes it: by hand, for the parser shall not be checked by itself. */
static size_t make_line(const char *text, char *out, size_t out_len)
{
	unsigned char signature[256], base64[400];
	size_t len = sizeof(signature);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int n;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	EVP_EncodeBlock(base64, signature, (int)len);
	n = snprintf(out, out_len, "{\"head\":%s,\"signature\":\"%s\"}\n", text, (const char *)base64);
	assert_true(n > 0 && (size_t)n < out_len);
	return (size_t)n;
}

static void parses_what_was_signed_and_verifies_it(void **state)
{
	char line[2048];
	size_t len = make_line(TEXT, line, sizeof(line));
	EVP_PKEY *other = EVP_EC_gen("P-256");
	struct head head;

	(void)state;
	assert_true(head_is_line(line, len) && head_parse(line, len, &head));
	assert_int_equal(head.len, strlen(TEXT));
	assert_memory_equal(head.text, TEXT, head.len);
	assert_string_equal(head.node, "n1");
	assert_int_equal(head.number, 7);
	assert_int_equal(json_array_size(head.positions), 1);
	assert_int_equal(head_intents(&head, "heads"), 6);
	assert_int_equal(head_intents(&head, "others"), -1);
	assert_true(head_verify(&head, key));
	assert_false(head_verify(&head, other));
	head.signature[8] ^= 1;
	assert_false(head_verify(&head, key));
	head_done(&head);
	EVP_PKEY_free(other);
}

static void takes_it_out_of_a_line_of_syslog(void **state)
{
	char line[2048] = "Nov 21 09:00:00 ca assay-heads[7]: ";
	size_t before = strlen(line), len = before + make_line(TEXT, line + before, sizeof(line) - before);
	struct head head;

	(void)state;
	assert_true(head_parse(line, len, &head));
	assert_true(head_verify(&head, key));
	head_done(&head);
}

static void refuses_every_head_that_is_cut_or_altered(void **state)
{
	char line[2048], altered[2048];
	size_t len = make_line(TEXT, line, sizeof(line)) - 1; /* without the line's end */
	struct head head;

	(void)state;
	for (size_t i = 0; i < len; i++) /* each beginning of it: a whole one is needed */
		assert_false(head_parse(line, i, &head));
	for (size_t i = strlen("{\"head\":"); i < len; i++) { /* each octet turned: none verifies */
		memcpy(altered, line, len);
		altered[i] ^= 1;
		if (!head_parse(altered, len, &head))
			continue;
		assert_false(head_verify(&head, key));
		head_done(&head);
	}
}

static void refuses_values_of_other_types(void **state)
{
	static const char *const from_to[][2] = {
		{ "\"assay_head\":1", "\"assay_head\":2" }, { "\"number\":7", "\"number\":0" },
		{ "\"number\":7", "\"number\":\"7\"" },     { "\"n1\",\"number\"", "1,\"number\"" },
		{ "\"heads\":6", "\"heads\":null" },        { "\"intend\",4", "\"intend\",0" },
		{ "\"intend\",4", "\"intend\"" },           { "[[\"n1\"", "[[1" },
		{ "\"previous\":\"0", "\"previous\":\"" },  { "\"revocations\":0", "\"number\":8" },
	};
	char text[1024], line[2048];
	struct head head;

	(void)state;
	for (size_t i = 0; i < sizeof(from_to) / sizeof(from_to[0]); i++) {
		const char *at = strstr(TEXT, from_to[i][0]);

		assert_non_null(at);
		(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - TEXT), TEXT, from_to[i][1],
			       at + strlen(from_to[i][0]));
		if (head_parse(line, make_line(text, line, sizeof(line)), &head))
			fail_msg("taken: %s", text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_what_was_signed_and_verifies_it),
		cmocka_unit_test(takes_it_out_of_a_line_of_syslog),
		cmocka_unit_test(refuses_every_head_that_is_cut_or_altered),
		cmocka_unit_test(refuses_values_of_other_types),
	};

	return cmocka_run_group_tests(tests, make_key, free_key);
}
