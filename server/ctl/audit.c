/* audit.c - assayctl audit heads: where the chains stand; assayctl audit export: every chained row, through the admin
 * API, into one file; see audit.h. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit.h"
#include "ctl.h"

#define PAGE 500

struct export
{
	struct ctl *ctl;
	FILE *out;
	const json_t *heads; /* what is newer stays out */
	uint64_t done, of;
	uint64_t rows_in_chain; /* how many rows of tables the chain says there are */
};

int verb_audit_heads(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = { { "signed", no_argument, NULL, 's' },
						 { "after", required_argument, NULL, 'a' },
						 { 0 } };
	const char *after = NULL;
	bool with_signature = false;
	json_t *status, *head;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return usage_of("audit", "heads");
		with_signature = true;
		after = c == 'a' ? optarg : after;
	}
	if (optind != argc)
		return usage_of("audit", "heads");
	if (with_signature)
		return heads_print(ctl, after);
	status = api_get(ctl, "status");
	if (status == NULL)
		return 1;
	if (ctl->json)
		show_json(json_object_get(status, "heads"));
	else
		json_array_foreach(json_object_get(status, "heads"), i, head)
			(void)printf("%s %s %s %s\n", text_at(head, "node"), text_at(head, "stream"),
				     text_at(head, "seq"), text_at(head, "hash"));
	json_decref(status);
	return 0;
}

static int64_t head_of(const struct export *e, const char *node, const char *stream)
{
	size_t i;
	json_t *head;

	json_array_foreach(e->heads, i, head)
		if (strcmp(text_at(head, "node"), node) == 0 && strcmp(text_at(head, "stream"), stream) == 0)
			return (int64_t)json_integer_value(json_object_get(head, "seq"));
	return 0;
}

/* One row of a page, with its table's name before it. Rows that were written after the heads are left out. */
static bool put_row(struct export *e, const struct audit_table *table, json_t *row)
{
	bool ok;

	if (json_array_insert_new(row, 0, json_string(table->name)) != 0 || audit_row_table(row) != table)
		return fail("%s: the server's table has other columns than this assayctl knows", table->name) == 0;
	if (audit_number(table, row, "seq") >
	    head_of(e, audit_text(table, row, "node"), audit_text(table, row, "stream")))
		return true;
	if (table == &audit_chain)
		e->rows_in_chain += (uint64_t)audit_number(table, row, "n_rows");
	e->done++;
	ok = json_dumpf(row, e->out, JSON_COMPACT) == 0 && fputc('\n', e->out) != EOF;
	return ok ? true : fail("the file cannot be written") == 0;
}

static bool put_page(struct export *e, const struct audit_table *table, char *next, size_t next_len)
{
	char path[512], *after = api_escape(e->ctl, next);
	json_t *page, *row;
	size_t i;
	bool ok = after != NULL;

	(void)snprintf(path, sizeof(path), "audit/%s?limit=%d%s%s", table->name, PAGE,
		       next[0] == '\0' ? "" : "&after=", after == NULL ? "" : after);
	free(after);
	page = ok ? api_get(e->ctl, path) : NULL;
	ok = page != NULL;
	json_array_foreach(json_object_get(page, "rows"), i, row)
		ok = ok && put_row(e, table, row);
	(void)snprintf(next, next_len, "%s", text_at(page, "next"));
	json_decref(page);
	return ok;
}

static bool put_table(struct export *e, const struct audit_table *table)
{
	char next[256] = "";

	do {
		if (!put_page(e, table, next, sizeof(next)))
			return false;
		progress(table->name, e->done, e->of);
	} while (next[0] != '\0');
	return true;
}

static bool put_head(struct export *e, const json_t *status)
{
	json_t *head =
		json_pack("{s:i, s:O, s:O}", "assay_audit", 1, "at", json_object_get(status, "at"), "heads", e->heads);
	bool ok = head != NULL && json_dumpf(head, e->out, JSON_COMPACT) == 0 && fputc('\n', e->out) != EOF;

	json_decref(head);
	return ok;
}

/* The chain first: it says how many rows there are to come. */
static bool put_all(struct export *e)
{
	size_t i;
	json_t *head;

	json_array_foreach(e->heads, i, head)
		e->of += (uint64_t)json_integer_value(json_object_get(head, "seq"));
	if (!put_table(e, &audit_chain))
		return false;
	e->of = e->done + e->rows_in_chain;
	for (i = 0; i < n_audit_tables; i++)
		if (!put_table(e, &audit_tables[i]))
			return false;
	progress_end();
	return e->done == e->of ? true
				: fail("the chain says %llu rows, the ledger gave %llu: the export is complete, and "
				       "verification "
				       "will say what is missing",
				       (unsigned long long)e->of, (unsigned long long)e->done) == 0;
}

int verb_audit_export(struct ctl *ctl, int argc, char **argv)
{
	struct export e = { .ctl = ctl };
	json_t *status;
	bool ok;

	if (argc != 2)
		return usage_of("audit", "export");
	status = api_get(ctl, "status");
	if (status == NULL)
		return 1;
	e.heads = json_object_get(status, "heads");
	e.out = fopen(argv[1], "wx");
	if (e.out == NULL) {
		json_decref(status);
		return fail("%s: cannot be made (it must not exist)", argv[1]);
	}
	ok = put_head(&e, status) && put_all(&e);
	progress_end();
	ok = fflush(e.out) == 0 && fsync(fileno(e.out)) == 0 && ok;
	ok = fclose(e.out) == 0 && ok;
	json_decref(status);
	if (ok)
		(void)printf("%llu rows in %s: keep it, and check it with: assayctl audit verify %s\n",
			     (unsigned long long)e.done, argv[1], argv[1]);
	return ok ? 0 : 1;
}
