/* audit_verify.c - assayctl audit verify: an export, checked with nothing but itself and heads kept elsewhere; see
 * audit.h. */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "base/limits.h"
#include "ctl.h"

#define STREAM_NAME 32
#define NAMED_MAX 3 /* rows of a commit that are named; the rest is counted */

struct stream {
	char node[STREAM_NAME * 4 + 1], name[STREAM_NAME * 4 + 1];
	int64_t seq; /* the newest row */
	uint8_t hash[AUDIT_HASH];
	int64_t proven; /* up to here by heads from outside */
};

struct commit {
	size_t stream;
	int64_t seq, n_rows, at;
	uint8_t root[AUDIT_HASH], hash[AUDIT_HASH];
};

struct leaf {
	size_t stream;
	int64_t seq, at;
	uint8_t hash[AUDIT_HASH];
	int64_t line_at; /* where its line begins */
	int kind;        /* of signature that it is the intent of; -1: none */
	int64_t signs;   /* how many */
};

/* A growing array; `size` bytes an element. */
struct list {
	void *items;
	size_t n, cap;
};

struct verify {
	const char *path;
	FILE *file;
	struct list streams, commits, leaves;
	struct facts *facts;
	struct heads *heads;
	int64_t last_number[AUDIT_TABLES_MAX]; /* of audit_tables[] */
	char last_key[AUDIT_TABLES_MAX][96];
	uint64_t rows;
	json_t *header;
	json_t *findings; /* strings */
	json_t *unproven; /* strings */
	bool short_of_memory;
};

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

/* Never lost, but when there are more than anybody reads; whatever a forger wrote into a name. */
static void said(struct verify *v, json_t *list, const char *format, va_list args)
{
	char text[1024];

	if (json_array_size(list) >= LIMIT_AUDIT_FINDINGS)
		return;
	(void)vsnprintf(text, sizeof(text), format, args);
	audit_printable(text);
	if (json_array_size(list) + 1 == LIMIT_AUDIT_FINDINGS)
		(void)snprintf(text, sizeof(text),
			       "and more: %d are told, and of heads kept elsewhere no more looked at",
			       LIMIT_AUDIT_FINDINGS - 1);
	v->short_of_memory |= json_array_append_new(list, json_string(text)) != 0;
}

