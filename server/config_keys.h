/*
 * config_keys.h - reading one JSON object into one struct by a table of keys; the configuration's tables are written
 * in it (config_sections.c, config_lists.c).
 *
 * Threads: pure.
 */
#ifndef ASSAY_CONFIG_KEYS_H
#define ASSAY_CONFIG_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

enum key_kind {
	KEY_TEXT,       /* char * */
	KEY_PATH,       /* char *, made absolute by the file's folder */
	KEY_UNSIGNED,   /* unsigned, within min and max */
	KEY_PORT,       /* uint16_t, 1 to 65535 */
	KEY_DURATION_S, /* uint64_t: "30s", "15m", "12h", "7d", "10y", within min and max seconds; "none" is 0 where min
			   is 0 */
	KEY_CHOICE,     /* int: the index in `choices` */
	KEY_BOOL,       /* bool */
	KEY_SECTION,    /* an object or array that the caller reads; here only its name counts */
};

struct key {
	const char *name;
	enum key_kind kind;
	size_t offset;
	bool required;
	const char *fallback; /* as it would stand in the file, without quotes; NULL: stays zero */
	uint64_t min, max;
	const char *const *choices; /* NULL-terminated */
};

#define KEY_COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define KEY_YEAR_S (365 * UINT64_C(86400))

/* Where we are: the file, its folder, and the way to the object, as it is named in errors ("issuers[0]", "" at the
 * top). */
struct place {
	const char *file, *folder;
	char way[96];
};

/* The place of a part: name, and its index when it is an array's element, else -1. */
struct place place_in(const struct place *place, const char *name, int index);
/* "assay.json: est.deadline_ms is 5, must be from 100 to 600000" */
__attribute__((format(printf, 4, 5))) enum reason config_refuse(const struct place *place, const char *key,
								struct fault *f, const char *fmt, ...);

/* Fills *out by the table. An unknown key, a wrong type or a value out of range is REASON_CONFIG. Texts it allocated
 * are the caller's also on failure. `object` may be NULL: then every fallback counts. */
MUST_CHECK enum reason keys_read(const json_t *object, const struct key *keys, size_t n, const struct place *place,
				 void *out, struct fault *f);

/* Frees the texts of *out. */
void keys_free(const struct key *keys, size_t n, void *out);

/* The whole file is these two, the sections first. */
struct config;
MUST_CHECK enum reason config_read_sections(const json_t *root, const struct place *top, struct config *config,
					    struct fault *f);
MUST_CHECK enum reason config_read_lists(const json_t *root, const struct place *top, struct config *config,
					 struct fault *f);
void config_free_sections(struct config *config);
void config_free_lists(struct config *config);

MUST_CHECK bool duration_parse(const char *text, uint64_t *ret_s);

#endif
