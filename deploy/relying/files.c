/* files.c - see agent.h: files read and replaced whole, clocks, and what is said. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

bool why_set(struct why *why, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why->text, sizeof(why->text), fmt, args);
	va_end(args);
	return false;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->ptr);
	*bytes = (struct bytes){ 0 };
}

static bool read_fd(int fd, const char *path, size_t max, struct bytes *ret_bytes, struct why *why)
{
	struct bytes bytes = { 0 };
	struct stat st;

	if (fstat(fd, &st) != 0)
		return why_set(why, "%s: %m", path);
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return why_set(why, "%s: %lld bytes, at most %zu are read", path, (long long)st.st_size, max);
	bytes.ptr = malloc((size_t)st.st_size + 1);
	while (bytes.ptr != NULL && bytes.len < (size_t)st.st_size) {
		ssize_t n = read(fd, bytes.ptr + bytes.len, (size_t)st.st_size - bytes.len);

		if (n <= 0)
			break;
		bytes.len += (size_t)n;
	}
	if (bytes.ptr == NULL || bytes.len != (size_t)st.st_size) {
		bytes_free(&bytes);
		return why_set(why, "%s: cannot be read whole", path);
	}
	*ret_bytes = bytes;
	return true;
}

bool file_read(const char *path, size_t max, struct bytes *ret_bytes, bool *ret_missing, struct why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done;

	*ret_missing = fd < 0 && errno == ENOENT;
	if (fd < 0)
		return why_set(why, "%s: %m", path);
	done = read_fd(fd, path, max, ret_bytes, why);
	close(fd);
	return done;
}

static bool write_all(int fd, const struct bytes *bytes)
{
	for (size_t at = 0; at < bytes->len;) {
		ssize_t n = write(fd, bytes->ptr + at, bytes->len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

bool file_replace(const char *path, const struct bytes *pieces, size_t n, bool durable, struct why *why)
{
	char partial[PATH_CHARS + 8];
	bool done;
	int fd;

	snprintf(partial, sizeof(partial), "%s.new", path);
	fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	done = fd >= 0;
	for (size_t i = 0; done && i < n; i++)
		done = write_all(fd, &pieces[i]);
	done = done && (!durable || fsync(fd) == 0) && rename(partial, path) == 0;
	if (!done)
		(void)why_set(why, "%s: %m", path);
	if (fd >= 0)
		close(fd);
	return done;
}

void time_text(int64_t at_s, char out[TIME_CHARS])
{
	time_t t = (time_t)at_s;
	struct tm tm;

	snprintf(out, TIME_CHARS, "never");
	if (at_s != 0 && gmtime_r(&t, &tm) != NULL)
		strftime(out, TIME_CHARS, "%Y-%m-%d %H:%M:%SZ", &tm);
}

int64_t clock_s(void)
{
	return (int64_t)time(NULL);
}

int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One line, on stderr: the journal has the time. */
void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("assay-agent: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
}
