/*
 * test_basics.c - encodings and files of the rig.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "fixture.h"

static void base64_comes_back(void **state)
{
	uint8_t bytes[64];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37 + 250);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		AUTO(auto_free) char *text = base64_encode(bytes, len);
		AUTO(bytes_done) struct bytes back = { 0 };

		assert_true(base64_decode(text, strlen(text), &back));
		assert_int_equal(back.len, len);
		assert_memory_equal(back.ptr, bytes, len);
	}
}

static void base64_may_be_wrapped_but_not_be_wrong(void **state)
{
	static const char *const wrong[] = { "AAE", "AA=E", "A===", "====", "AA-_", "AA E!", "AAEC=" };
	AUTO(bytes_done) struct bytes back = { 0 };

	(void)state;
	assert_true(base64_decode("AA EC\r\n\tA w==\n", 14, &back));
	assert_int_equal(back.len, 4);
	assert_memory_equal(back.ptr, "\0\1\2\3", 4);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct bytes none = { 0 };

		assert_false(base64_decode(wrong[i], strlen(wrong[i]), &none));
		assert_null(none.ptr);
	}
}

static void base64url_has_no_padding(void **state)
{
	static const char *const wrong[] = { "A", "AAAAA", "AA==", "+/8A", "AA AA" };
	AUTO(bytes_done) struct bytes back = { 0 };

	(void)state;
	assert_true(base64url_decode("-_8", &back));
	assert_int_equal(back.len, 2);
	assert_memory_equal(back.ptr, "\xfb\xff", 2);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct bytes none = { 0 };

		assert_false(base64url_decode(wrong[i], &none));
	}
}

static void a_written_file_is_for_its_owner_alone(void **state)
{
	struct fixture *fixture = *state;
	char path[4096];
	struct trouble t;
	struct stat st;
	AUTO(bytes_done) struct bytes back = { 0 };

	assert_true(path_join(fixture->folder, "secret", path, &t));
	assert_true(file_write(path, "one", 3, &t));
	assert_true(file_write(path, "two!", 4, &t));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(file_read(path, &back, &t));
	assert_int_equal(back.len, 4);
	assert_string_equal((char *)back.ptr, "two!");
}

static void trouble_with_a_file_names_the_file(void **state)
{
	struct bytes none = { 0 };
	struct trouble t;

	(void)state;
	assert_false(file_read("/nonexistent/x", &none, &t));
	assert_non_null(strstr(t.text, "/nonexistent/x"));
	assert_false(file_write("/nonexistent/x", "", 0, &t));
	assert_non_null(strstr(t.text, "/nonexistent/x"));
	assert_false(file_read("/dev/zero", &none, &t));
	assert_non_null(strstr(t.text, "regular file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_comes_back),
		cmocka_unit_test(base64_may_be_wrapped_but_not_be_wrong),
		cmocka_unit_test(base64url_has_no_padding),
		cmocka_unit_test(a_written_file_is_for_its_owner_alone),
		cmocka_unit_test(trouble_with_a_file_names_the_file),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
