/* audit_commits.c - what an export holds against what its chain and signed heads say of it; see audit_verify.h. */
#include <stdlib.h>
#include <string.h>

#include "audit_verify.h"
#include "ctl.h"

#define NAMED_MAX 3 /* rows of a commit that are named; the rest is counted */

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

void verify_contradiction(void *user, int64_t at, const char *what)
{
	char label[AUDIT_LABEL];

	name_row(user, at, label);
	verify_found(user, "contradiction: %s %s", label, what);
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
	const struct stream *stream = verify_stream(v, c->stream);
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
		verify_found(v, "dropped: %s: %lld rows were written, %zu are left%s%s", place, (long long)c->n_rows, n,
			     n == 0 ? "" : ": ", names);
	else if (n > (size_t)c->n_rows)
		verify_found(v, "added: %s: %lld rows were written, there are %zu: %s", place, (long long)c->n_rows, n,
			     names);
	else
		verify_found(v, "altered: %s: not what was written: %s", place, names);
}

void verify_commits(struct verify *v)
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
			verify_found(v, "added: %s: names chain %s/%s row %lld, which is not there", label,
				     verify_stream(v, leaves[l].stream)->node, verify_stream(v, leaves[l].stream)->name,
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
static void check_head(void *user, const char *node, const char *name, int64_t seq, const char *hash, const char *head,
		       bool outside)
{
	struct verify *v = user;
	size_t s = verify_stream_of(v, node, name);
	struct commit wanted = { .stream = s, .seq = seq }, *commit = NULL;
	const char *who = head != NULL ? head : outside ? "a head that was kept" : "the head of this export";
	uint8_t expected[AUDIT_HASH];

	if (s == SIZE_MAX || !audit_unhex(hash, expected, sizeof(expected))) {
		verify_found(v, "forged: a head of chain %.64s/%.64s is none", node, name);
		return;
	}
	if (v->commits.n > 0)
		commit = bsearch(&wanted, v->commits.items, v->commits.n, sizeof(wanted), by_commit);
	if (commit == NULL)
		verify_found(
			v,
			"dropped: chain %s/%s row %lld: %s names it, and it is not there: the chain ends at row %lld",
			node, name, (long long)seq, who, (long long)verify_stream(v, s)->seq);
	else if (memcmp(commit->hash, expected, AUDIT_HASH) != 0)
		verify_found(v, "forged: chain %s/%s row %lld: is not the one that %s names", node, name,
			     (long long)seq, who);
	else if (outside && seq > verify_stream(v, s)->proven)
		verify_stream(v, s)->proven = seq;
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
	json_array_foreach(positions, i, p) {
		size_t s = verify_stream_known(v, json_string_value(json_array_get(p, 0)),
					       json_string_value(json_array_get(p, 1)));

		until[s] = (int64_t)json_integer_value(json_array_get(p, 2)); /* one place more: of streams not here */
	}
	memset(ret_counts, 0, AUDIT_KINDS * sizeof(*ret_counts));
	for (i = 0; i < v->leaves.n; i++)
		if (leaves[i].kind >= 0 && leaves[i].seq <= until[leaves[i].stream])
			ret_counts[leaves[i].kind] += leaves[i].signs;
	free(until);
	return true;
}

static __attribute__((format(printf, 2, 3))) void finding(void *user, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	verify_vfound(user, format, args);
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

	json_array_foreach(json_object_get(v->header, "heads"), i, head)
		check_head(v, text_at(head, "node"), text_at(head, "stream"),
			   (int64_t)json_integer_value(json_object_get(head, "seq")), text_at(head, "hash"), NULL,
			   false);
}

bool verify_heads(struct verify *v, const struct outside *outside)
{
	const struct heads_view view = { v, finding, enough, check_head, count_intents };

	check_own_heads(v);
	heads_check_own(v->heads, v->file, &view);
	for (size_t i = 0; i < outside->n; i++)
		if (!heads_check_file(v->heads, outside->file[i], &view))
			return false;
	return true;
}
