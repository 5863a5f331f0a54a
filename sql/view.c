/* view.c - what is read from the ledger, and the small things recorded beside it; see ledger.h. */
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define REQUESTERS_MAX 2000

static enum reason read_previous(const PGresult *result, int i, struct previous *out, struct fault *f)
{
	struct previous p = { .serial = out->serial, .found = true, .revoked = result_int(result, i, 1) != 0 };
	size_t len;

	TRY(result_text(result, i, 2, p.profile, sizeof(p.profile), f));
	TRY(result_text(result, i, 3, p.family, sizeof(p.family), f));
	TRY(result_text(result, i, 4, p.issuer, sizeof(p.issuer), f));
	TRY(result_text(result, i, 5, p.device.format, sizeof(p.device.format), f));
	TRY(result_bytes(result, i, 6, p.device.vendor_root, sizeof(p.device.vendor_root), &len, f));
	TRY(result_bytes(result, i, 7, p.device.element, sizeof(p.device.element), &p.device.element_len, f));
	p.level = (enum level)result_int(result, i, 8);
	TRY(result_bytes(result, i, 9, p.key_hash, sizeof(p.key_hash), &len, f));
	TRY(result_bytes(result, i, 11, p.batch_ca, sizeof(p.batch_ca), &len, f));
	TRY(buf_copy(result_blob(result, i, 10), &p.tbs, f));
	*out = p;
	return REASON_OK;
}

static enum reason read_all_previous(const PGresult *result, struct previous *batch, size_t n, struct fault *f)
{
	for (int i = 0; i < PQntuples(result); i++) {
		int64_t idx = result_int(result, i, 0);

		if (idx < 1 || idx > (int64_t)n)
			return fault_set(f, REASON_INTERNAL, "previous() gave index %lld", (long long)idx);
		TRY(read_previous(result, i, &batch[idx - 1], f));
	}
	return REASON_OK;
}

enum reason ledger_previous(struct ledger *ledger, struct previous *batch, size_t n, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	enum reason reason;

	TRY(session_ready(ledger, f));
	param_array(&params, PG_BYTEA, n);
	for (size_t i = 0; i < n; i++)
		array_bytea(&params, batch[i].serial);
	TRY(session_call(ledger, STMT_PREVIOUS, &params, &result, f));
	for (size_t i = 0; i < n; i++)
		batch[i] = (struct previous){ .serial = batch[i].serial };
	reason = read_all_previous(result, batch, n, f);
	for (size_t i = 0; reason != REASON_OK && i < n; i++)
		buf_done(&batch[i].tbs);
	return reason;
}

static enum reason read_revocations(const PGresult *result, struct revocation_row **ret_rows, size_t *ret_n,
				    struct fault *f)
{
	size_t n = (size_t)PQntuples(result), len = 0;
	struct revocation_row *rows = calloc(n + 1, sizeof(*rows));
	enum reason reason = rows == NULL ? fault_set(f, REASON_NO_MEMORY, "%zu revocations", n) : REASON_OK;

	for (size_t i = 0; i < n && reason == REASON_OK; i++) {
		rows[i].number = (uint64_t)result_int(result, (int)i, 0);
		rows[i].reason = (uint8_t)result_int(result, (int)i, 2);
		rows[i].at_s = result_int(result, (int)i, 4);
		reason = result_bytes(result, (int)i, 1, rows[i].serial, sizeof(rows[i].serial), &len, f);
		rows[i].serial_len = (uint8_t)len;
		if (reason == REASON_OK)
			reason = result_text(result, (int)i, 3, rows[i].issuer, sizeof(rows[i].issuer), f);
	}
	if (reason != REASON_OK) {
		free(rows);
		return reason;
	}
	*ret_rows = rows;
	*ret_n = n;
	return REASON_OK;
}

static enum reason read_requester(const PGresult *result, int i, struct requester_row *row, struct fault *f)
{
	size_t len;

	row->number = (uint64_t)result_int(result, i, 0);
	TRY(result_text(result, i, 1, row->name, sizeof(row->name), f));
	TRY(result_text(result, i, 2, row->kind, sizeof(row->kind), f));
	TRY(result_text(result, i, 3, row->names, sizeof(row->names), f));
	TRY(result_text(result, i, 4, row->labels, sizeof(row->labels), f));
	TRY(result_bytes(result, i, 5, row->spki_hash, sizeof(row->spki_hash), &len, f));
	row->active = result_int(result, i, 6) != 0;
	return REASON_OK;
}

static enum reason read_requesters(const PGresult *result, struct requester_row **ret_rows, size_t *ret_n,
				   struct fault *f)
{
	size_t n = (size_t)PQntuples(result);
	struct requester_row *rows = calloc(n + 1, sizeof(*rows));
	enum reason reason = rows == NULL ? fault_set(f, REASON_NO_MEMORY, "%zu requesters", n) : REASON_OK;

	for (size_t i = 0; i < n && reason == REASON_OK; i++)
		reason = read_requester(result, (int)i, &rows[i], f);
	if (reason != REASON_OK) {
		free(rows);
		return reason;
	}
	*ret_rows = rows;
	*ret_n = n;
	return REASON_OK;
}

static enum reason rows_after(struct ledger *ledger, enum statement statement, uint64_t after, size_t max,
			      PGresult **ret_result, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };

	param_int8(&params, (int64_t)after);
	param_int8(&params, (int64_t)max);
	return session_call(ledger, statement, &params, ret_result, f);
}

