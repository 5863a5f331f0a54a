/* fields.c - see fields.h. */
#include "admin/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

enum reason value_hex(const char *name, const char *text, char *out, size_t out_len, struct fault *f)
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		char c = *text >= 'A' && *text <= 'F' ? (char)(*text - 'A' + 'a') : *text;

		if (c == ':')
			continue;
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) || n + 1 >= out_len)
			return fault_set(f, REASON_API_FIELD, "%s: must be at most %zu hex digits", name, out_len - 1);
		out[n++] = c;
	}
	if (n == 0 || n % 2 != 0)
		return fault_set(f, REASON_API_FIELD, "%s: must be an even number of hex digits", name);
	out[n] = '\0';
	return REASON_OK;
}

enum reason value_plain(const char *name, const char *text, char *out, size_t out_len, struct fault *f)
{
	size_t len = strlen(text);

	if (len >= out_len)
		return fault_set(f, REASON_API_FIELD, "%s: must be at most %zu characters", name, out_len - 1);
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return fault_set(f, REASON_API_FIELD, "%s: must be printable ASCII", name);
	memcpy(out, text, len + 1);
	return REASON_OK;
}

/* A day that no calendar has is no other day: what is written again must be the same. */
enum reason value_time(const char *name, const char *text, int64_t *ret_s, struct fault *f)
{
	struct tm tm = { 0 }, day;
	char again[sizeof("2026-11-21T06:00:00Z")] = "";
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	time_t s = end == NULL ? 0 : timegm(&tm);

	if (end == NULL || gmtime_r(&s, &day) == NULL ||
	    strftime(again, sizeof(again), "%Y-%m-%dT%H:%M:%SZ", &day) == 0 || strcmp(again, text) != 0)
		return fault_set(f, REASON_API_FIELD, "%s: must be a time as 2026-11-21T06:00:00Z", name);
	*ret_s = (int64_t)s;
	return REASON_OK;
}

enum reason value_number(const char *name, const char *text, long long max, char out[API_ARG_CHARS], struct fault *f)
{
	bool digits = text[0] >= '0' && text[0] <= '9' && strspn(text, "0123456789") == strlen(text);
	long long value = digits && strlen(text) <= 18 ? strtoll(text, NULL, 10) : 0;

	if (value < 1 || value > max)
		return fault_set(f, REASON_API_FIELD, "%s: must be a number from 1 to %lld", name, max);
	snprintf(out, API_ARG_CHARS, "%lld", value);
	return REASON_OK;
}

bool value_bytes(const char *text, uint8_t *out, size_t len)
{
	size_t n;

	return text_unhex(text, strlen(text), out, len, &n) && n == len;
}

static enum reason take(struct call *call, const struct field *field, const json_t *value, struct fault *f)
{
	const char *text;

	if (field->take != NULL)
		return field->take(call, field->name, value, f);
	TRY(field_text(field->name, value, &text, f));
	return value_plain(field->name, text, (char *)call + field->offset, field->len, f);
}

static enum reason known_fields(struct call *call, const struct field *fields, size_t n, struct fault *f)
{
	const char *key;
	json_t *value;

	json_object_foreach(call->body, key, value) {
		size_t i = 0;

		while (i < n && strcmp(fields[i].name, key) != 0)
			i++;
		if (i == n)
			return fault_set(f, REASON_API_FIELD, "%.64s: is no field here", key);
		TRY(take(call, &fields[i], value, f));
	}
	return REASON_OK;
}

enum reason fields_read(struct call *call, const struct field *fields, size_t n, struct fault *f)
{
	TRY(known_fields(call, fields, n, f));
	for (size_t i = 0; i < n; i++)
		if (fields[i].required && json_object_get(call->body, fields[i].name) == NULL)
			return fault_set(f, REASON_API_FIELD, "%s: is missing", fields[i].name);
	return REASON_OK;
}

enum reason field_text(const char *name, const json_t *value, const char **ret_text, struct fault *f)
{
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return fault_set(f, REASON_API_FIELD, "%s: must be a string", name);
	*ret_text = json_string_value(value);
	return REASON_OK;
}

/* RFC 5280 section 5.3.1, by its names. */
enum reason field_reason(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	static const char *const reasons[] = {
		"unspecified",   "keyCompromise",        "cACompromise",    "affiliationChanged",
		"superseded",    "cessationOfOperation", "certificateHold", NULL,
		"removeFromCRL", "privilegeWithdrawn",   "aACompromise"
	};
	const char *text;

	TRY(field_text(name, value, &text, f));
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i] != NULL && strcmp(reasons[i], text) == 0) {
			call->ask.reason = (uint8_t)i;
			return REASON_OK;
		}
	return fault_set(f, REASON_API_FIELD,
			 "%s: must be unspecified, keyCompromise, superseded, cessationOfOperation, "
			 "certificateHold, removeFromCRL (releases), privilegeWithdrawn, ...",
			 name);
}
