/* audit_heads.c - signed heads against a ledger: those that its own rows hold, and those that were kept outside; see
 * audit.h. */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "ctl.h"
#include "head.h"

#define KINDS AUDIT_KINDS
#define COUNTED 100 /* the newest heads whose counts are checked; each costs a walk over all rows */
static const char *const kind_names[KINDS] = { "certificates", "crls", "ocsp", "responders", "heads" };
static const char *const kind_tables[KINDS] = { "issuance", "crl_intent", "status_intent", "responder_intent",
						"head_intent" };

/* A head that the ledger has a row of. */
struct own {
	char node[33];
	int64_t number;
	int64_t text_at, signature_at; /* where their lines begin; signature_at -1: it was never signed */
	uint8_t hash[HEAD_HASH];
};

struct heads {
	struct own *own;
	size_t n, cap;
	EVP_PKEY *key;
	char key_sha256[2 * HEAD_HASH + 1];
	bool key_on_record;
};

struct heads *heads_new(const char *key_file)
{
	struct heads *heads = calloc(1, sizeof(*heads));

	if (heads == NULL || key_file == NULL)
		return heads;
	heads->key = head_key(key_file, heads->key_sha256);
	if (heads->key != NULL)
		return heads;
	(void)fail("%s: must be the certificate, or the public key, of the key that signs heads (PEM; a home has it as "
		   "ca/heads.pem)",
		   key_file);
	heads_free(heads);
	return NULL;
}

void heads_free(struct heads *heads)
{
	if (heads == NULL)
		return;
	EVP_PKEY_free(heads->key);
	free(heads->own);
	free(heads);
}

int audit_signs(const struct audit_table *table, const json_t *row, int64_t *ret_n)
{
	for (int i = 0; i < KINDS; i++)
		if (strcmp(table->name, kind_tables[i]) == 0) {
			*ret_n = strcmp(table->name, "status_intent") == 0
					 ? (int64_t)strlen(audit_text(table, row, "hashes")) / (2 * AUDIT_HASH)
					 : 1;
			return i;
		}
	return -1;
}

static struct own *find(const struct heads *heads, const char *node, int64_t number)
{
	for (size_t i = 0; i < heads->n; i++) /* the newest are asked for most */
		if (heads->own[heads->n - 1 - i].number == number &&
		    strcmp(heads->own[heads->n - 1 - i].node, node) == 0)
			return &heads->own[heads->n - 1 - i];
	return NULL;
}

static struct own *add(struct heads *heads)
{
	if (heads->n == heads->cap) {
		size_t cap = heads->cap == 0 ? 256 : 2 * heads->cap;
		struct own *own = realloc(heads->own, cap * sizeof(*own));

		if (own == NULL)
			return NULL;
		heads->own = own;
		heads->cap = cap;
	}
	return &heads->own[heads->n++];
}

bool heads_of_row(struct heads *heads, const struct audit_table *table, const json_t *row, int64_t at)
{
	const char *text, *node = audit_text(table, row, "node");
	struct own *own;

	if (strcmp(table->name, "ceremony") == 0 && heads->key_sha256[0] != '\0')
		heads->key_on_record |= strstr(audit_text(table, row, "transcript"), heads->key_sha256) != NULL;
	if (strcmp(table->name, "head_signature") == 0) {
		own = find(heads, node, audit_number(table, row, "number"));
		if (own != NULL)
			own->signature_at = at;
	} else if (strcmp(table->name, "head_intent") == 0) {
		own = add(heads);
		if (own == NULL)
			return false;
		*own = (struct own){ .number = audit_number(table, row, "number"), .text_at = at, .signature_at = -1 };
		(void)snprintf(own->node, sizeof(own->node), "%.32s", node);
		text = audit_text(table, row, "text");
		return audit_sha256(text, strlen(text), own->hash);
	}
	return true;
}

/* What a head says against the rows: its positions, and the number of intents up to them. */
static void check_said(const struct head *head, const char *name, bool outside, bool count,
		       const struct heads_view *view)
{
	int64_t there[KINDS];
	size_t i;
	const json_t *p;

	json_array_foreach(head->positions, i, p)
		view->position(view->user, json_string_value(json_array_get(p, 0)),
			       json_string_value(json_array_get(p, 1)),
			       (int64_t)json_integer_value(json_array_get(p, 2)),
			       json_string_value(json_array_get(p, 3)), name, outside);
	if (!count || !view->counts(view->user, head->positions, there))
		return;
	for (int k = 0; k < KINDS; k++)
		if (head_intents(head, kind_names[k]) != there[k])
			view->found(view->user, "contradiction: %s counts %lld intents of %s, the ledger has %lld",
				    name, (long long)head_intents(head, kind_names[k]), kind_names[k],
				    (long long)there[k]);
}

static json_t *row_at(FILE *export, int64_t at)
{
	char *text = NULL;
	size_t cap = 0;
	ssize_t len = at >= 0 && fseeko(export, at, SEEK_SET) == 0 ? export_line(export, &text, &cap) : -1;
	json_t *row = len > 0 ? json_loadb(text, (size_t)len, 0, NULL) : NULL;

	free(text);
	return row;
}

/* True if the signature verifies, or there is no key to do it with. */
static bool own_signature(const struct heads *heads, const struct own *own, struct head *head, FILE *export)
{
	json_t *row = heads->key == NULL ? NULL : row_at(export, own->signature_at);
	const char *hex = row == NULL ? "" : audit_text(audit_row_table(row), row, "signature");
	bool ok = heads->key == NULL;

	if (row != NULL && strlen(hex) <= 2 * HEAD_SIGNATURE_MAX) {
		head->signature_len = strlen(hex) / 2;
		ok = audit_unhex(hex, head->signature, head->signature_len) && head_verify(head, heads->key);
	}
	json_decref(row);
	return ok;
}

