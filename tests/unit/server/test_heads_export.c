/* test_heads_export.c - do signed heads reach a syslog in order, and wait when it is not there or does not read? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ca/heads_export.h"

struct scene {
	char folder[32], path[48], file[48];
	int syslogd;
	struct heads_export export;
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_true(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static int begin(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	strcpy(s->folder, "/tmp/assay-heads-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	snprintf(s->path, sizeof(s->path), "%s/log", s->folder);
	snprintf(s->file, sizeof(s->file), "%s/heads", s->folder);
	s->syslogd = listen_at(s->path);
	heads_export_open(&s->export, NULL, s->path);
	*state = s;
	return 0;
}

static int end(void **state)
{
	struct scene *s = *state;

	heads_export_done(&s->export);
	if (s->syslogd >= 0)
		close(s->syslogd);
	unlink(s->path);
	unlink(s->file);
	rmdir(s->folder);
	free(s);
	return 0;
}

/* What is behind "assay-heads: " of the next datagram; NULL: none has come. */
static const char *received(const struct scene *s)
{
	static char text[4096];
	ssize_t n = recv(s->syslogd, text, sizeof(text) - 1, 0);
	char *line;

	if (n < 0)
		return NULL;
	text[n] = '\0';
	line = strstr(text, " assay-heads: ");
	assert_non_null(line);
	assert_int_equal(strncmp(text, "<85>", 4), 0);
	assert_int_equal(line - text, strlen("<85>Nov 21 09:00:00"));
	return line + strlen(" assay-heads: ");
}

static void add(struct scene *s, unsigned n)
{
	char line[32];

	snprintf(line, sizeof(line), "head %u", n);
	heads_export_add(&s->export, BLOB_STR(line));
}

static void assert_head(const struct scene *s, unsigned n)
{
	char line[32];

	snprintf(line, sizeof(line), "head %u", n);
	assert_string_equal(received(s), line);
}

static enum reason flush(struct scene *s, struct fault *f)
{
	*f = (struct fault){ 0 };
	return heads_export_flush(&s->export, f);
}

static void each_head_is_a_datagram_and_goes_once(void **state)
{
	struct scene *s = *state;
	struct fault f;

	assert_int_equal(flush(s, &f), REASON_OK);
	add(s, 1);
	add(s, 2);
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_head(s, 1);
	assert_head(s, 2);
	assert_null(received(s));
}

static void waits_for_a_syslogd_that_is_not_there(void **state)
{
	struct scene *s = *state;
	struct fault f;

	close(s->syslogd);
	add(s, 1);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_non_null(strstr(f.detail, s->path));
	unlink(s->path);
	add(s, 2);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_non_null(strstr(f.detail, strerror(ENOENT)));
	s->syslogd = listen_at(s->path);
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_head(s, 1);
	assert_head(s, 2);
}

static void goes_on_with_a_syslogd_that_was_started_anew(void **state)
{
	struct scene *s = *state;
	struct fault f;

	add(s, 1);
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_head(s, 1);
	close(s->syslogd);
	unlink(s->path);
	s->syslogd = listen_at(s->path);
	add(s, 2);
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_head(s, 2);
}

/* Its queue is as long as the kernel has it, and nobody is held up when it is full. */
static void does_not_wait_for_a_syslogd_that_does_not_read(void **state)
{
	struct scene *s = *state;
	struct fault f;
	unsigned n = 0;

	do {
		assert_true(n < 20000);
		add(s, n++);
	} while (flush(s, &f) == REASON_OK);
	add(s, n++);
	for (unsigned i = 0; i < n; i++) {
		assert_head(s, i);
		(void)!flush(s, &f);
	}
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_null(received(s));
}

static void what_no_datagram_holds_is_told_and_holds_up_nothing(void **state)
{
	struct scene *s = *state;
	const size_t n = 600000;
	char *line = malloc(n);
	int room = 0;
	struct fault f;

	assert_int_equal(getsockopt(s->syslogd, SOL_SOCKET, SO_SNDBUF, &room, &(socklen_t){ sizeof(room) }), 0);
	if (line == NULL || (size_t)room >= n) { /* this kernel has been told to take more */
		free(line);
		skip();
	}
	memset(line, 'x', n);
	heads_export_add(&s->export, BLOB(line, n));
	add(s, 2);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_non_null(strstr(f.detail, strerror(EMSGSIZE)));
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_head(s, 2);
	free(line);
}

static void a_file_that_can_be_written_does_not_wait_for_syslog(void **state)
{
	struct scene *s = *state;
	struct fault f;
	char text[64] = "";
	FILE *file;

	heads_export_done(&s->export);
	heads_export_open(&s->export, s->file, s->path);
	close(s->syslogd);
	s->syslogd = -1;
	add(s, 1);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	file = fopen(s->file, "r");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, file), 7);
	assert_string_equal(text, "head 1\n");
	fclose(file);
}

static void a_path_that_is_too_long_is_told(void **state)
{
	struct scene *s = *state;
	char path[200];
	struct fault f;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	heads_export_done(&s->export);
	heads_export_open(&s->export, NULL, path);
	add(s, 1);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_non_null(strstr(f.detail, "heads.syslog: xxx"));
}

static void of_what_waits_too_long_the_newest_stay(void **state)
{
	struct scene *s = *state;
	const size_t n = 1000;
	char line[1000];
	struct fault f;

	close(s->syslogd);
	unlink(s->path);
	for (unsigned i = 0; i < HEADS_WAITING_MAX / n + 100; i++) {
		memset(line, 'x', n);
		snprintf(line, n, "%u ", i);
		heads_export_add(&s->export, BLOB(line, n));
		(void)!flush(s, &f);
	}
	s->syslogd = listen_at(s->path);
	(void)!flush(s, &f);
	/* the oldest that is left: as many fit as may wait */
	assert_int_equal(strtoul(received(s), NULL, 10), HEADS_WAITING_MAX / n + 100 - HEADS_WAITING_MAX / (n + 1));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_head_is_a_datagram_and_goes_once),
		CASE(waits_for_a_syslogd_that_is_not_there),
		CASE(goes_on_with_a_syslogd_that_was_started_anew),
		CASE(does_not_wait_for_a_syslogd_that_does_not_read),
		CASE(what_no_datagram_holds_is_told_and_holds_up_nothing),
		CASE(a_file_that_can_be_written_does_not_wait_for_syslog),
		CASE(a_path_that_is_too_long_is_told),
		CASE(of_what_waits_too_long_the_newest_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
