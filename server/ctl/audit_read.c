/* audit_read.c - an export is read: each row by itself, in its order, and the chain from row to row; see
 * audit_verify.h. */
#include <stdlib.h>
#include <string.h>

#include "audit_verify.h"
#include "ctl.h"

static void *grow(struct list *list, size_t size)
{
	if (list->n == list->cap) {
		size_t cap = list->cap == 0 ? 256 : 2 * list->cap;
		void *items = realloc(list->items, cap * size);

		if (items == NULL)
			return NULL;
		list->items = items;
		list->cap = cap;
	}
	memset((char *)list->items + list->n * size, 0, size);
	return (char *)list->items + list->n++ * size;
}

struct stream *verify_stream(const struct verify *v, size_t i)
{
	return &((struct stream *)v->streams.items)[i];
}

size_t verify_stream_known(const struct verify *v, const char *node, const char *name)
{
	size_t i = 0;

	while (i < v->streams.n &&
	       (strcmp(verify_stream(v, i)->node, node) != 0 || strcmp(verify_stream(v, i)->name, name) != 0))
		i++;
	return i;
}

size_t verify_stream_of(struct verify *v, const char *node, const char *name)
{
	size_t known = verify_stream_known(v, node, name);
	struct stream *stream;

	if (known < v->streams.n)
		return known;
	if (strlen(node) >= sizeof(stream->node) || strlen(name) >= sizeof(stream->name))
		return SIZE_MAX;
	stream = grow(&v->streams, sizeof(*stream));
	if (stream == NULL)
		return SIZE_MAX;
	memcpy(stream->node, node, strlen(node) + 1);
	memcpy(stream->name, name, strlen(name) + 1);
	return v->streams.n - 1;
}

/* A row of the chain: its place, its own hash, and what it follows from. */
static bool take_chain(struct verify *v, const json_t *row)
{
	const struct audit_table *t = &audit_chain;
	size_t s = verify_stream_of(v, audit_text(t, row, "node"), audit_text(t, row, "stream"));
	struct commit *commit = s == SIZE_MAX ? NULL : grow(&v->commits, sizeof(*commit));
	uint8_t prev[AUDIT_HASH], hash[AUDIT_HASH];
	struct stream *stream;
	long long seq;

	if (commit == NULL)
		return false;
	stream = verify_stream(v, s);
	*commit = (struct commit){ .stream = s,
				   .seq = audit_number(t, row, "seq"),
				   .n_rows = audit_number(t, row, "n_rows"),
				   .at = audit_number(t, row, "at") };
	seq = commit->seq;
	if (!audit_hash_of(t, row, "root", commit->root) || !audit_hash_of(t, row, "hash", commit->hash) ||
	    !audit_hash_of(t, row, "prev_hash", prev) || !audit_chain_hash(row, hash)) {
		verify_found(v, "altered: chain %s/%s row %lld: its values are not of their columns' types",
			     stream->node, stream->name, seq);
		return true;
	}
	if (memcmp(hash, commit->hash, AUDIT_HASH) != 0)
		verify_found(v, "altered: chain %s/%s row %lld: its hash is not that of its contents", stream->node,
			     stream->name, seq);
	if (seq <= stream->seq)
		verify_found(v, "reordered: chain %s/%s row %lld stands after row %lld", stream->node, stream->name,
			     seq, (long long)stream->seq);
	else if (seq > stream->seq + 1)
		verify_found(v, "dropped: chain %s/%s: row %lld is missing (the next one is row %lld)", stream->node,
			     stream->name, (long long)stream->seq + 1, seq);
	else if (memcmp(prev, stream->hash, AUDIT_HASH) != 0)
		verify_found(v, "altered: chain %s/%s row %lld: does not follow from the row before", stream->node,
			     stream->name, seq);
	if (seq > stream->seq) {
		stream->seq = seq;
		memcpy(stream->hash, commit->hash, AUDIT_HASH);
	}
	return true;
}

/* The serial inside a TBSCertificate: SEQUENCE { [0] version, INTEGER serial, ... }. */
static bool tbs_has_serial(const char *tbs, const char *serial)
{
	char expected[80];
	size_t header = strncmp(tbs, "3082", 4) == 0   ? 8
			: strncmp(tbs, "3081", 4) == 0 ? 6
						       : 4,
	       len = strlen(serial) / 2;

	return len < 32 && strlen(tbs) > header &&
	       snprintf(expected, sizeof(expected), "a00302010202%02zx%s", len, serial) > 0 &&
	       strncmp(tbs + header, expected, strlen(expected)) == 0;
}

