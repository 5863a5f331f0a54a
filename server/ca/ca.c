/*
 * ca.c - the certificate authority's role: its line, its parts in the order they are opened, its life.
 *
 * Read ca_line[] first: it is what happens to a grant.
 */
#include "ca/ca.h"
#include "ca/heads.h"
#include "ca/keys.h"
#include "ca/ocsp.h"
#include "ca/operate.h"
#include "ca/services.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "observe/log.h"
#include "reload.h"
#include "role.h"

/* clang-format off */
#define LANES_ALL { { "line", 8, CA_LINE_MAX }, { "field", 4, CA_FIELD_MAX }, { "own", 2, CA_OWN_MAX }, \
		    { "ocsp", 1, CA_OCSP_MAX }, { "heads", 1, CA_HEADS_MAX } }

static const struct station ca_line[CA_STATIONS] = {
	/*              name      work            threads batch         lanes      what an issue has when it leaves */
	[CA_LEDGER] = { "ledger", station_ledger, 1,      CA_BATCH,     LANES_ALL }, /* intent; then certificate: durable */
	[CA_STATUS] = { "status", station_status, 1,      1,            LANES_ALL }, /* CRL to sign: beside the line       */
	[CA_COMPLETE] = { "complete", station_complete, 1, 1,         LANES_ALL }, /* a long one: beside the short ones  */
	[CA_OCSP]   = { "ocsp",   station_ocsp,   1,      OCSP_BATCH,   LANES_ALL }, /* answer to sign, on record          */
	[CA_HEADS]  = { "heads",  station_heads,  1,      1,            LANES_ALL }, /* head to sign; then exported         */
	/* signature, checked: back to ledger */
	[CA_SIGN]   = { "sign",   station_sign,   0,      CA_SIGN_MOST, LANES_ALL },
};
/* sign's threads: token.sessions of the configuration */
/* clang-format on */

static struct ledger_options ledger_options(const struct config *config)
{
	return (struct ledger_options){
		.conninfo = config->ledger.writer,
		.node = config->node,
		.anchor_dir = config->state_dir,
		.retry_window_s = (unsigned)config->ledger.retry_window_s,
	};
}

enum reason ca_ledger(const struct config *config, const char *stream, struct ledger **ret_ledger, struct fault *f)
{
	const struct ledger_options options = ledger_options(config);

	return ledger_open(&options, stream, ret_ledger, f);
}

static enum reason open_room(struct ca *ca, struct fault *f)
{
	ca->room = calloc(1, sizeof(*ca->room));
	inflight_init(&ca->inflight);
	signing_init(&ca->signing);
	proving_init(&ca->proving);
	if (ca->room == NULL)
		return fault_set(f, REASON_NO_MEMORY, "room of the ledger station");
	return lull_open(&ca->lull, f);
}

static void close_room(struct ca *ca)
{
	lull_close(ca->lull);
	free(ca->room);
	inflight_done(&ca->inflight);
	proving_done(&ca->proving);
	signing_done(&ca->signing);
}

static enum reason open_issuers(struct ca *ca, struct fault *f)
{
	for (size_t i = 0; i < ca->config->n_issuers; i++) {
		TRY(issuer_open(&ca->config->issuer[i], NULL, &ca->issuer[i], f));
		ca->n_issuers++;
	}
	return REASON_OK;
}

static void close_issuers(struct ca *ca)
{
	for (size_t i = 0; i < ca->n_issuers; i++)
		issuer_free(ca->issuer[i]);
}

static enum reason open_ledgers(struct ca *ca, struct fault *f)
{
	const struct ledger_options options = ledger_options(ca->config);

	pthread_mutex_init(&ca->crl_lock, NULL);
	pthread_mutex_init(&ca->va_lock, NULL);
	if (mkdir(ca->config->state_dir, 0700) != 0 && errno != EEXIST)
		return fault_set(f, REASON_CONFIG, "state_dir: cannot make %s: %s", ca->config->state_dir,
				 strerror(errno));
	TRY(ledger_open_line(&options, &ca->ledger, f));
	TRY(ca_ledger(ca->config, "status", &ca->status, f));
	return ca_ledger(ca->config, "complete", &ca->complete, f);
}

static void close_ledgers(struct ca *ca)
{
	ledger_close(ca->ledger);
	ledger_close(ca->status);
	ledger_close(ca->complete);
	pthread_mutex_destroy(&ca->crl_lock);
	channel_unref(ca->va);
	pthread_mutex_destroy(&ca->va_lock);
}

static enum reason open_ocsp(struct ca *ca, struct fault *f)
{
	return ocsp_open(ca, &ca->ocsp, f);
}

static void close_ocsp(struct ca *ca)
{
	ocsp_close(ca->ocsp);
}

static enum reason open_keys(struct ca *ca, struct fault *f)
{
	return keys_open(ca, &ca->keys, f);
}

