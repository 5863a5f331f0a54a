/* query.c - see api.h: what the path and the query of a call say, by a table for each route; read like fields.h. */
#include <string.h>

#include "admin/fields.h"

#define PAGE_DEFAULT "50"
#define PAGE_MAX 500
#define NUMBER_MAX 999999999999999999LL

const struct query query_segment[] = { { "path", QUERY_PATH_HEX }, { 0 } };

const struct query query_certificates[] = {
	{ "after", QUERY_HEX },      { "limit", QUERY_PAGE },   { "device", QUERY_HEX },
	{ "requester", QUERY_TEXT }, { "profile", QUERY_TEXT }, { "issuer", QUERY_TEXT },
	{ "from", QUERY_TIME },      { "until", QUERY_TIME },   { 0 },
};

const struct query query_devices[] = { { "element", QUERY_HEX }, { "key_hash", QUERY_HEX }, { 0 } };

const struct query query_actions[] = {
	{ "before", QUERY_NUMBER },
	{ "limit", QUERY_PAGE },
	{ "who", QUERY_TEXT },
	{ 0 },
};

const struct query query_requesters[] = { { "after", QUERY_NUMBER }, { "limit", QUERY_PAGE }, { 0 } };

const struct query query_audit[] = {
	{ "path", QUERY_PATH_TEXT },
	{ "after", QUERY_TEXT },
	{ "limit", QUERY_PAGE },
	{ 0 },
};

const struct query query_heads[] = { { "after", QUERY_TEXT }, { "limit", QUERY_PAGE }, { 0 } };

static bool in_path(const struct query *q)
{
	return q->type == QUERY_PATH_HEX || q->type == QUERY_PATH_TEXT;
}

/* Where its value goes: the place that it has in the table. */
static size_t place(const struct call *call, const struct query *q)
{
	return (size_t)(q - call->route->queries);
}

static enum reason take_value(struct call *call, const struct query *q, const char *text, struct fault *f)
{
	char *out = call->arg[place(call, q)];
	int64_t ignored_s;

	call->has_arg[place(call, q)] = true;
	switch (q->type) {
	case QUERY_HEX:
	case QUERY_PATH_HEX:
		return value_hex(q->name, text, out, API_ARG_CHARS, f);
	case QUERY_TEXT:
	case QUERY_PATH_TEXT:
		return value_plain(q->name, text, out, API_ARG_CHARS, f);
	case QUERY_TIME:
		TRY(value_time(q->name, text, &ignored_s, f));
		return value_plain(q->name, text, out, API_ARG_CHARS, f);
	case QUERY_NUMBER:
		return value_number(q->name, text, NUMBER_MAX, out, f);
	case QUERY_PAGE:
		return value_number(q->name, text, PAGE_MAX, out, f);
	}
	return REASON_OK;
}

/* The listener leaves escapes as they came (a path is compared as it was sent): in a query they are undone here. */
static enum reason unescaped(const char *name, const char *value, char out[3 * API_ARG_CHARS + 1], struct fault *f)
{
	size_t len = strlen(value);

	if (len > 3 * API_ARG_CHARS)
		return fault_set(f, REASON_API_FIELD, "%s: must be at most %d characters", name, API_ARG_CHARS);
	memcpy(out, value, len + 1);
	if (MHD_http_unescape(out) != strlen(out))
		return fault_set(f, REASON_API_FIELD, "%s: must be printable ASCII", name);
	return REASON_OK;
}

static enum reason take_key(struct call *call, const char *key, const char *value, struct fault *f)
{
	char text[3 * API_ARG_CHARS + 1];

	for (const struct query *q = call->route->queries; q != NULL && q->name != NULL; q++) {
		if (in_path(q) || strcmp(q->name, key) != 0)
			continue;
		if (call->has_arg[place(call, q)])
			return fault_set(f, REASON_API_FIELD, "%s: twice", q->name);
		TRY(unescaped(key, value == NULL ? "" : value, text, f));
		return take_value(call, q, text, f);
	}
	return fault_set(f, REASON_API_FIELD, "%.64s: is no field of this query", key);
}

struct reading {
	struct call *call;
	struct fault *f;
	enum reason reason;
};

static enum MHD_Result each_key(void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct reading *r = user;

	(void)kind;
	r->reason = take_key(r->call, key, value, r->f);
	return r->reason == REASON_OK ? MHD_YES : MHD_NO;
}

enum reason query_read(struct call *call, struct fault *f)
{
	struct reading r = { call, f, REASON_OK };

	(void)MHD_get_connection_values(call->x->connection, MHD_GET_ARGUMENT_KIND, each_key, &r);
	TRY(r.reason);
	for (const struct query *q = call->route->queries; q != NULL && q->name != NULL; q++)
		if (in_path(q))
			TRY(take_value(call, q, call->segment, f));
		else if (q->type == QUERY_PAGE && !call->has_arg[place(call, q)])
			TRY(take_value(call, q, PAGE_DEFAULT, f));
	return REASON_OK;
}

enum reason fill_devices(struct call *call, struct fault *f)
{
	if (call->has_arg[0] == call->has_arg[1])
		return fault_set(f, REASON_API_FIELD, "one of element and key_hash is needed");
	return REASON_OK;
}
