/* test_nonce.c - nonces: unique, bound to requester and label, good for a while, and nothing about them can be changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "nonce.h"

#define S 1000000LL

static char path[] = "/tmp/assay-nonce-XXXXXX";
static struct nonce_key *key;

static void write_key(const char *file, size_t len, mode_t mode)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	for (size_t i = 0; i < len; i++)
		fputc((int)(i * 7 % 256), out);
	fclose(out);
	assert_int_equal(chmod(file, mode), 0);
}

static int open_key(void **state)
{
	struct fault f = { 0 };

	(void)state;
	close(mkstemp(path));
	write_key(path, 32, 0600);
	assert_int_equal(nonce_key_open(path, &key, &f), REASON_OK);
	return 0;
}

static int close_key(void **state)
{
	(void)state;
	nonce_key_free(key);
	return unlink(path);
}

static enum reason check(const char *who, const char *label, const uint8_t *nonce, size_t len, int64_t later_us)
{
	struct fault f = { 0 };

	return nonce_check_at(key, who, label, BLOB(nonce, len), 600, clock_wall_us() + later_us, &f);
}

static void make(uint8_t *nonce, size_t len)
{
	struct fault f = { 0 };

	assert_int_equal(nonce_make(key, "rig:one", "line", len, nonce, &f), REASON_OK);
}

static void takes_its_own_nonce_of_every_length(void **state)
{
	uint8_t nonce[64];
	struct fault f;

	(void)state;
	for (size_t len = 16; len <= 64; len++) {
		make(nonce, len);
		assert_int_equal(nonce_check(key, "rig:one", "line", BLOB(nonce, len), 600, &f), REASON_OK);
	}
	assert_int_equal(nonce_make(key, "rig:one", "line", 15, nonce, &f), REASON_INTERNAL);
	assert_int_equal(nonce_make(key, "rig:one", "line", 65, nonce, &f), REASON_INTERNAL);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

static void never_gives_the_same_nonce_twice(void **state)
{
	enum { N = 100000 };
	uint8_t(*nonces)[16] = calloc(N, 16);

	(void)state;
	assert_non_null(nonces);
	for (size_t i = 0; i < N; i++)
		make(nonces[i], 16);
	assert_int_equal(check("rig:one", "line", nonces[N - 1], 16, 0),
			 REASON_OK); /* the newest runs ahead of the clock */
	qsort(nonces, N, 16, by_bytes);
	for (size_t i = 1; i < N; i++)
		assert_memory_not_equal(nonces[i - 1], nonces[i], 4); /* not even the ticks */
	free(nonces);
}

static void refuses_rather_than_run_far_ahead_of_the_clock(void **state)
{
	enum reason reason = REASON_OK;
	uint8_t nonce[16];
	struct fault f;

	(void)state;
	for (size_t i = 0; i < 400000 && reason == REASON_OK; i++)
		reason = nonce_make(key, "rig:one", "line", 16, nonce, &f);
	assert_int_equal(reason, REASON_OVERLOADED);
	/* what it gave before is still good, now and later */
	assert_int_equal(check("rig:one", "line", nonce, 16, 0), REASON_OK);
	assert_int_equal(check("rig:one", "line", nonce, 16, 300 * S), REASON_OK);
}

static void binds_a_nonce_to_requester_and_label(void **state)
{
	uint8_t nonce[32];

	(void)state;
	make(nonce, 32);
	assert_int_equal(check("rig:one", "line", nonce, 32, 0), REASON_OK);
	assert_int_equal(check("rig:two", "line", nonce, 32, 0), REASON_NONCE_FOREIGN);
	assert_int_equal(check("rig:one", "field", nonce, 32, 0), REASON_NONCE_FOREIGN);
	assert_int_equal(check("rig:one|line", "", nonce, 32, 0), REASON_NONCE_FOREIGN);
	assert_int_equal(check("rig:on", "eline", nonce, 32, 0), REASON_NONCE_FOREIGN);
	assert_int_equal(check("", "", nonce, 32, 0), REASON_NONCE_FOREIGN);
}

