/*
 * prometheus.c - the counters of every role as Prometheus text, exposition format 0.0.4.
 *
 * A metric's samples stand together under its HELP and TYPE, so the text is made metric by metric, each over all roles.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/blob.h"
#include "observe/metrics_file.h"

#define ROLES 5

static const char *const role_names[ROLES] = { "ra", "ca", "va", "admin", "supervisor" };

static const char *const op_names[OP_COUNT] = {
	[OP_CACERTS] = "cacerts",
	[OP_CSRATTRS] = "csrattrs",
	[OP_NONCE] = "nonce",
	[OP_SIMPLEENROLL] = "simpleenroll",
	[OP_SIMPLEREENROLL] = "simplereenroll",
	[OP_OTHER] = "other",
	[OP_CRL] = "crl",
	[OP_CA_ISSUERS] = "ca_issuers",
	[OP_ADMIN] = "admin",
	[OP_SIGN] = "sign",
	[OP_OCSP] = "ocsp",
	[OP_FEED] = "feed",
};

static const struct {
	const char *name, *help;
	double scale; /* from the gauge's unit to the metric's */
} gauges[GAUGE_COUNT] = {
	[GAUGE_UP_SINCE_S] = { "assay_start_time_seconds", "Unix time at which the role started.", 1 },
	[GAUGE_READY] = { "assay_ready", "1 when the role can do its work.", 1 },
	[GAUGE_VIEW_AGE_MS] = { "assay_view_age_seconds", "Age of what the role knows of revocations.", 0.001 },
	[GAUGE_CONNECTIONS] = { "assay_connections", "Open client connections.", 1 },
	[GAUGE_LEDGER_UP] = { "assay_ledger_up", "1 when the ledger answers.", 1 },
	[GAUGE_TOKEN_UP] = { "assay_token_up", "1 when the token signs.", 1 },
	[GAUGE_INTENTS_VOIDED] = { "assay_intents_voided",
				   "Intents without a signature that were voided since the start.", 1 },
	[GAUGE_SIGNATURES] = { "assay_signatures", "Signatures made by the token since the start.", 1 },
	[GAUGE_CHILD_RESTARTS] = { "assay_role_restarts", "Roles that the supervisor has started again.", 1 },
	[GAUGE_RELOADS] = { "assay_reloads", "Changed files taken up since the start.", 1 },
	[GAUGE_RELOAD_REFUSED] = { "assay_reload_refused",
				   "1 while changed files cannot be used and the earlier ones hold; the log says why.",
				   1 },
	[GAUGE_CONNECTIONS_REFUSED] = { "assay_connections_refused",
					"Connections refused since the start for their address's sake.", 1 },
	[GAUGE_CONNECTIONS_RATIONED] = { "assay_connections_rationed",
					 "Connections refused since the start because strangers began too many a "
					 "second.",
					 1 },
	[GAUGE_CONNECTIONS_FULL] = { "assay_connections_full",
				     "Connections refused since the start because as many were open as may be.", 1 },
	[GAUGE_UNDER_WAY] = { "assay_requests_under_way", "Enrolments from admission to answer.", 1 },
	[GAUGE_LASTING_MS] = { "assay_lasting_seconds",
			       "Monotonic clock at the last request over a connection that had served several.",
			       0.001 },
	[GAUGE_BEAT_MS] = { "assay_beat_seconds", "Monotonic clock at the role's last sign of life.", 0.001 },
	[GAUGE_LEDGER_MISSING_ROW] = { "assay_ledger_missing_row",
				       "The ledger went back in time: its chain row that is missing, else 0.", 1 },
	[GAUGE_MULTI_BUFFER] = { "assay_multi_buffer", "1 when signatures are verified eight at once.", 1 },
	[GAUGE_CRL_LEFT_S] = { "assay_crl_left_seconds", "Until the first nextUpdate of the CRLs that are served.", 1 },
	[GAUGE_TLS_EST_LEFT_S] = { "assay_tls_est_left_seconds", "Until the EST listeners' certificate ends.", 1 },
	[GAUGE_TLS_ADMIN_LEFT_S] = { "assay_tls_admin_left_seconds", "Until the admin listener's certificate ends.",
				     1 },
	[GAUGE_TLS_NOT_RENEWED] = { "assay_tls_not_renewed",
				    "1 while a listener's certificate should be renewed and is not.", 1 },
	[GAUGE_CRL_CLOSE] = { "assay_crl_close", "1 when a CRL is in the last quarter of its time.", 1 },
	[GAUGE_CRL_TOO_LONG] = { "assay_crl_too_long",
				 "The issuer (its place in the configuration, from 1) whose complete CRL would be "
				 "longer "
				 "than one may be, else 0.",
				 1 },
	[GAUGE_FEED_WAITING] = { "assay_feed_waiting", "Relying parties that wait for the next CRL.", 1 },
	[GAUGE_HEADS_LATE] = { "assay_heads_late", "1 when a signed head of the ledger is overdue.", 1 },
	[GAUGE_HEADS_UNEXPORTED] = { "assay_heads_unexported",
				     "1 when signed heads have not been written to their file, or syslog, for long.",
				     1 },
	[GAUGE_HEADS_NOWHERE] = { "assay_heads_nowhere",
				  "1 when signed heads have reached neither file nor syslog, as far as configured, for "
				  "long.",
				  1 },
	[GAUGE_PIN_REFUSED] = { "assay_token_pin_refused", "1 when the token refused the PIN.", 1 },
};

