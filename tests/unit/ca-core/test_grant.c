/* test_grant.c - levels by name, and the hash that names a device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "grant.h"

static void names_every_level_and_reads_it_back(void **state)
{
	enum level level;

	(void)state;
	for (int i = LEVEL_NONE; i <= LEVEL_NATIVE; i++) {
		assert_true(level_by_name(level_name((enum level)i), &level));
		assert_int_equal(level, i);
	}
	assert_string_equal(level_name(LEVEL_PROVISIONED), "provisioned");
	assert_string_equal(level_name((enum level)77), "invalid");
}

static void leaves_the_output_alone_for_an_unknown_name(void **state)
{
	enum level level = LEVEL_VOUCHED;

	(void)state;
	assert_false(level_by_name("NATIVE", &level));
	assert_false(level_by_name("", &level));
	assert_int_equal(level, LEVEL_VOUCHED);
}

static void hashes_format_nul_root_and_element(void **state)
{
	struct device_id device = { .format = "assay.1.1", .element_len = 3, .element = { 1, 2, 3 } };
	uint8_t expected_in[9 + 1 + 32 + 3] = "assay.1.1", expected[32], got[32];

	(void)state;
	memset(device.vendor_root, 0x11, 32);
	memset(expected_in + 10, 0x11, 32);
	memcpy(expected_in + 42, "\1\2\3", 3);
	SHA256(expected_in, sizeof(expected_in), expected);
	device_hash(&device, got);
	assert_memory_equal(got, expected, 32);
}

static void tells_devices_apart_by_each_part(void **state)
{
	const struct device_id one = { .format = "assay.1.1", .element_len = 2, .element = { 1, 2 } };
	struct device_id other[4] = { one, one, one, one };
	uint8_t hash[32], other_hash[32];

	(void)state;
	strcpy(other[0].format, "assay.1.2");
	other[1].vendor_root[31] = 1;
	other[2].element[1] = 3;
	other[3].element_len = 1;
	device_hash(&one, hash);
	for (size_t i = 0; i < 4; i++) {
		device_hash(&other[i], other_hash);
		assert_memory_not_equal(hash, other_hash, 32);
	}
}

static void takes_a_format_that_fills_its_array(void **state)
{
	struct device_id device = { .element_len = LIMIT_ELEMENT_BYTES };
	uint8_t hash[32];

	(void)state;
	memset(device.format, 'f', sizeof(device.format)); /* no NUL; a sanitizer sees a read past it */
	device_hash(&device, hash);
}

static void frees_a_grant_with_its_evidence(void **state)
{
	struct grant *grant = grant_new();

	(void)state;
	assert_non_null(grant);
	assert_int_equal(grant->evidence.len, 0);
	assert_int_equal(buf_copy(BLOB("abc", 3), &grant->evidence, NULL), REASON_OK);
	assert_int_equal(buf_copy(BLOB("def", 3), &grant->continuity, NULL), REASON_OK);
	grant_free(grant); /* the leak checker is the assertion */
	grant_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_every_level_and_reads_it_back),
		cmocka_unit_test(leaves_the_output_alone_for_an_unknown_name),
		cmocka_unit_test(hashes_format_nul_root_and_element),
		cmocka_unit_test(tells_devices_apart_by_each_part),
		cmocka_unit_test(takes_a_format_that_fills_its_array),
		cmocka_unit_test(frees_a_grant_with_its_evidence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
