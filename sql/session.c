/*
 * session.c - see session.h: connecting, what a server must be like, running statements, the chain position.
 *
 * A connection is usable once its server keeps what it commits (fsync, synchronous_commit, and a synchronous standby
 * where there are several hosts), has the schema, has let go of every older connection of this stream (an advisory
 * lock that a session holds for its whole life), and still holds the last chain row that we were told was durable.
 */
#include "session.h"

#include <glob.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define RECONNECT_US 200000
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

/*
 * What a session of ours needs whatever the database's defaults are. Plans are made once and must do for tables that
 * grow from nothing to millions of rows: every row is looked up by its key.
 */
static const char session_setup[] =
	"set client_encoding = 'UTF8'; set default_transaction_isolation = 'read committed'; "
	"set lock_timeout = '5s'; set jit = off; set plan_cache_mode = force_generic_plan; "
	"set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off";

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

void session_close(struct ledger *ledger)
{
	PQfinish(ledger->conn);
	ledger->conn = NULL;
	memset(ledger->prepared, 0, sizeof(ledger->prepared));
}

static enum reason went_behind(struct ledger *ledger, const char *what)
{
	ledger->behind = true;
	return fault_set(&ledger->behind_fault, REASON_LEDGER_BEHIND, "%s", what);
}

/* One line of what the server said. */
static const char *first_line(const char *message, char out[160])
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

	first_line(PQresultErrorMessage(result)[0] != '\0' ? PQresultErrorMessage(result)
							   : PQerrorMessage(ledger->conn),
		   line);
	if (class == ERROR_BEHIND) {
		(void)went_behind(ledger, line);
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

static enum reason prepare(struct ledger *ledger, enum statement statement, struct fault *f)
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
	TRY(prepare(ledger, statement, f));
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
		TRY(prepare(ledger, which[i], f));
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

void session_params(const struct ledger *ledger, const struct track *track, struct params *params)
{
	param_text(params, ledger->node);
	param_text(params, track->stream);
	param_int8(params, (int64_t)track->position.seq);
	param_bytea(params, BLOB_OF(track->position.hash));
}

enum reason session_advance(struct track *track, struct blob hash, struct fault *f)
{
	struct position next = { .seq = track->position.seq + 1 };

	if (hash.len != sizeof(next.hash))
		return fault_set(f, REASON_INTERNAL, "chain hash of %zu bytes", hash.len);
	memcpy(next.hash, hash.ptr, hash.len);
	track->position = next;
	return anchor_write(&track->anchor, &next, f);
}

void session_lost(struct ledger *ledger, struct sent_serial *serials, size_t n)
{
	/* A connection is not ready before what was lost has been voided, so there is never more than one batch. */
	free(ledger->lost);
	ledger->lost = serials;
	ledger->n_lost = n;
	session_close(ledger);
}

static enum reason check_settings(struct ledger *ledger, bool several, struct fault *f)
{
	AUTO(params_done) struct params none = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	char fsync[8], commit[24];
	int version = PQserverVersion(ledger->conn);

	if (version < 150000)
		return fault_set(f, REASON_LEDGER_AWAY, "ledger: PostgreSQL 15 or later is needed, this is %d",
				 version / 10000);
	TRY(session_call(ledger, STMT_SETTINGS, &none, &result, f));
	TRY(result_text(result, 0, 0, fsync, sizeof(fsync), f));
	TRY(result_text(result, 0, 1, commit, sizeof(commit), f));
	if (strcmp(fsync, "on") != 0)
		return fault_set(f, REASON_LEDGER_AWAY, "ledger: fsync is %s in this PostgreSQL; set it to on", fsync);
	if (strcmp(commit, "on") != 0 && strcmp(commit, "remote_apply") != 0)
		return fault_set(f, REASON_LEDGER_AWAY,
				 "ledger: synchronous_commit is %s for this role; set it to on or remote_apply",
				 commit);
	if (several && result_blob(result, 0, 2).len == 0)
		return fault_set(f, REASON_LEDGER_AWAY,
				 "ledger.writer names several hosts but synchronous_standby_names is empty there");
	if (result_null(result, 0, 3) || result_int(result, 0, 3) < LEDGER_SCHEMA)
		return fault_set(
			f, REASON_LEDGER_AWAY,
			"ledger: schema is at version %d, this assayd needs %d: run sql/migrate of its version",
			(int)result_int(result, 0, 3), LEDGER_SCHEMA);
	ledger->intent_row = (uint32_t)result_int(result, 0, 4);
	return REASON_OK;
}

/* A node whose calls the schema does not have any more is not to be ready and then refuse everybody. */
static enum reason check_line(struct ledger *ledger, struct fault *f)
{
	if (ledger->n_tracks < TRACKS_MAX)
		return REASON_OK;
	TRY(prepare(ledger, STMT_INTEND, f));
	return prepare(ledger, STMT_RECORD, f);
}

/* Only one session at a time writes a stream; one that died is let go of by PostgreSQL when its commit is over. */
static enum reason lock_stream(struct ledger *ledger, const struct track *track, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	param_text(&params, ledger->node);
	param_text(&params, track->stream);
	TRY(session_call(ledger, STMT_LOCK, &params, &result, f));
	if (result_int(result, 0, 0) == 0)
		return fault_set(f, REASON_LEDGER_AWAY,
				 "another session writes stream %s of node %s: two nodes must not have one name",
				 track->stream, ledger->node);
	return REASON_OK;
}

/* The row we know of must be there; newer ones of ours are commits whose answer was lost. */
static enum reason find_position(struct ledger *ledger, struct track *track, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	struct position *known = &track->position;
	int last;

	param_text(&params, ledger->node);
	param_text(&params, track->stream);
	param_int8(&params, (int64_t)known->seq);
	TRY(session_call(ledger, STMT_POSITION, &params, &result, f));
	last = PQntuples(result) - 1;
	if (known->seq > 0 && (last < 0 || result_int(result, 0, 0) != (int64_t)known->seq ||
			       !blob_equal(result_blob(result, 0, 1), BLOB_OF(known->hash)))) {
		(void)went_behind(ledger, "");
		ledger->missing_row = known->seq;
		return fault_set(&ledger->behind_fault, REASON_LEDGER_BEHIND,
				 "chain %s/%s: row %llu of anchor %s is not in this database: it went back in time",
				 ledger->node, track->stream, (unsigned long long)known->seq, track->anchor.path);
	}
	if (last < 0 || result_int(result, last, 0) == (int64_t)known->seq)
		return REASON_OK;
	known->seq = (uint64_t)result_int(result, last, 0) - 1;
	return session_advance(track, result_blob(result, last, 1), f);
}

/* One row of another stream of this node, named by its anchor file. */
static enum reason find_other(struct ledger *ledger, const char *path, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;
	const char *stream = strrchr(path, '/') + sizeof("/chain.") - 1;
	struct position known;

	if (!anchor_peek(path, &known) || known.seq == 0)
		return REASON_OK;
	param_text(&params, ledger->node);
	param_text(&params, stream);
	param_int8(&params, (int64_t)known.seq);
	TRY(session_call(ledger, STMT_POSITION, &params, &result, f));
	if (PQntuples(result) > 0 && result_int(result, 0, 0) == (int64_t)known.seq &&
	    blob_equal(result_blob(result, 0, 1), BLOB_OF(known.hash)))
		return REASON_OK;
	(void)went_behind(ledger, "");
	ledger->missing_row = known.seq;
	return fault_set(&ledger->behind_fault, REASON_LEDGER_BEHIND,
			 "chain %s/%s: row %llu of anchor %s is not in this database: it went back in time",
			 ledger->node, stream, (unsigned long long)known.seq, path);
}

static bool is_own(const struct ledger *ledger, const char *path)
{
	for (size_t i = 0; i < ledger->n_tracks; i++)
		if (strcmp(path, ledger->track[i].anchor.path) == 0)
			return true;
	return false;
}

/* A ledger that lost rows of any stream has gone back in time for all: what one lets sign, another has to record. */
static enum reason find_others(struct ledger *ledger, struct fault *f)
{
	enum reason reason = REASON_OK;
	const struct track *own = &ledger->track[0];
	char pattern[512];
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%.*schain.*", (int)(strrchr(own->anchor.path, '/') + 1 - own->anchor.path),
		 own->anchor.path);
	if (glob(pattern, GLOB_NOSORT, NULL, &files) != 0)
		return REASON_OK;
	for (size_t i = 0; i < files.gl_pathc && reason == REASON_OK; i++)
		if (!is_own(ledger, files.gl_pathv[i]))
			reason = find_other(ledger, files.gl_pathv[i], f);
	globfree(&files);
	return reason;
}

