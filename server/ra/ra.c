/*
 * ra.c - the registration authority: its line, and how it starts and stops.
 *
 * The table below is the request path. It is preceded by the listener's threads (TLS, HTTP, who is asking; suspend) and
 * followed by the channel's reading thread (certificate in, reply out; resume).
 */
#include "ra/ra.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/tls.h"
#include "observe/log.h"
#include "reload.h"
#include "role.h"

/*
 * The verifications are a third of all the work on a machine that holds all roles: so many threads keep up with the
 * rest, and with fewer threads batches are larger, for the engine that checks eight signatures at once as for the ca.
 */
#define HALF_THE_CORES 0
#define RELOADED 8 /* files and folders that are read again, but for those of each vendor and issuer */

/* clang-format off */
static const struct station ra_line[STATION_COUNT] = {
	/* lanes: name, weight, cap */
	[STATION_PASSWORD] = { "password", station_password, 1, 1, { { "user", 1, 64 } } }, /* leaves knowing who it is */
	[STATION_ASSAY] = { "assay", station_assay, HALF_THE_CORES, ASSAY_BATCH, /* leaves with a grant, which the ca has */
			    { [LANE_PRODUCTION] = { "production", 8, 2048 },
			      [LANE_FIELD] = { "field", 4, 1024 },
			      [LANE_OTHER] = { "other", 1, 128 } } },
};
/* clang-format on */

static enum reason check_realm(const char *realm, struct fault *f)
{
	for (const char *p = realm; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e || *p == '"' || *p == '\\' || p - realm >= 64)
			return fault_set(f, REASON_CONFIG,
					 "est.realm must be at most 64 printable ASCII characters without \" "
					 "and \\, is \"%.64s\"",
					 realm);
	return REASON_OK;
}

static enum reason open_rules(struct ra *ra, struct fault *f)
{
	TRY(check_realm(ra->config->est.realm, f));
	return rules_load(ra->config, 1, &ra->rules, f);
}

struct rules *ra_rules(struct ra *ra)
{
	struct rules *rules;

	pthread_mutex_lock(&ra->rules_lock);
	rules = rules_ref(ra->rules);
	pthread_mutex_unlock(&ra->rules_lock);
	return rules;
}

static void use_rules(struct ra *ra, struct rules *rules)
{
	struct rules *old;

	pthread_mutex_lock(&ra->rules_lock);
	old = ra->rules;
	ra->rules = rules;
	pthread_mutex_unlock(&ra->rules_lock);
	rules_unref(old);
}

/* All of it is read and checked before any of it is used. Only this thread changes ra->rules. */
static enum reason reload(void *role, struct fault *f)
{
	struct ra *ra = role;
	struct rules *rules;
	struct tls_keys *keys;

	TRY(tls_load(ra->tls, &keys, f));
	if (rules_load(ra->config, ra->rules->number + 1, &rules, f) != REASON_OK) {
		tls_keys_unref(keys);
		return f->reason;
	}
	tls_use(ra->tls, keys);
	use_rules(ra, rules);
	ra_tell_policy(ra);
	return REASON_OK;
}

static int serve(struct ra *ra)
{
	const struct config *config = ra->config;
	const char *paths[RELOADED + CONFIG_VENDORS_MAX + LIMIT_ISSUERS] = {
		config->profiles,        config->users,         config->trust.rigs,     config->trust.vendors,
		config->est.certificate, config->est.nonce_key, config->est.ticket_key, config->root,
	};
	struct reloading reloading = {
		.config = config, .paths = paths, .n = RELOADED, .reload = reload, .role = ra, .metrics = ra->metrics
	};

	for (size_t i = 0; i < config->n_evidence; i++)
		paths[reloading.n++] = config->evidence[i].roots;
	for (size_t i = 0; i < config->n_issuers; i++)
		paths[reloading.n++] = config->issuer[i].certificate;
	return role_serve(&reloading);
}

static enum reason open_line(struct ra *ra, struct fault *f)
{
	struct station stations[STATION_COUNT];
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	memcpy(stations, ra_line, sizeof(stations));
	for (size_t i = 0; i < STATION_COUNT; i++)
		if (stations[i].threads == HALF_THE_CORES)
			stations[i].threads = cores > 1 ? (unsigned)cores / 2 : 1;
	TRY(assay_rooms_open(ra, stations[STATION_ASSAY].threads, f));
	return line_open(stations, STATION_COUNT, ra, ra->metrics, &ra->line, f);
}

