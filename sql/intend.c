/* intend.c - a batch of intents: encoded as arrays, one call, one commit; see ledger.h. */
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define WARY_BATCHES 16 /* a batch taken for new that is not is written twice: retries come in crowds */
#define NO_EXPIRY_S INT64_C(253402300799) /* 9999-12-31 23:59:59 UTC, as the certificate says it */

/* One entry with what is derived from it, so that the batch can be sorted. */
struct row {
	struct intent *intent;
	uint8_t device[32], key[32];
	struct blob purpose; /* what the claim is for: the family, or the previous serial */
};

static int by_claim(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;
	size_t common = a->purpose.len < b->purpose.len ? a->purpose.len : b->purpose.len;
	int order = memcmp(a->device, b->device, sizeof(a->device));

	if (order == 0)
		order = memcmp(a->purpose.ptr, b->purpose.ptr, common);
	if (order == 0)
		order = (a->purpose.len > b->purpose.len) - (a->purpose.len < b->purpose.len);
	if (order == 0)
		order = (a->intent > b->intent) - (a->intent < b->intent);
	return order;
}

static const char *or_null(const char *text)
{
	return text[0] == '\0' ? NULL : text;
}

static struct blob blob_or_null(const void *ptr, size_t len)
{
	return len == 0 ? (struct blob){ 0 } : BLOB(ptr, len);
}

static struct blob hash_or_null(const uint8_t hash[32])
{
	static const uint8_t none[32];

	return memcmp(hash, none, sizeof(none)) == 0 ? (struct blob){ 0 } : BLOB(hash, sizeof(none));
}

static int64_t timestamp(int64_t s)
{
	return s > NO_EXPIRY_S ? NO_EXPIRY_S : s;
}

/* In the order of the columns of intent_row in the migrations. */
#define INTENT_COLUMNS 25
static void encode_row(struct params *p, const struct row *r)
{
	const struct grant *g = r->intent->grant;

	row_begin(p, INTENT_COLUMNS);
	row_int2(p, (int)g->kind);
	row_bytea(p, BLOB_OF(r->device));
	row_bytea(p, r->purpose);
	row_bytea(p, BLOB_OF(r->key));
	row_bytea(p, BLOB(r->intent->serial, r->intent->serial_len));
	row_bytea(p, r->intent->tbs);
	row_text(p, g->issuer);
	row_text(p, g->profile);
	row_text(p, g->family);
	row_bytea(p, BLOB_OF(g->policy_hash));
	row_text(p, g->requester);
	row_bool(p, g->once);
	row_text(p, g->device.format);
	row_bytea(p, BLOB_OF(g->device.vendor_root));
	row_bytea(p, BLOB(g->device.element, g->device.element_len));
	row_int2(p, (int)g->level);
	row_text(p, g->freshness == REASON_OK ? NULL : reason_info(g->freshness)->name);
	row_bytea(p, blob_or_null(g->nonce, g->nonce_len));
	row_bytea(p, blob_or_null(g->evidence.ptr, g->evidence.len));
	row_text(p, or_null(g->evidence_format));
	row_bytea(p, blob_or_null(g->continuity.ptr, g->continuity.len));
	row_text(p, or_null(g->unit_serial));
	row_int8(p, timestamp(r->intent->not_before_s));
	row_int8(p, timestamp(r->intent->not_after_s));
	row_bytea(p, hash_or_null(g->batch_ca));
	row_end(p);
}

static enum reason decode_row(const PGresult *result, int i, struct intent *intent, struct fault *f)
{
	int64_t outcome = result_int(result, i, 1);

