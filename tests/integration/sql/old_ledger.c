/* old_ledger.c - see old_ledger.h. */
#include "old_ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define BATCH_MAX 4
#define COLUMNS 25
#define VALUE 300

/* In this order intend() took them as arrays, and intent_row has them. */
static const char *const types[COLUMNS] = { "smallint", "bytea",    "bytea",  "bytea", "bytea",   "bytea", "text",
					    "text",     "text",     "bytea",  "text",  "boolean", "text",  "bytea",
					    "bytea",    "smallint", "text",   "bytea", "bytea",   "text",  "bytea",
					    "text",     "bigint",   "bigint", "bytea" };

struct values {
	int n;
	char text[COLUMNS][VALUE]; /* "": NULL */
};

static void put_bytes(struct values *v, const void *ptr, size_t len)
{
	char *out = v->text[v->n++];

	if (len == 0)
		return;
	strcpy(out, "\\x");
	text_hex(BLOB(ptr, len), out + 2, VALUE - 2);
}

static void put_text(struct values *v, const char *text)
{
	snprintf(v->text[v->n++], VALUE, "%s", text);
}

static void put_number(struct values *v, int64_t number)
{
	snprintf(v->text[v->n++], VALUE, "%lld", (long long)number);
}

static void put_purpose(struct values *v, const struct grant *g)
{
	if (g->kind == GRANT_REENROL)
		put_bytes(v, g->previous, g->previous_len);
	else
		put_bytes(v, g->family, strlen(g->family));
}

static void put_batch_ca(struct values *v, const uint8_t hash[32])
{
	static const uint8_t none[32];

	put_bytes(v, hash, memcmp(hash, none, 32) == 0 ? 0 : 32);
}

static void values_of(const struct request *r, struct values *v)
{
	const struct grant *g = &r->grant;
	uint8_t device[32], key[32];

	*v = (struct values){ 0 };
	device_hash(&g->device, device);
	pubkey_hash(&g->key, key);
	put_number(v, (int64_t)g->kind);
	put_bytes(v, device, 32);
	put_purpose(v, g);
	put_bytes(v, key, 32);
	put_bytes(v, r->serial, r->serial_len);
	put_bytes(v, r->intent.tbs.ptr, r->intent.tbs.len);
	put_text(v, g->issuer);
	put_text(v, g->profile);
	put_text(v, g->family);
	put_bytes(v, g->policy_hash, 32);
	put_text(v, g->requester);
	put_text(v, "false"); /* once */
	put_text(v, g->device.format);
	put_bytes(v, g->device.vendor_root, 32);
	put_bytes(v, g->device.element, g->device.element_len);
	put_number(v, (int64_t)g->level);
	put_text(v, ""); /* stale */
	put_bytes(v, g->nonce, g->nonce_len);
	put_bytes(v, g->evidence.ptr, g->evidence.len);
	put_text(v, g->evidence_format);
	put_bytes(v, g->continuity.ptr, g->continuity.len);
	put_text(v, g->unit_serial);
	put_number(v, r->intent.not_before_s);
	put_number(v, r->intent.not_after_s);
	put_batch_ca(v, g->batch_ca);
	assert_int_equal(v->n, COLUMNS);
}

/* By device: claims come in one order, whatever node. */
static int by_device(const void *a, const void *b)
{
	return strcmp(((const struct values *)a)->text[1], ((const struct values *)b)->text[1]);
}

static void put_value(FILE *sql, const struct values *v, int column)
{
	if (v->text[column][0] == '\0')
		fprintf(sql, "null::%s", types[column]);
	else
		fprintf(sql, "'%s'::%s", v->text[column], types[column]);
}

/* Up to 0026: an array for each column, of which the last came with 0018. */
static void put_arrays(FILE *sql, const struct values *v, size_t n, int version)
{
	for (int column = 0; column < (version < 18 ? COLUMNS - 1 : COLUMNS); column++) {
		fputs(", array[", sql);
		for (size_t i = 0; i < n; i++) {
			fputs(i == 0 ? "" : ", ", sql);
			put_value(sql, &v[i], column);
		}
		fputs("]", sql);
	}
}

/* From 0027 on: an array of rows. */
static void put_rows(FILE *sql, const struct values *v, size_t n)
{
	fputs(", array[", sql);
	for (size_t i = 0; i < n; i++) {
		fputs(i == 0 ? "row(" : ", row(", sql);
		for (int column = 0; column < COLUMNS; column++) {
			fputs(column == 0 ? "" : ", ", sql);
			put_value(sql, &v[i], column);
		}
		fputs(")::intent_row", sql);
	}
	fputs("]", sql);
}

