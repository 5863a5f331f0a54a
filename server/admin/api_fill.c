/*
 * api_fill.c - see api.h: what requests say, field by field. Every field is known, of its type and within its length;
 * what it means is checked where it is used, values travel to the ledger as parameters only.
 */
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/api.h"
#include "base/sha.h"
#include "base/text.h"
#include "csr.h"
#include "http/body.h"
#include "http/peer.h"

#define PAGE_DEFAULT "50"
#define PAGE_MAX 500

/* Bytes as hex, with or without colons (openssl prints serials with and without), lower case from here on. */
static enum reason take_hex(const char *name, const char *text, char *out, size_t out_len, struct fault *f)
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

static enum reason take_plain(const char *name, const char *text, char *out, size_t out_len, struct fault *f)
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

/* "2026-11-21T06:00:00Z", RFC 3339 in UTC. */
static enum reason take_time(const char *name, const char *text, int64_t *ret_s, struct fault *f)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);

	if (end == NULL || *end != '\0')
		return fault_set(f, REASON_API_FIELD, "%s: must be a time as 2026-11-21T06:00:00Z", name);
	*ret_s = (int64_t)timegm(&tm);
	return REASON_OK;
}

/* A key of the query, and where it goes. */
enum query_type { QUERY_HEX, QUERY_TEXT, QUERY_TIME, QUERY_NUMBER, QUERY_PAGE };
struct query {
	const char *name;
	enum query_type type;
	size_t arg;
};

static enum reason take_number(const char *name, const char *text, long long max, char *out, struct fault *f)
{
	long long value = 0;
	char *end;

	if (*text >= '0' && *text <= '9' && strlen(text) <= 18)
		value = strtoll(text, &end, 10);
	else
		end = (char *)(uintptr_t) "x";
	if (*end != '\0' || value < 1 || value > max)
		return fault_set(f, REASON_API_FIELD, "%s: must be a number from 1 to %lld", name, max);
	snprintf(out, API_ARG_CHARS, "%lld", value);
	return REASON_OK;
}

static enum reason take_query(struct call *call, const struct query *q, const char *text, struct fault *f)
{
	char *out = call->arg[q->arg];
	int64_t ignored_s;

