/* test_files.c - does assayctl read what it is given up to its limits, whole or not at all, and does it come to an end?
 */
#include "files.h" /* before cmocka.h, which has a macro fail() */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"

static FILE *file_of(const void *bytes, size_t len)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	rewind(file);
	return file;
}

static void reads_lines_as_they_are(void **state)
{
	static const char text[] = "one\n\ntw\0o\nthe last";
	FILE *file = file_of(text, sizeof(text) - 1);
	char *line = NULL;
	size_t cap = 0;

	(void)state;
	assert_int_equal(line_read(file, &line, &cap, 100), 4);
	assert_string_equal(line, "one\n");
	assert_int_equal(line_read(file, &line, &cap, 100), 1);
	assert_int_equal(line_read(file, &line, &cap, 100), 5);
	assert_memory_equal(line, "tw\0o\n", 6);
	assert_int_equal(line_read(file, &line, &cap, 100), 8);
	assert_string_equal(line, "the last");
	assert_int_equal(line_read(file, &line, &cap, 100), -1);
	assert_true(read_whole(file, "it", -1, 100));
	free(line);
	fclose(file);
}

static void a_line_of_the_limit_is_read_and_a_longer_one_is_not(void **state)
{
	FILE *file = file_of("12345678\n123456789\n", 19);
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	(void)state;
	assert_int_equal(line_read(file, &line, &cap, 9), 9);
	len = line_read(file, &line, &cap, 9);
	assert_int_equal(len, LINE_TOO_LONG);
	assert_false(read_whole(file, "it", len, 9));
	free(line);
	fclose(file);
}

static void a_line_grows_and_stays_what_it_was(void **state)
{
	const size_t n = 100000;
	char *text = malloc(n), *line = NULL;
	FILE *file;
	size_t cap = 0;

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)('a' + i % 26);
	file = file_of(text, n);
	assert_int_equal(line_read(file, &line, &cap, n), n);
	assert_memory_equal(line, text, n);
	free(line);
	free(text);
	fclose(file);
}

static void a_device_without_an_end_ends_at_the_limit(void **state)
{
	FILE *zero = fopen("/dev/zero", "re");
	char *line = NULL;
	size_t cap = 0;

	(void)state;
	assert_non_null(zero);
	assert_int_equal(line_read(zero, &line, &cap, LIMIT_HEAD_LINE_BYTES), LINE_TOO_LONG);
	free(line);
	fclose(zero);
	assert_null(export_open("/dev/zero"));
	assert_null(small_open("/dev/zero"));
}

/* A sanitizer's own memory would not fit. */
static void what_there_is_no_memory_for_is_not_the_end(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)state;
	skip();
#else
	const size_t n = 32UL << 20, page = (size_t)sysconf(_SC_PAGESIZE);
	FILE *file = tmpfile(), *statm = fopen("/proc/self/statm", "re");
	struct rlimit before, tight;
	unsigned long pages;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	(void)state;
	assert_true(file != NULL && statm != NULL && fscanf(statm, "%lu", &pages) == 1);
	fclose(statm);
	assert_int_equal(ftruncate(fileno(file), (off_t)n), 0);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	tight = before;
	tight.rlim_cur = pages * page + (8UL << 20);
	assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
	len = line_read(file, &line, &cap, n);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(len, -1);
	assert_false(read_whole(file, "it", len, n));
	free(line);
	fclose(file);
#endif
}

static bool count(void *user, const char *line, size_t len, unsigned n)
{
	unsigned *lines = user;

	assert_int_equal(line[len - 1], '\n');
	*lines = n;
	return true;
}

/* As a shell's <(yes): a child that writes until nobody reads. */
static void heads_over_a_pipe_that_never_ends_are_refused(void **state)
{
	char path[64], text[4096];
	unsigned lines = 0;
	int ends[2];
	pid_t child;

	(void)state;
	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		while (write(ends[1], text, sizeof(text)) > 0)
			;
		_exit(0);
	}
	assert_true(child > 0);
	close(ends[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	assert_false(heads_lines(path, count, &lines));
	assert_int_equal(lines, LIMIT_HEADS_PIPE_BYTES / sizeof(text));
	close(ends[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_small_file_is_read_whole_and_again(void **state)
{
	char path[] = "/tmp/assay-files-XXXXXX", text[64];
	int fd = mkstemp(path);
	BIO *bio;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "one\ntwo", 7), 7);
	bio = small_open(path);
	assert_non_null(bio);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(BIO_gets(bio, text, sizeof(text)), 4);
		assert_int_equal(BIO_gets(bio, text, sizeof(text)), 3);
		assert_string_equal(text, "two");
		assert_int_equal(BIO_gets(bio, text, sizeof(text)), 0);
		assert_int_equal(BIO_reset(bio), 1);
	}
	BIO_free(bio);
	assert_int_equal(ftruncate(fd, LIMIT_SMALL_FILE_BYTES), 0);
	bio = small_open(path);
	assert_non_null(bio);
	BIO_free(bio);
	assert_int_equal(ftruncate(fd, LIMIT_SMALL_FILE_BYTES + 1), 0);
	assert_null(small_open(path));
	close(fd);
	unlink(path);
	assert_null(small_open(path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_lines_as_they_are),
		cmocka_unit_test(a_line_of_the_limit_is_read_and_a_longer_one_is_not),
		cmocka_unit_test(a_line_grows_and_stays_what_it_was),
		cmocka_unit_test(a_device_without_an_end_ends_at_the_limit),
		cmocka_unit_test(what_there_is_no_memory_for_is_not_the_end),
		cmocka_unit_test(heads_over_a_pipe_that_never_ends_are_refused),
		cmocka_unit_test(a_small_file_is_read_whole_and_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