/* What a row must be by itself. */
static void check_row(struct verify *v, const struct audit_table *t, const json_t *row, const char *label)
{
	uint8_t hash[AUDIT_HASH], stored[AUDIT_HASH];
	const char *transcript;

	if (strcmp(t->name, "issuance") == 0) {
		int64_t kind = audit_number(t, row, "kind");

		if (kind < 1 || kind > 2 || json_is_null(audit_value(t, row, "previous")) == (kind == 2))
			verify_found(v, "contradiction: %s: is neither an enrolment nor a re-enrolment", label);
		if (!tbs_has_serial(audit_text(t, row, "tbs"), audit_text(t, row, "serial")))
			verify_found(v, "contradiction: %s: what was signed has another serial", label);
	} else if (strcmp(t->name, "ceremony") == 0) {
		transcript = audit_text(t, row, "transcript");
		if (!audit_sha256(transcript, strlen(transcript), hash) || !audit_hash_of(t, row, "hash", stored) ||
		    memcmp(hash, stored, AUDIT_HASH) != 0)
			verify_found(v, "contradiction: %s: is not the hash of its transcript", label);
	}
}

/* Tables whose numbers are counted by issuer, by stream or by node: a gap in them is found in the chain alone. */
static bool counted_apart(const struct audit_table *t)
{
	return strncmp(t->name, "crl_", 4) == 0 || strncmp(t->name, "head_", 5) == 0 ||
	       strcmp(t->name, "status_intent") == 0;
}

/* Rows stand in the order of their key; numbers have no gap. */
static void check_order(struct verify *v, const struct audit_table *t, const json_t *row, const char *label)
{
	size_t i = (size_t)(t - audit_tables);
	const json_t *key = audit_value(t, row, t->key);
	long long number = json_integer_value(key);

	if (counted_apart(t))
		return;
	if (json_is_integer(key)) {
		if (number > v->last_number[i] + 1)
			verify_found(v, "dropped: %s %lld is missing: the next one is %lld", t->name,
				     (long long)v->last_number[i] + 1, number);
		else if (number <= v->last_number[i])
			verify_found(v, "reordered: %s stands after number %lld", label, (long long)v->last_number[i]);
		v->last_number[i] = number > v->last_number[i] ? number : v->last_number[i];
	} else {
		if (strcmp(audit_text(t, row, t->key), v->last_key[i]) <= 0)
			verify_found(v, "reordered: %s stands after %s", label, v->last_key[i]);
		(void)snprintf(v->last_key[i], sizeof(v->last_key[i]), "%.95s", audit_text(t, row, t->key));
	}
}

static bool take_row(struct verify *v, const struct audit_table *t, const json_t *row, int64_t line_at)
{
	size_t s = verify_stream_of(v, audit_text(t, row, "node"), audit_text(t, row, "stream"));
	struct leaf *leaf = s == SIZE_MAX ? NULL : grow(&v->leaves, sizeof(*leaf));
	char label[AUDIT_LABEL];

	if (leaf == NULL)
		return false;
	*leaf = (struct leaf){
		.stream = s, .seq = audit_number(t, row, "seq"), .at = audit_number(t, row, "at"), .line_at = line_at
	};
	leaf->kind = audit_signs(t, row, &leaf->signs);
	audit_label(t, row, label);
	if (!audit_leaf(t, row, leaf->hash))
		verify_found(v, "altered: %s: its values are not of their columns' types", label);
	check_order(v, t, row, label);
	check_row(v, t, row, label);
	v->rows++;
	return facts_of_row(v->facts, t, row, line_at) && heads_of_row(v->heads, t, row, line_at);
}

static bool take_line(struct verify *v, const json_t *line, uint64_t number, int64_t at)
{
	const struct audit_table *table = audit_row_table(line);

	if (number == 1 && json_is_object(line) && json_integer_value(json_object_get(line, "assay_audit")) == 1) {
		v->header = json_incref((json_t *)(uintptr_t)line);
		return true;
	}
	if (table == NULL)
		verify_found(v, "altered: line %llu is no row of a table", (unsigned long long)number);
	else if (!(table == &audit_chain ? take_chain(v, line) : take_row(v, table, line, at)))
		return false;
	return true;
}

bool verify_read(struct verify *v)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;
	int64_t at = 0, size;
	uint64_t number = 0;
	bool ok = true;

	(void)fseeko(v->file, 0, SEEK_END);
	size = ftello(v->file);
	rewind(v->file);
	while (ok && (len = export_line(v->file, &text, &cap)) > 0) {
		json_t *line = json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES, NULL);

		number++;
		if (line == NULL)
			verify_found(v, "altered: line %llu is no JSON", (unsigned long long)number);
		else
			ok = take_line(v, line, number, at) || fail("short of memory") == 0;
		json_decref(line);
		at += len;
		progress("verify", (uint64_t)at, (uint64_t)size);
	}
	progress_end();
	free(text);
	if (v->header == NULL)
		verify_found(v, "altered: the first line is not the head of an export");
	return ok && read_whole(v->file, v->path, len, LIMIT_AUDIT_LINE_BYTES);
}