	call->has_arg[q->arg] = true;
	switch (q->type) {
	case QUERY_HEX:
		return take_hex(q->name, text, out, API_ARG_CHARS, f);
	case QUERY_TEXT:
		return take_plain(q->name, text, out, API_ARG_CHARS, f);
	case QUERY_TIME:
		TRY(take_time(q->name, text, &ignored_s, f));
		return take_plain(q->name, text, out, API_ARG_CHARS, f);
	case QUERY_NUMBER:
		return take_number(q->name, text, 999999999999999999LL, out, f);
	case QUERY_PAGE:
		return take_number(q->name, text, PAGE_MAX, out, f);
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

struct queries {
	struct call *call;
	const struct query *list;
	size_t n;
	struct fault *f;
	enum reason reason;
};

static enum MHD_Result each_query(void *user, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct queries *q = user;
	char text[3 * API_ARG_CHARS + 1];

	(void)kind;
	for (size_t i = 0; i < q->n; i++) {
		if (strcmp(q->list[i].name, key) != 0)
			continue;
		if (q->call->has_arg[q->list[i].arg])
			q->reason = fault_set(q->f, REASON_API_FIELD, "%s: twice", q->list[i].name);
		else if ((q->reason = unescaped(key, value == NULL ? "" : value, text, q->f)) == REASON_OK)
			q->reason = take_query(q->call, &q->list[i], text, q->f);
		return q->reason == REASON_OK ? MHD_YES : MHD_NO;
	}
	q->reason = fault_set(q->f, REASON_API_FIELD, "%.64s: is no field of this query", key);
	return MHD_NO;
}

static enum reason read_queries(struct call *call, const struct query *list, size_t n, struct fault *f)
{
	struct queries q = { call, list, n, f, REASON_OK };

	(void)MHD_get_connection_values(call->x->connection, MHD_GET_ARGUMENT_KIND, each_query, &q);
	TRY(q.reason);
	for (size_t i = 0; i < n; i++)
		if (list[i].type == QUERY_PAGE && !call->has_arg[list[i].arg])
			TRY(take_query(call, &list[i], PAGE_DEFAULT, f));
	return REASON_OK;
}

#define QUERIES(call, list, f) read_queries(call, list, sizeof(list) / sizeof(list[0]), f)

enum reason fill_nothing(struct call *call, struct fault *f)
{
	return read_queries(call, NULL, 0, f);
}

enum reason fill_segment(struct call *call, struct fault *f)
{
	TRY(read_queries(call, NULL, 0, f));
	call->has_arg[0] = true;
	return take_hex("path", call->segment, call->arg[0], API_ARG_CHARS, f);
}

enum reason fill_certificates(struct call *call, struct fault *f)
{
	static const struct query list[] = {
		{ "after", QUERY_HEX, 0 },      { "limit", QUERY_PAGE, 1 },   { "device", QUERY_HEX, 2 },
		{ "requester", QUERY_TEXT, 3 }, { "profile", QUERY_TEXT, 4 }, { "issuer", QUERY_TEXT, 5 },
		{ "from", QUERY_TIME, 6 },      { "until", QUERY_TIME, 7 },
	};

	return QUERIES(call, list, f);
}

enum reason fill_devices(struct call *call, struct fault *f)
{
	static const struct query list[] = { { "element", QUERY_HEX, 0 }, { "key_hash", QUERY_HEX, 1 } };

	TRY(QUERIES(call, list, f));
	if (call->has_arg[0] == call->has_arg[1])
		return fault_set(f, REASON_API_FIELD, "one of element and key_hash is needed");
	return REASON_OK;
}

enum reason fill_actions(struct call *call, struct fault *f)
{
	static const struct query list[] = { { "before", QUERY_NUMBER, 0 },
					     { "limit", QUERY_PAGE, 1 },
					     { "who", QUERY_TEXT, 2 } };

	return QUERIES(call, list, f);
}

enum reason fill_requesters(struct call *call, struct fault *f)
{
	static const struct query list[] = { { "after", QUERY_NUMBER, 0 }, { "limit", QUERY_PAGE, 1 } };

	return QUERIES(call, list, f);
}

enum reason fill_audit(struct call *call, struct fault *f)
{
	static const struct query list[] = { { "after", QUERY_TEXT, 1 }, { "limit", QUERY_PAGE, 2 } };

	TRY(QUERIES(call, list, f));
	call->has_arg[0] = true;
	return take_plain("path", call->segment, call->arg[0], API_ARG_CHARS, f);
}

enum reason fill_heads(struct call *call, struct fault *f)
{
	static const struct query list[] = { { "after", QUERY_TEXT, 0 }, { "limit", QUERY_PAGE, 1 } };

	return QUERIES(call, list, f);
}

/* Bodies. */
struct field {
	const char *name;
	bool required;
	enum reason (*take)(struct call *call, const char *name, const json_t *value, struct fault *f);
};

static enum reason read_object(struct call *call, const json_t *object, const char *where, const struct field *fields,
			       size_t n, struct fault *f)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		size_t i = 0;

		while (i < n && strcmp(fields[i].name, key) != 0)
			i++;
		if (i == n)
			return fault_set(f, REASON_API_FIELD, "%s%.64s: is no field here", where, key);
		TRY(fields[i].take(call, fields[i].name, value, f));
	}
	for (size_t i = 0; i < n; i++)
		if (fields[i].required && json_object_get(object, fields[i].name) == NULL)
			return fault_set(f, REASON_API_FIELD, "%s%s: is missing", where, fields[i].name);
	return REASON_OK;
}

#define FIELDS(call, list, f) read_object(call, (call)->body, "", list, sizeof(list) / sizeof(list[0]), f)

static enum reason text_of(const char *name, const json_t *value, const char **ret_text, struct fault *f)
{
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return fault_set(f, REASON_API_FIELD, "%s: must be a string", name);
	*ret_text = json_string_value(value);
	return REASON_OK;
}

