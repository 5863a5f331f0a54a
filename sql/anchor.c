/* anchor.c - see anchor.h. */
#include "anchor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"

#define LINE_BYTES (20 + 1 + 64 + 1)
#define SYNC_EVERY_US 1000000

static bool parse_line(const char line[LINE_BYTES], struct position *ret_position)
{
	struct position position = { 0 };
	size_t len;

	if (line[20] != ' ' || line[LINE_BYTES - 1] != '\n')
		return false;
	for (int i = 0; i < 20; i++) {
		if (line[i] < '0' || line[i] > '9')
			return false;
		position.seq = position.seq * 10 + (uint64_t)(line[i] - '0');
	}
	if (!text_unhex(line + 21, 64, position.hash, sizeof(position.hash), &len) || len != 32)
		return false;
	*ret_position = position;
	return true;
}

enum reason anchor_open(const char *dir, const char *stream, struct anchor *ret_anchor, struct position *ret_position,
			struct fault *f)
{
	struct anchor anchor = { .fd = -1 };
	struct position position = { 0 };
	char line[LINE_BYTES];
	ssize_t n;

	if (snprintf(anchor.path, sizeof(anchor.path), "%s/chain.%s", dir, stream) >= (int)sizeof(anchor.path))
		return fault_set(f, REASON_CONFIG, "state_dir: path is longer than %zu characters",
				 sizeof(anchor.path) - 1);
	anchor.fd = open(anchor.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (anchor.fd < 0)
		return fault_set(f, REASON_CONFIG, "cannot open anchor %s: %s", anchor.path, strerror(errno));
	n = pread(anchor.fd, line, sizeof(line), 0);
	if (n == 0 && anchor_write(&anchor, &position, f) != REASON_OK) {
		close(anchor.fd);
		unlink(anchor.path); /* else half a line could be left */
		return REASON_LEDGER_AWAY;
	}
	if (n != 0 && (n != (ssize_t)sizeof(line) || !parse_line(line, &position))) {
		close(anchor.fd);
		return fault_set(f, REASON_CONFIG, "anchor %s is damaged: compare with table chain, then remove it",
				 anchor.path);
	}
	*ret_anchor = anchor;
	*ret_position = position;
	return REASON_OK;
}

enum reason anchor_write(struct anchor *anchor, const struct position *position, struct fault *f)
{
	char line[LINE_BYTES + 1], hex[65];
	int64_t now_us = clock_mono_us();

	anchor->failed = true;
	text_hex(BLOB_OF(position->hash), hex, sizeof(hex));
	snprintf(line, sizeof(line), "%020" PRIu64 " %s\n", position->seq, hex);
	if (pwrite(anchor->fd, line, LINE_BYTES, 0) != LINE_BYTES)
		return fault_set(f, REASON_LEDGER_AWAY, "cannot write anchor %s: %s", anchor->path, strerror(errno));
	if (now_us - anchor->synced_us >= SYNC_EVERY_US) {
		if (fdatasync(anchor->fd) != 0)
			return fault_set(f, REASON_LEDGER_AWAY, "cannot sync anchor %s: %s", anchor->path,
					 strerror(errno));
		anchor->synced_us = now_us;
	}
	anchor->failed = false;
	return REASON_OK;
}

enum reason anchor_mend(struct anchor *anchor, const struct position *position, struct fault *f)
{
	return anchor->failed ? anchor_write(anchor, position, f) : REASON_OK;
}

static bool read_line(const char *path, char line[LINE_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool whole = fd >= 0 && pread(fd, line, LINE_BYTES, 0) == LINE_BYTES;

	if (fd >= 0)
		close(fd);
	return whole;
}

/* Read until it is the same twice: a line that is half written is not an alarm. */
bool anchor_peek(const char *path, struct position *ret_position)
{
	char line[LINE_BYTES], again[LINE_BYTES];

	do
		if (!read_line(path, line) || !read_line(path, again))
			return false;
	while (memcmp(line, again, LINE_BYTES) != 0);
	return parse_line(line, ret_position);
}

void anchor_close(struct anchor *anchor)
{
	if (anchor->fd < 0)
		return;
	(void)fdatasync(anchor->fd); /* nobody left to tell; an older anchor is still true */
	close(anchor->fd);
	anchor->fd = -1;
}