static void a_separator_in_a_name_does_not_make_two_pairs_one(void **state)
{
	uint8_t nonce[32];
	struct fault f;

	(void)state;
	assert_int_equal(nonce_make(key, "rig:a|b", "c", 32, nonce, &f), REASON_OK);
	assert_int_equal(check("rig:a|b", "c", nonce, 32, 0), REASON_OK);
	assert_int_equal(check("rig:a", "b|c", nonce, 32, 0), REASON_NONCE_FOREIGN);
}

static void goes_stale_after_its_lifetime(void **state)
{
	uint8_t nonce[16];

	(void)state;
	make(nonce, 16);
	assert_int_equal(check("rig:one", "line", nonce, 16, 590 * S), REASON_OK);
	assert_int_equal(check("rig:one", "line", nonce, 16, 620 * S), REASON_NONCE_STALE);
	assert_int_equal(check("rig:one", "line", nonce, 16, 86400 * S), REASON_NONCE_STALE);
}

static void does_not_come_to_life_again_when_its_time_part_wraps(void **state)
{
	uint8_t nonce[16];

	(void)state;
	make(nonce, 16);
	for (int64_t wraps = 1; wraps < 5; wraps++)
		assert_int_equal(check("rig:one", "line", nonce, 16, wraps * (1LL << 32) * S / 16384 + 5 * S),
				 REASON_NONCE_FOREIGN);
}

static void refuses_a_nonce_from_the_future(void **state)
{
	uint8_t nonce[16];

	(void)state;
	make(nonce, 16);
	assert_int_equal(check("rig:one", "line", nonce, 16, -30 * S), REASON_NONCE_FOREIGN);
}

