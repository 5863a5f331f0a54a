/*
 * test_options.c - a mistyped command line gets one clear line: the option, what is allowed, what was given.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "fixture.h"
#include "options.h"

#define ARGS_MAX 12

static enum options_end parse(const char *line, struct options *options, struct trouble *t)
{
	char copy[512], *argv[ARGS_MAX + 1] = { (char *)(uintptr_t) "assay-rig" };
	static char kept[512]; /* options point into argv */
	int argc = 1;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	memcpy(kept, copy, sizeof(kept));
	for (char *save, *word = strtok_r(kept, " ", &save); word != NULL && argc < ARGS_MAX;
	     word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	return options_parse(argc, argv, options, t);
}

static void set_environment(const struct fixture *fixture)
{
	char path[4096];
	struct trouble t;

	assert_true(path_join(fixture->folder, "root.pem", path, &t));
	assert_int_equal(setenv("ASSAY_EST_URL", "https://localhost:1", 1), 0);
	assert_int_equal(setenv("ASSAY_CACERT", path, 1), 0);
	assert_int_equal(setenv("ASSAY_RIG_CERT", path, 1), 0);
	assert_int_equal(setenv("ASSAY_RIG_KEY", path, 1), 0);
	assert_int_equal(setenv("ASSAY_VENDOR_DIR", fixture->folder, 1), 0);
	assert_int_equal(setenv("ASSAY_USERPASS", "user:password", 1), 0);
}

static void wrong_use_is_answered_in_the_users_terms(void **state)
{
	static const struct {
		const char *line, *says;
	} cases[] = {
		{ "", "a command is enrol, reenrol or element" },
		{ "enlor", "'enlor'" },
		{ "enrol --devices 0", "--devices: a number from 1 to 1000000, not '0'" },
		{ "enrol --devices 1000001", "not '1000001'" },
		{ "enrol --devices 5x", "not '5x'" },
		{ "enrol --devices 99999999999999999999", "--devices: a number" },
		{ "enrol --stations 257", "--stations: a number from 1 to 256, not '257'" },
		{ "enrol --stations -1", "not '-1'" },
		{ "enrol --patience", "--patience: needs a value" },
		{ "enrol --bogus", "--bogus: no such option" },
		{ "enrol --new-key", "--new-key is not an option of assay-rig enrol" },
		{ "enrol 5", "'5' is not an option" },
		{ "enrol --key ec-p521", "ec-p256, ec-p384, rsa-2048 or rsa-3072, not 'ec-p521'" },
		{ "enrol --key rsa-2048", "evidence is for ec-p256 and ec-p384 only" },
		{ "enrol --attestation-key rsa-2048", "--attestation-key" },
		{ "enrol --resume", "--resume needs --out" },
		{ "enrol --cacert /nonexistent", "/nonexistent: No such file or directory" },
		{ "enrol --rig-key /nonexistent", "--rig-key" },
		{ "enrol --vendor /nonexistent", "--vendor" },
		{ "enrol --url http://localhost", "https://host:port, not 'http://localhost'" },
		{ "enrol --label a/b", "--label: letters, digits" },
		{ "reenrol", "--out is needed" },
		{ "element", "--out is needed" },
		{ "reenrol --out d --new-key --key rsa-2048", "evidence is for" },
	};
	struct options options;
	struct trouble t;

	set_environment(*state);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].line, &options, &t), OPTIONS_WRONG);
		if (strstr(t.text, cases[i].says) == NULL)
			fail_msg("assay-rig %s: \"%s\" lacks \"%s\"", cases[i].line, t.text, cases[i].says);
	}
}

static void what_is_missing_is_named_with_its_variable(void **state)
{
	static const char *const names[] = { "ASSAY_EST_URL", "ASSAY_CACERT", "ASSAY_RIG_CERT", "ASSAY_RIG_KEY",
					     "ASSAY_VENDOR_DIR" };
	struct options options;
	struct trouble t;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		set_environment(*state);
		assert_int_equal(unsetenv(names[i]), 0);
		assert_int_equal(parse("enrol", &options, &t), OPTIONS_WRONG);
		assert_non_null(strstr(t.text, names[i]));
	}
	set_environment(*state);
	assert_int_equal(unsetenv("ASSAY_USERPASS"), 0);
	assert_int_equal(parse("enrol --unattested", &options, &t), OPTIONS_WRONG);
	assert_non_null(strstr(t.text, "ASSAY_USERPASS"));
}

static void the_command_line_goes_over_the_environment(void **state)
{
	struct options o;
	struct trouble t;

	set_environment(*state);
	assert_int_equal(parse("enrol --url https://h:2 --devices 7 --stations=3 --json --key ec-p384", &o, &t),
			 OPTIONS_RUN);
	assert_string_equal(o.url, "https://h:2");
	assert_int_equal(o.devices, 7);
	assert_int_equal(o.stations, 3);
	assert_int_equal(o.patience_s, 60);
	assert_int_equal(o.key, ELEMENT_EC_P384);
	assert_true(o.json && !o.quiet);
	assert_string_equal(o.label, "line");
}

static void commands_have_both_spellings_and_their_labels(void **state)
{
	static const struct {
		const char *line;
		enum command command;
		const char *label;
	} cases[] = {
		{ "enrol", COMMAND_ENROL, "line" },
		{ "enroll", COMMAND_ENROL, "line" },
		{ "enrol --unattested --key rsa-3072", COMMAND_ENROL, "unattested" },
		{ "enrol --label idevid", COMMAND_ENROL, "idevid" },
		{ "reenrol --out d", COMMAND_REENROL, "field" },
		{ "reenroll --out d", COMMAND_REENROL, "field" },
		{ "reenrol --out d --label unattested", COMMAND_REENROL, "unattested" },
	};
	struct options o;
	struct trouble t;

	set_environment(*state);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].line, &o, &t), OPTIONS_RUN);
		assert_int_equal(o.command, cases[i].command);
		assert_string_equal(o.label, cases[i].label);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_use_is_answered_in_the_users_terms),
		cmocka_unit_test(what_is_missing_is_named_with_its_variable),
		cmocka_unit_test(the_command_line_goes_over_the_environment),
		cmocka_unit_test(commands_have_both_spellings_and_their_labels),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
