/* head.c - see head.h. */
#include "head.h"

#include "session.h"

enum reason ledger_head_intend(struct ledger *ledger, struct head_intent *head, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_int8(&params, head->since_s);
	param_int8(&params, (int64_t)head->signatures);
	param_int8(&params, head->age_s);
	TRY(session_call(ledger, STMT_HEAD_INTEND, &params, &result, f));
	head->number = 0;
	if (PQntuples(result) == 0)
		return REASON_OK;
	TRY(session_advance(&ledger->track[0], result_blob(result, 0, 2), f));
	TRY(buf_copy(result_blob(result, 0, 1), &head->text, f));
	head->number = (uint64_t)result_int(result, 0, 0);
	return REASON_OK;
}

enum reason ledger_head_record(struct ledger *ledger, uint64_t number, struct blob signature, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_int8(&params, (int64_t)number);
	param_bytea(&params, signature);
	TRY(session_call(ledger, STMT_HEAD_RECORD, &params, &result, f));
	return session_advance(&ledger->track[0], result_blob(result, 0, 0), f);
}

enum reason ledger_head_newest(struct ledger *ledger, struct buf *ret_line, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	param_text(&params, ledger->node);
	TRY(session_call(ledger, STMT_HEAD_NEWEST, &params, &result, f));
	return PQntuples(result) == 0 ? REASON_OK : buf_copy(result_blob(result, 0, 0), ret_line, f);
}
