/* audit_row.c - rows of an export, and the hash of each as the ledger made it; see audit.h. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "files.h"

#define COMMIT "text node", "text stream", "int8 seq", "time at"

/* clang-format off */
const struct audit_table audit_chain = {
	"chain", NULL, { "text node", "text stream", "int8 seq", "bytea prev_hash", "text op", "int4 n_rows", "bytea root", "bytea hash",
			 "time at" }
};
const struct audit_table audit_tables[] = {
	{ "issuance", "serial", { "bytea serial", COMMIT, "int2 kind", "text issuer", "text profile", "text family",
		"bytea policy_hash", "text requester", "bytea device", "text device_format", "bytea vendor_root", "bytea element",
		"bytea key_hash", "int2 level", "bytea nonce", "bytea evidence", "text evidence_format", "bytea continuity",
		"bytea previous", "text unit_serial", "text order_id", "time not_before", "time not_after", "bytea tbs", "bytea batch_ca" } },
	{ "signature", "serial", { "bytea serial", COMMIT, "bytea tail" } },
	{ "void", "serial", { "bytea serial", COMMIT, "text why" } },
	{ "revocation", "number", { "int8 number", COMMIT, "bytea serial", "text issuer", "int2 reason", "text who" } },
	{ "requester", "number", { "int8 number", COMMIT, "text kind", "text name", "bytea spki_hash", "text names", "text labels",
		"bool active" } },
	{ "policy", "hash", { "bytea hash", COMMIT, "text what" } },
	{ "ceremony", "hash", { "bytea hash", COMMIT, "text transcript" } },
	{ "crl_number", "number", { "text issuer", "int8 number", COMMIT } },
	{ "crl_intent", "number", { "text issuer", "int8 number", COMMIT, "bytea tbs_hash" } },
	{ "responder_intent", "serial", { "bytea serial", "text issuer", COMMIT, "bytea key_hash", "time not_before",
		"time not_after", "bytea tbs" } },
	{ "responder_signature", "serial", { "bytea serial", COMMIT, "bytea tail" } },
	{ "status_intent", "seq", { COMMIT, "bytea hashes" } },
	{ "head_intent", "number", { "int8 number", COMMIT, "text text" } },
	{ "head_signature", "number", { "int8 number", COMMIT, "bytea signature" } },
	{ "operator_action", "number", { "int8 number", COMMIT, "text who", "text call", "text request", "text outcome", "text note",
		"text detail", "int8 n" } },
};
/* clang-format on */
const size_t n_audit_tables = sizeof(audit_tables) / sizeof(audit_tables[0]);

/* PostgreSQL's types: the number that record_send() writes, and how many bytes a value has (0: as many as it has). */
static const struct {
	const char *name;
	uint32_t oid;
	unsigned width;
} types[] = { { "bytea", 17, 0 }, { "text", 25, 0 },   { "int8", 20, 8 }, { "int4", 23, 4 },
	      { "int2", 21, 2 },  { "time", 1184, 8 }, { "bool", 16, 1 } };

static size_t type_of(const char *column)
{
	size_t len = strcspn(column, " "), i = 0;

	while (strlen(types[i].name) != len || strncmp(types[i].name, column, len) != 0)
		i++;
	return i;
}

static size_t n_columns(const struct audit_table *table)
{
	size_t n = 0;

	while (n < AUDIT_COLUMNS_MAX && table->columns[n] != NULL)
		n++;
	return n;
}

/* How many of the last columns came later: not hashed while NULL, and not in exports from before them. */
static size_t n_late(const struct audit_table *table)
{
	return strcmp(table->name, "issuance") == 0 ? 1 : 0; /* batch_ca */
}

const struct audit_table *audit_row_table(const json_t *row)
{
	const char *name = json_string_value(json_array_get(row, 0));
	const struct audit_table *table = NULL;

	if (name != NULL && strcmp(name, audit_chain.name) == 0)
		table = &audit_chain;
	for (size_t i = 0; name != NULL && i < n_audit_tables; i++)
		if (strcmp(name, audit_tables[i].name) == 0)
			table = &audit_tables[i];
	if (table == NULL || json_array_size(row) > 1 + n_columns(table) ||
	    json_array_size(row) + n_late(table) < 1 + n_columns(table))
		return NULL;
	return table;
}

const json_t *audit_value(const struct audit_table *table, const json_t *row, const char *column)
{
	for (size_t i = 0; i < AUDIT_COLUMNS_MAX && table->columns[i] != NULL; i++)
		if (strcmp(strchr(table->columns[i], ' ') + 1, column) == 0)
			return json_array_get(row, i + 1);
	return NULL;
}

const char *audit_text(const struct audit_table *table, const json_t *row, const char *column)
{
	const char *text = json_string_value(audit_value(table, row, column));

	return text == NULL ? "" : text;
}

int64_t audit_number(const struct audit_table *table, const json_t *row, const char *column)
{
	return json_integer_value(audit_value(table, row, column));
}

bool audit_hash_of(const struct audit_table *table, const json_t *row, const char *column, uint8_t out[AUDIT_HASH])
{
	return audit_unhex(audit_text(table, row, column), out, AUDIT_HASH);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool audit_unhex(const char *hex, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int high = digit(hex[2 * i]), low = high < 0 ? -1 : digit(hex[2 * i + 1]);

		if (low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return hex[2 * len] == '\0';
}

bool audit_sha256(const void *bytes, size_t len, uint8_t out[AUDIT_HASH])
{
	return EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL) == 1;
}

/* A record in the making: big endian throughout. */
struct record {
	EVP_MD_CTX *md;
	bool ok;
};

static void add(struct record *r, const void *bytes, size_t len)
{
	r->ok = r->ok && EVP_DigestUpdate(r->md, bytes, len) == 1;
}

static void add_number(struct record *r, uint64_t value, unsigned width)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
	add(r, bytes, width);
}