/* One that the ledger has: what it says, that it follows from the signed one before, its signature. */
static void check_own(const struct heads *heads, const struct own *own, const struct own *previous, FILE *export,
		      bool count, const struct heads_view *view)
{
	json_t *row = row_at(export, own->text_at);
	const char *text = row == NULL ? "" : audit_text(audit_row_table(row), row, "text");
	char name[AUDIT_LABEL], expected[2 * HEAD_HASH + 1] = "";
	struct head head;

	(void)snprintf(name, sizeof(name), "head %lld of %s", (long long)own->number, own->node);
	if (!head_parse_text(text, strlen(text), &head) || head.number != own->number ||
	    strcmp(head.node, own->node) != 0) {
		view->found(view->user, "forged: %s: its text is none of this head", name);
		json_decref(row);
		return;
	}
	for (size_t i = 0; i < HEAD_HASH; i++)
		(void)snprintf(expected + 2 * i, 3, "%02x", previous == NULL ? 0 : previous->hash[i]);
	if (strcmp(head.previous, expected) != 0)
		view->found(view->user, "forged: %s: does not follow from the signed head before", name);
	if (own->signature_at >= 0 && !own_signature(heads, own, &head, export))
		view->found(view->user, "forged: %s: its signature is not of the key that signs heads", name);
	check_said(&head, name, false, count, view);
	head_done(&head);
	json_decref(row);
}

static int by_number(const void *left, const void *right)
{
	const struct own *a = left, *b = right;
	int order = strcmp(a->node, b->node);

	return order != 0 ? order : a->number < b->number ? -1 : a->number > b->number;
}

void heads_check_own(struct heads *heads, FILE *export, const struct heads_view *view)
{
	const struct own *previous = NULL;

	if (heads->n > 0)
		qsort(heads->own, heads->n, sizeof(heads->own[0]), by_number);
	for (size_t i = 0; i < heads->n; i++) {
		const struct own *own = &heads->own[i];

		if (i > 0 && strcmp(heads->own[i - 1].node, own->node) != 0)
			previous = NULL;
		check_own(heads, own, previous, export, i + COUNTED >= heads->n, view);
		if (own->signature_at >= 0)
			previous = own;
	}
	if (heads->key != NULL && heads->key_sha256[0] != '\0' && !heads->key_on_record)
		view->found(view->user,
			    "forged: the certificate of the key that signs heads is of no ceremony on record");
}

/* One that was kept outside: signed, in the ledger as it was kept, and true. */
static void check_outside(const struct heads *heads, const struct head *head, const char *where,
			  const struct heads_view *view)
{
	const struct own *own = find(heads, head->node, head->number);
	char name[AUDIT_LABEL];

	(void)snprintf(name, sizeof(name), "head %lld of %.32s", (long long)head->number, head->node);
	if (!head_verify(head, heads->key)) {
		view->found(view->user, "forged: %s: %s: its signature is not of the key that signs heads", where,
			    name);
		return;
	}
	if (own == NULL)
		view->found(view->user, "dropped: %s was signed and kept, the ledger does not have it", name);
	else if (memcmp(own->hash, head->hash, HEAD_HASH) != 0)
		view->found(view->user, "altered: %s is another one in the ledger than the one that was kept", name);
	check_said(head, name, true, own == NULL || memcmp(own->hash, head->hash, HEAD_HASH) != 0, view);
}

static bool check_plain(const char *line, const struct heads_view *view)
{
	char node[129], stream[129], hash[129];
	long long seq;

	if (sscanf(line, "%128s %128s %lld %128s", node, stream, &seq, hash) != 4)
		return false;
	view->position(view->user, node, stream, seq, hash, NULL, true);
	return true;
}

static bool check_line(const struct heads *heads, const char *line, size_t len, const char *where,
		       const struct heads_view *view)
{
	struct head head;

	if (!head_is_line(line, len)) {
		if (!check_plain(line, view))
			view->found(view->user, "forged: %s: must be a signed head, or: node stream row hash", where);
		return true;
	}
	if (heads->key == NULL)
		return fail("%s is a signed head: --heads-key FILE is needed to check it (a home has it as "
			    "ca/heads.pem)",
			    where) == 0;
	if (!head_parse(line, len, &head)) {
		view->found(view->user, "forged: %s: is no whole signed head", where);
		return true;
	}
	check_outside(heads, &head, where, view);
	head_done(&head);
	return true;
}

struct outside_file {
	const struct heads *heads;
	const char *path;
	const struct heads_view *view;
	bool any, enough;
};

static bool check_one(void *user, const char *line, size_t len, unsigned n)
{
	struct outside_file *file = user;
	char where[AUDIT_LABEL];

	(void)snprintf(where, sizeof(where), "%.120s line %u", file->path, n);
	file->any = check_line(file->heads, line, len, where, file->view);
	file->enough = file->any && file->view->enough(file->view->user);
	return file->any && !file->enough;
}

bool heads_check_file(struct heads *heads, const char *path, const struct heads_view *view)
{
	struct outside_file file = { .heads = heads, .path = path, .view = view };

	if (!heads_lines(path, check_one, &file))
		return file.enough;
	return file.any || fail("%s: no head in it", path) == 0;
}
