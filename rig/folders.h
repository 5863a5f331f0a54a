/*
 * folders.h - the devices kept in one folder, a folder each.
 *
 * Owns:     folders_done() frees the list.
 * Threads:  pure, but for reading the folder.
 */
#ifndef RIG_FOLDERS_H
#define RIG_FOLDERS_H

#include "basics.h"

struct folders {
	size_t n;
	char **path; /* sorted by name */
};

enum folders_which { FOLDERS_WITH_CERTIFICATE, FOLDERS_WITHOUT };

/* At most `max` of them (0: all); an empty list is no trouble. */
MUST_CHECK bool folders_list(const char *parent, enum folders_which which, size_t max, struct folders *ret_folders,
			     struct trouble *t);
void folders_done(struct folders *folders);

#endif