static void add_bytes(struct record *r, const char *hex)
{
	size_t len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len + 1);

	r->ok = r->ok && bytes != NULL && audit_unhex(hex, bytes, len);
	if (r->ok) {
		add_number(r, len, 4);
		add(r, bytes, len);
	}
	free(bytes);
}

/* A number outside its type would be cut to one that is inside: it is none of this column's. */
static bool fits(json_int_t value, unsigned width)
{
	int64_t limit = width == 8 ? 0 : (int64_t)1 << (8 * width - 1);

	return width == 8 || (value >= -limit && value < limit);
}

static void add_field(struct record *r, const char *column, const json_t *value)
{
	size_t type = type_of(column);
	unsigned width = types[type].width;

	add_number(r, types[type].oid, 4);
	if (json_is_null(value)) {
		add_number(r, UINT32_MAX, 4);
	} else if (width == 0) {
		r->ok = r->ok && json_is_string(value);
		if (r->ok && type == 0)
			add_bytes(r, json_string_value(value));
		else if (r->ok) {
			add_number(r, json_string_length(value), 4);
			add(r, json_string_value(value), json_string_length(value));
		}
	} else {
		r->ok = r->ok && (width == 1 ? json_is_boolean(value)
					     : json_is_integer(value) && fits(json_integer_value(value), width));
		add_number(r, width, 4);
		add_number(r, width == 1 ? json_is_true(value) : (uint64_t)json_integer_value(value), width);
	}
}

static bool record_begin(struct record *r, size_t n)
{
	*r = (struct record){ .md = EVP_MD_CTX_new() };
	r->ok = r->md != NULL && EVP_DigestInit_ex(r->md, EVP_sha256(), NULL) == 1;
	add_number(r, n, 4);
	return r->ok;
}

static bool record_end(struct record *r, uint8_t out[AUDIT_HASH])
{
	r->ok = r->ok && EVP_DigestFinal_ex(r->md, out, NULL) == 1;
	EVP_MD_CTX_free(r->md);
	return r->ok;
}

/* Without late columns that have nothing: such a row is from before them, or might be. */
static size_t n_hashed(const struct audit_table *table, const json_t *row)
{
	size_t n = n_columns(table);

	for (size_t late = n_late(table); late > 0; late--) {
		const json_t *value = json_array_get(row, n);

		if (value != NULL && !json_is_null(value))
			break;
		n--;
	}
	return n;
}

bool audit_leaf(const struct audit_table *table, const json_t *row, uint8_t out[AUDIT_HASH])
{
	size_t n = n_hashed(table, row);
	struct record r;

	(void)record_begin(&r, n + 1);
	add_field(&r, "text", json_array_get(row, 0));
	for (size_t i = 0; i < n; i++)
		add_field(&r, table->columns[i], json_array_get(row, i + 1));
	return record_end(&r, out);
}

bool audit_chain_hash(const json_t *row, uint8_t out[AUDIT_HASH])
{
	static const char *const hashed[] = { "bytea prev_hash", "text node",   "text stream", "int8 seq",
					      "text op",         "int4 n_rows", "bytea root",  "time at" };
	struct record r;

	(void)record_begin(&r, sizeof(hashed) / sizeof(hashed[0]));
	for (size_t i = 0; i < sizeof(hashed) / sizeof(hashed[0]); i++)
		add_field(&r, hashed[i], audit_value(&audit_chain, row, strchr(hashed[i], ' ') + 1));
	return record_end(&r, out);
}

void audit_label(const struct audit_table *table, const json_t *row, char out[AUDIT_LABEL])
{
	const json_t *key = audit_value(table, row, table->key == NULL ? "seq" : table->key);
	const char *of = strncmp(table->name, "crl_", 4) == 0    ? audit_text(table, row, "issuer")
			 : strncmp(table->name, "head_", 5) == 0 ? audit_text(table, row, "node")
								 : "";

	if (json_is_integer(key))
		(void)snprintf(out, AUDIT_LABEL, "%s %.64s%s%lld", table->name, of, of[0] == '\0' ? "" : " ",
			       (long long)json_integer_value(key));
	else
		(void)snprintf(out, AUDIT_LABEL, "%s %.100s", table->name,
			       json_is_string(key) ? json_string_value(key) : "?");
}

void audit_printable(char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* Saves reading most lines. In one with an escape the same text may be written in another way. */
static bool may_hold(const char *line, const char *text)
{
	return strstr(line, text) != NULL || strchr(line, '\\') != NULL;
}

json_t *audit_find(FILE *export, const char *table, const char *column, const char *value, unsigned skip)
{
	json_t *hit = NULL;
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;

	rewind(export);
	while (hit == NULL && (len = export_line(export, &text, &cap)) > 0) {
		json_t *row =
			may_hold(text, column == NULL ? table : value) ? json_loadb(text, (size_t)len, 0, NULL) : NULL;
		const struct audit_table *t = row == NULL ? NULL : audit_row_table(row);

		if (t != NULL && strcmp(t->name, table) == 0 &&
		    (column == NULL || strcmp(audit_text(t, row, column), value) == 0) && skip-- == 0)
			hit = json_incref(row);
		json_decref(row);
	}
	free(text);
	return hit;
}
