/*
 * statement.c - see session.h: every statement Assay sends, how one or two are run, and what came back.
 *
 * Statements are prepared when they are first needed. Two of one commit go out as a pipeline: until its synchronisation
 * point it is one transaction.
 */
#include "session.h"

#include <string.h>

#define DEADLOCK_TRIES 5

#define CHAIN_TYPES "$1::text, $2::text, $3::bigint, $4::bytea"
static const struct {
	const char *name, *sql;
} statements[STMT_COUNT] = {
	[STMT_INTEND] = { "intend", "select idx, outcome, reason, detail, serial, certificate from intend(" CHAIN_TYPES
				    ", $5::bigint, $6::intent_row[], $7::bigint <> 0)" },
	[STMT_RECORD] = { "record", "select idx, reason, hash from record(" CHAIN_TYPES ", $5::bytea[], $6::bytea[])" },
	[STMT_PREVIOUS] = { "previous", "select idx, revoked, profile, family, issuer, device_format, vendor_root, "
					"element, level, key_hash, tbs, batch_ca from previous($1::bytea[])" },
	[STMT_VOID_UNSIGNED] = { "void_unsigned", "select n, hash from void_unsigned(" CHAIN_TYPES ")" },
	[STMT_VOID_SERIALS] = { "void_serials",
				"select n, hash from void_serials(" CHAIN_TYPES ", $5::bytea[], $6::text)" },
	[STMT_REVOCATIONS] = { "revocations",
			       "select number, serial, reason, issuer, extract(epoch from at)::bigint "
			       "from revocation where number > $1::bigint order by number limit $2::bigint" },
	[STMT_REQUESTERS] = { "requesters",
			      "select number, name, kind, names, labels, spki_hash, active "
			      "from requester where number > $1::bigint order by number limit $2::bigint" },
	[STMT_POLICY] = { "policy", "select hash from record_policy(" CHAIN_TYPES ", $5::bytea, $6::text)" },
	[STMT_CRL_NEXT] = { "crl_next", "select number, hash from crl_next(" CHAIN_TYPES ", $5::text)" },
	[STMT_CRL_ENTRIES] = { "crl_entries", "select number, serial, reason, issuer, extract(epoch from at)::bigint "
					      "from crl_entries($1::text)" },
	[STMT_CRL_DELTA] = { "crl_delta", "select number, serial, reason, issuer, extract(epoch from at)::bigint "
					  "from crl_delta_entries($1::text, $2::bigint)" },
	[STMT_CRL_SHARD] = { "crl_shard",
			     "select number, serial, reason, issuer, extract(epoch from at)::bigint "
			     "from crl_shard_entries($1::text, $2::bigint::integer, $3::bigint::integer)" },
	[STMT_CRL_UPTO] = { "crl_upto", "select coalesce(max(number), 0) from revocation" },
	[STMT_CRL_INTEND] = { "crl_intend",
			      "select hash from crl_intend(" CHAIN_TYPES ", $5::text, $6::bigint, $7::bytea)" },
	[STMT_CRL_SHARDS] = { "crl_shards_hold", "select crl_shards_hold($1::text, $2::bigint::integer)" },
	[STMT_STATUS] = { "status_of_all",
			  "select idx, state, reason, at from status_of_all($1::text[], $2::bytea[])" },
	[STMT_STATUS_INTEND] = { "status_intend", "select hash from status_intend(" CHAIN_TYPES ", $5::bytea)" },
	[STMT_RESPONDER] = { "responder_certificate", "select not_before, not_after, certificate "
						      "from responder_certificate($1::text, $2::bytea)" },
	[STMT_RESPONDER_INTEND] = { "responder_intend",
				    "select hash from responder_intend(" CHAIN_TYPES ", $5::text, $6::bytea, "
				    "$7::bytea, $8::bigint, $9::bigint, $10::bytea)" },
	[STMT_RESPONDER_RECORD] = { "responder_record",
				    "select hash from responder_record(" CHAIN_TYPES ", $5::bytea, $6::bytea)" },
	[STMT_HEAD_INTEND] = { "head_intend", "select number, text, hash from head_intend(" CHAIN_TYPES
					      ", $5::bigint, $6::bigint, $7::bigint)" },
	[STMT_HEAD_RECORD] = { "head_record", "select hash from head_record(" CHAIN_TYPES ", $5::bigint, $6::bytea)" },
	[STMT_HEAD_NEWEST] = { "head_newest", "select head_newest($1::text)" },
	[STMT_NOTE] = { "operate_note", "select number, hash from operate_note(" CHAIN_TYPES
					", $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])" },
	[STMT_PLAN_LIST] = { "plan_list", "select plan_list($1::bytea, $2::text, $3::bytea[], $4::bigint <> 0)" },
	[STMT_PLAN_MAKE] = { "plan_make", "select n, already from plan_make($1::bytea, $2::text, $3::text, $4::text, "
					  "to_timestamp(nullif($5::bigint, 0)), to_timestamp(nullif($6::bigint, 0)), "
					  "$7::bigint::smallint, $8::text)" },
	[STMT_PLAN_DO] = { "plan_do", "select fault, detail, action, n, changed, more, hash from plan_do(" CHAIN_TYPES
				      ", $5::bytea, $6::text, $7::text, $8::text, $9::bigint, $10::bigint, "
				      "$11::bigint::integer)" },
	[STMT_PLANS_BEGUN] = { "plans_begun", "select id, who from plans_begun()" },
	[STMT_REGISTER] = { "operate_register",
			    "select fault, action, hash from operate_register(" CHAIN_TYPES
			    ", $5::text, $6::text, $7::text, $8::text, $9::text, $10::text, $11::bytea, $12::text, "
			    "$13::text, $14::bigint <> 0, $15::bigint::smallint, nullif($16::bytea, ''::bytea))" },
	[STMT_RENEW] = { "operate_renew", "select fault, detail, action, hash from operate_renew(" CHAIN_TYPES
					  ", $5::text, $6::text, $7::text, $8::bytea, $9::bytea, $10::bigint)" },
	[STMT_LAPSE] = { "operate_lapse", "select n, hash from operate_lapse(" CHAIN_TYPES ")" },
	[STMT_REQUESTER] = { "requester_now",
			     "select kind, name, active::integer from requester where spki_hash = $1::bytea "
			     "order by number desc limit 1" },
	[STMT_NEWEST] = { "newest", "select coalesce(extract(epoch from max(at)), 0)::bigint from chain" },
	[STMT_HOUR] = { "issuer_hour", "select idx, hour, own, others from issuer_hour($1::text, $2::text[])" },
	[STMT_SETTINGS] = { "settings",
			    "select current_setting('fsync'), current_setting('synchronous_commit'), "
			    "current_setting('synchronous_standby_names'), (select max(version) from schema_version), "
			    "to_regtype('intent_row')::oid::bigint" },
	[STMT_LOCK] = { "stream_lock", "select pg_try_advisory_lock(4179, hashtext($1::text || '/' || $2::text))" },
	[STMT_POSITION] = { "position", "select seq, hash from chain where node = $1::text and stream = $2::text and "
					"(seq = $3::bigint or "
					"seq = (select max(seq) from chain where node = $1::text and stream = "
					"$2::text)) order by seq" },
};

