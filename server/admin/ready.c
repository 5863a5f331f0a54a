/*
 * ready.c - what /readyz looks at: every role's own word, and whether that word is fresh.
 */
#include <stdio.h>
#include <string.h>

#include "admin/admin.h"

#define BEAT_MAX_MS 2000 /* roles give a sign of life five times a second */

struct check {
	const char *role;
	enum metric_gauge gauge;
	const char *fault; /* what is said when the gauge is not 1 */
};

/* The ca's sign of life is the view, which it pushes. */
static const struct check checks[] = {
	{ "ca", GAUGE_LEDGER_UP, "ca: the ledger is away" },
	{ "ca", GAUGE_TOKEN_UP, "ca: the token is away" },
	{ "ca", GAUGE_READY, "ca: not ready" },
	{ "ra", GAUGE_READY, "ra: not ready" },
	{ "va", GAUGE_READY, "va: not ready, or a CRL is missing" },
};

static const struct {
	const char *role, *fault;
} beats[] = {
	{ "ra", "ra: no sign of life" },
	{ "va", "va: no sign of life" },
};

static enum reason add(struct buf *list, const char *fault, struct fault *f)
{
	if (list->len > 0)
		TRY(buf_append(list, BLOB_STR(","), f));
	TRY(buf_append(list, BLOB_STR("\""), f));
	TRY(buf_append(list, BLOB_STR(fault), f));
	return buf_append(list, BLOB_STR("\""), f);
}

static bool is(const char *run_dir, const char *role, enum metric_gauge gauge, int64_t wanted)
{
	int64_t value;

	return metrics_read_gauge(run_dir, role, gauge, &value) && value == wanted;
}

/* While the last complete list has long to go, nobody misses the next; the metric says it. */
static enum reason add_too_long(const struct config *config, struct buf *list, struct fault *f)
{
	bool ready = is(config->run_dir, "va", GAUGE_READY, 1);
	const struct issuer_options *issuer;
	int64_t place;
	char text[400];

	if (!metrics_read_gauge(config->run_dir, "va", GAUGE_CRL_TOO_LONG, &place) || place < 1 ||
	    (size_t)place > config->n_issuers || (ready && !is(config->run_dir, "va", GAUGE_CRL_CLOSE, 1)))
		return REASON_OK;
	issuer = &config->issuer[place - 1];
	snprintf(text, sizeof(text), "va: the complete CRL of %s would be longer than one may be, and %s: %s",
		 issuer->name, ready ? "the last one nears its nextUpdate" : "there is none to serve",
		 issuer->crl_shards == 0
			 ? "give issuers.crl_shards to that issuer, and crl: shard to its profiles"
			 : "its shards and OCSP go on: point relying parties there, and issue from a new CA");
	return add(list, text, f);
}

/* What does not mend itself is said in full. */
static enum reason add_alarms(const struct config *config, struct buf *list, struct fault *f)
{
	const char *run_dir = config->run_dir;
	char text[200];
	int64_t value;

	if (is(run_dir, "ca", GAUGE_PIN_REFUSED, 1))
		TRY(add(list, "ca: the token refused the PIN, which is not tried again: correct it, then restart", f));
	if (is(run_dir, "va", GAUGE_CRL_CLOSE, 1))
		TRY(add(list, "va: a CRL is close to its nextUpdate, and no newer one has come", f));
	TRY(add_too_long(config, list, f));
	if (is(run_dir, "ca", GAUGE_HEADS_LATE, 1))
		TRY(add(list, "ca: no signed head of the ledger for long", f));
	/* while one of two takes them, what happened is known outside: pages.c warns */
	if (is(run_dir, "ca", GAUGE_HEADS_NOWHERE, 1))
		TRY(add(list,
			"ca: signed heads cannot be written to heads.file, and syslog does not take them; the log says "
			"why",
			f));
	if (!metrics_read_gauge(run_dir, "ca", GAUGE_LEDGER_MISSING_ROW, &value) || value == 0)
		return REASON_OK;
	snprintf(text, sizeof(text), "ca: the ledger went back in time, chain row %lld is missing: nothing is signed",
		 (long long)value);
	return add(list, text, f);
}

enum reason ready_list(const struct admin *admin, int64_t now_us, struct buf *list, struct fault *f)
{
	const char *run_dir = admin->config->run_dir;
	int64_t value;

	TRY(add_alarms(admin->config, list, f));
	if (view_fresh(admin->view, now_us, NULL) != REASON_OK)
		TRY(add(list, "ca: no fresh view from it", f));
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (!is(run_dir, checks[i].role, checks[i].gauge, 1))
			TRY(add(list, checks[i].fault, f));
	for (size_t i = 0; i < sizeof(beats) / sizeof(beats[0]); i++)
		if (!metrics_read_gauge(run_dir, beats[i].role, GAUGE_BEAT_MS, &value) ||
		    now_us / 1000 - value > BEAT_MAX_MS)
			TRY(add(list, beats[i].fault, f));
	return REASON_OK;
}
