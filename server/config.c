/* config.c - see config.h: a file is read, checked and freed; the tables of keys: config_sections.c, config_lists.c. */
#include "config.h"

#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_keys.h"

static const char *const role_names[ROLE_COUNT] = { "ra", "ca", "va", "admin" };

static enum reason read_all(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	TRY(config_read_sections(root, top, config, f));
	TRY(config_read_lists(root, top, config, f));
	if (strchr(config->multi_buffer, '/') != NULL && config->multi_buffer[0] != '/')
		return config_refuse(top, "multi_buffer", f,
				     "is \"%.100s\", must be off, a library's name or its absolute path",
				     config->multi_buffer);
	if (strlen(config->node) > 32)
		return config_refuse(top, "node", f, "has %zu characters, must have at most 32", strlen(config->node));
	return REASON_OK;
}

AUTO_FREE(struct config, config_freep, config_free)
AUTO_FREE(json_t, json_freep, json_decref)

enum reason config_parse(struct blob text, const char *path, struct config **ret_config, struct fault *f)
{
	AUTO(config_freep) struct config *config = calloc(1, sizeof(*config));
	AUTO(json_freep) json_t *root = NULL;
	struct place top = { .file = path };
	char folder[PATH_MAX];
	json_error_t error;

	if (config == NULL || (config->path = strdup(path)) == NULL)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	snprintf(folder, sizeof(folder), "%s", path);
	top.folder = dirname(folder);
	root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		return fault_set(f, REASON_CONFIG, "%s: line %d is not JSON: %.120s", path, error.line, error.text);
	TRY(read_all(root, &top, config, f));
	*ret_config = TAKE(config);
	return REASON_OK;
}

enum reason config_load(const char *path, struct config **ret_config, struct fault *f)
{
	AUTO(buf_done) struct buf text = { 0 };
	char absolute[PATH_MAX];
	FILE *file;
	int error;

	if (realpath(path, absolute) == NULL || (file = fopen(absolute, "re")) == NULL)
		return fault_set(f, REASON_CONFIG, "cannot read the configuration %.120s: %s", path, strerror(errno));
	if (buf_reserve(&text, CONFIG_BYTES_MAX + 1, f) != REASON_OK) {
		fclose(file);
		return REASON_NO_MEMORY;
	}
	text.len = fread(text.ptr, 1, CONFIG_BYTES_MAX + 1, file);
	error = ferror(file) ? errno : 0;
	fclose(file);
	if (error != 0)
		return fault_set(f, REASON_CONFIG, "cannot read the configuration %.120s: %s", path, strerror(error));
	if (text.len > CONFIG_BYTES_MAX)
		return fault_set(f, REASON_CONFIG, "%s is over %d bytes", absolute, CONFIG_BYTES_MAX);
	return config_parse(buf_blob(&text), absolute, ret_config, f);
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	config_free_sections(config);
	config_free_lists(config);
	free(config->path);
	free(config->ledger.reader_passfile);
	free(config);
}

const char *role_name(enum role role)
{
	return role_names[role];
}
