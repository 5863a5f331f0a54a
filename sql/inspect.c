/* inspect.c - the reading side of operators.h: one connection, one function call a read, JSON out. */
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "operators.h"

#define RECONNECT_US 200000
#define ARGS_MAX 8

struct inspector {
	char *conninfo;
	PGconn *conn; /* NULL: away */
	int64_t tried_us;
};

#define BYTES(n) "decode($" #n "::text, 'hex')"
#define TIME(n) "$" #n "::text::timestamptz"

/* Arguments are texts; what is not of its type is the database's to refuse (SQLSTATE class 22). */
static const struct {
	const char *sql;
	size_t n;
} inspections[INSPECTIONS] = {
	[INSPECT_CERTIFICATE] = { "select api_certificate(" BYTES(1) ")", 1 },
	[INSPECT_PEM] = { "select api_pem(" BYTES(1) ")", 1 },
	[INSPECT_CERTIFICATES] = { "select api_certificates(" BYTES(1) ", $2::text::integer, " BYTES(
					   3) ", $4, $5, $6, " TIME(7) ", " TIME(8) ")",
				   8 },
	[INSPECT_DEVICE] = { "select api_device(" BYTES(1) ")", 1 },
	[INSPECT_DEVICES_OF] = { "select api_devices_of(" BYTES(1) ", " BYTES(2) ")", 2 },
	[INSPECT_EVIDENCE] = { "select api_evidence(" BYTES(1) ")", 1 },
	[INSPECT_ACTIONS] = { "select api_actions($1::text::bigint, $2::text::integer, $3)", 3 },
	[INSPECT_REQUESTERS] = { "select api_requesters($1::text::bigint, $2::text::integer)", 2 },
	[INSPECT_PLAN] = { "select api_plan(" BYTES(1) ")", 1 },
	[INSPECT_STATUS] = { "select api_status()", 0 },
	[INSPECT_HEADS] = { "select api_heads($1, $2::text::integer)", 2 },
	[INSPECT_AUDIT] = { "select api_audit($1, $2, $3::text::integer)", 3 },
};

static void drop_notice(void *user, const PGresult *notice)
{
	(void)user;
	(void)notice;
}

enum reason inspector_open(const char *conninfo, struct inspector **ret_inspector, struct fault *f)
{
	struct inspector *inspector = calloc(1, sizeof(*inspector));

	if (inspector == NULL || (inspector->conninfo = strdup(conninfo)) == NULL) {
		free(inspector);
		return fault_set(f, REASON_NO_MEMORY, "inspector");
	}
	*ret_inspector = inspector;
	return REASON_OK;
}

static void disconnect(struct inspector *inspector)
{
	PQfinish(inspector->conn);
	inspector->conn = NULL;
}

void inspector_close(struct inspector *inspector)
{
	if (inspector == NULL)
		return;
	disconnect(inspector);
	free(inspector->conninfo);
	free(inspector);
}

static enum reason away(struct inspector *inspector, struct fault *f)
{
	enum reason reason =
		fault_set(f, REASON_LEDGER_AWAY, "%.*s", (int)strcspn(PQerrorMessage(inspector->conn), "\n"),
			  PQerrorMessage(inspector->conn));

	disconnect(inspector);
	return reason;
}

/* A read that runs for long is somebody's search over everything: it ends, and the connection is free again. */
static enum reason ready(struct inspector *inspector, struct fault *f)
{
	static const char *const keys[] = { "connect_timeout", "application_name", "options", "dbname", NULL };
	const char *const values[] = { "2", "assayd admin",
				       "-c default_transaction_read_only=on -c statement_timeout=30s -c jit=off",
				       inspector->conninfo, NULL };
	int64_t now_us = clock_mono_us();

	if (inspector->conn != NULL)
		return REASON_OK;
	if (inspector->tried_us != 0 && now_us - inspector->tried_us < RECONNECT_US)
		return fault_set(f, REASON_LEDGER_AWAY, "not connected");
	inspector->tried_us = now_us;
	inspector->conn = PQconnectdbParams(keys, values, 1);
	if (PQstatus(inspector->conn) != CONNECTION_OK)
		return away(inspector, f);
	PQsetNoticeReceiver(inspector->conn, drop_notice, NULL);
	return REASON_OK;
}

static enum reason refused(struct inspector *inspector, const PGresult *result, struct fault *f)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (PQstatus(inspector->conn) != CONNECTION_OK || state == NULL)
		return away(inspector, f);
	if (strncmp(state, "22", 2) == 0)
		return fault_set(f, REASON_API_FIELD, "%s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	return fault_set(f, REASON_LEDGER_AWAY, "%s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

/* An idle connection that its server has closed is found out by using it: then once more, on a new one. */
enum reason inspect(struct inspector *inspector, enum inspection what, const char *const *args, size_t n,
		    struct buf *ret_text, struct fault *f)
{
	for (int tries = 0;; tries++) {
		PGresult *result;
		enum reason reason;
		bool fresh = inspector->conn == NULL;

		if (n != inspections[what].n || n > ARGS_MAX)
			return fault_set(f, REASON_INTERNAL, "inspection %d takes %zu, not %zu", (int)what,
					 inspections[what].n, n);
		TRY(ready(inspector, f));
		result = PQexecParams(inspector->conn, inspections[what].sql, (int)n, NULL, args, NULL, NULL, 0);
		if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1) {
			reason = PQgetisnull(result, 0, 0)
					 ? REASON_OK
					 : buf_append(ret_text,
						      BLOB(PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0)),
						      f);
			PQclear(result);
			return reason;
		}
		reason = refused(inspector, result, f);
		PQclear(result);
		if (reason != REASON_LEDGER_AWAY || inspector->conn != NULL || fresh || tries > 0)
			return reason;
		inspector->tried_us = 0;
	}
}
