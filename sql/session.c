/*
 * session.c - see session.h: connecting, what a server must be like, the chain position, news.
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

/*
 * What a session of ours needs whatever the database's defaults are. Plans are made once and must do for tables that
 * grow from nothing to millions of rows: every row is looked up by its key.
 */
static const char session_setup[] =
	"set client_encoding = 'UTF8'; set default_transaction_isolation = 'read committed'; "
	"set lock_timeout = '5s'; set jit = off; set plan_cache_mode = force_generic_plan; "
	"set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off";

void session_close(struct ledger *ledger)
{
	PQfinish(ledger->conn);
	ledger->conn = NULL;
	memset(ledger->prepared, 0, sizeof(ledger->prepared));
}

enum reason session_behind(struct ledger *ledger, const char *what)
{
	ledger->behind = true;
	return fault_set(&ledger->behind_fault, REASON_LEDGER_BEHIND, "%s", what);
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
	TRY(session_prepare(ledger, STMT_INTEND, f));
	return session_prepare(ledger, STMT_RECORD, f);
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
		(void)session_behind(ledger, "");
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
	(void)session_behind(ledger, "");
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
	return PQresultStatus(result) == PGRES_COMMAND_OK ? REASON_OK
							  : fault_set(f, REASON_LEDGER_AWAY, "listen: %s",
								      session_line(PQerrorMessage(ledger->conn), line));
}

static enum reason set_up(struct ledger *ledger, bool several, struct fault *f)
{
	AUTO(result_freep) PGresult *result = PQexec(ledger->conn, session_setup);
	char line[160];

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		return fault_set(f, REASON_LEDGER_AWAY, "session: %s",
				 session_line(PQerrorMessage(ledger->conn), line));
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
		reason = fault_set(f, REASON_LEDGER_AWAY, "%s", session_line(PQerrorMessage(ledger->conn), line));
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
