/* watched_list.c - see watched_list.h. */
#include "watched_list.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void watched_close(struct watched_list *watched)
{
	if (watched->map != NULL)
		munmap(watched->map, watched->map_len);
	watched->map = NULL;
}

static bool map_file(struct watched_list *watched, int fd)
{
	if (fstat(fd, &watched->seen) != 0 || watched->seen.st_size == 0)
		return false;
	watched->map_len = (size_t)watched->seen.st_size;
	watched->map = mmap(NULL, watched->map_len, PROT_READ, MAP_SHARED, fd, 0);
	if (watched->map == MAP_FAILED)
		watched->map = NULL;
	if (watched->map != NULL && revoked_list_open(watched->map, watched->map_len, &watched->list))
		return true;
	watched_close(watched);
	return false;
}

const char *watched_load(struct watched_list *watched)
{
	int fd = open(watched->path, O_RDONLY | O_CLOEXEC);
	bool mapped;

	watched_close(watched);
	memset(&watched->seen, 0, sizeof(watched->seen));
	if (fd < 0)
		return strerror(errno);
	mapped = map_file(watched, fd);
	close(fd);
	return mapped ? NULL : "no list of assay-agent";
}

/* The agent replaces the file, so that its inode and time are new. */
bool watched_changed(const struct watched_list *watched)
{
	const struct stat *seen = &watched->seen;
	struct stat now;

	if (stat(watched->path, &now) != 0)
		return watched->map != NULL;
	return now.st_ino != seen->st_ino || now.st_dev != seen->st_dev || now.st_size != seen->st_size ||
	       now.st_mtim.tv_sec != seen->st_mtim.tv_sec || now.st_mtim.tv_nsec != seen->st_mtim.tv_nsec;
}

static bool issuer_stale(const struct revoked_issuer *issuer, time_t now_s)
{
	return issuer->number != REVOKED_WHOLE && (int64_t)now_s >= issuer->good_until_s;
}

bool watched_stale(const struct watched_list *watched, time_t now_s)
{
	for (size_t i = 0; watched->map != NULL && i < watched->list.n; i++)
		if (issuer_stale(&watched->list.issuer[i], now_s))
			return true;
	return watched->map == NULL;
}

enum verdict watched_verdict(const struct watched_list *watched, const uint8_t issuer[REVOKED_NAME_BYTES],
			     const uint8_t serial[REVOKED_SERIAL_BYTES])
{
	const struct revoked_issuer *of;

	if (watched->map == NULL)
		return VERDICT_STALE;
	of = revoked_list_issuer(&watched->list, issuer);
	if (of == NULL)
		return VERDICT_UNKNOWN_ISSUER;
	if (of->number == REVOKED_WHOLE || revoked_list_has(of, serial))
		return VERDICT_REVOKED;
	return issuer_stale(of, time(NULL)) ? VERDICT_STALE : VERDICT_GOOD;
}
