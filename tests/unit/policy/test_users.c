/* test_users.c - HTTP Basic: slow hashes, what a user may have, what the cache may keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "users.h"

static char hash[128];

static int64_t cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The users file's text, with the hash where % stands. */
static enum reason parse(const char *text, struct users **ret_users, struct fault *f)
{
	char file[1024];
	size_t len = 0;

	for (; *text != '\0'; text++)
		if (*text == '%')
			len += (size_t)snprintf(file + len, sizeof(file) - len, "%s", hash);
		else
			file[len++] = *text;
	return users_parse("users.json", BLOB(file, len), ret_users, f);
}

static struct users *two_users(void)
{
	struct users *users = NULL;
	struct fault f = { 0 };

	if (parse("[{\"user\": \"legacy\", \"hash\": \"%\", \"names\": \"legacy-*\", \"labels\": [\"unattested\", "
		  "\"old\"]}]",
		  &users, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	return users;
}

static void makes_a_yescrypt_hash_with_a_new_salt_each_time(void **state)
{
	char other[128];
	struct fault f;

	(void)state;
	assert_memory_equal(hash, "$y$", 3);
	assert_int_equal(policy_hash_password("open sesame", other, sizeof(other), &f), REASON_OK);
	assert_string_not_equal(hash, other);
	assert_int_equal(policy_hash_password("", other, sizeof(other), &f), REASON_CONFIG);
}

static void gives_a_user_with_the_right_password_its_names_and_labels(void **state)
{
	struct users *users = two_users();
	struct requester who;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(users_verify(users, "legacy", "open sesame", &who, &f), REASON_OK);
	assert_int_equal(who.kind, WHO_USER);
	assert_string_equal(who.id, "user:legacy");
	assert_string_equal(who.names, "legacy-*");
	assert_string_equal(who.labels, "unattested,old");
	assert_null(who.cert);
	users_free(users);
}

static void refuses_a_wrong_password_and_an_unknown_user_alike(void **state)
{
	static const char *const wrong[][2] = {
		{ "legacy", "open sesamE" }, { "legacy", "" },   { "legac", "open sesame" },
		{ "", "open sesame" },       { "legacy2", "x" }, { "legacyopen", " sesame" },
	};
	struct users *users = two_users();
	struct requester who = { .kind = WHO_NOBODY };
	struct fault f = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(users_verify(users, wrong[i][0], wrong[i][1], &who, &f), REASON_AUTH_PASSWORD);
	assert_int_equal(who.kind, WHO_NOBODY);
	assert_int_equal(users_verify(NULL, "legacy", "open sesame", &who, &f), REASON_AUTH_PASSWORD);
	users_free(users);
}

static void never_says_a_password_in_a_fault(void **state)
{
	struct users *users = two_users();
	struct requester who;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(users_verify(users, "legacy", "hunter2", &who, &f), REASON_AUTH_PASSWORD);
	assert_null(strstr(f.detail, "hunter2"));
	assert_int_equal(users_verify(users, "nobody", "hunter2", &who, &f), REASON_AUTH_PASSWORD);
	assert_null(strstr(f.detail, "hunter2"));
	users_free(users);
}

/* CPU time of this process is compared, by a factor of ten and more: a busy machine does not change it. */
static int64_t time_of(struct users *users, const char *user, const char *password, enum reason expected)
{
	int64_t start = cpu_us();
	struct requester who;
	struct fault f;

	assert_int_equal(users_verify(users, user, password, &who, &f), expected);
	return cpu_us() - start;
}

static void remembers_a_right_password_and_never_a_wrong_one(void **state)
{
	struct users *users = two_users();
	int64_t first = time_of(users, "legacy", "open sesame", REASON_OK);
	int64_t again = time_of(users, "legacy", "open sesame", REASON_OK);
	int64_t wrong = time_of(users, "legacy", "wrong", REASON_AUTH_PASSWORD);
	int64_t wrong_again = time_of(users, "legacy", "wrong", REASON_AUTH_PASSWORD);

	(void)state;
	assert_true(again * 10 < first);
	assert_true(wrong > again * 10);
	assert_true(wrong_again > again * 10);
	users_free(users);
}

static void an_unknown_user_costs_as_much_as_a_known_one(void **state)
{
	struct users *users = two_users();
	int64_t known = time_of(users, "legacy", "wrong", REASON_AUTH_PASSWORD);
	int64_t unknown = time_of(users, "nobody", "wrong", REASON_AUTH_PASSWORD);

	(void)state;
	assert_true(unknown * 3 > known);
	users_free(users);
}

static void a_password_may_stand_without_a_user(void **state)
{
	struct users *users = NULL;
	struct requester who;
	struct fault f = { 0 };

	(void)state;
	assert_int_equal(
		parse("[{\"user\": \"\", \"hash\": \"%\", \"names\": \"a-*\", \"labels\": [\"l\"]}]", &users, &f),
		REASON_OK);
	assert_int_equal(users_verify(users, "", "open sesame", &who, &f), REASON_OK);
	assert_string_equal(who.id, "user:");
	users_free(users);
}

static void explains_what_is_wrong_in_the_file(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "{}", "must be a list" },
		{ "[1]", "[0]: allowed: an object" },
		{ "[{\"user\": \"a\", \"hash\": \"%\", \"names\": \"a\"}]", "[0].labels: missing" },
		{ "[{\"user\": \"a\", \"hash\": \"%\", \"names\": \"a\", \"labels\": []}]", "[0].labels" },
		{ "[{\"user\": \"a\", \"hash\": \"%\", \"names\": \"a\", \"labels\": [\"x,y\"]}]", "given: \"x,y\"" },
		{ "[{\"user\": \"a\", \"hash\": \"%\", \"names\": \"*a\", \"labels\": [\"l\"]}]", "[0].names" },
		{ "[{\"user\": \"a\", \"hash\": \"%\", \"names\": \"\", \"labels\": [\"l\"]}]", "[0].names" },
		{ "[{\"user\": \"a:b\", \"hash\": \"%\", \"names\": \"a\", \"labels\": [\"l\"]}]", "[0].user" },
		{ "[{\"user\": \"a\", \"hash\": \"$1$abc$def\", \"names\": \"a\", \"labels\": [\"l\"]}]", "[0].hash" },
		{ "[{\"user\": \"a\", \"hash\": \"$y$j9T$!\", \"names\": \"a\", \"labels\": [\"l\"]}]", "[0].hash" },
		{ "[{\"user\": \"a\", \"hash\": \"secret\", \"names\": \"a\", \"labels\": [\"l\"]}]",
		  "--hash-password" },
		{ "[{\"user\": \"a\", \"hash\": \"%\", \"names\": \"a\", \"labels\": [\"l\"]},"
		  " {\"user\": \"a\", \"hash\": \"%\", \"names\": \"a\", \"labels\": [\"l\"]}]",
		  "\"a\" stands there twice" },
	};
	struct users *users = NULL;
	struct fault f = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].text, &users, &f), REASON_CONFIG);
		if (strstr(f.detail, cases[i].says) == NULL || strstr(f.detail, "users.json") == NULL)
			fail_msg("%s: says \"%s\"", cases[i].text, f.detail);
		assert_null(strstr(f.detail, "secret"));
	}
	assert_null(users);
}