static void close_keys(struct ca *ca)
{
	keys_close(ca->keys);
}

static enum reason open_heads(struct ca *ca, struct fault *f)
{
	return heads_open(ca, &ca->heads, f);
}

static void close_heads(struct ca *ca)
{
	heads_close(ca->heads);
}

static enum reason open_line(struct ca *ca, struct fault *f)
{
	struct station line[CA_STATIONS];

	memcpy(line, ca_line, sizeof(line));
	line[CA_SIGN].threads = ca->config->token.sessions;
	TRY(line_open(line, CA_STATIONS, ca, ca->metrics, &ca->line, f));
	line_share(ca->line, CA_SIGN, sign_most);
	return REASON_OK;
}

static void close_line(struct ca *ca)
{
	line_close(ca->line);
}

static enum reason open_watch(struct ca *ca, struct fault *f)
{
	return watch_open(ca, &ca->watch, f);
}

static void close_watch(struct ca *ca)
{
	watch_close(ca->watch);
}

static enum reason open_news(struct ca *ca, struct fault *f)
{
	return news_open(ca, &ca->news, f);
}

static void close_news(struct ca *ca)
{
	news_close(ca->news);
}

/* Last: modules are loaded, sockets listen, threads run. */
static enum reason open_seal(struct ca *ca, struct fault *f)
{
	return seal_role(ca->config, ROLE_CA,
			 ca->config->token_network || ledger_over_network(ca->config->ledger.writer), f);
}

static void close_seal(struct ca *ca)
{
	(void)ca; /* it holds until the process ends */
}

static enum reason open_operations(struct ca *ca, struct fault *f)
{
	return operate_open(ca, &ca->operations, f);
}

static void close_operations(struct ca *ca)
{
	operate_close(ca->operations);
}

static enum reason open_upkeep(struct ca *ca, struct fault *f)
{
	return upkeep_open(ca, &ca->upkeep, f);
}

static void close_upkeep(struct ca *ca)
{
	upkeep_close(ca->upkeep);
}

/* Opened in this order, closed in reverse; a close accepts what its open left half made. */
static const struct part {
	enum reason (*open)(struct ca *ca, struct fault *f);
	void (*close)(struct ca *ca);
} parts[] = {
	/* clang-format off */
	{ open_room, close_room },
	{ open_issuers, close_issuers },
	{ open_ledgers, close_ledgers },
	{ open_ocsp, close_ocsp },
	{ open_heads, close_heads },
	{ open_keys, close_keys },
	{ open_line, close_line },
	{ open_watch, close_watch },
	{ open_news, close_news },
	{ open_operations, close_operations },
	{ open_upkeep, close_upkeep },
	{ desk_open, desk_close },
	{ open_seal, close_seal },
	/* clang-format on */
};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

static unsigned in_hand(struct ca *ca)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LANES; i++)
		n += atomic_load(&ca->in_hand[i]);
	return n;
}

/*
 * Everything in hand is answered before the stations close: the line is a circle, and none of them is the first. Nobody
 * comes in any more; what waits for a ledger that is away is told so when the ledger station is woken.
 */
static void settle(struct ca *ca)
{
	const struct timespec tick = { .tv_nsec = 5000000 };

	while (in_hand(ca) > 0) {
		issue_wake(ca);
		nanosleep(&tick, NULL);
	}
}

static int serve(struct ca *ca)
{
	int status;

	log_event(LOG_INFO, "started", NULL);
	status = role_serve(&(struct reloading){ .config = ca->config, .issuers_stay = true });
	log_event(LOG_INFO, "stopping", NULL);
	atomic_store(&ca->stopping, true);
	metrics_gauge(ca->metrics, GAUGE_READY, 0);
	settle(ca);
	line_drain(ca->line);
	return status;
}

static int open_and_serve(struct ca *ca)
{
	struct fault fault = { 0 };
	size_t n = 0;
	int status;

	while (n < N_PARTS && parts[n].open(ca, &fault) == REASON_OK)
		n++;
	if (n == N_PARTS) {
		status = serve(ca);
	} else {
		metrics_gauge(ca->metrics, GAUGE_PIN_REFUSED, fault.reason == REASON_TOKEN_PIN);
		status = role_start_failed(&fault);
		n++; /* the one that failed is half made */
	}
	while (n > 0)
		parts[--n].close(ca);
	return status;
}

int ca_run(const struct config *config, struct metrics *metrics)
{
	struct ca *ca = calloc(1, sizeof(*ca));
	int status;

	if (ca == NULL)
		return EXIT_FAILURE;
	ca->config = config;
	ca->metrics = metrics;
	metrics_gauge(metrics, GAUGE_UP_SINCE_S, clock_wall_s());
	status = open_and_serve(ca);
	free(ca);
	return status;
}
