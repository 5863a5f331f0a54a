/* test_config.c - is the example good, and does every mistake get a line that names key, range and value? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config.h"
#include "config_keys.h"

static struct buf example;

static int read_example(void **state)
{
	FILE *file = fopen("deploy/assay.json", "rb");

	(void)state;
	assert_non_null(file);
	assert_int_equal(buf_reserve(&example, 65536, NULL), REASON_OK);
	example.len = fread(example.ptr, 1, 65535, file);
	example.ptr[example.len] = '\0';
	fclose(file);
	return 0;
}

static int drop_example(void **state)
{
	(void)state;
	buf_done(&example);
	return 0;
}

/* The example with one piece of text replaced. */
static char *changed(const char *from, const char *to)
{
	const char *at = strstr((const char *)example.ptr, from);
	char *out = malloc(example.len + strlen(to) + 1);

	if (at == NULL)
		fail_msg("the example has no %s", from);
	sprintf(out, "%.*s%s%s", (int)(at - (const char *)example.ptr), (const char *)example.ptr, to,
		at + strlen(from));
	return out;
}

static void the_example_is_good(void **state)
{
	struct config *c;
	struct fault f = { 0 };

	(void)state;
	if (config_parse(buf_blob(&example), "/etc/assay/assay.json", &c, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	assert_string_equal(c->node, "n1");
	assert_int_equal(c->confinement.seccomp, SECCOMP_REQUIRED); /* left out */
	assert_string_equal(c->state_dir, "/etc/assay/state");      /* relative to the file */
	assert_string_equal(c->token.module, "/usr/lib/softhsm/libsofthsm2.so");
	assert_int_equal(c->est.listener[0].port, 8443);
	assert_int_equal(c->est.listener[0].threads, 0); /* left out: as many as processors */
	assert_int_equal(c->est.deadline_ms, 10000);
	assert_int_equal(c->n_issuers, 5);
	assert_int_equal(c->issuer[0].level_min, LEVEL_VOUCHED);
	assert_int_equal(c->issuer[0].validity_max_s, 10ULL * 365 * 86400);
	assert_int_equal(c->issuer[2].validity_max_s, 0);
	assert_int_equal(c->issuer[0].use, ISSUER_DEVICES); /* left out */
	assert_int_equal(c->issuer[3].use, ISSUER_RIGS);
	assert_int_equal(c->certificates.tls_s, 90 * 86400);
	assert_int_equal(c->certificates.responder_s, 30 * 86400);
	assert_string_equal(c->issuer[0].ca_issuers_url, "http://127.0.0.1:8445/ca/attested.cer");
	assert_string_equal(c->issuer[1].crl_url, "http://127.0.0.1:8445/crl/unattested.crl");
	assert_int_equal(c->ledger.retry_window_s, 7 * 86400);
	assert_int_equal(c->home, HOME_PLANT);
	assert_null(c->trust.vendors);
	assert_null(c->user[ROLE_CA]);
	config_free(c);
}

static const struct {
	const char *from, *to, *says[3];
} mistakes[] = {
	{ "\"deadline_ms\": 10000", "\"deadline_ms\": 5", { "est.deadline_ms", "is 5", "from 100 to 600000" } },
	{ "\"deadline_ms\": 10000",
	  "\"deadline_ms\": \"soon\"",
	  { "est.deadline_ms", "is \"soon\"", "must be a number" } },
	{ "\"deadline_ms\": 10000", "\"deadline_ms\": -1", { "est.deadline_ms", "is -1" } },
	{ "\"deadline_ms\": 10000", "\"deadline_ms\": 1.5", { "est.deadline_ms", "must be a number" } },
	{ "\"port\": 8443", "\"port\": 0", { "est.listeners[0].port", "is 0", "from 1 to 65535" } },
	{ "\"port\": 8443", "\"port\": 70000", { "est.listeners[0].port", "is 70000" } },
	{ "\"port\": 8443,", "", { "est.listeners[0].port", "missing" } },
	{ "\"idle_s\": 60", "\"threads\": 257", { "est.listeners[0].threads", "from 0 to 256" } },
	{ "\"node\": \"n1\",", "", { "node", "missing", "required" } },
	{ "\"node\": \"n1\"", "\"node\": \"\"", { "node", "empty" } },
	{ "\"node\": \"n1\"", "\"node\": \"n12345678901234567890123456789012345\"", { "node", "at most 32" } },
	{ "\"node\": \"n1\"", "\"nodes\": \"n1\"", { "unknown key \"nodes\"" } },
	{ "\"node\": \"n1\"",
	  "\"node\": \"n1\", \"multi_buffer\": \"lib/mb.so\"",
	  { "multi_buffer", "lib/mb.so", "absolute path" } },
	{ "\"log_level\": \"info\"",
	  "\"log_level\": \"loud\"",
	  { "log_level", "\"loud\"", "debug, info, warn, error" } },
	{ "\"level_max\": \"native\"", "\"level_max\": \"none\"", { "issuers[0].level_max", "level_min" } },
	{ "\"level_min\": \"vouched\"",
	  "\"level_min\": \"strong\"",
	  { "issuers[0].level_min", "\"strong\"", "none, vouched, provisioned, native" } },
	{ "\"validity_max\": \"10y\"",
	  "\"validity_max\": \"10 years\"",
	  { "issuers[0].validity_max", "\"10 years\"" } },
	{ "\"validity_max\": \"10y\"", "\"validity_max\": \"200y\"", { "issuers[0].validity_max", "\"200y\"" } },
	{ "\"hourly_max\": 100000", "\"hourly_max\": 0", { "issuers[0].hourly_max", "is 0" } },
	{ "\"hourly_max\": 100000", "\"device_hourly\": 60001", { "issuers[0].device_hourly", "is 60001" } },
	{ "\"hourly_max\": 100000", "\"crl_shards\": 48", { "issuers[0].crl_shards", "is 48", "power of two" } },
	{ "\"name\": \"unattested\"", "\"name\": \"x-delta\"", { "issuers[1].name", "x-delta", "-delta" } },
	{ "\"name\": \"unattested\"", "\"name\": \"attested\"", { "issuers[1].name", "issuers[0]" } },
	{ "\"for\": \"rigs\"", "\"for\": \"robots\"", { "issuers[3].for", "\"robots\"", "devices, rigs, services" } },
	{ "\"key\": \"idevid\",",
	  "\"key\": \"idevid\", \"for\": \"rigs\",",
	  { "issuers[2].level_max", "must be \"none\"" } },
	{ "\"tls\": \"90d\"", "\"tls\": \"5s\"", { "certificates.tls", "\"5s\"" } },
	{ "\"responder\": \"30d\"", "\"responder\": \"1h\"", { "certificates.responder", "\"1h\"" } },
	{ "\"retry_window\": \"7d\"", "\"retry_window\": \"5s\"", { "ledger.retry_window", "\"5s\"" } },
	{ "\"sessions\": 4", "\"sessions\": 65", { "token.sessions", "is 65", "from 1 to 64" } },
	{ "\"sessions\": 4",
	  "\"sessions\": 4, \"sign_timeout_ms\": 999",
	  { "token.sign_timeout_ms", "is 999", "from 1000 to 600000" } },
	{ "\"sessions\": 4", "\"sessions\": 4, \"network\": 1", { "token.network", "is 1", "true or false" } },
	{ "\"users\": \"users/users.json\"",
	  "\"users\": \"users/users.json\", \"confinement\": { \"seccomp\": \"maybe\" }",
	  { "confinement.seccomp", "\"maybe\"", "required, wanted, off" } },
	{ "\"roots\": \"vendor/root.pem\"",
	  "\"roots\": \"vendor/root.pem\", \"software\": true",
	  { "evidence[0].software", "quickstart" } },
	{ "\"roots\": \"vendor/root.pem\"", "\"roots\": 4", { "evidence[0].roots", "must be a path" } },
	{ "\"users\": \"users/users.json\"",
	  "\"users\": \"users/users.json\", \"home\": \"mine\"",
	  { "home", "\"mine\"", "plant, quickstart" } },
	{ "\"users\": \"users/users.json\"",
	  "\"users\": \"users/users.json\", \"roles\": { \"rb\": {} }",
	  { "roles", "unknown key \"rb\"" } },
	{ "\"users\": \"users/users.json\"",
	  "\"users\": \"users/users.json\", \"roles\": { \"ra\": { \"usr\": \"x\" } }",
	  { "roles.ra", "unknown key \"usr\"" } },
	{ "\"trust\": { \"rigs\": \"trust/rigs.pem\" }", "\"trust\": []", { "trust", "must be an object" } },
	{ "\"node\": \"n1\",", "\"node\": \"n1\", \"node\": \"n2\",", { "not JSON", "line" } },
	{ "}", "", { "not JSON", "line" } },
};

static void every_mistake_names_its_key_and_what_is_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		char *text = changed(mistakes[i].from, mistakes[i].to);
		struct config *c;
		struct fault f = { 0 };

		if (config_parse(BLOB_STR(text), "/etc/assay/assay.json", &c, &f) != REASON_CONFIG)
			fail_msg("%s was taken", mistakes[i].to);
		assert_non_null(strstr(f.detail, "/etc/assay/assay.json"));
		for (size_t k = 0; k < 3 && mistakes[i].says[k] != NULL; k++)
			if (strstr(f.detail, mistakes[i].says[k]) == NULL)
				fail_msg("\"%s\" does not say \"%s\"", f.detail, mistakes[i].says[k]);
		free(text);
	}
}

