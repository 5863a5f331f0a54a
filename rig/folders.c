/*
 * folders.c - a device's folder is one with an element.json in it.
 */
#include "folders.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void folders_done(struct folders *folders)
{
	for (size_t i = 0; i < folders->n; i++)
		free(folders->path[i]);
	free(folders->path);
	*folders = (struct folders){ 0 };
}

static bool has(const char *folder, const char *name)
{
	char path[4096];
	struct trouble unused;

	return path_join(folder, name, path, &unused) && access(path, F_OK) == 0;
}

static bool wanted(const char *folder, enum folders_which which)
{
	return has(folder, "element.json") && has(folder, "cert.pem") == (which == FOLDERS_WITH_CERTIFICATE);
}

static void free_entries(struct dirent **entries, int n)
{
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
}

bool folders_list(const char *parent, enum folders_which which, size_t max, struct folders *ret_folders,
		  struct trouble *t)
{
	AUTO(folders_done) struct folders list = { 0 };
	struct dirent **entries = NULL;
	int n = scandir(parent, &entries, NULL, alphasort);
	bool ok = true;

	if (n < 0)
		return trouble_set(t, "%s: cannot be read: %s", parent, strerror(errno));
	list.path = calloc((size_t)n + 1, sizeof(*list.path));
	for (int i = 0; i < n && ok && list.path != NULL && (max == 0 || list.n < max); i++) {
		char folder[4096];

		ok = path_join(parent, entries[i]->d_name, folder, t);
		if (ok && entries[i]->d_name[0] != '.' && wanted(folder, which)) {
			list.path[list.n] = strdup(folder);
			ok = list.path[list.n++] != NULL || trouble_set(t, "not enough memory");
		}
	}
	free_entries(entries, n);
	if (!ok || list.path == NULL)
		return ok ? trouble_set(t, "not enough memory") : false;
	*ret_folders = list;
	list = (struct folders){ 0 }; /* handed out */
	return true;
}
