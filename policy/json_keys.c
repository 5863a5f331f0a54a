/* json_keys.c - see json_keys.h. */
#include "json_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (256 * 1024)
#define GIVEN_CHARS 48
#define YEAR_S (365ULL * 86400)

enum reason json_refuse(const struct where *where, const char *allowed, const json_t *given, struct fault *f)
{
	char *text = given == NULL ? NULL : json_dumps(given, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
	const char *shown = text == NULL ? "nothing" : text;

	fault_set(f, REASON_CONFIG, "%s: %s: allowed: %s; given: %.*s%s", where->file, where->key, allowed, GIVEN_CHARS,
		  shown, strlen(shown) > GIVEN_CHARS ? "..." : "");
	free(text);
	return REASON_CONFIG;
}

static struct where under(const struct where *parent, const char *key)
{
	struct where where = { .file = parent->file };

	int n = snprintf(where.key, sizeof(where.key), "%s%s%s", parent->key, parent->key[0] == '\0' ? "" : ".", key);

	if (n >= (int)sizeof(where.key)) /* only an unknown key is so long */
		memcpy(where.key + sizeof(where.key) - 4, "...", 4);
	return where;
}

static bool known_key(const struct json_key *keys, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].name, name) == 0)
			return true;
	return false;
}

static void name_keys(const struct json_key *keys, size_t n, char *out, size_t cap)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n && len < cap; i++)
		len += (size_t)snprintf(out + len, cap - len, "%s%s", i == 0 ? "" : " ", keys[i].name);
}

enum reason json_keys_read(const json_t *value, const struct json_key *keys, size_t n, void *object,
			   const struct where *where, struct fault *f)
{
	char names[160];
	void *at;

	if (!json_is_object(value))
		return json_refuse(where, "an object", value, f);
	name_keys(keys, n, names, sizeof(names));
	for (at = json_object_iter((json_t *)value); at != NULL; at = json_object_iter_next((json_t *)value, at)) {
		struct where inner = under(where, json_object_iter_key(at));

		if (!known_key(keys, n, json_object_iter_key(at)))
			return fault_set(f, REASON_CONFIG, "%s: %.40s: unknown key; allowed: %s", inner.file, inner.key,
					 names);
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *member = json_object_get(value, keys[i].name);
		struct where inner = under(where, keys[i].name);

		if (member == NULL && keys[i].required)
			return fault_set(f, REASON_CONFIG, "%s: %s: missing", inner.file, inner.key);
		if (member != NULL)
			TRY(keys[i].read(member, object, &inner, f));
	}
	return REASON_OK;
}

enum reason json_read_bool(const json_t *value, bool *ret_value, const struct where *where, struct fault *f)
{
	if (!json_is_boolean(value))
		return json_refuse(where, "true, false", value, f);
	*ret_value = json_is_true(value);
	return REASON_OK;
}

enum reason json_read_text(const json_t *value, char *out, size_t cap, const struct where *where, struct fault *f)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);
	char allowed[64];

	snprintf(allowed, sizeof(allowed), "1 to %zu printable ASCII characters", cap - 1);
	if (text == NULL || len == 0 || len >= cap)
		return json_refuse(where, allowed, value, f);
	for (size_t i = 0; i < len; i++)
		if (text[i] < 0x20 || text[i] > 0x7e)
			return json_refuse(where, allowed, value, f);
	memcpy(out, text, len + 1);
	return REASON_OK;
}

static uint64_t unit_seconds(char unit)
{
	switch (unit) {
	case 's':
		return 1;
	case 'm':
		return 60;
	case 'h':
		return 3600;
	case 'd':
		return 86400;
	case 'y':
		return YEAR_S;
	default:
		return 0;
	}
}

enum reason json_read_duration(const json_t *value, uint64_t *ret_s, const struct where *where, struct fault *f)
{
	const char *text = json_string_value(value);
	size_t digits = text == NULL ? 0 : strspn(text, "0123456789");
	uint64_t unit = digits > 0 && digits < 10 ? unit_seconds(text[digits]) : 0;
	uint64_t seconds;

	if (unit == 0 || text[digits + 1] != '\0')
		return json_refuse(where, "a duration like \"30s\", \"10m\", \"24h\", \"90d\", \"5y\"", value, f);
	seconds = strtoull(text, NULL, 10) * unit;
	if (seconds > 100 * YEAR_S)
		return json_refuse(where, "at most \"100y\"", value, f);
	*ret_s = seconds;
	return REASON_OK;
}

enum reason json_file_read(const char *path, struct buf *ret_bytes, struct fault *f)
{
	AUTO(buf_wipe) struct buf bytes = { 0 };
	FILE *file = fopen(path, "rbe");
	int error;

	if (file == NULL)
		return fault_set(f, REASON_CONFIG, "%s: %s", path, strerror(errno));
	if (buf_reserve(&bytes, FILE_BYTES_MAX + 1, f) != REASON_OK) {
		fclose(file);
		return REASON_NO_MEMORY;
	}
	bytes.len = fread(bytes.ptr, 1, FILE_BYTES_MAX + 1, file);
	error = ferror(file);
	fclose(file);
	if (error != 0)
		return fault_set(f, REASON_CONFIG, "%s: cannot be read; it must be a file", path);
	if (bytes.len > FILE_BYTES_MAX)
		return fault_set(f, REASON_CONFIG, "%s: larger than %d bytes", path, FILE_BYTES_MAX);
	*ret_bytes = bytes;
	bytes = (struct buf){ 0 };
	return REASON_OK;
}

enum reason json_file_parse(const char *file, struct blob bytes, json_t **ret_json, struct fault *f)
{
	json_error_t error;
	json_t *json = json_loadb((const char *)bytes.ptr, bytes.len, JSON_REJECT_DUPLICATES, &error);

	if (json == NULL)
		return fault_set(f, REASON_CONFIG, "%s: line %d: %s", file, error.line, error.text);
	*ret_json = json;
	return REASON_OK;
}
