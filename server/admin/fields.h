/*
 * fields.h - what every request has in common, be it a query or a body: each field is known, of its type and within its
 * length. What a value means is checked where it is used; values travel to the ledger as parameters only.
 *
 * Threads: pure, but for the call that is filled.
 */
#ifndef ASSAY_ADMIN_FIELDS_H
#define ASSAY_ADMIN_FIELDS_H

#include "admin/api.h"

/* One value, out of its text; `name` is for what is said to the caller. */

/* Bytes as hex, with or without colons (openssl prints serials with and without), lower case from here on. */
MUST_CHECK enum reason value_hex(const char *name, const char *text, char *out, size_t out_len, struct fault *f);
MUST_CHECK enum reason value_plain(const char *name, const char *text, char *out, size_t out_len, struct fault *f);
/* "2026-11-21T06:00:00Z", RFC 3339 in UTC. */
MUST_CHECK enum reason value_time(const char *name, const char *text, int64_t *ret_s, struct fault *f);
/* From 1 to max, as a parameter of the ledger. */
MUST_CHECK enum reason value_number(const char *name, const char *text, long long max, char out[API_ARG_CHARS],
				    struct fault *f);
/* Exactly len bytes as hex without colons. */
MUST_CHECK bool value_bytes(const char *text, uint8_t *out, size_t len);

/* A body: one row for each field it may have. Without `take`, a string that goes into `call` at `offset`. */
struct field {
	const char *name;
	bool required;
	enum reason (*take)(struct call *call, const char *name, const json_t *value, struct fault *f);
	size_t offset, len;
};
#define FIELD(name, required, take)                                                                                    \
	{                                                                                                              \
		name, required, take, 0, 0                                                                             \
	}
#define FIELD_TEXT(name, required, member)                                                                             \
	{                                                                                                              \
		name, required, NULL, offsetof(struct call, member), sizeof(((struct call *)0)->member)                \
	}

MUST_CHECK enum reason fields_read(struct call *call, const struct field *fields, size_t n, struct fault *f);
#define FIELDS_READ(call, list, f) fields_read(call, list, sizeof(list) / sizeof((list)[0]), f)

MUST_CHECK enum reason field_text(const char *name, const json_t *value, const char **ret_text, struct fault *f);
/* A CRLReason by its name, of a plan and of what is retired. */
MUST_CHECK enum reason field_reason(struct call *call, const char *name, const json_t *value, struct fault *f);

#endif
