/*
 * session.h - the inside of struct ledger: one connection, its settings, and the chain position that it writes on
 * (session.c); its statements, and what they give (statement.c).
 *
 * Threads: one thread per struct ledger.
 * Does not: know what a batch means; that is in intend.c, record.c and view.c.
 */
#ifndef ASSAY_SESSION_H
#define ASSAY_SESSION_H

#include <libpq-fe.h>

#include "anchor.h"
#include "ledger.h"
#include "pgarray.h"

#define LEDGER_SCHEMA 29    /* the newest migration that this code needs */
#define CHAIN_NAME_CHARS 32 /* as table chain checks it */

/* Every statement Assay sends; values travel only as parameters. */
enum statement {
	STMT_INTEND,
	STMT_RECORD,
	STMT_PREVIOUS,
	STMT_VOID_UNSIGNED,
	STMT_VOID_SERIALS,
	STMT_REVOCATIONS,
	STMT_REQUESTERS,
	STMT_POLICY,
	STMT_CRL_NEXT,
	STMT_CRL_ENTRIES,
	STMT_CRL_DELTA,
	STMT_CRL_SHARD,
	STMT_CRL_UPTO,
	STMT_CRL_INTEND,
	STMT_CRL_SHARDS,
	STMT_STATUS,
	STMT_STATUS_INTEND,
	STMT_RESPONDER,
	STMT_RESPONDER_INTEND,
	STMT_RESPONDER_RECORD,
	STMT_HEAD_INTEND,
	STMT_HEAD_RECORD,
	STMT_HEAD_NEWEST,
	STMT_NOTE,
	STMT_PLAN_LIST,
	STMT_PLAN_MAKE,
	STMT_PLAN_DO,
	STMT_PLANS_BEGUN,
	STMT_REGISTER,
	STMT_RENEW,
	STMT_LAPSE,
	STMT_REQUESTER,
	STMT_NEWEST,
	STMT_HOUR,
	STMT_SETTINGS,
	STMT_LOCK,
	STMT_POSITION,
	STMT_COUNT
};

struct sent_serial {
	uint8_t len, bytes[LIMIT_SERIAL_BYTES];
};

/* One chain stream that this session writes. */
struct track {
	char stream[CHAIN_NAME_CHARS + 1];
	struct anchor anchor;
	struct position position; /* last row known to be durable */
};

#define TRACKS_MAX 2 /* intents and signatures, whose commits are one */

struct ledger {
	char *conninfo;
	char node[CHAIN_NAME_CHARS + 1];
	unsigned retry_window_s;
	PGconn *conn; /* NULL: away */
	bool prepared[STMT_COUNT];
	uint32_t intent_row; /* the number of that type in this database */
	bool listens;        /* to what other nodes revoke and register */
	int64_t tried_us;    /* last attempt to connect */
	bool behind;         /* sticky */
	uint64_t missing_row;
	struct fault behind_fault;
	size_t n_tracks;
	struct track track[TRACKS_MAX]; /* signatures are recorded on the last, all else is written on the first */
	unsigned wary;                  /* so many batches of intents are not taken for all new: a recent one was not */
	/* Serials of a batch whose answer was lost: whatever of it is in the ledger will never be signed. */
	struct sent_serial *lost;
	size_t n_lost;
};

/* Connects if needed. REASON_LEDGER_BEHIND, or REASON_LEDGER_AWAY, also for a server that must not be used. */
MUST_CHECK enum reason session_ready(struct ledger *ledger, struct fault *f);
void session_close(struct ledger *ledger);
/* The ledger has lost a row that we know of: sticky. Returns REASON_LEDGER_BEHIND. */
enum reason session_behind(struct ledger *ledger, const char *what);

/* The first line of what the server said. */
const char *session_line(const char *message, char out[160]);

/* Makes the statement known to the server, once for a connection. */
MUST_CHECK enum reason session_prepare(struct ledger *ledger, enum statement statement, struct fault *f);
/*
 * Runs one statement; ret_result is the caller's to PQclear(). REASON_LEDGER_REFUSED means that a row is at fault
 * (SQLSTATE classes 22, 23, 54, and what a trigger raises): the caller splits its batch. Deadlocks are tried again.
 */
MUST_CHECK enum reason session_call(struct ledger *ledger, enum statement statement, struct params *params,
				    PGresult **ret_result, struct fault *f);
/* Two statements, one round trip, one commit: both results, or neither and nothing written. */
MUST_CHECK enum reason session_call_both(struct ledger *ledger, const enum statement statements[2],
					 struct params *const params[2], PGresult *ret_results[2], struct fault *f);
/* The first four parameters of every function that adds a chain row. */
void session_params(const struct ledger *ledger, const struct track *track, struct params *params);
/* A chain row was committed: its hash as the function returned it. Writes the anchor. */
MUST_CHECK enum reason session_advance(struct track *track, struct blob hash, struct fault *f);
/* Remembers serials to void on the next connection, which it forces. Consumes serials. */
void session_lost(struct ledger *ledger, struct sent_serial *serials, size_t n);

/* record.c's: the parameters of record(), and what it gave. */
void record_encode(struct ledger *ledger, const struct signed_row *rows, size_t n, struct params *params);
MUST_CHECK enum reason record_decode(struct ledger *ledger, const PGresult *result, struct signed_row *rows, size_t n,
				     struct fault *f);

/* Reading binary results. */
bool result_null(const PGresult *result, int row, int column);
struct blob result_blob(const PGresult *result, int row, int column);
int64_t result_int(const PGresult *result, int row, int column); /* bool, int2, int4, int8 */
/* Text into a fixed array; REASON_INTERNAL if it does not fit. */
MUST_CHECK enum reason result_text(const PGresult *result, int row, int column, char *out, size_t out_len,
				   struct fault *f);
/* Bytes into a fixed array of `cap`; ret_len is what there was. */
MUST_CHECK enum reason result_bytes(const PGresult *result, int row, int column, uint8_t *out, size_t cap,
				    size_t *ret_len, struct fault *f);

AUTO_FREE(PGresult, result_freep, PQclear)

#endif
