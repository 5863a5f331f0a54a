/* operators.c - what operators do, as calls of the ledger's functions; see operators.h. */
#include "operators.h"

#include <string.h>

#include "session.h"

static void texts(struct params *p, const struct action_note *notes, size_t n, size_t member)
{
	param_array(p, PG_TEXT, n);
	for (size_t i = 0; i < n; i++) {
		const char *text;

		memcpy(&text, (const char *)&notes[i] + member, sizeof(text));
		array_text(p, text);
	}
}

enum reason ledger_note(struct ledger *ledger, const struct action_note *notes, size_t n, uint64_t *ret_first,
			struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	texts(&params, notes, n, offsetof(struct action_note, who));
	texts(&params, notes, n, offsetof(struct action_note, call));
	texts(&params, notes, n, offsetof(struct action_note, request));
	texts(&params, notes, n, offsetof(struct action_note, outcome));
	texts(&params, notes, n, offsetof(struct action_note, note));
	TRY(session_call(ledger, STMT_NOTE, &params, &result, f));
	TRY(session_advance(&ledger->track[0], result_blob(result, 0, 1), f));
	*ret_first = (uint64_t)result_int(result, 0, 0);
	return REASON_OK;
}

/* What plan_list() and plan_make() raise for another's list comes as a refused row. */
static enum reason no_list(enum reason reason, struct fault *f)
{
	return reason == REASON_LEDGER_REFUSED ? fault_set(f, REASON_PLAN_UNKNOWN, "no open list of yours has this id")
					       : reason;
}

enum reason ledger_plan_list(struct ledger *ledger, const uint8_t id[PLAN_BYTES], const char *who, bool adds,
			     const struct blob *serials, size_t n, uint64_t *ret_n, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	param_bytea(&params, BLOB(id, PLAN_BYTES));
	param_text(&params, who);
	param_array(&params, PG_BYTEA, n);
	for (size_t i = 0; i < n; i++)
		array_bytea(&params, serials[i]);
	param_int8(&params, adds);
	TRY(no_list(session_call(ledger, STMT_PLAN_LIST, &params, &result, f), f));
	*ret_n = (uint64_t)result_int(result, 0, 0);
	return REASON_OK;
}

enum reason ledger_plan(struct ledger *ledger, struct plan *plan, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	param_bytea(&params, BLOB(plan->id, PLAN_BYTES));
	param_text(&params, plan->who);
	param_text(&params, plan->by);
	param_text(&params, plan->value);
	param_int8(&params, plan->from_s);
	param_int8(&params, plan->until_s);
	param_int8(&params, plan->reason);
	param_text(&params, plan->note);
	TRY(no_list(session_call(ledger, STMT_PLAN_MAKE, &params, &result, f), f));
	plan->n = (uint64_t)result_int(result, 0, 0);
	plan->already = (uint64_t)result_int(result, 0, 1);
	return REASON_OK;
}

/* What a function says instead of doing it: a reason's name, and what it was about. */
static enum reason fault_of(const PGresult *result, int name, int detail, struct fault *f)
{
	enum reason reason;
	char text[64];

	if (result_null(result, 0, name))
		return REASON_OK;
	TRY(result_text(result, 0, name, text, sizeof(text), f));
	if (!reason_by_name(text, &reason))
		return fault_set(f, REASON_INTERNAL, "the ledger gave reason %s", text);
	return fault_set(f, reason, "%.*s", detail < 0 ? 0 : (int)PQgetlength(result, 0, detail),
			 detail < 0 ? "" : PQgetvalue(result, 0, detail));
}