static void found(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void found(struct verify *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	said(v, v->findings, format, args);
	va_end(args);
}

static void unproven(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void unproven(struct verify *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	said(v, v->unproven, format, args);
	va_end(args);
}

static struct stream *stream_at(const struct verify *v, size_t i)
{
	return &((struct stream *)v->streams.items)[i];
}

/* The stream's index; SIZE_MAX when short of memory, or if it is named as no stream can be. */
static size_t stream_of(struct verify *v, const char *node, const char *name)
{
	struct stream *stream;

	for (size_t i = 0; i < v->streams.n; i++)
		if (strcmp(stream_at(v, i)->node, node) == 0 && strcmp(stream_at(v, i)->name, name) == 0)
			return i;
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
	size_t s = stream_of(v, audit_text(t, row, "node"), audit_text(t, row, "stream"));
	struct commit *commit = s == SIZE_MAX ? NULL : grow(&v->commits, sizeof(*commit));
	uint8_t prev[AUDIT_HASH], hash[AUDIT_HASH];
	struct stream *stream;
	long long seq;

	if (commit == NULL)
		return false;
	stream = stream_at(v, s);
	*commit = (struct commit){ .stream = s,
				   .seq = audit_number(t, row, "seq"),
				   .n_rows = audit_number(t, row, "n_rows"),
				   .at = audit_number(t, row, "at") };
	seq = commit->seq;
	if (!audit_hash_of(t, row, "root", commit->root) || !audit_hash_of(t, row, "hash", commit->hash) ||
	    !audit_hash_of(t, row, "prev_hash", prev) || !audit_chain_hash(row, hash)) {
		found(v, "altered: chain %s/%s row %lld: its values are not of their columns' types", stream->node,
		      stream->name, seq);
		return true;
	}
	if (memcmp(hash, commit->hash, AUDIT_HASH) != 0)
		found(v, "altered: chain %s/%s row %lld: its hash is not that of its contents", stream->node,
		      stream->name, seq);
	if (seq <= stream->seq)
		found(v, "reordered: chain %s/%s row %lld stands after row %lld", stream->node, stream->name, seq,
		      (long long)stream->seq);
	else if (seq > stream->seq + 1)
		found(v, "dropped: chain %s/%s: row %lld is missing (the next one is row %lld)", stream->node,
		      stream->name, (long long)stream->seq + 1, seq);
	else if (memcmp(prev, stream->hash, AUDIT_HASH) != 0)
		found(v, "altered: chain %s/%s row %lld: does not follow from the row before", stream->node,
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
			found(v, "contradiction: %s: is neither an enrolment nor a re-enrolment", label);
		if (!tbs_has_serial(audit_text(t, row, "tbs"), audit_text(t, row, "serial")))
			found(v, "contradiction: %s: what was signed has another serial", label);
	} else if (strcmp(t->name, "ceremony") == 0) {
		transcript = audit_text(t, row, "transcript");
		if (!audit_sha256(transcript, strlen(transcript), hash) || !audit_hash_of(t, row, "hash", stored) ||
		    memcmp(hash, stored, AUDIT_HASH) != 0)
			found(v, "contradiction: %s: is not the hash of its transcript", label);
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
			found(v, "dropped: %s %lld is missing: the next one is %lld", t->name,
			      (long long)v->last_number[i] + 1, number);
		else if (number <= v->last_number[i])
			found(v, "reordered: %s stands after number %lld", label, (long long)v->last_number[i]);
		v->last_number[i] = number > v->last_number[i] ? number : v->last_number[i];
	} else {
		if (strcmp(audit_text(t, row, t->key), v->last_key[i]) <= 0)
			found(v, "reordered: %s stands after %s", label, v->last_key[i]);
		(void)snprintf(v->last_key[i], sizeof(v->last_key[i]), "%.95s", audit_text(t, row, t->key));
	}
}

static bool take_row(struct verify *v, const struct audit_table *t, const json_t *row, int64_t line_at)
{
	size_t s = stream_of(v, audit_text(t, row, "node"), audit_text(t, row, "stream"));
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
		found(v, "altered: %s: its values are not of their columns' types", label);
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
		found(v, "altered: line %llu is no row of a table", (unsigned long long)number);
	else if (!(table == &audit_chain ? take_chain(v, line) : take_row(v, table, line, at)))
		return false;
	return true;
}

static bool read_export(struct verify *v)
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
			found(v, "altered: line %llu is no JSON", (unsigned long long)number);
		else
			ok = take_line(v, line, number, at) || fail("short of memory") == 0;
		json_decref(line);
		at += len;
		progress("verify", (uint64_t)at, (uint64_t)size);
	}
	progress_end();
	free(text);
	if (v->header == NULL)
		found(v, "altered: the first line is not the head of an export");
	return ok && read_whole(v->file, v->path, len, LIMIT_AUDIT_LINE_BYTES);
}

/* The row whose line begins there, by name. */
static void name_row(struct verify *v, int64_t at, char out[AUDIT_LABEL])
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t len = fseeko(v->file, at, SEEK_SET) == 0 ? export_line(v->file, &text, &cap) : -1;
	json_t *row = len > 0 ? json_loadb(text, (size_t)len, 0, NULL) : NULL;
	const struct audit_table *table = row == NULL ? NULL : audit_row_table(row);

	(void)snprintf(out, AUDIT_LABEL, "?");
	if (table != NULL)
		audit_label(table, row, out);
	json_decref(row);
	free(text);
}

static void name_rows(struct verify *v, const struct leaf *leaves, size_t n, char *out, size_t out_len)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n && i < NAMED_MAX; i++) {
		char label[AUDIT_LABEL];

		name_row(v, leaves[i].line_at, label);
		len += (size_t)snprintf(out + len, out_len - len, "%s%s", i == 0 ? "" : ", ", label);
	}
	if (n > NAMED_MAX)
		(void)snprintf(out + len, out_len - len, " and %zu more", n - NAMED_MAX);
}

static void contradiction(void *user, int64_t at, const char *what)
{
	char label[AUDIT_LABEL];

	name_row(user, at, label);
	found(user, "contradiction: %s %s", label, what);
}

