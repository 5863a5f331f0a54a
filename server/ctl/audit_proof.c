/*
 * audit_proof.c - assayctl audit proof: what proves one certificate, out of an export, in one file; see audit.h.
 *
 * {"assay_proof": 1, "serial": hex, "cas": [PEM, ...], "rows": [row, ...], "leaves": {"node/stream/seq": [hex, ...]},
 * "chain": [row, ...], "heads": [...]}. Rows are as in an export: the intents from this certificate back to its
 * enrolment (the evidence is in them) with their signatures, revocations and policies, and every ceremony. Leaves are
 * all those of each row's commit, so that its root can be computed; the chain goes from the first of these commits of
 * each stream to its head. "signed_head", a line as server/ca/heads.h describes it, is the newest signed head that
 * covers all these rows: of those that --heads brings, else of the export's own; it is left out if there is none.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "ctl.h"
#include "head.h"

#define GENERATIONS_MAX 1000
#define STREAMS_MAX 64
#define TEXTS_MAX 64 /* as many heads may be unsigned in a row */

struct proof {
	FILE *export;
	json_t *rows, *leaves, *chain, *heads;
	bool own_heads;    /* no others were brought */
	json_t *texts;     /* of the newest heads, while the export is read */
	char *signed_head; /* NULL: none covers these rows */
	int64_t signed_number;
	size_t n_streams;
	struct {
		char name[300]; /* node/stream */
		int64_t first;
	} stream[STREAMS_MAX];
};

static const char *text_of(const json_t *row, const char *column)
{
	return audit_text(audit_row_table(row), row, column);
}

static int64_t seq_of(const json_t *row)
{
	return audit_number(audit_row_table(row), row, "seq");
}

/* From which row on this stream's chain is needed; NULL: not at all. */
static int64_t *first_of(struct proof *p, const json_t *row, bool add)
{
	char name[sizeof(p->stream[0].name)];
	size_t i = 0;

	(void)snprintf(name, sizeof(name), "%.140s/%.140s", text_of(row, "node"), text_of(row, "stream"));
	while (i < p->n_streams && strcmp(p->stream[i].name, name) != 0)
		i++;
	if (i < p->n_streams)
		return &p->stream[i].first;
	if (!add || i == STREAMS_MAX)
		return NULL;
	memcpy(p->stream[i].name, name, sizeof(name));
	p->stream[i].first = INT64_MAX;
	p->n_streams++;
	return &p->stream[i].first;
}

static void commit_key(const json_t *row, char out[400])
{
	(void)snprintf(out, 400, "%.140s/%.140s/%lld", text_of(row, "node"), text_of(row, "stream"),
		       (long long)seq_of(row));
}

/* A row that the proof holds; its commit's leaves and the chain from there are wanted then. Consumes the row. */
static bool put_row(struct proof *p, json_t *row)
{
	int64_t *first = first_of(p, row, true);
	char key[400];

	if (first == NULL) {
		json_decref(row);
		return false;
	}
	if (seq_of(row) < *first)
		*first = seq_of(row);
	commit_key(row, key);
	if (json_object_get(p->leaves, key) == NULL)
		(void)json_object_set_new(p->leaves, key, json_array());
	return json_array_append_new(p->rows, row) == 0;
}

static bool put_all(struct proof *p, const char *table, const char *column, const char *value)
{
	json_t *row;

	for (unsigned n = 0; (row = audit_find(p->export, table, column, value, n)) != NULL; n++)
		if (!put_row(p, row))
			return false;
	return true;
}

/* The intents back to the one that brought evidence, with what belongs to each. */
static bool put_intents(struct proof *p, const char *serial)
{
	char next[AUDIT_SERIAL_CHARS];

	(void)snprintf(next, sizeof(next), "%s", serial);
	for (unsigned n = 0; n < GENERATIONS_MAX && next[0] != '\0'; n++) {
		json_t *intent = audit_find(p->export, "issuance", "serial", next, 0);
		char policy[2 * AUDIT_HASH + 1], now[AUDIT_SERIAL_CHARS];

		if (intent == NULL)
			return fail("serial %s is not in this export", next) == 0;
		(void)snprintf(now, sizeof(now), "%s", next);
		(void)snprintf(policy, sizeof(policy), "%s", text_of(intent, "policy_hash"));
		(void)snprintf(next, sizeof(next), "%s",
			       text_of(intent, "evidence")[0] != '\0' && text_of(intent, "continuity")[0] == '\0'
				       ? ""
				       : text_of(intent, "previous"));
		if (!put_row(p, intent) || !put_all(p, "signature", "serial", now) ||
		    !put_all(p, "revocation", "serial", now) || !put_all(p, "policy", "hash", policy))
			return false;
	}
	return true;
}

