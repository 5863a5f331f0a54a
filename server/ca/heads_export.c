/* heads_export.c - see heads_export.h. */
#include "ca/heads_export.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

void heads_export_open(struct heads_export *export, const char *file, bool to_syslog)
{
	*export = (struct heads_export){ .file = file, .syslog = to_syslog };
	if (to_syslog)
		openlog("assay-heads", LOG_NDELAY, LOG_AUTHPRIV);
}

void heads_export_done(struct heads_export *export)
{
	if (export->syslog)
		closelog();
	buf_done(&export->waiting);
}

/* Whole lines go, from the oldest on. */
static void make_room(struct buf *waiting, size_t len)
{
	while (waiting->len > 0 && waiting->len + len > HEADS_WAITING_MAX) {
		const uint8_t *end = memchr(waiting->ptr, '\n', waiting->len);
		size_t n = end == NULL ? waiting->len : (size_t)(end - waiting->ptr) + 1;

		memmove(waiting->ptr, waiting->ptr + n, waiting->len - n);
		waiting->len -= n;
	}
}

void heads_export_add(struct heads_export *export, struct blob line)
{
	size_t before = export->waiting.len;

	if (export->syslog)
		syslog(LOG_NOTICE, "%.*s", (int)line.len, (const char *)line.ptr);
	if (export->file == NULL)
		return;
	make_room(&export->waiting, line.len + 1);
	before = export->waiting.len;
	if (buf_append(&export->waiting, line, NULL) != REASON_OK ||
	    buf_append(&export->waiting, BLOB_STR("\n"), NULL) != REASON_OK)
		export->waiting.len = before;
}

/* All of it or nothing: a line that was cut short by a full disk is taken back. */
static enum reason append(int fd, const char *file, struct blob bytes, struct fault *f)
{
	off_t end = lseek(fd, 0, SEEK_END);
	struct blob left = bytes;

	while (left.len > 0) {
		ssize_t n = write(fd, left.ptr, left.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fault_set(f, REASON_INTERNAL, "heads.file: cannot write %s: %s", file, strerror(errno));
			(void)!ftruncate(fd, end);
			return REASON_INTERNAL;
		}
		left = BLOB(left.ptr + n, left.len - (size_t)n);
	}
	if (fsync(fd) != 0 && errno != EINVAL) /* a pipe has nothing to keep */
		return fault_set(f, REASON_INTERNAL, "heads.file: cannot keep %s: %s", file, strerror(errno));
	return REASON_OK;
}

enum reason heads_export_flush(struct heads_export *export, struct fault *f)
{
	enum reason reason;
	int fd;

	if (export->waiting.len == 0)
		return REASON_OK;
	/* opened each time: somebody may have moved the file away, or mounted something over it */
	fd = open(export->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
	if (fd < 0)
		return fault_set(f, REASON_INTERNAL, "heads.file: cannot open %s: %s", export->file, strerror(errno));
	reason = append(fd, export->file, buf_blob(&export->waiting), f);
	(void)close(fd);
	if (reason == REASON_OK)
		export->waiting.len = 0;
	return reason;
}