static int order(size_t a_stream, int64_t a_seq, size_t b_stream, int64_t b_seq)
{
	if (a_stream != b_stream)
		return a_stream < b_stream ? -1 : 1;
	return a_seq < b_seq ? -1 : a_seq > b_seq;
}

static int by_leaf(const void *left, const void *right)
{
	const struct leaf *a = left, *b = right;
	int by = order(a->stream, a->seq, b->stream, b->seq);

	return by != 0 ? by : memcmp(a->hash, b->hash, AUDIT_HASH);
}

static int by_commit(const void *left, const void *right)
{
	const struct commit *a = left, *b = right;

	return order(a->stream, a->seq, b->stream, b->seq);
}

/* The rows of one commit against what its chain row says of them. */
static void check_commit(struct verify *v, const struct commit *c, const struct leaf *leaves, size_t n)
{
	const struct stream *stream = stream_at(v, c->stream);
	uint8_t *joined = malloc(n * AUDIT_HASH + 1), root[AUDIT_HASH];
	char names[NAMED_MAX * AUDIT_LABEL + 64], place[2 * sizeof(stream->node) + 64];
	bool same_time = true;

	if (joined == NULL) {
		v->short_of_memory = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(joined + i * AUDIT_HASH, leaves[i].hash, AUDIT_HASH);
		same_time = same_time && leaves[i].at == c->at;
	}
	v->short_of_memory |= !audit_sha256(joined, n * AUDIT_HASH, root);
	free(joined);
	if (n == (size_t)c->n_rows && same_time && memcmp(root, c->root, AUDIT_HASH) == 0)
		return;
	(void)snprintf(place, sizeof(place), "chain %s/%s row %lld", stream->node, stream->name, (long long)c->seq);
	name_rows(v, leaves, n, names, sizeof(names));
	if (n < (size_t)c->n_rows)
		found(v, "dropped: %s: %lld rows were written, %zu are left%s%s", place, (long long)c->n_rows, n,
		      n == 0 ? "" : ": ", names);
	else if (n > (size_t)c->n_rows)
		found(v, "added: %s: %lld rows were written, there are %zu: %s", place, (long long)c->n_rows, n, names);
	else
		found(v, "altered: %s: not what was written: %s", place, names);
}

static void check_roots(struct verify *v)
{
	struct leaf *leaves = v->leaves.items;
	struct commit *commits = v->commits.items;
	size_t l = 0;

	if (v->leaves.n > 0)
		qsort(leaves, v->leaves.n, sizeof(*leaves), by_leaf);
	if (v->commits.n > 0)
		qsort(commits, v->commits.n, sizeof(*commits), by_commit);
	for (size_t c = 0; c <= v->commits.n; c++) {
		size_t first;

		/* leaves of commits that are not there */
		while (l < v->leaves.n && (c == v->commits.n || order(leaves[l].stream, leaves[l].seq,
								      commits[c].stream, commits[c].seq) < 0)) {
			char label[AUDIT_LABEL];

			name_row(v, leaves[l].line_at, label);
			found(v, "added: %s: names chain %s/%s row %lld, which is not there", label,
			      stream_at(v, leaves[l].stream)->node, stream_at(v, leaves[l].stream)->name,
			      (long long)leaves[l].seq);
			l++;
		}
		if (c == v->commits.n || (c > 0 && by_commit(&commits[c - 1], &commits[c]) == 0))
			continue; /* the end; or a row that stands twice, which has been found */
		for (first = l;
		     l < v->leaves.n && order(leaves[l].stream, leaves[l].seq, commits[c].stream, commits[c].seq) == 0;)
			l++;
		check_commit(v, &commits[c], leaves + first, l - first);
	}
}