	if (outcome == INTENT_REFUSED) {
		enum reason reason = REASON_INTERNAL;

		if (!reason_by_name(PQgetvalue(result, i, 2), &reason))
			return fault_set(f, REASON_INTERNAL, "intend() gave reason %s", PQgetvalue(result, i, 2));

		intent->outcome = INTENT_REFUSED;
		fault_set(&intent->verdict, reason, "%s", PQgetvalue(result, i, 3));
		return REASON_OK;
	}
	if (outcome == INTENT_ISSUED)
		TRY(buf_copy(result_blob(result, i, 5), &intent->certificate, f));
	else if (outcome != INTENT_PENDING)
		return fault_set(f, REASON_INTERNAL, "intend() gave outcome %lld", (long long)outcome);
	TRY(result_bytes(result, i, 4, intent->serial, sizeof(intent->serial), &intent->serial_len, f));
	intent->outcome = (enum intent_outcome)outcome;
	return REASON_OK;
}

/* Entries without a row in the result are new; row 0 is the commit's chain row. */
static enum reason decode(struct ledger *ledger, const PGresult *result, struct row *rows, size_t n, struct fault *f)
{
	for (size_t i = 0; i < n; i++) {
		rows[i].intent->outcome = INTENT_NEW;
		rows[i].intent->verdict = (struct fault){ .reason = REASON_OK };
	}
	if (ledger->wary > 0)
		ledger->wary--;
	for (int i = 0; i < PQntuples(result); i++) {
		int64_t idx = result_int(result, i, 0);

		if (idx != 0)
			ledger->wary = WARY_BATCHES;
		if (idx == 0)
			TRY(session_advance(&ledger->track[0], result_blob(result, i, 4), f));
		else if (idx < 1 || idx > (int64_t)n)
			return fault_set(f, REASON_INTERNAL, "intend() gave index %lld", (long long)idx);
		else
			TRY(decode_row(result, i, rows[idx - 1].intent, f));
	}
	return REASON_OK;
}

/* What every row of issuance is like, whoever asks; the tables' own constraints would cost each batch anew. */
static bool row_fits(const struct intent *intent)
{
	const struct grant *g = intent->grant;

	return (g->kind == GRANT_ENROL || (g->kind == GRANT_REENROL && g->previous_len > 0)) &&
	       g->requester[0] != '\0' && g->level >= LEVEL_NONE && g->level <= LEVEL_NATIVE && intent->tbs.len > 0 &&
	       intent->not_after_s > intent->not_before_s;
}

/* Enrolments with fresh evidence: what they are is for the ledger to find, but most are new. */
static bool look_new(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rows[i].intent->grant->kind != GRANT_ENROL || rows[i].intent->grant->freshness != REASON_OK)
			return false;
	return true;
}

static void encode_call(struct ledger *ledger, const struct row *rows, size_t n, struct params *params)
{
	session_params(ledger, &ledger->track[0], params);
	param_int8(params, ledger->retry_window_s);
	param_rows(params, ledger->intent_row, n);
	for (size_t i = 0; i < n; i++)
		encode_row(params, &rows[i]);
	param_int8(params, ledger->wary == 0 && look_new(rows, n));
}

/* One commit, or, if a row is at fault, one for each half, until that row is alone. */
static enum reason intend_rows(struct ledger *ledger, struct row *rows, size_t n, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	struct fault refused = { 0 };
	enum reason reason;

	encode_call(ledger, rows, n, &params);
	reason = session_call(ledger, STMT_INTEND, &params, &result, &refused);
	if (reason == REASON_OK)
		return decode(ledger, result, rows, n, f);
	if (reason != REASON_LEDGER_REFUSED)
		return fault_set(f, reason, "%s", refused.detail);
	if (n == 1) {
		rows->intent->outcome = INTENT_REFUSED;
		rows->intent->verdict = refused;
		return REASON_OK;
	}
	params_done(&params);
	TRY(intend_rows(ledger, rows, n / 2, f));
	return intend_rows(ledger, rows + n / 2, n - n / 2, f);
}

/* Signatures first, for an intent of the same batch may repeat one of them. */
static enum reason both_rows(struct ledger *ledger, struct signed_row *done, size_t n_done, struct row *rows, size_t n,
			     struct fault *f)
{
	static const enum statement both[2] = { STMT_RECORD, STMT_INTEND };
	AUTO(params_done) struct params record = { 0 };
	AUTO(params_done) struct params intend = { 0 };
	AUTO(result_freep) PGresult *recorded = NULL;
	AUTO(result_freep) PGresult *intended = NULL;
	PGresult *results[2];

