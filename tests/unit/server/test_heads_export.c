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

/* REASON_OK, or syslog's. */
static enum reason flush(struct scene *s, struct fault *f)
{
	bool done = heads_export_flush(&s->export);

	*f = s->export.syslog.fault;
	assert_int_equal(done, f->reason == REASON_OK && s->export.file.fault.reason == REASON_OK);
	return f->reason;
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
	assert_non_null(
		strstr(f.detail, "start a syslogd, name its socket in heads.syslog_socket, or take heads.syslog out"));
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

/* Head n, behind a line of so many bytes that it is refused and let go. */
static void add_behind_refused(struct scene *s, unsigned n, size_t bytes)
{
	char *line = malloc(bytes);
	struct fault f;

	assert_non_null(line);
	memset(line, 'x', bytes);
	heads_export_add(&s->export, BLOB(line, bytes));
	free(line);
	add(s, n);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_non_null(strstr(f.detail, strerror(EMSGSIZE)));
	assert_int_equal(flush(s, &f), REASON_OK);
}

static void what_no_datagram_holds_is_told_and_holds_up_nothing(void **state)
{
	struct scene *s = *state;
	const int n = 600000;
	int room = 0;

	assert_int_equal(getsockopt(s->syslogd, SOL_SOCKET, SO_SNDBUF, &room, &(socklen_t){ sizeof(room) }), 0);
	if (room >= n) /* this kernel has been told to take more */
		skip();
	add_behind_refused(s, 2, n);
	assert_head(s, 2);
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
	assert_int_equal(s->export.file.fault.reason, REASON_OK);
	assert_false(heads_export_nowhere(&s->export));
	file = fopen(s->file, "r");
	assert_non_null(file);
	assert_int_equal(fread(text, 1, sizeof(text) - 1, file), 7);
	assert_string_equal(text, "head 1\n");
	fclose(file);
}

static void knows_when_nothing_takes_them(void **state)
{
	struct scene *s = *state;
	struct fault f;

	assert_false(heads_export_nowhere(&s->export));
	close(s->syslogd);
	s->syslogd = -1;
	add(s, 1);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_true(heads_export_nowhere(&s->export));
	heads_export_done(&s->export);
	heads_export_open(&s->export, s->folder, s->path); /* a folder is no file to write to */
	assert_false(heads_export_nowhere(&s->export));
	add(s, 1);
	assert_int_equal(flush(s, &f), REASON_INTERNAL);
	assert_non_null(strstr(s->export.file.fault.detail, "heads.file: cannot open"));
	assert_true(heads_export_nowhere(&s->export));
	heads_export_done(&s->export);
	heads_export_open(&s->export, s->folder, NULL);
	add(s, 1);
	assert_false(heads_export_flush(&s->export));
	assert_true(heads_export_nowhere(&s->export));
	heads_export_done(&s->export);
	heads_export_open(&s->export, NULL, NULL);
	add(s, 1);
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_false(heads_export_nowhere(&s->export));
}

/* A syslogd of streams. */

static void take_streams(struct scene *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (s->syslogd >= 0)
		close(s->syslogd);
	unlink(s->path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->path);
	s->syslogd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(s->syslogd >= 0 && bind(s->syslogd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	assert_int_equal(listen(s->syslogd, 4), 0);
}

/* All that has come over one connection so far, whose lines end with zeros; the number of bytes. */
static size_t stream_of(int fd, char *text, size_t len)
{
	size_t at = 0;
	ssize_t n;

	while (at < len && (n = recv(fd, text + at, len - at, MSG_DONTWAIT)) > 0)
		at += (size_t)n;
	return at;
}

static void speaks_to_a_syslogd_of_streams(void **state)
{
	static const char wanted[] = "<85>Nov 21 09:00:00 assay-heads: head 1\0<85>Nov 21 09:00:00 assay-heads: head 2";
	struct scene *s = *state;
	char text[256];
	struct fault f;
	int fd;

	take_streams(s);
	add(s, 1);
	add(s, 2);
	assert_int_equal(flush(s, &f), REASON_OK);
	fd = accept(s->syslogd, NULL, NULL);
	assert_int_equal(stream_of(fd, text, sizeof(text)), sizeof(wanted));
	for (size_t at = 0; at < sizeof(wanted); at += sizeof(wanted) / 2)
		memcpy(text + at + 4, wanted + 4, 15); /* the time */
	assert_memory_equal(text, wanted, sizeof(wanted));
	close(fd);
	add(s, 3); /* it has ended the connection */
	assert_int_equal(flush(s, &f), REASON_OK);
	fd = accept(s->syslogd, NULL, NULL);
	assert_int_equal(stream_of(fd, text, sizeof(text)), sizeof(wanted) / 2);
	assert_string_equal(text + 20, "assay-heads: head 3");
	close(fd);
	close(s->syslogd);
	unlink(s->path);
	s->syslogd = listen_at(s->path); /* one of datagrams in its place */
	add(s, 4);
	assert_int_equal(flush(s, &f), REASON_OK);
	assert_head(s, 4);
}

/* Whole lines and all of them, however many connections it takes. */
static void loses_no_line_of_a_stream_that_is_not_read(void **state)
{
	struct scene *s = *state;
	const size_t n = 30000, lines = 100;
	char *line = malloc(n), *text = malloc(n * lines);
	size_t seen = 0, rounds = 0;
	struct fault f;
	int fd = -1;

	assert_non_null(line);
	assert_non_null(text);
	take_streams(s);
	for (size_t i = 0; i < 30; i++) {
		memset(line, 'x', n);
		line[snprintf(line, n, "%zu ", i)] = 'x';
		heads_export_add(&s->export, BLOB(line, n));
	}
	while (seen < 30) {
		size_t len, at = 0;

		assert_true(rounds++ < 1000);
		(void)!flush(s, &f);
		if (fd < 0)
			fd = accept(s->syslogd, NULL, NULL);
		len = stream_of(fd, text, n * lines);
		for (; at < len; at += strlen(text + at) + 1, seen++) {
			assert_true(memchr(text + at, '\0', len - at) != NULL);
			assert_int_equal(strlen(text + at), strlen("<85>Nov 21 09:00:00 assay-heads: ") + n);
			assert_int_equal(strtoul(strstr(text + at, "heads: ") + strlen("heads: "), NULL, 10), seen);
		}
	}
	assert_true(rounds > 1); /* it did not all fit at once */
	assert_int_equal(flush(s, &f), REASON_OK);
	close(fd);
	free(text);
	free(line);
}

static void what_no_stream_takes_whole_holds_up_nothing(void **state)
{
	struct scene *s = *state;
	char text[64];
	int fd;

	take_streams(s);
	add_behind_refused(s, 2, 1000000);
	close(accept(s->syslogd, NULL, NULL)); /* the part of it */
	fd = accept(s->syslogd, NULL, NULL);
	assert_true(stream_of(fd, text, sizeof(text)) > 20);
	assert_string_equal(text + 20, "assay-heads: head 2");
	close(fd);
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
		CASE(knows_when_nothing_takes_them),
		CASE(speaks_to_a_syslogd_of_streams),
		CASE(loses_no_line_of_a_stream_that_is_not_read),
		CASE(what_no_stream_takes_whole_holds_up_nothing),
		CASE(a_path_that_is_too_long_is_told),
		CASE(of_what_waits_too_long_the_newest_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