/* The four parameters of whatever writes: this node's stream, and its last row. */
static void put_chain(FILE *sql, const char *stream)
{
	fprintf(sql,
		"'" OLD_NODE "', '%s', (select coalesce(max(seq), 0) from chain where node = '" OLD_NODE "' and "
		"stream = '%s'), coalesce((select hash from chain where node = '" OLD_NODE "' and stream = '%s' "
		"order by seq desc limit 1), decode(repeat('00', 32), 'hex'))",
		stream, stream, stream);
}

/* A write that has nothing to say but its chain row. */
static void run(PGconn *ca, FILE *sql, char **text)
{
	fclose(sql);
	PGresult *result = PQexec(ca, *text);
	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1 ||
	    strcmp(PQgetvalue(result, 0, 0), "0") != 0)
		fail_msg("%d rows, %s: %s", PQntuples(result), PQerrorMessage(ca), *text);
	PQclear(result);
	free(*text);
}

static void old_intend(PGconn *ca, int version, struct request *const *r, size_t n)
{
	static struct values values[BATCH_MAX];
	char *text = NULL;
	size_t len;
	FILE *sql = open_memstream(&text, &len);

	assert_non_null(sql);
	assert_true(n <= BATCH_MAX);
	for (size_t i = 0; i < n; i++)
		values_of(r[i], &values[i]);
	qsort(values, n, sizeof(values[0]), by_device);
	fputs("select idx from intend(", sql);
	put_chain(sql, "intend");
	fprintf(sql, ", %d", WINDOW_S);
	if (version < 27)
		put_arrays(sql, values, n, version);
	else
		put_rows(sql, values, n);
	fprintf(sql, "%s)", version < 26 ? "" : r[0]->grant.kind == GRANT_ENROL ? ", true" : ", false");
	run(ca, sql, &text);
}

static void old_policy(PGconn *ca, const struct request *r)
{
	char *text = NULL, hex[65];
	size_t len;
	FILE *sql = open_memstream(&text, &len);

	assert_non_null(sql);
	text_hex(BLOB_OF(r->grant.policy_hash), hex, sizeof(hex));
	fputs("select 0 from record_policy(", sql);
	put_chain(sql, "intend");
	fprintf(sql, ", '\\x%s', 'rules')", hex);
	run(ca, sql, &text);
}

static void old_record(PGconn *ca, struct request *const *r, size_t n)
{
	char *text = NULL;
	size_t len;
	FILE *sql = open_memstream(&text, &len);

	assert_non_null(sql);
	fputs("select idx from record(", sql);
	put_chain(sql, "record");
	fputs(", array['", sql);
	for (size_t i = 0; i < n; i++)
		fprintf(sql, "%s\\x%s", i == 0 ? "" : "', '", r[i]->hex);
	fputs("']::bytea[], array['", sql);
	for (size_t i = 0; i < n; i++)
		fprintf(sql, "%sthe tail", i == 0 ? "" : "', '");
	fputs("']::bytea[])", sql);
	run(ca, sql, &text);
}

static void write_full(struct request *r, const char *element)
{
	static const uint8_t evidence[] = "evidence";

	request_enrol(r, element, element);
	request_nonce(r, element);
	strcpy(r->grant.unit_serial, element);
	memset(r->grant.batch_ca, 0xba, sizeof(r->grant.batch_ca));
	r->grant.evidence = (struct buf){ .ptr = (uint8_t *)evidence, .len = 8 };
}

void old_write(struct world *world, PGconn *ca, struct past *p, int version, bool first_of_all)
{
	struct request *const first[] = { &p->plain, &p->full }, *const second[] = { &p->gone, &p->held, &p->left };
	struct request *const renewal[] = { &p->renewal };
	struct request *all[] = { &p->plain, &p->full, &p->gone, &p->held, &p->left };
	static const char *const names[] = { "plain", "full", "gone", "held", "left" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s-of-%d", names[i], version);
		if (all[i] == &p->full)
			write_full(all[i], name);
		else
			request_enrol(all[i], name, name);
		request_tbs(all[i]);
	}
	if (first_of_all)
		old_policy(ca, &p->plain);
	old_intend(ca, version, first, 2);
	old_record(ca, first, 2);
	old_intend(ca, version, second, 3);
	old_record(ca, second, 2);
	request_reenrol(&p->renewal, &p->plain, "of another key");
	p->renewal.grant.key.raw[40] = (uint8_t)version;
	request_tbs(&p->renewal);
	old_intend(ca, version, renewal, 1);
	old_record(ca, renewal, 1);
	world_sql(world, "select revoke('\\x%s', 1, 'operator:kim'), revoke('\\x%s', 6, 'operator:kim')", p->gone.hex,
		  p->held.hex);
	snprintf(p->certificate, sizeof(p->certificate), "%s",
		 world_sql(world, "select encode(certificate('\\x%s'), 'hex')", p->plain.hex));
	assert_true(p->certificate[0] != '\0');
}