/* A head, wherever it comes from: is that row there, and is it that row? */
static void check_head(struct verify *v, const char *node, const char *name, int64_t seq, const char *hash,
		       const char *head, bool outside)
{
	size_t s = stream_of(v, node, name);
	struct commit wanted = { .stream = s, .seq = seq }, *commit = NULL;
	const char *who = head != NULL ? head : outside ? "a head that was kept" : "the head of this export";
	uint8_t expected[AUDIT_HASH];

	if (s == SIZE_MAX || !audit_unhex(hash, expected, sizeof(expected))) {
		found(v, "forged: a head of chain %.64s/%.64s is none", node, name);
		return;
	}
	if (v->commits.n > 0)
		commit = bsearch(&wanted, v->commits.items, v->commits.n, sizeof(wanted), by_commit);
	if (commit == NULL)
		found(v, "dropped: chain %s/%s row %lld: %s names it, and it is not there: the chain ends at row %lld",
		      node, name, (long long)seq, who, (long long)stream_at(v, s)->seq);
	else if (memcmp(commit->hash, expected, AUDIT_HASH) != 0)
		found(v, "forged: chain %s/%s row %lld: is not the one that %s names", node, name, (long long)seq, who);
	else if (outside && seq > stream_at(v, s)->proven)
		stream_at(v, s)->proven = seq;
}

static void position_of(void *user, const char *node, const char *stream, int64_t seq, const char *hash,
			const char *head, bool outside)
{
	check_head(user, node, stream, seq, hash, head, outside);
}

/* Every intent that stands up to these positions. */
static bool count_intents(void *user, const json_t *positions, int64_t *ret_counts)
{
	struct verify *v = user;
	int64_t *until = calloc(v->streams.n + 1, sizeof(*until));
	const struct leaf *leaves = v->leaves.items;
	size_t i;
	const json_t *p;

	if (until == NULL) {
		v->short_of_memory = true;
		return false;
	}
	json_array_foreach(positions, i,
			   p) for (size_t s = 0; s < v->streams.n;
				   s++) if (strcmp(stream_at(v, s)->node, json_string_value(json_array_get(p, 0))) ==
						    0 &&
					    strcmp(stream_at(v, s)->name, json_string_value(json_array_get(p, 1))) == 0)
		until[s] = (int64_t)json_integer_value(json_array_get(p, 2));
	memset(ret_counts, 0, AUDIT_KINDS * sizeof(*ret_counts));
	for (i = 0; i < v->leaves.n; i++)
		if (leaves[i].kind >= 0 && leaves[i].seq <= until[leaves[i].stream])
			ret_counts[leaves[i].kind] += leaves[i].signs;
	free(until);
	return true;
}