const char *session_line(const char *message, char out[160])
{
	size_t len = strcspn(message, "\n");

	if (len > 159)
		len = 159;
	memcpy(out, message, len);
	out[len] = '\0';
	return out;
}

enum error_class { ERROR_ROW, ERROR_AGAIN, ERROR_BEHIND, ERROR_SCHEMA, ERROR_AWAY };

static enum error_class classify(const PGresult *result)
{
	static const struct {
		const char *prefix;
		enum error_class class;
	} classes[] = {
		{ "22", ERROR_ROW },      { "23", ERROR_ROW },       { "54", ERROR_ROW },
		{ "P0001", ERROR_ROW },   { "ASP", ERROR_ROW },      { "40P01", ERROR_AGAIN },
		{ "40001", ERROR_AGAIN }, { "ASB01", ERROR_BEHIND }, { "42", ERROR_SCHEMA },
	};
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	for (size_t i = 0; state != NULL && i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strncmp(state, classes[i].prefix, strlen(classes[i].prefix)) == 0)
			return classes[i].class;
	return ERROR_AWAY;
}

/* The version that the database's schema has now; 0 if it does not say. */
static int schema_version(struct ledger *ledger)
{
	AUTO(result_freep) PGresult *result = PQexec(ledger->conn, "select max(version) from schema_version");

	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		return 0;
	return (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
}

/* What is called is not there, or not for this role: program and schema are not of one time. */
static enum reason misfit(struct ledger *ledger, enum statement statement, const char *line, struct fault *f)
{
	int version = schema_version(ledger);

	if (version > LEDGER_SCHEMA)
		return fault_set(f, REASON_LEDGER_AWAY,
				 "ledger: schema %d is newer than this assayd's %d, start the newer one here: %s: %s",
				 version, LEDGER_SCHEMA, statements[statement].name, line);
	return fault_set(f, REASON_LEDGER_AWAY, "ledger: is the schema there, and the role's? run sql/migrate: %s: %s",
			 statements[statement].name, line);
}

static enum reason failed(struct ledger *ledger, enum statement statement, const PGresult *result, struct fault *f)
{
	enum error_class class = classify(result);
	char line[160];

	session_line(PQresultErrorMessage(result)[0] != '\0' ? PQresultErrorMessage(result)
							     : PQerrorMessage(ledger->conn),
		     line);
	if (class == ERROR_BEHIND) {
		(void)session_behind(ledger, line);
		session_close(ledger);
		return fault_set(f, REASON_LEDGER_BEHIND, "%s", line);
	}
	if (PQstatus(ledger->conn) != CONNECTION_OK)
		session_close(ledger);
	else if (class == ERROR_SCHEMA)
		return misfit(ledger, statement, line, f);
	return fault_set(f, class == ERROR_ROW ? REASON_LEDGER_REFUSED : REASON_LEDGER_AWAY, "%s: %s",
			 statements[statement].name, line);
}

enum reason session_prepare(struct ledger *ledger, enum statement statement, struct fault *f)
{
	AUTO(result_freep) PGresult *result = NULL;

	if (ledger->prepared[statement])
		return REASON_OK;
	result = PQprepare(ledger->conn, statements[statement].name, statements[statement].sql, 0, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		return failed(ledger, statement, result, f);
	ledger->prepared[statement] = true;
	return REASON_OK;
}

enum reason session_call(struct ledger *ledger, enum statement statement, struct params *params, PGresult **ret_result,
			 struct fault *f)
{
	TRY(params_ready(params, f));
	TRY(session_prepare(ledger, statement, f));
	for (int tries = 1;; tries++) {
		AUTO(result_freep)
		PGresult *result = PQexecPrepared(ledger->conn, statements[statement].name, params->n, params->ptr,
						  params->len, params->format, 1);

		if (PQresultStatus(result) == PGRES_TUPLES_OK) {
			*ret_result = TAKE(result);
			return REASON_OK;
		}
		if (classify(result) != ERROR_AGAIN || tries == DEADLOCK_TRIES)
			return failed(ledger, statement, result, f);
	}
}

/* What a pipeline of two statements gave: a result of each, and that of the commit. */
struct both {
	PGresult *of[3];
};

static void both_done(struct both *both)
{
	for (int i = 0; i < 3; i++)
		PQclear(both->of[i]);
}

static void collect(struct ledger *ledger, struct both *both)
{
	for (int i = 0; i < 2; i++) {
		both->of[i] = PQgetResult(ledger->conn);
		if (both->of[i] != NULL) /* the statement's end */
			PQclear(PQgetResult(ledger->conn));
	}
	both->of[2] = PQgetResult(ledger->conn);
}

/* Until the synchronisation point all of a pipeline is one transaction. False: the connection is of no more use. */
static bool exec_both(struct ledger *ledger, const enum statement which[2], struct params *const params[2],
		      struct both *both)
{
	if (PQenterPipelineMode(ledger->conn) != 1)
		return false;
	for (int i = 0; i < 2; i++)
		if (PQsendQueryPrepared(ledger->conn, statements[which[i]].name, params[i]->n, params[i]->ptr,
					params[i]->len, params[i]->format, 1) != 1)
			return false;
	if (PQpipelineSync(ledger->conn) != 1)
		return false;
	collect(ledger, both);
	return PQresultStatus(both->of[2]) == PGRES_PIPELINE_SYNC && PQexitPipelineMode(ledger->conn) == 1;
}

/* Which result says what went wrong; -1 if nothing did. A commit that failed answers in the place of its end. */
static int first_bad(const struct both *both, bool clean)
{
	for (int i = 0; i < 2; i++)
		if (PQresultStatus(both->of[i]) != PGRES_TUPLES_OK)
			return i;
	return clean ? -1 : 2;
}

enum reason session_call_both(struct ledger *ledger, const enum statement which[2], struct params *const params[2],
			      PGresult *ret_results[2], struct fault *f)
{
	for (int i = 0; i < 2; i++) {
		TRY(params_ready(params[i], f));
		TRY(session_prepare(ledger, which[i], f));
	}
	for (int tries = 1;; tries++) {
		AUTO(both_done) struct both both = { 0 };
		bool clean = exec_both(ledger, which, params, &both);
		int bad = first_bad(&both, clean);
		enum reason reason;

		if (bad < 0) {
			ret_results[0] = TAKE(both.of[0]);
			ret_results[1] = TAKE(both.of[1]);
			return REASON_OK;
		}
		if (clean && classify(both.of[bad]) == ERROR_AGAIN && tries < DEADLOCK_TRIES)
			continue;
		reason = failed(ledger, which[bad % 2], both.of[bad], f);
		if (!clean)
			session_close(ledger);
		return reason;
	}
}

bool result_null(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) != 0;
}

struct blob result_blob(const PGresult *result, int row, int column)
{
	return BLOB(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

int64_t result_int(const PGresult *result, int row, int column)
{
	struct blob bytes = result_blob(result, row, column);
	uint64_t value = bytes.len > 1 && (bytes.ptr[0] & 0x80) != 0 ? UINT64_MAX : 0;

	for (size_t i = 0; i < bytes.len; i++)
		value = value << 8 | bytes.ptr[i];
	return (int64_t)value;
}

enum reason result_bytes(const PGresult *result, int row, int column, uint8_t *out, size_t cap, size_t *ret_len,
			 struct fault *f)
{
	struct blob bytes = result_blob(result, row, column);

	if (bytes.len > cap)
		return fault_set(f, REASON_INTERNAL, "ledger column %s holds %zu bytes, at most %zu expected",
				 PQfname(result, column), bytes.len, cap);
	memcpy(out, bytes.ptr, bytes.len);
	*ret_len = bytes.len;
	return REASON_OK;
}

enum reason result_text(const PGresult *result, int row, int column, char *out, size_t out_len, struct fault *f)
{
	size_t len = 0;

	TRY(result_bytes(result, row, column, (uint8_t *)out, out_len - 1, &len, f));
	out[len] = '\0';
	return REASON_OK;
}