static const struct {
	const char *name, *type, *help;
	size_t offset;
	double scale;
} station_metrics[] = {
	{ "assay_station_depth", "gauge", "Jobs waiting at the station.", offsetof(struct metrics_station, depth), 1 },
	{ "assay_station_batches_total", "counter", "Batches taken.", offsetof(struct metrics_station, batches), 1 },
	{ "assay_station_jobs_total", "counter", "Jobs taken.", offsetof(struct metrics_station, jobs), 1 },
	{ "assay_station_busy_seconds_total", "counter", "Time at work.", offsetof(struct metrics_station, busy_us),
	  1e-6 },
	{ "assay_station_wait_seconds_total", "counter", "Time that jobs waited.",
	  offsetof(struct metrics_station, wait_us), 1e-6 },
	{ "assay_station_refused_total", "counter", "Jobs refused because a lane was full.",
	  offsetof(struct metrics_station, refused), 1 },
};

/* What one text is made from and into; the first failure stays. */
struct page {
	const struct metrics *role[ROLES]; /* NULL: never started */
	struct buf text;
	enum reason reason;
	struct fault *fault;
};

__attribute__((format(printf, 2, 3))) static void put(struct page *page, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (page->reason == REASON_OK && n > 0)
		page->reason = buf_append(&page->text, BLOB(line, (size_t)n), page->fault);
}

