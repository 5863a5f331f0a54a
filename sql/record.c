/* record.c - signatures, and intents that will never have one; see ledger.h. */
#include <string.h>

#include "session.h"

static struct track *record_track(struct ledger *ledger)
{
	return &ledger->track[ledger->n_tracks - 1];
}

void record_encode(struct ledger *ledger, const struct signed_row *rows, size_t n, struct params *params)
{
	session_params(ledger, record_track(ledger), params);
	param_array(params, PG_BYTEA, n);
	for (size_t i = 0; i < n; i++)
		array_bytea(params, rows[i].serial);
	param_array(params, PG_BYTEA, n);
	for (size_t i = 0; i < n; i++)
		array_bytea(params, rows[i].tail);
}

/* Rows of record(): only entries that were not recorded, and row 0 with the chain row's hash. */
enum reason record_decode(struct ledger *ledger, const PGresult *result, struct signed_row *rows, size_t n,
			  struct fault *f)
{
	for (size_t i = 0; i < n; i++)
		rows[i].verdict = REASON_OK;
	for (int i = 0; i < PQntuples(result); i++) {
		int64_t idx = result_int(result, i, 0);

		if (idx == 0)
			TRY(session_advance(record_track(ledger), result_blob(result, i, 2), f));
		else if (idx < 1 || idx > (int64_t)n)
			return fault_set(f, REASON_INTERNAL, "record() gave index %lld", (long long)idx);
		else
			rows[idx - 1].verdict = blob_equal(result_blob(result, i, 1), BLOB_STR("claim_revoked"))
							? REASON_CLAIM_REVOKED
							: REASON_LEDGER_REFUSED;
	}
	return REASON_OK;
}

/* One commit, or, if a row is at fault, one for each half, until that row is alone. */
static enum reason record_rows(struct ledger *ledger, struct signed_row *rows, size_t n, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	struct fault refused = { 0 };
	enum reason reason;

	record_encode(ledger, rows, n, &params);
	reason = session_call(ledger, STMT_RECORD, &params, &result, &refused);
	if (reason == REASON_OK)
		return record_decode(ledger, result, rows, n, f);
	if (reason != REASON_LEDGER_REFUSED)
		return fault_set(f, reason, "%s", refused.detail);
	if (n == 1) {
		rows->verdict = REASON_LEDGER_REFUSED;
		return REASON_OK;
	}
	params_done(&params);
	TRY(record_rows(ledger, rows, n / 2, f));
	return record_rows(ledger, rows + n / 2, n - n / 2, f);
}

enum reason ledger_record(struct ledger *ledger, struct signed_row *batch, size_t n, struct fault *f)
{
	TRY(session_ready(ledger, f));
	return n == 0 ? REASON_OK : record_rows(ledger, batch, n, f);
}

/* A result of one row: how many, and the chain row's hash if something was written. */
static enum reason finish_void(struct ledger *ledger, const PGresult *result, size_t *ret_n, struct fault *f)
{
	if (!result_null(result, 0, 1))
		TRY(session_advance(&ledger->track[0], result_blob(result, 0, 1), f));
	*ret_n = (size_t)result_int(result, 0, 0);
	return REASON_OK;
}

enum reason ledger_void_unsigned(struct ledger *ledger, size_t *ret_n, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	TRY(session_call(ledger, STMT_VOID_UNSIGNED, &params, &result, f));
	return finish_void(ledger, result, ret_n, f);
}

enum reason ledger_void(struct ledger *ledger, struct blob serial, const char *why, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	size_t n = 0;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_array(&params, PG_BYTEA, 1);
	array_bytea(&params, serial);
	param_text(&params, why);
	TRY(session_call(ledger, STMT_VOID_SERIALS, &params, &result, f));
	TRY(finish_void(ledger, result, &n, f));
	if (n == 0)
		return fault_set(f, REASON_LEDGER_REFUSED, "void: the serial is signed, or was never intended");
	return REASON_OK;
}
