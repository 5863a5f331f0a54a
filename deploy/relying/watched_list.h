/*
 * watched_list.h - assay-agent's file of what is revoked, mapped, and mapped anew when the agent has replaced it.
 *
 * Owns:    the mapping; `path` is borrowed. All zeros but the path is a list that was not loaded yet.
 * Threads: one.
 */
#ifndef ASSAY_WATCHED_LIST_H
#define ASSAY_WATCHED_LIST_H

#include <sys/stat.h>
#include <time.h>

#include "revoked_list.h"

enum verdict { VERDICT_GOOD, VERDICT_REVOKED, VERDICT_UNKNOWN_ISSUER, VERDICT_STALE };

struct watched_list {
	const char *path;
	struct stat seen; /* the file that is mapped */
	uint8_t *map;     /* NULL: none */
	size_t map_len;
	struct revoked_list list;
};

/* In the place of what was mapped. NULL: it is there; else why not, for a log. */
const char *watched_load(struct watched_list *watched);
void watched_close(struct watched_list *watched);
/* The file is another one than the mapped, or gone: it wants to be loaded. */
bool watched_changed(const struct watched_list *watched);
/* There is none, or an issuer's part of it is past its time. */
bool watched_stale(const struct watched_list *watched, time_t now_s);
/* What is known to be revoked stays so, however old the list. */
enum verdict watched_verdict(const struct watched_list *watched, const uint8_t issuer[REVOKED_NAME_BYTES],
			     const uint8_t serial[REVOKED_SERIAL_BYTES]);

#endif