static int64_t position_of(const struct head *head, const char *node, const char *stream)
{
	size_t i;
	const json_t *p;

	json_array_foreach(head->positions, i, p)
		if (strcmp(json_string_value(json_array_get(p, 0)), node) == 0 &&
		    strcmp(json_string_value(json_array_get(p, 1)), stream) == 0)
			return (int64_t)json_integer_value(json_array_get(p, 2));
	return 0;
}

static bool covers(const struct proof *p, const struct head *head)
{
	size_t i;
	json_t *row;

	json_array_foreach(p->rows, i, row)
		if (seq_of(row) > position_of(head, text_of(row, "node"), text_of(row, "stream")))
			return false;
	return true;
}

/* The newest that covers what the proof holds. Heads of several nodes are compared by their numbers: any that covers
 * will do. */
static bool offer(void *user, const char *line, size_t len, unsigned n)
{
	struct proof *p = user;
	struct head head;

	(void)n;
	if (!head_parse(line, len, &head))
		return true;
	if (head.number > p->signed_number && covers(p, &head)) {
		const char *begin = head.text - strlen("{\"head\":");

		free(p->signed_head);
		p->signed_head = strndup(begin, strcspn(begin, "\r\n"));
		p->signed_number = head.number;
	}
	head_done(&head);
	return true;
}

/* Of the export itself: texts come first, then the signatures of most of them. The newest texts are kept till then. */
static bool keep_text(struct proof *p, const json_t *row)
{
	if (json_array_size(p->texts) == TEXTS_MAX)
		(void)json_array_remove(p->texts, 0);
	return json_array_append_new(p->texts, json_deep_copy(row)) == 0;
}

static bool offer_own(struct proof *p, const json_t *signature)
{
	const struct audit_table *table = audit_row_table(signature);
	const char *hex = audit_text(table, signature, "signature");
	uint8_t bytes[HEAD_SIGNATURE_MAX], base64[2 * HEAD_SIGNATURE_MAX];
	char *line = NULL;
	size_t i;
	json_t *intent;

	if (strlen(hex) > 2 * sizeof(bytes) || !audit_unhex(hex, bytes, strlen(hex) / 2))
		return true; /* verification says so */
	EVP_EncodeBlock(base64, bytes, (int)(strlen(hex) / 2));
	json_array_foreach(p->texts, i, intent) {
		if (strcmp(text_of(intent, "node"), text_of(signature, "node")) != 0 ||
		    audit_number(audit_row_table(intent), intent, "number") != audit_number(table, signature, "number"))
			continue;
		if (asprintf(&line, "{\"head\":%s,\"signature\":\"%s\"}", text_of(intent, "text"),
			     (const char *)base64) < 0)
			return false;
		(void)offer(p, line, strlen(line), 0);
		free(line);
	}
	return true;
}