static enum reason void_lost(struct ledger *ledger, struct fault *f)
{
	AUTO(params_done) struct params params = { 0 };
	AUTO(result_freep) PGresult *result = NULL;

	if (ledger->n_lost == 0)
		return REASON_OK;
	session_params(ledger, &ledger->track[0], &params);
	param_array(&params, PG_BYTEA, ledger->n_lost);
	for (size_t i = 0; i < ledger->n_lost; i++)
		array_bytea(&params, BLOB(ledger->lost[i].bytes, ledger->lost[i].len));
	param_text(&params, "the answer of its commit was lost");
	TRY(session_call(ledger, STMT_VOID_SERIALS, &params, &result, f));
	if (!result_null(result, 0, 1))
		TRY(session_advance(&ledger->track[0], result_blob(result, 0, 1), f));
	free(ledger->lost);
	ledger->lost = NULL;
	ledger->n_lost = 0;
	return REASON_OK;
}

static bool has_several_hosts(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	bool several = false;

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		if ((strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0) && o->val != NULL)
			several |= strchr(o->val, ',') != NULL;
	PQconninfoFree(options);
	return several;
}

/* Defaults stand before the operator's conninfo, which may override them; what must hold stands behind it. */
static PGconn *connect_server(const char *conninfo, bool several)
{
	const char *const keys[] = { "connect_timeout",
				     "keepalives_idle",
				     "keepalives_interval",
				     "keepalives_count",
				     "tcp_user_timeout",
				     "application_name",
				     "dbname",
				     several ? "target_session_attrs" : NULL,
				     NULL };
	const char *const values[] = { "2", "5", "2", "3", "10000", "assayd", conninfo, "read-write", NULL };

	return PQconnectdbParams(keys, values, 1);
}