static void refuses_a_nonce_altered_in_any_bit(void **state)
{
	uint8_t nonce[20];

	(void)state;
	make(nonce, 20);
	for (size_t i = 0; i < 20 * 8; i++) {
		nonce[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(check("rig:one", "line", nonce, 20, 0), REASON_NONCE_FOREIGN);
		nonce[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(check("rig:one", "line", nonce, 20, 0), REASON_OK);
}

static void refuses_a_nonce_cut_short_or_made_longer(void **state)
{
	uint8_t nonce[65] = { 0 };

	(void)state;
	make(nonce, 64);
	for (size_t len = 1; len < 64; len++)
		assert_int_equal(check("rig:one", "line", nonce, len, 0), REASON_NONCE_FOREIGN);
	assert_int_equal(check("rig:one", "line", nonce, 65, 0), REASON_NONCE_FOREIGN);
	make(nonce, 32);
	assert_int_equal(check("rig:one", "line", nonce, 33, 0), REASON_NONCE_FOREIGN);
}

static void says_that_none_came(void **state)
{
	(void)state;
	assert_int_equal(check("rig:one", "line", NULL, 0, 0), REASON_NONCE_MISSING);
}

static void another_node_with_the_same_key_takes_it_and_with_another_key_does_not(void **state)
{
	char other_path[] = "/tmp/assay-nonce-XXXXXX";
	struct nonce_key *same = NULL, *other = NULL;
	uint8_t nonce[16];
	struct fault f;
	FILE *file = fdopen(mkstemp(other_path), "w");

	(void)state;
	for (int i = 0; i < 32; i++)
		fputc(i == 31 ? 1 : i * 7 % 256, file);
	fclose(file);
	assert_int_equal(nonce_key_open(path, &same, &f), REASON_OK);
	assert_int_equal(nonce_key_open(other_path, &other, &f), REASON_OK);
	make(nonce, 16);
	assert_int_equal(nonce_check(same, "rig:one", "line", BLOB(nonce, 16), 600, &f), REASON_OK);
	assert_int_equal(nonce_check(other, "rig:one", "line", BLOB(nonce, 16), 600, &f), REASON_NONCE_FOREIGN);
	nonce_key_free(same);
	nonce_key_free(other);
	unlink(other_path);
}

/* Secret `which` of a file is 32 times that digit. */
static struct nonce_key *key_of(const char *digits)
{
	char file[] = "/tmp/assay-nonce-XXXXXX";
	FILE *out = fdopen(mkstemp(file), "w");
	struct nonce_key *of = NULL;
	struct fault f;

	for (; *digits != '\0'; digits++)
		for (size_t i = 0; i < NONCE_SECRET_BYTES; i++)
			fputc(*digits, out);
	fclose(out);
	assert_int_equal(nonce_key_open(file, &of, &f), REASON_OK);
	unlink(file);
	return of;
}

static void the_first_secret_makes_and_each_one_checks(void **state)
{
	/* made under the first of one file, checked with another */
	static const struct {
		const char *maker, *checker;
		enum reason expected;
	} cases[] = { { "1", "123", REASON_OK },
		      { "2", "123", REASON_OK },
		      { "3", "123", REASON_OK },
		      { "4", "123", REASON_NONCE_FOREIGN },
		      { "12", "1", REASON_OK },
		      { "21", "1", REASON_NONCE_FOREIGN },
		      { "12", "2", REASON_NONCE_FOREIGN },
		      { "123", "21", REASON_OK } };
	uint8_t nonce[16];
	struct fault f;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nonce_key *maker = key_of(cases[i].maker), *checker = key_of(cases[i].checker);

		assert_int_equal(nonce_make(maker, "rig:one", "line", 16, nonce, &f), REASON_OK);
		assert_int_equal(nonce_check(checker, "rig:one", "line", BLOB(nonce, 16), 600, &f), cases[i].expected);
		nonce_key_free(maker);
		nonce_key_free(checker);
	}
}

static void refuses_a_key_file_of_another_size_or_open_to_all(void **state)
{
	static const struct {
		size_t len;
		mode_t mode;
	} cases[] = {
		{ 31, 0600 }, { 33, 0600 }, { 65, 0600 }, { 128, 0600 }, { 0, 0600 }, { 32, 0604 }, { 32, 0606 }
	};
	char file[] = "/tmp/assay-nonce-XXXXXX";
	struct nonce_key *none = NULL;
	struct fault f;

	(void)state;
	close(mkstemp(file));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		write_key(file, cases[i].len, cases[i].mode);
		assert_int_equal(nonce_key_open(file, &none, &f), REASON_CONFIG);
		assert_non_null(strstr(f.detail, file));
	}
	unlink(file);
	assert_int_equal(nonce_key_open(file, &none, &f), REASON_CONFIG);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_its_own_nonce_of_every_length),
		cmocka_unit_test(never_gives_the_same_nonce_twice),
		cmocka_unit_test(binds_a_nonce_to_requester_and_label),
		cmocka_unit_test(a_separator_in_a_name_does_not_make_two_pairs_one),
		cmocka_unit_test(goes_stale_after_its_lifetime),
		cmocka_unit_test(does_not_come_to_life_again_when_its_time_part_wraps),
		cmocka_unit_test(refuses_a_nonce_from_the_future),
		cmocka_unit_test(refuses_a_nonce_altered_in_any_bit),
		cmocka_unit_test(refuses_a_nonce_cut_short_or_made_longer),
		cmocka_unit_test(says_that_none_came),
		cmocka_unit_test(another_node_with_the_same_key_takes_it_and_with_another_key_does_not),
		cmocka_unit_test(the_first_secret_makes_and_each_one_checks),
		cmocka_unit_test(refuses_a_key_file_of_another_size_or_open_to_all),
		cmocka_unit_test(refuses_rather_than_run_far_ahead_of_the_clock), /* last: it leaves the tick ahead */
	};

	return cmocka_run_group_tests(tests, open_key, close_key);
}
