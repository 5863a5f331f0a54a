/*
 * va.c - the validation authority: how it starts and stops.
 */
#include "va/va_ocsp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "issuer.h"
#include "observe/log.h"
#include "reload.h"
#include "va/feed.h"
#include "role.h"

#define THREADS 2
#define CONNECTIONS 1000
#define IDLE_S 30

static enum reason open_status(struct va *va, struct fault *f)
{
	for (size_t i = 0; i < va->config->n_issuers; i++) {
		struct status *s = &va->status[i];

		TRY(issuer_open(&va->config->issuer[i], NULL, &s->issuer, f));
		va->n++;
		s->name = va->config->issuer[i].name;
		s->crl_shards = va->config->issuer[i].crl_shards;
		etag_of(issuer_der(s->issuer), s->certificate_etag);
		ocsp_issuer_of(issuer_cert(s->issuer), &s->ocsp);
		TRY(crl_lists_open(s, f));
	}
	return REASON_OK;
}

static enum reason open_channel(struct va *va, struct fault *f)
{
	char path[512];
	int error;

	va->view = view_new();
	if (va->view == NULL)
		return fault_set(f, REASON_NO_MEMORY, "view");
	snprintf(path, sizeof(path), "%s/ca-va.sock", va->config->run_dir);
	TRY(channel_connect(path, &va_channel_events, va, &va->ca, f));
	error = pthread_create(&va->asker, NULL, va_ask, va);
	if (error != 0)
		return fault_set(f, REASON_NO_MEMORY, "asking thread: %s", strerror(error));
	va->asking = true;
	return REASON_OK;
}

static enum reason va_open(struct va *va, struct fault *f)
{
	const struct listener_options options = { .name = (char *)(uintptr_t) "status",
						  .address = va->config->status.address,
						  .port = va->config->status.port,
						  .threads = THREADS,
						  .connections = CONNECTIONS,
						  .idle_s = IDLE_S };

	TRY(open_status(va, f));
	TRY(va_ocsp_open(va, &va->ocsp, f));
	TRY(feed_open(&va->feed, f));
	TRY(open_channel(va, f));
	TRY(listener_open(&options, NULL, &status_app, va, va->metrics, &va->listener, f));
	return seal_role(va->config, ROLE_VA, false, f);
}

static void va_close(struct va *va)
{
	listener_quiesce(va->listener);
	if (va->feed != NULL)
		feed_stop(va);
	listener_stop(va->listener);
	if (va->asking) {
		pthread_mutex_lock(&va->lock);
		va->closed = true;
		pthread_cond_broadcast(&va->changed);
		pthread_mutex_unlock(&va->lock);
		pthread_join(va->asker, NULL);
	}
	channel_client_close(va->ca);
	view_free(va->view);
	va_ocsp_close(va->ocsp);
	feed_close(va->feed);
	for (size_t i = 0; i < va->n; i++) {
		crl_lists_close(&va->status[i]);
		issuer_free(va->status[i].issuer);
	}
	pthread_cond_destroy(&va->changed);
	pthread_mutex_destroy(&va->lock);
	free(va);
}

static struct va *va_new(const struct config *config, struct metrics *metrics)
{
	struct va *va = calloc(1, sizeof(*va));
	pthread_condattr_t monotonic;

	if (va == NULL)
		return NULL;
	va->config = config;
	va->metrics = metrics;
	metrics_gauge(metrics, GAUGE_UP_SINCE_S, clock_wall_s());
	pthread_mutex_init(&va->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&va->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return va;
}

int va_run(const struct config *config, struct metrics *metrics)
{
	struct va *va = va_new(config, metrics);
	struct fault f;
	int status = 1;

	if (va == NULL)
		return 1;
	if (va_open(va, &f) != REASON_OK) {
		status = role_start_failed(&f);
	} else {
		log_event(LOG_INFO, "listening", "port", LOG_INT, (int64_t)listener_port(va->listener), NULL);
		status = role_serve(&(struct reloading){ .config = config, .issuers_stay = true });
	}
	metrics_gauge(metrics, GAUGE_READY, 0);
	va_close(va);
	return status;
}