#define TAKE_TEXT(function, member)                                                                                    \
	static enum reason function(struct call *call, const char *name, const json_t *value, struct fault *f)         \
	{                                                                                                              \
		const char *text;                                                                                      \
                                                                                                                       \
		TRY(text_of(name, value, &text, f));                                                                   \
		return take_plain(name, text, call->ask.member, sizeof(call->ask.member), f);                          \
	}

TAKE_TEXT(take_note, note)
TAKE_TEXT(take_name, name)
TAKE_TEXT(take_names, names)
TAKE_TEXT(take_labels, labels)

/* RFC 5280 section 5.3.1, by its names. */
static enum reason take_reason(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	static const char *const reasons[] = {
		"unspecified",   "keyCompromise",        "cACompromise",    "affiliationChanged",
		"superseded",    "cessationOfOperation", "certificateHold", NULL,
		"removeFromCRL", "privilegeWithdrawn",   "aACompromise"
	};
	const char *text;

	TRY(text_of(name, value, &text, f));
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

static enum reason take_issued(struct call *call, const json_t *value, struct fault *f)
{
	const char *from, *until;

	if (!json_is_object(value) || json_object_size(value) != 2)
		return fault_set(f, REASON_API_FIELD, "select.issued: must have from and until");
	TRY(text_of("select.issued.from", json_object_get(value, "from"), &from, f));
	TRY(text_of("select.issued.until", json_object_get(value, "until"), &until, f));
	TRY(take_time("select.issued.from", from, &call->ask.from_s, f));
	TRY(take_time("select.issued.until", until, &call->ask.until_s, f));
	if (call->ask.until_s <= call->ask.from_s)
		return fault_set(f, REASON_API_FIELD, "select.issued: until must be after from");
	return REASON_OK;
}

static enum reason take_select(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	static const struct {
		const char *name;
		enum select_by by;
		bool hex;
	} by[] = {
		{ "serial", SELECT_SERIAL, true },    { "device", SELECT_DEVICE, true },
		{ "order", SELECT_ORDER, false },     { "rig", SELECT_RIG, false },
		{ "profile", SELECT_PROFILE, false }, { "batch_ca", SELECT_BATCH_CA, true },
		{ "element", SELECT_ELEMENT, true },  { "key_hash", SELECT_KEY, true },
		{ "list", SELECT_LIST, true },        { "issued", SELECT_ISSUED, false },
	};
	const char *key = NULL, *text;
	size_t len;

	if (!json_is_object(value) || json_object_size(value) != 1)
		return fault_set(f, REASON_API_FIELD, "%s: must be an object with one field", name);
	key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)value));
	for (size_t i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
		if (strcmp(by[i].name, key) != 0)
			continue;
		call->ask.by = by[i].by;
		if (by[i].by == SELECT_ISSUED)
			return take_issued(call, json_object_get(value, key), f);
		TRY(text_of(key, json_object_get(value, key), &text, f));
		TRY(by[i].hex ? take_hex(key, text, call->ask.value, sizeof(call->ask.value), f)
			      : take_plain(key, text, call->ask.value, sizeof(call->ask.value), f));
		if (by[i].by == SELECT_BATCH_CA && strlen(call->ask.value) != 64)
			return fault_set(
				f, REASON_API_FIELD,
				"batch_ca: must be the SHA-256 of the CA's SubjectPublicKeyInfo, 64 hex digits");
		if (by[i].by != SELECT_LIST)
			return REASON_OK;
		return text_unhex(call->ask.value, strlen(call->ask.value), call->ask.plan, sizeof(call->ask.plan),
				  &len) &&
				       len == sizeof(call->ask.plan)
			       ? REASON_OK
			       : fault_set(f, REASON_API_FIELD, "list: must be what POST lists gave");
	}
	return fault_set(f, REASON_API_FIELD,
			 "%s.%.32s: select by serial, device, order, rig, profile, batch_ca, element, key_hash, "
			 "issued or list",
			 name, key);
}