static void refuses_a_user_of_a_label_that_does_not_exist(void **state)
{
	static const char *const issuers[] = { "attested", "unattested", "idevid", "rigs", NULL };
	char path[] = "/tmp/assay-users-XXXXXX";
	struct policy *policy = NULL;
	struct fault f = { 0 };
	FILE *file = fdopen(mkstemp(path), "w");

	(void)state;
	assert_non_null(file);
	fprintf(file, "[{\"user\": \"a\", \"hash\": \"%s\", \"names\": \"a\", \"labels\": [\"unattested\", \"gone\"]}]",
		hash);
	fclose(file);
	assert_int_equal(policy_load("deploy/profiles", path, issuers, &policy, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "\"gone\" has no profile"));
	assert_null(policy);
	remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_a_yescrypt_hash_with_a_new_salt_each_time),
		cmocka_unit_test(gives_a_user_with_the_right_password_its_names_and_labels),
		cmocka_unit_test(refuses_a_wrong_password_and_an_unknown_user_alike),
		cmocka_unit_test(never_says_a_password_in_a_fault),
		cmocka_unit_test(remembers_a_right_password_and_never_a_wrong_one),
		cmocka_unit_test(an_unknown_user_costs_as_much_as_a_known_one),
		cmocka_unit_test(a_password_may_stand_without_a_user),
		cmocka_unit_test(explains_what_is_wrong_in_the_file),
		cmocka_unit_test(refuses_a_user_of_a_label_that_does_not_exist),
	};
	struct fault f;

	oid_init();
	if (policy_hash_password("open sesame", hash, sizeof(hash), &f) != REASON_OK)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
