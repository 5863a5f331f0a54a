/*
 * json_keys.h - inside policy/: JSON objects as tables of keys, so that every key is known, checked and explained.
 *
 * Owns:    nothing.
 * Threads: pure.
 */
#ifndef ASSAY_JSON_KEYS_H
#define ASSAY_JSON_KEYS_H

#include <jansson.h>

#include "base/blob.h"

/* What a refusal names: the file, and the key with those it stands under ("enrol.who"). */
struct where {
	const char *file;
	char key[64];
};

struct json_key {
	const char *name;
	bool required;
	enum reason (*read)(const json_t *value, void *object, const struct where *where, struct fault *f);
};

/* Reads an object key by key: unknown keys and missing required ones are refused. Keys come in the table's order. */
MUST_CHECK enum reason json_keys_read(const json_t *value, const struct json_key *keys, size_t n, void *object,
				      const struct where *where, struct fault *f);

/* "line.json: enrol.who: allowed: ...; given: ..." as REASON_CONFIG. */
enum reason json_refuse(const struct where *where, const char *allowed, const json_t *given, struct fault *f);

/* One value of one type; a refusal says which. */
MUST_CHECK enum reason json_read_bool(const json_t *value, bool *ret_value, const struct where *where, struct fault *f);
/* 1 to cap - 1 characters of printable ASCII. */
MUST_CHECK enum reason json_read_text(const json_t *value, char *out, size_t cap, const struct where *where,
				      struct fault *f);
/* "30s", "10m", "24h", "90d", "5y" (365 days each), at most a hundred years. */
MUST_CHECK enum reason json_read_duration(const json_t *value, uint64_t *ret_s, const struct where *where,
					  struct fault *f);

/* One whole file of at most 256 KiB; REASON_CONFIG naming it. */
MUST_CHECK enum reason json_file_read(const char *path, struct buf *ret_bytes, struct fault *f);
/* Its JSON, duplicate keys refused; the caller decrefs (AUTO(json_decrefp)). */
MUST_CHECK enum reason json_file_parse(const char *file, struct blob bytes, json_t **ret_json, struct fault *f);

#endif