/* libpq would print the server's notices to standard error, where the log is. */
static void drop_notice(void *user, const PGresult *notice)
{
	(void)user;
	(void)notice;
}

static enum reason listen_to_news(struct ledger *ledger, struct fault *f)
{
	AUTO(result_freep) PGresult *result = NULL;
	char line[160];

	if (!ledger->listens)
		return REASON_OK;
	result = PQexec(ledger->conn, "listen assay_news");
	return PQresultStatus(result) == PGRES_COMMAND_OK
		       ? REASON_OK
		       : fault_set(f, REASON_LEDGER_AWAY, "listen: %s", first_line(PQerrorMessage(ledger->conn), line));
}

static enum reason set_up(struct ledger *ledger, bool several, struct fault *f)
{
	AUTO(result_freep) PGresult *result = PQexec(ledger->conn, session_setup);
	char line[160];

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		return fault_set(f, REASON_LEDGER_AWAY, "session: %s", first_line(PQerrorMessage(ledger->conn), line));
	TRY(check_settings(ledger, several, f));
	TRY(check_line(ledger, f));
	for (size_t i = 0; i < ledger->n_tracks; i++) {
		TRY(lock_stream(ledger, &ledger->track[i], f));
		TRY(find_position(ledger, &ledger->track[i], f));
	}
	TRY(find_others(ledger, f));
	TRY(listen_to_news(ledger, f));
	return void_lost(ledger, f);
}

/* An idle connection has nothing to say but that it is over: seen here, no batch is lost to it. */
static void notice_closed(struct ledger *ledger)
{
	struct pollfd waiting = { .events = POLLIN };

	while (ledger->conn != NULL) {
		waiting.fd = PQsocket(ledger->conn);
		if (waiting.fd >= 0 && poll(&waiting, 1, 0) == 0)
			return;
		if (PQconsumeInput(ledger->conn) == 0 || PQisBusy(ledger->conn) != 0 ||
		    PQstatus(ledger->conn) != CONNECTION_OK)
			session_close(ledger);
	}
}

enum reason session_ready(struct ledger *ledger, struct fault *f)
{
	int64_t now_us = clock_mono_us();
	enum reason reason;
	bool several;
	char line[160];

	if (ledger->behind)
		return fault_set(f, REASON_LEDGER_BEHIND, "%s", ledger->behind_fault.detail);
	for (size_t i = 0; i < ledger->n_tracks; i++)
		TRY(anchor_mend(&ledger->track[i].anchor, &ledger->track[i].position, f));
	notice_closed(ledger);
	if (ledger->conn != NULL)
		return REASON_OK;
	if (ledger->tried_us != 0 && now_us - ledger->tried_us < RECONNECT_US)
		return fault_set(f, REASON_LEDGER_AWAY, "not connected, next attempt in %lld ms",
				 (long long)(RECONNECT_US - (now_us - ledger->tried_us)) / 1000);
	ledger->tried_us = now_us;
	several = has_several_hosts(ledger->conninfo);
	ledger->conn = connect_server(ledger->conninfo, several);
	if (PQstatus(ledger->conn) != CONNECTION_OK) {
		reason = fault_set(f, REASON_LEDGER_AWAY, "%s", first_line(PQerrorMessage(ledger->conn), line));
		session_close(ledger);
		return reason;
	}
	PQsetNoticeReceiver(ledger->conn, drop_notice, NULL);
	reason = set_up(ledger, several, f);
	if (reason != REASON_OK)
		session_close(ledger);
	if (ledger->behind)
		return fault_set(f, REASON_LEDGER_BEHIND, "%s", ledger->behind_fault.detail);
	return reason;
}

void ledger_listen(struct ledger *ledger)
{
	ledger->listens = true;
	session_close(ledger);
}

/* Notices that have come; whoever is told looks for itself, so that one stands for all. */
static bool take_notices(struct ledger *ledger)
{
	bool some = false;
	PGnotify *notice;

	while (ledger->conn != NULL && (notice = PQnotifies(ledger->conn)) != NULL) {
		PQfreemem(notice);
		some = true;
	}
	return some;
}

void ledger_wait(struct ledger *ledger, int wake_fd, int timeout_ms)
{
	struct pollfd waiting[2] = { { .fd = wake_fd, .events = POLLIN }, { .fd = -1, .events = POLLIN } };

	if (take_notices(ledger)) /* they came with the answers of what was asked last */
		return;
	if (ledger->conn != NULL)
		waiting[1].fd = PQsocket(ledger->conn);
	if (poll(waiting, 2, timeout_ms) > 0 && waiting[1].revents != 0) {
		(void)!PQconsumeInput(ledger->conn); /* it is over: the next call finds that out */
		(void)take_notices(ledger);
	}
}
