/* files.c - see files.h. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"

#define LINE_FIRST 4096

int fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)fputs("assayctl: ", stderr);
	(void)vfprintf(stderr, format, args);
	(void)fputc('\n', stderr);
	va_end(args);
	return 1;
}

bool read_whole(FILE *file, const char *path, ssize_t len, size_t max)
{
	if (len == LINE_TOO_LONG)
		return fail("%s: a line is longer than %zu bytes: is that the right file?", path, max) == 0;
	return (feof(file) && !ferror(file)) || fail("%s: cannot be read to its end", path) == 0;
}

/* Room for one more byte and a NUL behind it. */
static bool room_for(char **line, size_t *cap, size_t len)
{
	size_t more = *cap < LINE_FIRST ? LINE_FIRST : *cap * 2;
	char *longer;

	if (*line != NULL && len + 2 <= *cap)
		return true;
	longer = realloc(*line, more);
	if (longer == NULL)
		return false;
	*line = longer;
	*cap = more;
	return true;
}

static ssize_t read_locked(FILE *file, char **line, size_t *cap, size_t max)
{
	size_t len = 0;
	int c = 0;

	while (c != '\n' && (c = getc_unlocked(file)) != EOF) {
		if (len == max)
			return LINE_TOO_LONG;
		if (!room_for(line, cap, len))
			return -1;
		(*line)[len++] = (char)c;
	}
	if (len == 0)
		return -1;
	(*line)[len] = '\0';
	return (ssize_t)len;
}

ssize_t line_read(FILE *file, char **line, size_t *cap, size_t max)
{
	ssize_t len;

	flockfile(file);
	len = read_locked(file, line, cap, max);
	funlockfile(file);
	return len;
}

static bool is_regular(FILE *file)
{
	struct stat st;

	return fstat(fileno(file), &st) == 0 && S_ISREG(st.st_mode);
}

/* A pipe that nobody writes to is not waited for. */
FILE *export_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");

	if (file == NULL) {
		(void)fail("%s: cannot be read: %s", path, strerror(errno));
	} else if (!is_regular(file)) {
		(void)fail("%s: must be a file: an export is gone through more than once, and a pipe or a device may "
			   "have no end",
			   path);
		(void)fclose(file);
		file = NULL;
	}
	return file;
}

ssize_t export_line(FILE *export, char **line, size_t *cap)
{
	return line_read(export, line, cap, LIMIT_AUDIT_LINE_BYTES);
}

bool heads_lines(const char *path, bool (*each)(void *user, const char *line, size_t len, unsigned n), void *user)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0, seen = 0;
	ssize_t len = 0;
	bool ok = true, ends;

	if (file == NULL)
		return fail("%s: cannot be read: %s", path, strerror(errno)) == 0;
	ends = is_regular(file);
	for (unsigned n = 1; ok && (len = line_read(file, &line, &cap, LIMIT_HEAD_LINE_BYTES)) > 0; n++) {
		seen += (size_t)len;
		ok = ends || seen <= LIMIT_HEADS_PIPE_BYTES ||
		     fail("%s: has no end after %d bytes: heads that come over a pipe are read up to there; put them "
			  "into a file",
			  path, LIMIT_HEADS_PIPE_BYTES) == 0;
		ok = ok && each(user, line, (size_t)len, n);
	}
	ok = ok && read_whole(file, path, len, LIMIT_HEAD_LINE_BYTES);
	free(line);
	(void)fclose(file);
	return ok;
}

static bool take_all(FILE *file, const char *path, BIO *out)
{
	char piece[4096];
	size_t n, sum = 0;

	while ((n = fread(piece, 1, sizeof(piece), file)) > 0) {
		sum += n;
		if (sum > LIMIT_SMALL_FILE_BYTES)
			return fail("%s: is longer than %d bytes: is that the right file?", path,
				    LIMIT_SMALL_FILE_BYTES) == 0;
		if (BIO_write(out, piece, (int)n) != (int)n)
			return fail("short of memory") == 0;
	}
	return !ferror(file) || fail("%s: cannot be read: %s", path, strerror(errno)) == 0;
}

BIO *small_open(const char *path)
{
	FILE *file = fopen(path, "re");
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = file != NULL || fail("%s: cannot be read: %s", path, strerror(errno)) == 0;

	ok = ok && (bio != NULL || fail("short of memory") == 0) && take_all(file, path, bio);
	if (file != NULL)
		(void)fclose(file);
	if (!ok) {
		BIO_free(bio);
		return NULL;
	}
	BIO_set_flags(bio, BIO_FLAGS_NONCLEAR_RST);
	BIO_set_mem_eof_return(bio, 0);
	return bio;
}
