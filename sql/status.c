/* status.c - see status.h. */
#include "status.h"

#include "session.h"

enum reason ledger_status(struct ledger *ledger, struct status_row *rows, size_t n, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	param_array(&params, PG_TEXT, n);
	for (size_t i = 0; i < n; i++)
		array_text(&params, rows[i].issuer);
	param_array(&params, PG_BYTEA, n);
	for (size_t i = 0; i < n; i++)
		array_bytea(&params, rows[i].serial);
	TRY(session_call(ledger, STMT_STATUS, &params, &result, f));
	if ((size_t)PQntuples(result) != n)
		return fault_set(f, REASON_INTERNAL, "status_of_all: %d rows for %zu", PQntuples(result), n);
	for (int i = 0; i < PQntuples(result); i++) {
		int64_t idx = result_int(result, i, 0);

		if (idx < 1 || idx > (int64_t)n)
			return fault_set(f, REASON_INTERNAL, "status_of_all gave index %lld", (long long)idx);
		rows[idx - 1].status = (enum ocsp_status)result_int(result, i, 1);
		rows[idx - 1].reason = (uint8_t)result_int(result, i, 2);
		rows[idx - 1].at_s = result_int(result, i, 3);
	}
	return REASON_OK;
}

/* A function that adds a chain row and returns its hash. */
static enum reason write_row(struct ledger *ledger, enum statement statement, struct params *params, struct fault *f)
{
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_call(ledger, statement, params, &result, f));
	return session_advance(&ledger->track[0], result_blob(result, 0, 0), f);
}

enum reason ledger_status_intend(struct ledger *ledger, struct blob hashes, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_bytea(&params, hashes);
	return write_row(ledger, STMT_STATUS_INTEND, &params, f);
}

enum reason ledger_responder(struct ledger *ledger, const char *issuer, const uint8_t key_hash[32],
			     struct responder_row *ret_row, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	struct responder_row row = { 0 };

	TRY(session_ready(ledger, f));
	param_text(&params, issuer);
	param_bytea(&params, BLOB(key_hash, 32));
	TRY(session_call(ledger, STMT_RESPONDER, &params, &result, f));
	if (PQntuples(result) > 0) {
		row.not_before_s = result_int(result, 0, 0);
		row.not_after_s = result_int(result, 0, 1);
		TRY(buf_copy(result_blob(result, 0, 2), &row.certificate, f));
	}
	*ret_row = row;
	return REASON_OK;
}

enum reason ledger_responder_intend(struct ledger *ledger, const struct responder_intent *intent, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_text(&params, intent->issuer);
	param_bytea(&params, intent->serial);
	param_bytea(&params, BLOB(intent->key_hash, 32));
	param_int8(&params, intent->not_before_s);
	param_int8(&params, intent->not_after_s);
	param_bytea(&params, intent->tbs);
	return write_row(ledger, STMT_RESPONDER_INTEND, &params, f);
}

enum reason ledger_responder_record(struct ledger *ledger, struct blob serial, struct blob tail, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_bytea(&params, serial);
	param_bytea(&params, tail);
	return write_row(ledger, STMT_RESPONDER_RECORD, &params, f);
}