static enum reason new_plan(struct call *call, struct fault *f)
{
	return RAND_bytes(call->ask.plan, sizeof(call->ask.plan)) == 1 ? REASON_OK
								       : fault_set(f, REASON_NO_MEMORY, "random bytes");
}

enum reason fill_plan(struct call *call, struct fault *f)
{
	static const struct field fields[] = { { "select", true, take_select },
					       { "reason", true, take_reason },
					       { "note", true, take_note } };

	call->ask.op = OPERATE_PLAN;
	TRY(FIELDS(call, fields, f));
	if (call->ask.note[0] == '\0')
		return fault_set(f, REASON_API_FIELD, "note: must say why");
	return call->ask.by == SELECT_LIST ? REASON_OK : new_plan(call, f);
}

static enum reason plan_in_path(struct call *call, struct fault *f)
{
	size_t len;

	if (text_unhex(call->segment, strlen(call->segment), call->ask.plan, sizeof(call->ask.plan), &len) &&
	    len == sizeof(call->ask.plan))
		return REASON_OK;
	return fault_set(f, REASON_PLAN_UNKNOWN, "%.64s", call->segment);
}

enum reason fill_revoke(struct call *call, struct fault *f)
{
	call->ask.op = OPERATE_REVOKE;
	TRY(read_object(call, call->body, "", NULL, 0, f));
	return plan_in_path(call, f);
}

static enum reason add_serial(struct call *call, const json_t *value, size_t i, struct fault *f)
{
	char name[32], hex[2 * LIMIT_SERIAL_BYTES + 1];
	uint8_t bytes[1 + LIMIT_SERIAL_BYTES];
	const char *text;
	size_t len;

	snprintf(name, sizeof(name), "serials[%zu]", i);
	TRY(text_of(name, value, &text, f));
	TRY(take_hex(name, text, hex, sizeof(hex), f));
	if (!text_unhex(hex, strlen(hex), bytes + 1, LIMIT_SERIAL_BYTES, &len))
		return fault_set(f, REASON_API_FIELD, "%s", name);
	bytes[0] = (uint8_t)len;
	return buf_append(&call->ask.serials, BLOB(bytes, 1 + len), f);
}

static enum reason take_serials(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	if (!json_is_array(value) || json_array_size(value) == 0 || json_array_size(value) > OPERATE_LIST_SERIALS)
		return fault_set(f, REASON_API_FIELD, "%s: must be an array of 1 to %d", name, OPERATE_LIST_SERIALS);
	for (size_t i = 0; i < json_array_size(value); i++)
		TRY(add_serial(call, json_array_get(value, i), i, f));
	return REASON_OK;
}

enum reason fill_list(struct call *call, struct fault *f)
{
	static const struct field fields[] = { { "serials", true, take_serials } };

	call->ask.op = OPERATE_LIST;
	TRY(FIELDS(call, fields, f));
	if (call->segment[0] == '\0')
		return new_plan(call, f);
	call->ask.by = SELECT_LIST;
	return plan_in_path(call, f);
}

static enum reason take_issuer(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *text;

	TRY(text_of(name, value, &text, f));
	if (text[0] == '\0')
		return fault_set(f, REASON_API_FIELD, "%s: must be an issuer's name", name);
	return take_plain(name, text, call->ask.value, LIMIT_PROFILE_CHARS + 1, f);
}

enum reason fill_publish(struct call *call, struct fault *f)
{
	static const struct field fields[] = { { "issuer", false, take_issuer } };

	call->ask.op = OPERATE_PUBLISH;
	TRY(FIELDS(call, fields, f));
	snprintf(call->ask.note, sizeof(call->ask.note), "CRLs of %.64s",
		 call->ask.value[0] == '\0' ? "all issuers" : call->ask.value);
	return REASON_OK;
}

static enum reason take_kind(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	static const char *const kinds[] = { "rig", "ra", "operator", "auditor", "administrator" };
	const char *text;

	TRY(text_of(name, value, &text, f));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], text) == 0)
			return take_plain(name, text, call->ask.kind, sizeof(call->ask.kind), f);
	return fault_set(f, REASON_API_FIELD, "%s: must be rig, ra, operator, auditor or administrator", name);
}