enum reason ledger_plan_do(struct ledger *ledger, struct plan_piece *piece, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_bytea(&params, BLOB(piece->id, PLAN_BYTES));
	param_text(&params, piece->who);
	param_text(&params, piece->call);
	param_text(&params, piece->request);
	param_int8(&params, (int64_t)piece->lifetime_s);
	param_int8(&params, (int64_t)piece->two_above);
	param_int8(&params, piece->max);
	piece->sent = true;
	TRY(session_call(ledger, STMT_PLAN_DO, &params, &result, f));
	TRY(fault_of(result, 0, 1, f));
	piece->action = (uint64_t)result_int(result, 0, 2);
	piece->n = (uint64_t)result_int(result, 0, 3);
	piece->changed = (uint64_t)result_int(result, 0, 4);
	piece->more = result_int(result, 0, 5) != 0;
	return result_null(result, 0, 6) ? REASON_OK : session_advance(&ledger->track[0], result_blob(result, 0, 6), f);
}

enum reason ledger_plan_begun(struct ledger *ledger, uint8_t ret_id[PLAN_BYTES],
			      char ret_who[LIMIT_REQUESTER_CHARS + 1], bool *ret_found, struct fault *f)
{
	AUTO(params_done) struct params none = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	size_t len;

	TRY(session_ready(ledger, f));
	TRY(session_call(ledger, STMT_PLANS_BEGUN, &none, &result, f));
	*ret_found = PQntuples(result) > 0;
	if (!*ret_found)
		return REASON_OK;
	TRY(result_bytes(result, 0, 0, ret_id, PLAN_BYTES, &len, f));
	return result_text(result, 0, 1, ret_who, LIMIT_REQUESTER_CHARS + 1, f);
}

enum reason ledger_register(struct ledger *ledger, struct registration *registration, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_text(&params, registration->who);
	param_text(&params, registration->call);
	param_text(&params, registration->request);
	param_text(&params, registration->note);
	param_text(&params, registration->kind);
	param_text(&params, registration->name);
	param_bytea(&params, BLOB(registration->spki_hash, 32));
	param_text(&params, registration->names);
	param_text(&params, registration->labels);
	param_int8(&params, registration->active);
	param_int8(&params, registration->reason);
	param_bytea(&params, registration->device == NULL ? (struct blob){ 0 } : BLOB(registration->device, 32));
	TRY(session_call(ledger, STMT_REGISTER, &params, &result, f));
	TRY(fault_of(result, 0, -1, f));
	registration->action = (uint64_t)result_int(result, 0, 1);
	return session_advance(&ledger->track[0], result_blob(result, 0, 2), f);
}

enum reason ledger_renew(struct ledger *ledger, struct renewal *renewal, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_text(&params, renewal->who);
	param_text(&params, renewal->call);
	param_text(&params, renewal->request);
	param_bytea(&params, BLOB(renewal->old_key, 32));
	param_bytea(&params, BLOB(renewal->new_key, 32));
	param_int8(&params, renewal->until_s);
	TRY(session_call(ledger, STMT_RENEW, &params, &result, f));
	TRY(fault_of(result, 0, 1, f));
	renewal->action = (uint64_t)result_int(result, 0, 2);
	return session_advance(&ledger->track[0], result_blob(result, 0, 3), f);
}

enum reason ledger_lapse(struct ledger *ledger, uint64_t *ret_n, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	TRY(session_call(ledger, STMT_LAPSE, &params, &result, f));
	*ret_n = (uint64_t)result_int(result, 0, 0);
	return result_null(result, 0, 1) ? REASON_OK : session_advance(&ledger->track[0], result_blob(result, 0, 1), f);
}

enum reason ledger_requester(struct ledger *ledger, const uint8_t spki_hash[32], struct requester_row *ret_row,
			     struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	struct requester_row row = { 0 };

	TRY(session_ready(ledger, f));
	param_bytea(&params, BLOB(spki_hash, 32));
	TRY(session_call(ledger, STMT_REQUESTER, &params, &result, f));
	if (PQntuples(result) == 0)
		return fault_set(f, REASON_REQUESTER_UNKNOWN, "the key is not in the registry");
	TRY(result_text(result, 0, 0, row.kind, sizeof(row.kind), f));
	TRY(result_text(result, 0, 1, row.name, sizeof(row.name), f));
	row.active = result_int(result, 0, 2) != 0;
	memcpy(row.spki_hash, spki_hash, sizeof(row.spki_hash));
	*ret_row = row;
	return REASON_OK;
}
