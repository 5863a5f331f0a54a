/* audit_verify.c - assayctl audit verify: an export, checked with nothing but itself and heads kept elsewhere; see
 * audit.h. */
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "audit_verify.h"
#include "ctl.h"

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

void verify_found(struct verify *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	said(v, v->findings, format, args);
	va_end(args);
}

void verify_unproven(struct verify *v, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	said(v, v->unproven, format, args);
	va_end(args);
}

void verify_vfound(struct verify *v, const char *format, va_list args)
{
	said(v, v->findings, format, args);
}

static void tell_tails(struct verify *v, bool outside)
{
	for (size_t i = 0; outside && i < v->streams.n; i++) {
		const struct stream *s = verify_stream(v, i);

		if (s->seq > s->proven)
			verify_unproven(v, "chain %s/%s: rows %lld to %lld are newer than the heads given", s->node,
					s->name, (long long)s->proven + 1, (long long)s->seq);
	}
	if (!outside)
		verify_unproven(v, "no heads kept elsewhere were given (--heads): that nothing was cut off at the end, "
				   "or all of it made anew, is not shown");
}

static json_t *heads_of(const struct verify *v)
{
	json_t *heads = json_array();

	for (size_t i = 0; i < v->streams.n; i++) {
		const struct stream *s = verify_stream(v, i);
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
	json_array_foreach(heads, i, head)
		(void)fprintf(file, "%s %s %s %s\n", text_at(head, "node"), text_at(head, "stream"),
			      text_at(head, "seq"), text_at(head, "hash"));
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
	if (!verify_read(v))
		return false;
	verify_commits(v);
	if (!facts_check(v->facts, verify_contradiction, v))
		return fail("short of memory") == 0;
	if (!verify_heads(v, outside))
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

	json_array_foreach(findings, i, text)
		(void)puts(json_string_value(text));
	if (json_array_size(findings) == 0)
		(void)printf("verified: %s rows in %s commits of %s streams\n", text_at(said, "rows"),
			     text_at(said, "commits"), text_at(said, "streams"));
	else
		(void)printf("NOT as it was written: %zu findings in %s rows\n", json_array_size(findings),
			     text_at(said, "rows"));
	json_array_foreach(json_object_get(said, "unproven"), i, text)
		(void)printf("unproven: %s\n", json_string_value(text));
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
