/* heads_export.c - see heads_export.h. */
#include "ca/heads_export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

void heads_export_open(struct heads_export *export, const char *file, const char *syslog)
{
	*export = (struct heads_export){ .file = { .to = file }, .syslog = { .to = syslog }, .socket = -1 };
}

static void disconnect(struct heads_export *export)
{
	if (export->socket >= 0)
		(void)close(export->socket);
	export->socket = -1;
}

void heads_export_done(struct heads_export *export)
{
	disconnect(export);
	buf_done(&export->file.waiting);
	buf_done(&export->syslog.waiting);
}

/* The oldest line, with its end. */
static struct blob first_line(const struct buf *waiting)
{
	const uint8_t *end = memchr(waiting->ptr, '\n', waiting->len);

	return BLOB(waiting->ptr, end == NULL ? waiting->len : (size_t)(end - waiting->ptr) + 1);
}

static void drop_first(struct buf *waiting)
{
	size_t n = first_line(waiting).len;

	memmove(waiting->ptr, waiting->ptr + n, waiting->len - n);
	waiting->len -= n;
}

static void add(struct heads_sink *sink, struct blob line)
{
	size_t before;

	if (sink->to == NULL)
		return;
	while (sink->waiting.len > 0 && sink->waiting.len + line.len + 1 > HEADS_WAITING_MAX)
		drop_first(&sink->waiting);
	before = sink->waiting.len;
	if (buf_append(&sink->waiting, line, NULL) != REASON_OK ||
	    buf_append(&sink->waiting, BLOB_STR("\n"), NULL) != REASON_OK)
		sink->waiting.len = before;
}

void heads_export_add(struct heads_export *export, struct blob line)
{
	add(&export->file, line);
	add(&export->syslog, line);
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
			fault_set(f, REASON_INTERNAL, "heads.file: cannot write %.100s: %s", file, strerror(errno));
			(void)!ftruncate(fd, end);
			return REASON_INTERNAL;
		}
		left = BLOB(left.ptr + n, left.len - (size_t)n);
	}
	if (fsync(fd) != 0 && errno != EINVAL) /* a pipe has nothing to keep */
		return fault_set(f, REASON_INTERNAL, "heads.file: cannot keep %s: %s", file, strerror(errno));
	return REASON_OK;
}

static enum reason flush_file(struct heads_sink *sink, struct fault *f)
{
	enum reason reason;
	int fd;

	if (sink->waiting.len == 0)
		return REASON_OK;
	/* opened each time: somebody may have moved the file away, or mounted something over it */
	fd = open(sink->to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
	if (fd < 0)
		return fault_set(f, REASON_INTERNAL, "heads.file: cannot open %s: %s", sink->to, strerror(errno));
	reason = append(fd, sink->to, buf_blob(&sink->waiting), f);
	(void)close(fd);
	if (reason == REASON_OK)
		sink->waiting.len = 0;
	return reason;
}

static bool connect_as(struct heads_export *export, int type, const struct sockaddr_un *address)
{
	disconnect(export);
	export->stream = type == SOCK_STREAM;
	export->socket = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return export->socket >= 0 && connect(export->socket, (const struct sockaddr *)address, sizeof(*address)) == 0;
}

static bool connect_syslog(struct heads_export *export)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(export->syslog.to) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(address.sun_path, export->syslog.to, strlen(export->syslog.to) + 1);
	return connect_as(export, SOCK_DGRAM, &address) ||
	       (errno == EPROTOTYPE && connect_as(export, SOCK_STREAM, &address));
}

/* A part of a line in a stream cannot be taken back: the connection ends with it. EMSGSIZE: not even a new one takes
 * all. */
static bool sent_whole(struct heads_export *export, ssize_t sent, size_t len, bool fresh)
{
	if (sent == (ssize_t)len)
		return true;
	if (sent >= 0) {
		disconnect(export);
		errno = fresh ? EMSGSIZE : EPIPE;
	}
	return false;
}

static bool send_line(struct heads_export *export, struct blob line, bool fresh)
{
	char head[64];
	time_t now = time(NULL);
	struct tm tm;
	size_t len = (size_t)snprintf(head, sizeof(head), "<%d>", LOG_AUTHPRIV | LOG_NOTICE);
	struct iovec parts[] = { { head, 0 }, { (void *)(uintptr_t)line.ptr, line.len - 1 }, { (char[]){ '\0' }, 1 } };
	const struct msghdr message = { .msg_iov = parts, .msg_iovlen = export->stream ? 3 : 2 };

	if (localtime_r(&now, &tm) == NULL)
		return false;
	len += strftime(head + len, sizeof(head) - len, "%b %e %H:%M:%S assay-heads: ", &tm);
	parts[0].iov_len = len;
	return sent_whole(export, sendmsg(export->socket, &message, MSG_NOSIGNAL), len + line.len - 1 + export->stream,
			  fresh);
}

/* A syslogd that was started anew has another socket in the same place: once more, then. */
static bool deliver(struct heads_export *export, struct blob line)
{
	if (export->socket >= 0 && send_line(export, line, false))
		return true;
	if (export->socket >= 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE))
		return false;
	return connect_syslog(export) && send_line(export, line, true);
}

static enum reason flush_syslog(struct heads_export *export, struct fault *f)
{
	struct heads_sink *sink = &export->syslog;

	while (sink->waiting.len > 0) {
		if (!deliver(export, first_line(&sink->waiting))) {
			int error = errno;

			if (error == EMSGSIZE) /* it will not become shorter, and others wait behind it */
				drop_first(&sink->waiting);
			/* of a long path the end of the advice is cut off, not the path */
			return fault_set(f, REASON_INTERNAL,
					 "heads.syslog: %s takes no head: %s; start a syslogd, name its socket in "
					 "heads.syslog_socket, or take heads.syslog out",
					 sink->to, strerror(error));
		}
		drop_first(&sink->waiting);
	}
	return REASON_OK;
}

bool heads_export_flush(struct heads_export *export)
{
	export->syslog.fault.reason = flush_syslog(export, &export->syslog.fault);
	export->file.fault.reason = flush_file(&export->file, &export->file.fault);
	return export->syslog.fault.reason == REASON_OK && export->file.fault.reason == REASON_OK;
}

bool heads_export_nowhere(const struct heads_export *export)
{
	const bool file = export->file.to != NULL, syslog = export->syslog.to != NULL;

	return (file || syslog) && (!file || export->file.waiting.len > 0) &&
	       (!syslog || export->syslog.waiting.len > 0);
}