static void finding(void *user, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void finding(void *user, const char *format, ...)
{
	struct verify *v = user;
	va_list args;

	va_start(args, format);
	said(v, v->findings, format, args);
	va_end(args);
}

static bool enough(void *user)
{
	const struct verify *v = user;

	return json_array_size(v->findings) >= LIMIT_AUDIT_FINDINGS;
}

static void check_own_heads(struct verify *v)
{
	size_t i;
	json_t *head;

	json_array_foreach(json_object_get(v->header, "heads"), i, head) check_head(
		v, text_at(head, "node"), text_at(head, "stream"),
		(int64_t)json_integer_value(json_object_get(head, "seq")), text_at(head, "hash"), NULL, false);
}

/* Signed heads among the rows, and all that was kept elsewhere. */
static bool check_heads(struct verify *v, const struct outside *outside)
{
	const struct heads_view view = { v, finding, enough, position_of, count_intents };

	check_own_heads(v);
	heads_check_own(v->heads, v->file, &view);
	for (size_t i = 0; i < outside->n; i++)
		if (!heads_check_file(v->heads, outside->file[i], &view))
			return false;
	return true;
}

static void tell_tails(struct verify *v, bool outside)
{
	for (size_t i = 0; outside && i < v->streams.n; i++) {
		const struct stream *s = stream_at(v, i);

		if (s->seq > s->proven)
			unproven(v, "chain %s/%s: rows %lld to %lld are newer than the heads given", s->node, s->name,
				 (long long)s->proven + 1, (long long)s->seq);
	}
	if (!outside)
		unproven(v, "no heads kept elsewhere were given (--heads): that nothing was cut off at the end, or all "
			    "of it made "
			    "anew, is not shown");
}

static json_t *heads_of(const struct verify *v)
{
	json_t *heads = json_array();

	for (size_t i = 0; i < v->streams.n; i++) {
		const struct stream *s = stream_at(v, i);
		char hex[2 * AUDIT_HASH + 1];

		for (size_t b = 0; b < AUDIT_HASH; b++)
			(void)snprintf(hex + 2 * b, 3, "%02x", s->hash[b]);
		(void)json_array_append_new(heads, json_pack("{s:s, s:s, s:I, s:s}", "node", s->node, "stream", s->name,
							     "seq", (json_int_t)s->seq, "hash", hex));
	}
	return heads;
}

static bool save_heads(const char *path, const json_t *heads)
{
	FILE *file = fopen(path, "w");
	size_t i;
	json_t *head;

	if (file == NULL)
		return fail("%s: cannot be written", path) == 0;
	json_array_foreach(heads, i, head)(void)
		fprintf(file, "%s %s %s %s\n", text_at(head, "node"), text_at(head, "stream"), text_at(head, "seq"),
			text_at(head, "hash"));
	return fclose(file) == 0 ? true : fail("%s: cannot be written", path) == 0;
}

static void verify_done(struct verify *v)
{
	if (v->file != NULL)
		(void)fclose(v->file);
	facts_free(v->facts);
	heads_free(v->heads);
	free(v->streams.items);
	free(v->commits.items);
	free(v->leaves.items);
	json_decref(v->header);
	json_decref(v->findings);
	json_decref(v->unproven);
}

static bool verify(struct verify *v, const struct outside *outside)
{
	if (!read_export(v))
		return false;
	check_roots(v);
	if (!facts_check(v->facts, contradiction, v))
		return fail("short of memory") == 0;
	if (!check_heads(v, outside))
		return false;
	tell_tails(v, outside->n > 0);
	return !v->short_of_memory || fail("short of memory") == 0;
}

json_t *audit_check(const char *path, const struct outside *outside)
{
	struct verify v = { .path = path,
			    .file = export_open(path),
			    .facts = facts_new(),
			    .findings = json_array(),
			    .unproven = json_array() };
	json_t *said = NULL;

	if (v.file == NULL)
		; /* told */
	else if ((v.heads = heads_new(outside->key)) == NULL)
		; /* told */
	else if (v.facts == NULL || v.findings == NULL || v.unproven == NULL)
		(void)fail("short of memory");
	else if (verify(&v, outside))
		said = json_pack("{s:b, s:I, s:I, s:I, s:O, s:O, s:o}", "ok", json_array_size(v.findings) == 0, "rows",
				 (json_int_t)v.rows, "commits", (json_int_t)v.commits.n, "streams",
				 (json_int_t)v.streams.n, "findings", v.findings, "unproven", v.unproven, "heads",
				 heads_of(&v));
	verify_done(&v);
	return said;
}

static void tell(const json_t *said)
{
	const json_t *findings = json_object_get(said, "findings");
	size_t i;
	json_t *text;

	json_array_foreach(findings, i, text)(void) puts(json_string_value(text));
	if (json_array_size(findings) == 0)
		(void)printf("verified: %s rows in %s commits of %s streams\n", text_at(said, "rows"),
			     text_at(said, "commits"), text_at(said, "streams"));
	else
		(void)printf("NOT as it was written: %zu findings in %s rows\n", json_array_size(findings),
			     text_at(said, "rows"));
	json_array_foreach(json_object_get(said, "unproven"), i, text)(void)
		printf("unproven: %s\n", json_string_value(text));
}

int verb_audit_verify(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = { { "heads", required_argument, NULL, 'h' },
						 { "heads-key", required_argument, NULL, 'k' },
						 { "save-heads", required_argument, NULL, 's' },
						 { 0 } };
	struct outside outside = { 0 };
	const char *save = NULL;
	json_t *said;
	bool ok;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?' || (c == 'h' && outside.n == AUDIT_HEADS_MAX))
			return usage_of("audit", "verify");
		*(c == 'h' ? &outside.file[outside.n++] : c == 'k' ? &outside.key : &save) = optarg;
	}
	if (optind + 1 != argc)
		return usage_of("audit", "verify");
	said = audit_check(argv[optind], &outside);
	if (said == NULL)
		return 1;
	if (ctl->json)
		show_json(said);
	else
		tell(said);
	ok = json_is_true(json_object_get(said, "ok")) &&
	     (save == NULL || save_heads(save, json_object_get(said, "heads")));
	json_decref(said);
	return ok ? 0 : 1;
}