	record_encode(ledger, done, n_done, &record);
	encode_call(ledger, rows, n, &intend);
	TRY(session_call_both(ledger, both, (struct params *const[]){ &record, &intend }, results, f));
	recorded = results[0];
	intended = results[1];
	TRY(record_decode(ledger, recorded, done, n_done, f));
	return decode(ledger, intended, rows, n, f);
}

/* A row at fault takes all of its commit with it: then each part is written alone, and finds its row. */
static enum reason cycle_rows(struct ledger *ledger, struct signed_row *done, size_t n_done, struct row *rows, size_t n,
			      struct fault *f)
{
	struct fault refused = { 0 };
	enum reason reason;

	if (n_done == 0)
		return intend_rows(ledger, rows, n, f);
	reason = both_rows(ledger, done, n_done, rows, n, &refused);
	if (reason == REASON_OK)
		return REASON_OK;
	if (reason != REASON_LEDGER_REFUSED)
		return fault_set(f, reason, "%s", refused.detail);
	TRY(ledger_record(ledger, done, n_done, f));
	return intend_rows(ledger, rows, n, f);
}

static void fill_row(struct row *row, struct intent *intent)
{
	const struct grant *grant = intent->grant;

	row->intent = intent;
	device_hash(&grant->device, row->device);
	pubkey_hash(&grant->key, row->key);
	row->purpose =
		grant->kind == GRANT_REENROL ? BLOB(grant->previous, grant->previous_len) : BLOB_STR(grant->family);
}

/* Those that fit, in the order of their claims; the others are refused here. Returns how many. */
static size_t fill_rows(struct row *rows, struct sent_serial *sent, struct intent *batch, size_t n)
{
	size_t n_rows = 0;

	for (size_t i = 0; i < n; i++) {
		sent[i].len = (uint8_t)batch[i].serial_len;
		memcpy(sent[i].bytes, batch[i].serial, batch[i].serial_len);
		batch[i].certificate = (struct buf){ 0 };
		if (row_fits(&batch[i])) {
			fill_row(&rows[n_rows++], &batch[i]);
			continue;
		}
		batch[i].outcome = INTENT_REFUSED;
		fault_set(&batch[i].verdict, REASON_LEDGER_REFUSED, "kind, level, requester, dates or bytes to sign");
	}
	qsort(rows, n_rows, sizeof(*rows), by_claim);
	return n_rows;
}

enum reason ledger_cycle(struct ledger *ledger, struct signed_row *done, size_t n_done, struct intent *batch, size_t n,
			 struct fault *f)
{
	struct row *rows;
	struct sent_serial *sent;
	size_t n_rows;
	enum reason reason;

	if (n == 0)
		return ledger_record(ledger, done, n_done, f);
	TRY(session_ready(ledger, f));
	rows = calloc(n, sizeof(*rows));
	sent = calloc(n, sizeof(*sent));
	if (rows == NULL || sent == NULL) {
		free(rows);
		free(sent);
		return fault_set(f, REASON_NO_MEMORY, "%zu intents", n);
	}
	n_rows = fill_rows(rows, sent, batch, n);
	reason = n_rows == 0 ? ledger_record(ledger, done, n_done, f)
			     : cycle_rows(ledger, done, n_done, rows, n_rows, f);
	free(rows);
	if (reason == REASON_OK) {
		free(sent);
		return REASON_OK;
	}
	/* The caller signs none of these. What of them is in the ledger nevertheless is voided on the next connection.
	 */
	for (size_t i = 0; i < n; i++)
		buf_done(&batch[i].certificate);
	session_lost(ledger, sent, n);
	return reason;
}

enum reason ledger_intend(struct ledger *ledger, struct intent *batch, size_t n, struct fault *f)
{
	return ledger_cycle(ledger, NULL, 0, batch, n, f);
}
