/* audit_facts.c - what must follow from what in a ledger, as small facts that are sorted and compared; see audit.h. */
#include <stdlib.h>
#include <string.h>

#include "audit.h"

#define SHORT 16 /* of a SHA-256: enough that nobody finds two of a kind */

enum kind { INTENT, SIGNED, VOIDED, REVOKED, PREVIOUS, POLICY, POLICY_NAMED, NUMBERED, CRL, KEY, NONCE, UNIT, DEVICE };

struct fact {
	enum kind kind;
	uint8_t key[SHORT], value[SHORT];
	int64_t at;
};

struct facts {
	struct fact *list;
	size_t n, cap;
};

/* Where a fact of a row comes from: columns, joined. */
struct source {
	const char *table;
	enum kind kind;
	const char *key[3], *value[3];
};
static const struct source sources[] = {
	{ "issuance", INTENT, { "serial" }, { 0 } },
	{ "issuance", PREVIOUS, { "previous" }, { 0 } },
	{ "issuance", POLICY_NAMED, { "policy_hash" }, { 0 } },
	{ "issuance", KEY, { "key_hash" }, { "device" } },
	{ "issuance", NONCE, { "nonce" }, { "device", "key_hash", "purpose" } },
	{ "issuance", UNIT, { "unit_serial" }, { "device" } },
	{ "issuance", DEVICE, { "device" }, { "unit_serial" } },
	{ "signature", SIGNED, { "serial" }, { 0 } },
	{ "void", VOIDED, { "serial" }, { 0 } },
	{ "revocation", REVOKED, { "serial" }, { 0 } },
	{ "policy", POLICY, { "hash" }, { 0 } },
	{ "crl_number", NUMBERED, { "issuer", "number" }, { 0 } },
	{ "crl_intent", CRL, { "issuer", "number" }, { 0 } },
};

static const struct {
	enum kind of;
	bool there; /* `other` must be there, or must not */
	enum kind other;
	const char *wrong;
} rules[] = {
	{ SIGNED, true, INTENT, "is signed without an intent" },
	{ VOIDED, true, INTENT, "is void without an intent" },
	{ VOIDED, true, REVOKED, "is void but not revoked" },
	{ VOIDED, false, SIGNED, "is void and signed" },
	{ REVOKED, true, INTENT, "revokes what was never intended" },
	{ PREVIOUS, true, SIGNED, "follows a certificate that was never signed" },
	{ POLICY_NAMED, true, POLICY, "names a policy that is not on record" },
	{ CRL, true, NUMBERED, "is signed under a number that was not given out" },
};

/* One value to a key: what a second value means. Without a value, the key itself stands once. */
static const struct {
	enum kind kind;
	const char *wrong;
} once[] = {
	{ INTENT, "has the serial of another" },
	{ SIGNED, "is a second signature of its serial" },
	{ VOIDED, "is a second one" },
	{ NUMBERED, "is a number given out twice" },
	{ CRL, "is a second one of its number" },
	{ KEY, "gives a key of one element to another" },
	{ NONCE, "uses a nonce of another claim" },
	{ UNIT, "gives a product's serial to a second device" },
	{ DEVICE, "gives a device a second product's serial" },
};

struct facts *facts_new(void)
{
	return calloc(1, sizeof(struct facts));
}

void facts_free(struct facts *facts)
{
	if (facts == NULL)
		return;
	free(facts->list);
	free(facts);
}

/* The purpose of a claim: the family of an enrolment, the previous serial of a re-enrolment. */
static const json_t *value_of(const struct audit_table *table, const json_t *row, const char *column)
{
	if (strcmp(column, "purpose") == 0)
		column = audit_number(table, row, "kind") == 1 ? "family" : "previous";
	return audit_value(table, row, column);
}

/* A short hash of the columns; false if one of them is NULL. */
static bool digest(const struct audit_table *table, const json_t *row, const char *const *columns, uint8_t out[SHORT])
{
	char text[2048];
	uint8_t hash[AUDIT_HASH];
	size_t len = 0;

	for (size_t i = 0; i < 3 && columns[i] != NULL; i++) {
		const json_t *value = value_of(table, row, columns[i]);
		int n = json_is_string(value)
				? snprintf(text + len, sizeof(text) - len, "%s\n", json_string_value(value))
			: json_is_integer(value) ? snprintf(text + len, sizeof(text) - len, "%lld\n",
							    (long long)json_integer_value(value))
						 : -1;

		if (n < 0 || (size_t)n >= sizeof(text) - len)
			return false;
		len += (size_t)n;
	}
	if (!audit_sha256(text, len, hash))
		return false;
	memcpy(out, hash, SHORT);
	return true;
}

static struct fact *add(struct facts *facts)
{
	if (facts->n == facts->cap) {
		size_t cap = facts->cap == 0 ? 1024 : 2 * facts->cap;
		struct fact *list = realloc(facts->list, cap * sizeof(*list));

		if (list == NULL)
			return NULL;
		facts->list = list;
		facts->cap = cap;
	}
	return &facts->list[facts->n];
}

bool facts_of_row(struct facts *facts, const struct audit_table *table, const json_t *row, int64_t at)
{
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		const struct source *s = &sources[i];
		struct fact *fact;

		if (strcmp(s->table, table->name) != 0)
			continue;
		fact = add(facts);
		if (fact == NULL)
			return false;
		*fact = (struct fact){ .kind = s->kind, .at = at };
		if (digest(table, row, s->key, fact->key) &&
		    (s->value[0] == NULL || digest(table, row, s->value, fact->value)))
			facts->n++;
	}
	return true;
}

static int by_kind_and_key(const void *left, const void *right)
{
	const struct fact *a = left, *b = right;

	return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : memcmp(a->key, b->key, SHORT);
}

static int by_all(const void *left, const void *right)
{
	const struct fact *a = left, *b = right;
	int order = by_kind_and_key(left, right);

	return order != 0 ? order : a->at < b->at ? -1 : a->at > b->at;
}

static const char *second(const struct fact *first, const struct fact *other)
{
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (once[i].kind == first->kind)
			return first->kind < KEY || memcmp(first->value, other->value, SHORT) != 0 ? once[i].wrong
												   : NULL;
	return NULL;
}

static bool there(const struct facts *facts, const struct fact *of, enum kind kind)
{
	struct fact wanted = { .kind = kind };

	memcpy(wanted.key, of->key, SHORT);
	return bsearch(&wanted, facts->list, facts->n, sizeof(wanted), by_kind_and_key) != NULL;
}

bool facts_check(struct facts *facts, void (*wrong)(void *user, int64_t at, const char *what), void *user)
{
	if (facts->n == 0)
		return true;
	qsort(facts->list, facts->n, sizeof(facts->list[0]), by_all);
	for (size_t i = 0, first = 0; i < facts->n; i++) {
		const struct fact *fact = &facts->list[i];
		const char *what = NULL;

		if (by_kind_and_key(&facts->list[first], fact) != 0)
			first = i;
		if (i > first)
			what = second(&facts->list[first], fact);
		if (what != NULL)
			wrong(user, fact->at, what);
		for (size_t r = 0; r < sizeof(rules) / sizeof(rules[0]); r++)
			if (rules[r].of == fact->kind && there(facts, fact, rules[r].other) != rules[r].there)
				wrong(user, fact->at, rules[r].wrong);
	}
	return true;
}
