/*
 * metrics.h - counters of one role in a file that the admin role maps and reads.
 *
 * Each role maps <run_dir>/metrics.<role>, shared; admin maps all of them read-only and prints Prometheus text. No role
 * asks another for its counters, and a role that died leaves its last ones.
 *
 * Threads: every counter is a relaxed atomic.
 */
#ifndef ASSAY_METRICS_H
#define ASSAY_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"

#define METRICS_OPS 16 /* EST operations and internal ones, see metrics.c's table of names */
#define METRICS_STATIONS 8
#define METRICS_BUCKETS 16 /* of latency: 1 ms * 2^i, the last is +Inf; the first is 0.5 ms */
#define METRICS_GAUGES 32

enum metric_op {
	OP_CACERTS,
	OP_CSRATTRS,
	OP_NONCE,
	OP_SIMPLEENROLL,
	OP_SIMPLEREENROLL,
	OP_OTHER,
	OP_CRL,
	OP_CA_ISSUERS,
	OP_ADMIN,
	OP_SIGN,
	OP_OCSP,
	OP_FEED,
	OP_COUNT
};

enum metric_gauge {
	GAUGE_UP_SINCE_S, /* Unix time of the start */
	GAUGE_READY,      /* 1: this role can do its work */
	GAUGE_VIEW_AGE_MS,
	GAUGE_CONNECTIONS,
	GAUGE_LEDGER_UP,
	GAUGE_TOKEN_UP,
	GAUGE_INTENTS_VOIDED,
	GAUGE_SIGNATURES,           /* made by the token since the start */
	GAUGE_CHILD_RESTARTS,       /* supervisor */
	GAUGE_BEAT_MS,              /* clock_mono_us() / 1000 of the role's last sign of life, at least every second */
	GAUGE_RELOADS,              /* since the start */
	GAUGE_RELOAD_REFUSED,       /* 1: files have changed to what cannot be used; the earlier ones hold */
	GAUGE_CONNECTIONS_REFUSED,  /* since the start: their address had too many, or began too many a second */
	GAUGE_CONNECTIONS_RATIONED, /* since the start: strangers began too many a second, all together */
	GAUGE_CONNECTIONS_FULL,     /* since the start: as many were open as may be */
	GAUGE_UNDER_WAY,            /* enrolments from admission to answer */
	GAUGE_LEDGER_MISSING_ROW,   /* the ledger has gone back in time: the chain row that is missing */
	GAUGE_PIN_REFUSED,          /* 1: the token refused the PIN, which is not tried again */
	GAUGE_MULTI_BUFFER,         /* 1: signatures are verified eight at once */
	GAUGE_CRL_LEFT_S,           /* until the first nextUpdate of the CRLs that are served */
	GAUGE_CRL_CLOSE,            /* 1: one of them is in the last quarter of its time */
	GAUGE_FEED_WAITING,         /* relying parties that wait for the next CRL */
	GAUGE_HEADS_LATE,           /* 1: a signed head is overdue */
	GAUGE_HEADS_UNEXPORTED,     /* 1: heads wait for file or syslog for long */
	GAUGE_HEADS_NOWHERE,        /* 1: they wait for all that is configured */
	GAUGE_TLS_EST_LEFT_S,     /* of the listeners' own certificates, as they lie in their files */
	GAUGE_TLS_ADMIN_LEFT_S,
	GAUGE_TLS_NOT_RENEWED,    /* 1: it is time, and it does not succeed */
	GAUGE_LASTING_MS,           /* clock_mono_us() / 1000 of the last request over a lasting connection */
	GAUGE_CRL_TOO_LONG,         /* issuer (its place in the configuration, from 1) whose complete CRL is too long */
	GAUGE_COUNT
};

struct metrics_station {
	char name[16];
	atomic_uint_fast64_t depth, batches, jobs, busy_us, wait_us, refused;
};

struct metrics {
	uint32_t magic, version;
	char role[16];
	atomic_uint_fast64_t requests[METRICS_OPS][REASON_COUNT];
	atomic_uint_fast64_t latency[METRICS_OPS][METRICS_BUCKETS];
	atomic_uint_fast64_t latency_sum_us[METRICS_OPS];
	struct metrics_station station[METRICS_STATIONS];
	atomic_int_fast64_t gauge[METRICS_GAUGES];
};

/* Creates (or empties) the role's file and maps it; lives until the process ends. */
MUST_CHECK enum reason metrics_open(const char *run_dir, const char *role, struct metrics **ret_metrics,
				    struct fault *f);
void metrics_request(struct metrics *m, enum metric_op op, enum reason reason, int64_t took_us);
void metrics_gauge(struct metrics *m, enum metric_gauge gauge, int64_t value);

/* admin: Prometheus text of every role's file in run_dir; the caller frees. */
struct buf;
MUST_CHECK enum reason metrics_text(const char *run_dir, struct buf *ret_text, struct fault *f);
/* supervisor: sets a gauge in the file of a role that has died, so that nobody takes its last word for true. */
void metrics_write_gauge(const char *run_dir, const char *role, enum metric_gauge gauge, int64_t value);
/* admin: one gauge of one role; false if the role never started. */
MUST_CHECK bool metrics_read_gauge(const char *run_dir, const char *role, enum metric_gauge gauge, int64_t *ret_value);

#endif
