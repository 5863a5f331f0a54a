/* hour.c - how many certificates each issuer has had this hour, here and on other nodes; see ledger.h. */
#include "session.h"

static uint32_t clamped(int64_t n)
{
	return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

enum reason ledger_hour(struct ledger *ledger, const char *const *issuers, size_t n, struct issuer_hour *ret_hours,
			struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	param_text(&params, ledger->node);
	param_array(&params, PG_TEXT, n);
	for (size_t i = 0; i < n; i++)
		array_text(&params, issuers[i]);
	TRY(session_call(ledger, STMT_HOUR, &params, &result, f));
	if ((size_t)PQntuples(result) != n)
		return fault_set(f, REASON_INTERNAL, "issuer_hour: %d rows for %zu issuers", PQntuples(result), n);
	for (int i = 0; i < PQntuples(result); i++)
		ret_hours[result_int(result, i, 0) - 1] = (struct issuer_hour){
			.hour = result_int(result, i, 1),
			.own = clamped(result_int(result, i, 2)),
			.others = clamped(result_int(result, i, 3)),
		};
	return REASON_OK;
}