static void put_head(struct page *page, const char *name, const char *type, const char *help)
{
	put(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool is_est(unsigned role, unsigned op)
{
	return role == 0 && op <= OP_OTHER;
}

static uint64_t count(const atomic_uint_fast64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void put_requests(struct page *page, const char *name, const char *help, bool est)
{
	put_head(page, name, "counter", help);
	for (unsigned r = 0; r < ROLES; r++)
		for (unsigned op = 0; page->role[r] != NULL && op < OP_COUNT; op++)
			for (unsigned reason = 0; is_est(r, op) == est && reason < REASON_COUNT; reason++) {
				uint64_t n = count(&page->role[r]->requests[op][reason]);

				if (n > 0)
					put(page, "%s{role=\"%s\",op=\"%s\",reason=\"%s\"} %" PRIu64 "\n", name,
					    role_names[r], op_names[op], reason_info((enum reason)reason)->name, n);
			}
}

static void put_histogram(struct page *page, unsigned r, unsigned op)
{
	const struct metrics *m = page->role[r];
	const char *role = role_names[r], *name = op_names[op];
	uint64_t n = 0, buckets[METRICS_BUCKETS];

	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		buckets[i] = n += count(&m->latency[op][i]);
	if (n == 0)
		return;
	for (unsigned i = 0; i < METRICS_BUCKETS - 1; i++)
		put(page, "assay_latency_seconds_bucket{role=\"%s\",op=\"%s\",le=\"%g\"} %" PRIu64 "\n", role, name,
		    (double)metrics_bucket_us(i) * 1e-6, buckets[i]);
	put(page, "assay_latency_seconds_bucket{role=\"%s\",op=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", role, name, n);
	put(page, "assay_latency_seconds_sum{role=\"%s\",op=\"%s\"} %.6f\n", role, name,
	    (double)count(&m->latency_sum_us[op]) * 1e-6);
	put(page, "assay_latency_seconds_count{role=\"%s\",op=\"%s\"} %" PRIu64 "\n", role, name, n);
}

static void put_latency(struct page *page)
{
	put_head(page, "assay_latency_seconds", "histogram", "Time from the request's first byte to the answer.");
	for (unsigned r = 0; r < ROLES; r++)
		for (unsigned op = 0; page->role[r] != NULL && op < OP_COUNT; op++)
			put_histogram(page, r, op);
}

static void put_stations(struct page *page, unsigned metric)
{
	put_head(page, station_metrics[metric].name, station_metrics[metric].type, station_metrics[metric].help);
	for (unsigned r = 0; r < ROLES; r++)
		for (unsigned s = 0; page->role[r] != NULL && s < METRICS_STATIONS; s++) {
			const struct metrics_station *station = &page->role[r]->station[s];
			const char *field = (const char *)station + station_metrics[metric].offset;

			if (station->name[0] != '\0')
				put(page, "%s{role=\"%s\",station=\"%s\"} %.*f\n", station_metrics[metric].name,
				    role_names[r], station->name, station_metrics[metric].scale < 1 ? 6 : 0,
				    (double)count((const void *)field) * station_metrics[metric].scale);
		}
}

static void put_gauge(struct page *page, unsigned gauge)
{
	put_head(page, gauges[gauge].name, "gauge", gauges[gauge].help);
	for (unsigned r = 0; r < ROLES; r++)
		if (page->role[r] != NULL)
			put(page, "%s{role=\"%s\"} %.*f\n", gauges[gauge].name, role_names[r],
			    gauges[gauge].scale < 1 ? 3 : 0,
			    (double)atomic_load_explicit(&page->role[r]->gauge[gauge], memory_order_relaxed) *
				    gauges[gauge].scale);
}

static void put_all(struct page *page)
{
	put_requests(page, "assay_est_requests_total", "EST requests by operation and outcome.", true);
	put_requests(page, "assay_requests_total", "Other work by operation and outcome.", false);
	put_latency(page);
	for (unsigned i = 0; i < sizeof(station_metrics) / sizeof(station_metrics[0]); i++)
		put_stations(page, i);
	for (unsigned i = 0; i < GAUGE_COUNT; i++)
		put_gauge(page, i);
}

enum reason metrics_text(const char *run_dir, struct buf *ret_text, struct fault *f)
{
	struct page page = { .fault = f };

	for (unsigned r = 0; r < ROLES; r++)
		if (metrics_map(run_dir, role_names[r], &page.role[r]) != REASON_OK)
			page.role[r] = NULL;
	put_all(&page);
	for (unsigned r = 0; r < ROLES; r++)
		if (page.role[r] != NULL)
			metrics_unmap(page.role[r]);
	if (page.reason != REASON_OK) {
		buf_done(&page.text);
		return page.reason;
	}
	*ret_text = page.text;
	return REASON_OK;
}