static enum reason take_spki_hash(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *text;
	size_t len;

	TRY(text_of(name, value, &text, f));
	if (text_unhex(text, strlen(text), call->ask.spki_hash, 32, &len) && len == 32)
		return REASON_OK;
	return fault_set(f, REASON_API_FIELD, "%s: must be the SHA-256 of the public key, 64 hex digits", name);
}

/* The key of a request whose signature shows that its sender has it. Names are the registry's: those of the request are
 * not looked at. */
static enum reason take_csr(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	AUTO(buf_done) struct buf der = { 0 };
	struct claims claims = { 0 }, *batch[] = { &claims };
	struct fault verdict = { 0 };
	struct csr csr;
	const char *text;

	TRY(text_of(name, value, &text, f));
	TRY(body_der(BLOB_STR(text), &der, f));
	TRY(csr_parse(buf_blob(&der), &csr, &claims, f));
	if (csr.asks_ca)
		return fault_set(f, REASON_CSR_CA, "%s: basicConstraints CA:TRUE", name);
	claims_check(batch, 1, &verdict);
	if (verdict.reason != REASON_OK) {
		*f = verdict;
		return f->reason;
	}
	call->ask.key = csr.key;
	return REASON_OK;
}

enum reason fill_register(struct call *call, struct fault *f)
{
	static const struct field fields[] = {
		{ "kind", true, take_kind },
		{ "name", true, take_name },
		{ "spki_hash", false, take_spki_hash },
		{ "names", false, take_names },
		{ "labels", false, take_labels },
		{ "note", true, take_note },
		{ "csr", false, take_csr },
	};
	const bool hash = json_object_get(call->body, "spki_hash") != NULL;

	call->ask.op = json_object_get(call->body, "csr") != NULL ? OPERATE_ENROL : OPERATE_REGISTER;
	TRY(FIELDS(call, fields, f));
	if (call->ask.name[0] == '\0' || strchr(call->ask.name, ':') != NULL)
		return fault_set(f, REASON_API_FIELD, "name: must be 1 to 80 characters without a colon");
	if (hash == (call->ask.op == OPERATE_ENROL))
		return fault_set(f, REASON_API_FIELD,
				 "one of spki_hash (of a certificate that others issue) and csr is needed");
	return REASON_OK;
}

/* One's own: what is renewed is the certificate of this connection. */
enum reason fill_renewal(struct call *call, struct fault *f)
{
	static const struct field fields[] = { { "csr", true, take_csr } };
	const struct peer *peer = call->x->peer; /* operator_check(): there is one */

	call->ask.op = OPERATE_RENEW;
	TRY(FIELDS(call, fields, f));
	memcpy(call->ask.spki_hash, peer->spki_hash, sizeof(call->ask.spki_hash));
	call->ask.until_s = peer->cert.not_after_s;
	if (peer->cert.serial.len > LIMIT_SERIAL_BYTES)
		return fault_set(f, REASON_CHAIN_DER, "client certificate: serial of %zu bytes", peer->cert.serial.len);
	return buf_copy(peer->cert.serial, &call->ask.serials, f);
}

enum reason fill_retire(struct call *call, struct fault *f)
{
	static const struct field fields[] = { { "note", true, take_note }, { "reason", false, take_reason } };
	size_t len;

	call->ask.op = OPERATE_RETIRE;
	call->ask.reason = CRL_REASON_CESSATION;
	TRY(FIELDS(call, fields, f));
	if (call->ask.reason == CRL_REASON_HOLD || call->ask.reason == CRL_REASON_RELEASE)
		return fault_set(f, REASON_API_FIELD, "reason: retiring is for good; hold a certificate by its serial");
	if (text_unhex(call->segment, strlen(call->segment), call->ask.spki_hash, 32, &len) && len == 32)
		return REASON_OK;
	return fault_set(f, REASON_API_FIELD, "path: must be the SHA-256 of the public key, 64 hex digits");
}