enum reason ledger_news(struct ledger *ledger, uint64_t after_revocation, uint64_t after_requester,
			struct ledger_news *ret_news, struct fault *f)
{
	AUTO(result_freep) PGresult *revocations = NULL;
	AUTO(result_freep) PGresult *requesters = NULL;
	AUTO(ledger_news_done) struct ledger_news news = { 0 };

	TRY(session_ready(ledger, f));
	TRY(rows_after(ledger, STMT_REVOCATIONS, after_revocation, LEDGER_NEWS_MAX, &revocations, f));
	TRY(rows_after(ledger, STMT_REQUESTERS, after_requester, REQUESTERS_MAX, &requesters, f));
	TRY(read_revocations(revocations, &news.revocation, &news.n_revocations, f));
	TRY(read_requesters(requesters, &news.requester, &news.n_requesters, f));
	news.more = news.n_revocations == LEDGER_NEWS_MAX || news.n_requesters == REQUESTERS_MAX;
	*ret_news = news;
	news = (struct ledger_news){ 0 };
	return REASON_OK;
}

void ledger_news_done(struct ledger_news *news)
{
	free(news->revocation);
	free(news->requester);
	*news = (struct ledger_news){ 0 };
}

enum reason ledger_policy(struct ledger *ledger, const uint8_t hash[32], const char *what, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_bytea(&params, BLOB(hash, 32));
	param_text(&params, what);
	TRY(session_call(ledger, STMT_POLICY, &params, &result, f));
	return result_null(result, 0, 0) ? REASON_OK : session_advance(&ledger->track[0], result_blob(result, 0, 0), f);
}

static enum reason crl_entries(struct ledger *ledger, const struct ledger_crl *crl, PGresult **ret_rows,
			       struct fault *f)
{
	static const enum statement statement[] = {
		[LEDGER_COMPLETE] = STMT_CRL_ENTRIES,
		[LEDGER_DELTA] = STMT_CRL_DELTA,
		[LEDGER_SHARD] = STMT_CRL_SHARD,
	};
	AUTO(params_done) struct params params = { 0 };

	param_text(&params, crl->issuer);
	if (crl->list == LEDGER_DELTA)
		param_int8(&params, (int64_t)crl->after);
	if (crl->list == LEDGER_SHARD) {
		param_int8(&params, crl->shard);
		param_int8(&params, crl->shards);
	}
	return session_call(ledger, statement[crl->list], &params, ret_rows, f);
}

enum reason ledger_crl_list(struct ledger *ledger, struct ledger_crl *crl, struct fault *f)
{
	AUTO(params_done) struct params none = { 0 };
	AUTO(params_done) struct params next = { 0 };
	AUTO(result_freep) PGresult *upto = NULL;
	AUTO(result_freep) PGresult *number = NULL;
	AUTO(result_freep) PGresult *rows = NULL;

	TRY(session_ready(ledger, f));
	/* revocations have no gaps: all up to this one are committed */
	TRY(session_call(ledger, STMT_CRL_UPTO, &none, &upto, f));
	session_params(ledger, &ledger->track[0], &next);
	param_text(&next, crl->issuer);
	TRY(session_call(ledger, STMT_CRL_NEXT, &next, &number, f));
	TRY(session_advance(&ledger->track[0], result_blob(number, 0, 1), f));
	/* read after the number: of two CRLs the one with the higher number never knows less */
	TRY(crl_entries(ledger, crl, &rows, f));
	TRY(read_revocations(rows, &crl->rows, &crl->n, f));
	crl->number = (uint64_t)result_int(number, 0, 0);
	crl->upto = (uint64_t)result_int(upto, 0, 0);
	return REASON_OK;
}

enum reason ledger_crl(struct ledger *ledger, const char *issuer, uint64_t *ret_number,
		       struct revocation_row **ret_rows, size_t *ret_n, struct fault *f)
{
	struct ledger_crl crl = { .issuer = issuer, .list = LEDGER_COMPLETE };

	TRY(ledger_crl_list(ledger, &crl, f));
	*ret_number = crl.number;
	*ret_rows = crl.rows;
	*ret_n = crl.n;
	return REASON_OK;
}

enum reason ledger_crl_intend(struct ledger *ledger, const char *issuer, uint64_t number, const uint8_t tbs_hash[32],
			      struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	session_params(ledger, &ledger->track[0], &params);
	param_text(&params, issuer);
	param_int8(&params, (int64_t)number);
	param_bytea(&params, BLOB(tbs_hash, 32));
	TRY(session_call(ledger, STMT_CRL_INTEND, &params, &result, f));
	return session_advance(&ledger->track[0], result_blob(result, 0, 0), f);
}

enum reason ledger_crl_shards(struct ledger *ledger, const char *issuer, unsigned shards, unsigned *ret_hold,
			      struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	param_text(&params, issuer);
	param_int8(&params, shards);
	TRY(session_call(ledger, STMT_CRL_SHARDS, &params, &result, f));
	*ret_hold = (unsigned)result_int(result, 0, 0);
	return REASON_OK;
}

enum reason ledger_newest(struct ledger *ledger, int64_t *ret_s, struct fault *f)
{
	AUTO(params_done) struct params none = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	TRY(session_ready(ledger, f));
	TRY(session_call(ledger, STMT_NEWEST, &none, &result, f));
	*ret_s = result_int(result, 0, 0);
	return REASON_OK;
}