static void what_is_refused_of_the_whole_file_a_part_or_a_key_reads_as_a_sentence(void **state)
{
	static const struct {
		const char *from, *to, *says;
	} cases[] = {
		{ "\"node\": \"n1\"", "\"nodde\": \"n1\"", "/assay.json: has an unknown key \"nodde\"" },
		{ "\"trust\": { \"rigs\": \"trust/rigs.pem\" }", "\"trust\": []",
		  "/assay.json: trust must be an object" },
		{ "\"deadline_ms\": 10000", "\"deadline\": 10000", "/assay.json: est has an unknown key \"deadline\"" },
		{ "\"deadline_ms\": 10000", "\"deadline_ms\": 5",
		  "/assay.json: est.deadline_ms is 5, must be from 100 to 600000" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = changed(cases[i].from, cases[i].to);
		struct config *c;
		struct fault f = { 0 };

		assert_int_equal(config_parse(BLOB_STR(text), "/assay.json", &c, &f), REASON_CONFIG);
		assert_string_equal(f.detail, cases[i].says);
		free(text);
	}
}

static void a_software_vendor_is_taken_in_a_quickstart_home(void **state)
{
	char *text = changed("\"roots\": \"vendor/root.pem\" }\n  ],",
			     "\"roots\": \"vendor/root.pem\", \"software\": true } ], \"home\": \"quickstart\",");
	struct config *c;
	struct fault f = { 0 };

	(void)state;
	if (config_parse(BLOB_STR(text), "/q/assay.json", &c, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	assert_int_equal(c->home, HOME_QUICKSTART);
	assert_string_equal(c->evidence[0].roots, "/q/vendor/root.pem");
	config_free(c);
	free(text);
}

static void durations_are_a_number_and_a_unit(void **state)
{
	static const struct {
		const char *text;
		uint64_t s;
		bool good;
	} cases[] = {
		{ "30s", 30, true },      { "15m", 900, true },
		{ "12h", 43200, true },   { "7d", 604800, true },
		{ "1y", 31536000, true }, { "none", 0, true },
		{ "7", 0, false },        { "d", 0, false },
		{ "", 0, false },         { "-7d", 0, false },
		{ " 7d", 0, false },      { "7d ", 0, false },
		{ "7w", 0, false },       { "99999999999999999999d", 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t s = 0;

		assert_int_equal(duration_parse(cases[i].text, &s), cases[i].good);
		assert_int_equal(s, cases[i].s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_example_is_good),
		cmocka_unit_test(every_mistake_names_its_key_and_what_is_allowed),
		cmocka_unit_test(what_is_refused_of_the_whole_file_a_part_or_a_key_reads_as_a_sentence),
		cmocka_unit_test(a_software_vendor_is_taken_in_a_quickstart_home),
		cmocka_unit_test(durations_are_a_number_and_a_unit),
	};

	return cmocka_run_group_tests(tests, read_example, drop_example);
}
