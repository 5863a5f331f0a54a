/* config_keys.c - see config_keys.h. */
#include "config_keys.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place place_in(const struct place *place, const char *name, int index)
{
	struct place inner = { .file = place->file, .folder = place->folder };
	const char *dot = place->way[0] == '\0' ? "" : ".";

	if (index < 0)
		snprintf(inner.way, sizeof(inner.way), "%.60s%s%s", place->way, dot, name);
	else
		snprintf(inner.way, sizeof(inner.way), "%.60s%s%s[%d]", place->way, dot, name, index);
	return inner;
}

enum reason config_refuse(const struct place *place, const char *key, struct fault *f, const char *fmt, ...)
{
	bool in_part = place->way[0] != '\0', of_key = key[0] != '\0'; /* neither: of the file as a whole */
	char what[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return fault_set(f, REASON_CONFIG, "%s: %s%s%s%s%s", place->file, place->way, in_part && of_key ? "." : "", key,
			 in_part || of_key ? " " : "", what);
}

bool duration_parse(const char *text, uint64_t *ret_s)
{
	static const struct {
		char unit;
		uint64_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'y', 365 * UINT64_C(86400) } };
	unsigned long n;
	char *end;

	if (strcmp(text, "none") == 0) {
		*ret_s = 0;
		return true;
	}
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno != 0 || n > 1000000000 || end[0] == '\0' || end[1] != '\0')
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == end[0]) {
			*ret_s = n * units[i].s;
			return true;
		}
	return false;
}

static enum reason put_text(char **out, const char *value, const char *folder, struct fault *f)
{
	char *copy = NULL;
	int n = folder == NULL || value[0] == '/' ? asprintf(&copy, "%s", value)
						  : asprintf(&copy, "%s/%s", folder, value);

	if (n < 0)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	free(*out);
	*out = copy;
	return REASON_OK;
}

static void list_choices(const char *const *choices, char *out, size_t out_len)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; choices[i] != NULL && n < out_len; i++)
		n += (size_t)snprintf(out + n, out_len - n, "%s%s", i == 0 ? "" : ", ", choices[i]);
}

static enum reason put_choice(const struct key *key, const char *value, const struct place *place, int *out,
			      struct fault *f)
{
	char allowed[96];

	for (int i = 0; key->choices[i] != NULL; i++)
		if (strcmp(key->choices[i], value) == 0) {
			*out = i;
			return REASON_OK;
		}
	list_choices(key->choices, allowed, sizeof(allowed));
	return config_refuse(place, key->name, f, "is \"%.40s\", must be one of: %s", value, allowed);
}

static enum reason put_duration(const struct key *key, const char *value, const struct place *place, uint64_t *out,
				struct fault *f)
{
	uint64_t s;

	if (!duration_parse(value, &s))
		return config_refuse(place, key->name, f,
				     "is \"%.40s\", must be a number and one of s, m, h, d, y, as in \"7d\"", value);
	if (s < key->min || s > key->max)
		return config_refuse(place, key->name, f,
				     "is \"%.40s\", must be from %" PRIu64 " to %" PRIu64 " seconds", value, key->min,
				     key->max);
	*out = s;
	return REASON_OK;
}

/* Kinds that are written as a string. */
static enum reason put_string(const struct key *key, const char *value, const struct place *place, void *field,
			      struct fault *f)
{
	switch (key->kind) {
	case KEY_TEXT:
	case KEY_PATH:
		if (value[0] == '\0')
			return config_refuse(place, key->name, f, "is empty");
		return put_text(field, value, key->kind == KEY_PATH ? place->folder : NULL, f);
	case KEY_DURATION_S:
		return put_duration(key, value, place, field, f);
	case KEY_CHOICE:
		return put_choice(key, value, place, field, f);
	case KEY_UNSIGNED:
	case KEY_PORT:
	case KEY_BOOL:
	case KEY_SECTION:
		break;
	}
	return config_refuse(place, key->name, f, "is a string");
}