static bool put_path(struct proof *p, const json_t *row)
{
	const struct audit_table *table = audit_row_table(row);
	uint8_t leaf[AUDIT_HASH];
	char key[400], hex[2 * AUDIT_HASH + 1];
	json_t *leaves;

	if (table == NULL)
		return true;
	if (table == &audit_chain) {
		const int64_t *first = first_of(p, row, false);

		return first == NULL || seq_of(row) < *first ||
		       json_array_append_new(p->chain, json_deep_copy(row)) == 0;
	}
	if (p->own_heads && strcmp(table->name, "head_intent") == 0 && !keep_text(p, row))
		return false;
	if (p->own_heads && strcmp(table->name, "head_signature") == 0 && !offer_own(p, row))
		return false;
	commit_key(row, key);
	leaves = json_object_get(p->leaves, key);
	if (leaves == NULL)
		return true;
	if (!audit_leaf(table, row, leaf))
		return false;
	for (size_t i = 0; i < AUDIT_HASH; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", leaf[i]);
	return json_array_append_new(leaves, json_string(hex)) == 0;
}

/* Once more through the export: leaves of the commits, rows of the chain. */
static bool put_paths(struct proof *p)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;
	bool ok = true;

	rewind(p->export);
	while (ok && (len = export_line(p->export, &text, &cap)) > 0) {
		json_t *line = json_loadb(text, (size_t)len, 0, NULL);

		if (json_is_object(line))
			p->heads = json_incref(json_object_get(line, "heads"));
		else
			ok = put_path(p, line);
		json_decref(line);
	}
	free(text);
	return ok && feof(p->export) && !ferror(p->export);
}

/* The certificates of a PEM file, as they stand there. */
static json_t *read_pem(const char *path)
{
	BIO *file = small_open(path);
	char *text = NULL;
	long len = file == NULL ? 0 : BIO_get_mem_data(file, &text);
	json_t *value = len <= 0 ? NULL : json_stringn(text, (size_t)len);

	BIO_free(file);
	return value;
}

static bool write_proof(const struct proof *p, const char *serial, json_t *cas, const char *path)
{
	json_t *all = json_pack("{s:i, s:s, s:O, s:O, s:O, s:O, s:O}", "assay_proof", 1, "serial", serial, "cas", cas,
				"rows", p->rows, "leaves", p->leaves, "chain", p->chain, "heads", p->heads);
	bool ok = all != NULL;

	if (ok && p->signed_head != NULL)
		ok = json_object_set_new(all, "signed_head", json_string(p->signed_head)) == 0;
	ok = ok && json_dump_file(all, path, JSON_INDENT(1)) == 0;

	json_decref(all);
	return ok ? true : fail("%s: cannot be written", path) == 0;
}

static bool prove(struct proof *p, const char *serial, const char *cas_file, const char *heads, const char *out)
{
	json_t *cas = read_pem(cas_file);
	bool ok = cas != NULL || fail("%s: no certificates can be read", cas_file) == 0;

	ok = ok && put_intents(p, serial) && put_all(p, "ceremony", NULL, NULL);
	ok = ok && (put_paths(p) || fail("the export cannot be read: see assayctl audit verify") == 0);
	ok = ok && (heads == NULL || heads_lines(heads, offer, p));
	if (ok && p->signed_head == NULL)
		(void)fprintf(stderr, "assayctl: no signed head covers this certificate yet: the proof has none\n");
	ok = ok && write_proof(p, serial, cas, out);
	json_decref(cas);
	return ok;
}

int verb_audit_proof(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = { { "export", required_argument, NULL, 'e' },
						 { "cas", required_argument, NULL, 'c' },
						 { "out", required_argument, NULL, 'o' },
						 { "heads", required_argument, NULL, 'h' },
						 { 0 } };
	const char *file = NULL, *cas = NULL, *out = NULL, *heads = NULL;
	struct proof p = { 0 };
	char serial[AUDIT_SERIAL_CHARS];
	bool ok;
	int c;

	(void)ctl;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return usage_of("audit", "proof");
		*(c == 'e' ? &file : c == 'c' ? &cas : c == 'h' ? &heads : &out) = optarg;
	}
	if (optind + 1 != argc || file == NULL || cas == NULL || out == NULL || !audit_serial(argv[optind], serial))
		return usage_of("audit", "proof");
	p.export = export_open(file);
	if (p.export == NULL)
		return 1;
	p.rows = json_array();
	p.leaves = json_object();
	p.chain = json_array();
	p.texts = json_array();
	p.own_heads = heads == NULL;
	ok = prove(&p, serial, cas, heads, out);
	(void)fclose(p.export);
	json_decref(p.rows);
	json_decref(p.leaves);
	json_decref(p.chain);
	json_decref(p.heads);
	json_decref(p.texts);
	free(p.signed_head);
	return ok ? 0 : 1;
}