static enum reason open_channel(struct ra *ra, struct fault *f)
{
	char path[512];
	int error;

	ra->view = view_new();
	ra->underway = underway_new();
	if (ra->view == NULL || ra->underway == NULL)
		return fault_set(f, REASON_NO_MEMORY, "view");
	snprintf(path, sizeof(path), "%s/ca-ra.sock", ra->config->run_dir);
	TRY(channel_connect(path, &ra_channel_events, ra, &ra->ca, f));
	error = pthread_create(&ra->keeper, NULL, ra_keep, ra);
	if (error != 0)
		return fault_set(f, REASON_NO_MEMORY, "deadline thread: %s", strerror(error));
	ra->keeping = true;
	return REASON_OK;
}

static enum reason open_listeners(struct ra *ra, struct fault *f)
{
	const struct config *config = ra->config;

	TRY(tls_open(config->est.certificate, config->est.key, &ra->tls, f));
	TRY(tls_share_tickets(ra->tls, config->est.ticket_key != NULL ? config->est.ticket_key : config->est.nonce_key,
			      f));
	for (size_t i = 0; i < config->est.n_listeners; i++)
		TRY(listener_open(&config->est.listener[i], ra->tls, &est_app, ra, ra->metrics, &ra->listener[i], f));
	return REASON_OK;
}

static void stop_keeper(struct ra *ra)
{
	if (!ra->keeping)
		return;
	pthread_mutex_lock(&ra->deadlines.lock);
	ra->deadlines.closed = true;
	pthread_cond_broadcast(&ra->deadlines.changed);
	pthread_mutex_unlock(&ra->deadlines.lock);
	pthread_join(ra->keeper, NULL);
}

/* In the reverse order of ra_open(); what is not open is NULL. */
static void ra_close(struct ra *ra)
{
	for (size_t i = 0; i < CONFIG_LISTENERS_MAX; i++)
		listener_quiesce(ra->listener[i]);
	for (size_t i = 0; i < CONFIG_LISTENERS_MAX; i++)
		listener_stop(ra->listener[i]); /* every request has its answer now */
	stop_keeper(ra);
	line_close(ra->line);
	assay_rooms_close(ra);
	channel_client_close(ra->ca); /* `down` ends the enrolments that nobody waits for */
	underway_free(ra->underway);
	tls_free(ra->tls);
	view_free(ra->view);
	channel_unref(ra->told);
	pthread_mutex_destroy(&ra->told_lock);
	rules_unref(ra->rules);
	pthread_mutex_destroy(&ra->rules_lock);
	waiting_done(&ra->waiting);
	deadlines_done(&ra->deadlines);
	free(ra);
}

static enum reason ra_open(struct ra *ra, struct fault *f)
{
	TRY(open_rules(ra, f));
	TRY(open_line(ra, f));
	TRY(open_channel(ra, f));
	TRY(open_listeners(ra, f));
	return seal_role(ra->config, ROLE_RA, false, f);
}

int ra_run(const struct config *config, struct metrics *metrics)
{
	struct ra *ra = calloc(1, sizeof(*ra));
	struct fault f;
	int status = 1;

	if (ra == NULL)
		return 1;
	ra->config = config;
	ra->metrics = metrics;
	metrics_gauge(metrics, GAUGE_UP_SINCE_S, clock_wall_s());
	pthread_mutex_init(&ra->rules_lock, NULL);
	pthread_mutex_init(&ra->told_lock, NULL);
	deadlines_init(&ra->deadlines);
	waiting_init(&ra->waiting);
	if (ra_open(ra, &f) != REASON_OK) {
		status = role_start_failed(&f);
	} else {
		log_event(LOG_INFO, "listening", "listeners", LOG_INT, (int64_t)config->est.n_listeners, "port",
			  LOG_INT, (int64_t)listener_port(ra->listener[0]), NULL);
		status = serve(ra);
	}
	metrics_gauge(metrics, GAUGE_READY, 0);
	ra_close(ra);
	return status;
}