static enum reason put_number(const struct key *key, long long value, const struct place *place, void *field,
			      struct fault *f)
{
	uint64_t min = key->kind == KEY_PORT ? 1 : key->min, max = key->kind == KEY_PORT ? UINT16_MAX : key->max;

	if (value < 0 || (uint64_t)value < min || (uint64_t)value > max)
		return config_refuse(place, key->name, f, "is %lld, must be from %" PRIu64 " to %" PRIu64, value, min,
				     max);
	if (key->kind == KEY_PORT)
		*(uint16_t *)field = (uint16_t)value;
	else
		*(unsigned *)field = (unsigned)value;
	return REASON_OK;
}

static bool is_number(const struct key *key)
{
	return key->kind == KEY_UNSIGNED || key->kind == KEY_PORT;
}

static enum reason put_fallback(const struct key *key, const struct place *place, void *field, struct fault *f)
{
	if (key->fallback == NULL)
		return REASON_OK;
	return is_number(key) ? put_number(key, strtoll(key->fallback, NULL, 10), place, field, f)
			      : put_string(key, key->fallback, place, field, f);
}

static const char *const kind_names[] = {
	[KEY_TEXT] = "a string",      [KEY_PATH] = "a path",           [KEY_UNSIGNED] = "a number",
	[KEY_PORT] = "a number",      [KEY_DURATION_S] = "a duration", [KEY_CHOICE] = "a string",
	[KEY_BOOL] = "true or false", [KEY_SECTION] = "a section",
};

static enum reason refuse_type(const json_t *value, const struct key *key, const struct place *place, struct fault *f)
{
	char *given = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	enum reason reason = config_refuse(place, key->name, f, "is %.40s, must be %s", given == NULL ? "wrong" : given,
					   kind_names[key->kind]);

	free(given);
	return reason;
}

static enum reason read_one(const json_t *value, const struct key *key, const struct place *place, void *field,
			    struct fault *f)
{
	if (key->kind == KEY_BOOL && json_is_boolean(value)) {
		*(bool *)field = json_is_true(value);
		return REASON_OK;
	}
	if (is_number(key) && json_is_integer(value))
		return put_number(key, json_integer_value(value), place, field, f);
	if (!is_number(key) && key->kind != KEY_BOOL && json_is_string(value))
		return put_string(key, json_string_value(value), place, field, f);
	return refuse_type(value, key, place, f);
}

static bool known(const char *name, const struct key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].name, name) == 0)
			return true;
	return false;
}

static enum reason refuse_unknown(const json_t *object, const struct key *keys, size_t n, const struct place *place,
				  struct fault *f)
{
	void *it;

	if (object != NULL && !json_is_object(object))
		return config_refuse(place, "", f, "must be an object");
	for (it = json_object_iter((json_t *)(uintptr_t)object); it != NULL;
	     it = json_object_iter_next((json_t *)(uintptr_t)object, it))
		if (!known(json_object_iter_key(it), keys, n))
			return config_refuse(place, "", f, "has an unknown key \"%.48s\"", json_object_iter_key(it));
	return REASON_OK;
}

enum reason keys_read(const json_t *object, const struct key *keys, size_t n, const struct place *place, void *out,
		      struct fault *f)
{
	TRY(refuse_unknown(object, keys, n, place, f));
	for (size_t i = 0; i < n; i++) {
		const struct key *key = &keys[i];
		const json_t *value = json_object_get(object, key->name);
		void *field = (char *)out + key->offset;

		if (value == NULL && key->required)
			return config_refuse(place, key->name, f, "is missing: it is required");
		if (key->kind == KEY_SECTION)
			continue;
		if (value == NULL)
			TRY(put_fallback(key, place, field, f));
		else
			TRY(read_one(value, key, place, field, f));
	}
	return REASON_OK;
}

void keys_free(const struct key *keys, size_t n, void *out)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].kind == KEY_TEXT || keys[i].kind == KEY_PATH)
			free(*(char **)(void *)((char *)out + keys[i].offset));
}
