/*
 * admin.c - the admin role: how it starts and stops.
 */
#include "admin/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/tls.h"
#include "observe/log.h"
#include "reload.h"
#include "role.h"

#define THREADS 2
#define CONNECTIONS 200
#define IDLE_S 60
#define GAUGES_US 200000

static void set_gauges(struct admin *admin)
{
	int64_t now_us = clock_mono_us();

	metrics_gauge(admin->metrics, GAUGE_BEAT_MS, now_us / 1000);
	metrics_gauge(admin->metrics, GAUGE_VIEW_AGE_MS, view_age_us(admin->view, now_us) / 1000);
	metrics_gauge(admin->metrics, GAUGE_READY, view_fresh(admin->view, now_us, NULL) == REASON_OK);
}

/* One line each time that the list changes, so that an operator reads when Assay stopped working and why. */
static void log_changes(struct admin *admin, struct buf *last)
{
	AUTO(buf_done) struct buf list = { 0 };
	struct fault f;

	if (ready_list(admin, clock_mono_us(), &list, &f) != REASON_OK || blob_equal(buf_blob(&list), buf_blob(last)) ||
	    buf_append(&list, BLOB("", 1), &f) != REASON_OK)
		return;
	if (list.len == 1)
		log_event(LOG_INFO, "ready", NULL);
	else
		log_event(LOG_WARN, "not_ready", "detail", LOG_STR, (const char *)list.ptr, NULL);
	list.len--;
	buf_done(last);
	*last = list;
	list = (struct buf){ 0 };
}

static void *keep(void *role)
{
	struct admin *admin = role;
	AUTO(buf_done) struct buf last = { 0 };

	if (buf_copy(BLOB_STR("unknown"), &last, NULL) != REASON_OK)
		return NULL;
	pthread_mutex_lock(&admin->lock);
	while (!admin->closed) {
		int64_t at_us = clock_mono_us() + GAUGES_US;
		struct timespec until = { at_us / 1000000, (long)(at_us % 1000000) * 1000 };

		set_gauges(admin);
		api_expire(admin->api, clock_mono_us());
		log_changes(admin, &last);
		(void)pthread_cond_timedwait(&admin->changed, &admin->lock, &until);
	}
	pthread_mutex_unlock(&admin->lock);
	return NULL;
}

static void on_frame(void *role, struct channel *channel, const struct frame *frame)
{
	struct admin *admin = role;
	struct fault f;

	(void)channel;
	api_frame(admin->api, frame);
	if (frame->type == FRAME_VIEW && view_apply(admin->view, frame->body, clock_mono_us(), &f) != REASON_OK)
		log_fault(LOG_ERROR, "view", &f);
}

static void on_down(void *role, struct channel *channel)
{
	struct admin *admin = role;

	(void)channel;
	api_down(admin->api);
}

static const struct channel_events events = { .frame = on_frame, .down = on_down };

static enum reason open_channel(struct admin *admin, struct fault *f)
{
	char path[512];
	int error;

	admin->view = view_new();
	if (admin->view == NULL)
		return fault_set(f, REASON_NO_MEMORY, "view");
	snprintf(path, sizeof(path), "%s/ca-admin.sock", admin->config->run_dir);
	TRY(channel_connect(path, &events, admin, &admin->ca, f));
	error = pthread_create(&admin->keeper, NULL, keep, admin);
	if (error != 0)
		return fault_set(f, REASON_NO_MEMORY, "gauge thread: %s", strerror(error));
	admin->keeping = true;
	return REASON_OK;
}

static enum reason admin_open(struct admin *admin, struct fault *f)
{
	const struct config *config = admin->config;
	const struct listener_options options = { .name = (char *)(uintptr_t) "admin",
						  .address = config->admin.address,
						  .port = config->admin.port,
						  .threads = THREADS,
						  .connections = CONNECTIONS,
						  .idle_s = IDLE_S };

	TRY(operators_load(config->admin.clients, admin->lists = 1, &admin->operators, f));
	TRY(api_open(admin, &admin->api, f));
	TRY(open_channel(admin, f));
	TRY(tls_open(config->admin.certificate, config->admin.key, &admin->tls, f));
	TRY(listener_open(&options, admin->tls, &admin_app, admin, admin->metrics, &admin->listener, f));
	return seal_role(config, ROLE_ADMIN, false, f);
}

static enum reason reload(void *role, struct fault *f)
{
	struct admin *admin = role;
	struct operators *operators;
	struct tls_keys *keys;

	TRY(tls_load(admin->tls, &keys, f));
	if (operators_load(admin->config->admin.clients, admin->lists + 1, &operators, f) != REASON_OK) {
		tls_keys_unref(keys);
		return f->reason;
	}
	admin->lists++;
	tls_use(admin->tls, keys);
	operators_use(admin, operators);
	return REASON_OK;
}

static int serve(struct admin *admin)
{
	const char *const paths[] = { admin->config->admin.clients, admin->config->admin.certificate };
	const struct reloading reloading = {
		.config = admin->config, .paths = paths, .n = 2, .reload = reload, .role = admin, .metrics = admin->metrics
	};

	return role_serve(&reloading);
}

static void admin_close(struct admin *admin)
{
	listener_stop(admin->listener);
	if (admin->keeping) {
		pthread_mutex_lock(&admin->lock);
		admin->closed = true;
		pthread_cond_broadcast(&admin->changed);
		pthread_mutex_unlock(&admin->lock);
		pthread_join(admin->keeper, NULL);
	}
	channel_client_close(admin->ca);
	api_close(admin->api);
	tls_free(admin->tls);
	view_free(admin->view);
	operators_unref(admin->operators);
	pthread_mutex_destroy(&admin->operators_lock);
	pthread_cond_destroy(&admin->changed);
	pthread_mutex_destroy(&admin->lock);
	free(admin);
}

static struct admin *admin_new(const struct config *config, struct metrics *metrics)
{
	struct admin *admin = calloc(1, sizeof(*admin));
	pthread_condattr_t monotonic;

	if (admin == NULL)
		return NULL;
	admin->config = config;
	admin->metrics = metrics;
	metrics_gauge(metrics, GAUGE_UP_SINCE_S, clock_wall_s());
	pthread_mutex_init(&admin->lock, NULL);
	pthread_mutex_init(&admin->operators_lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&admin->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return admin;
}

int admin_run(const struct config *config, struct metrics *metrics)
{
	struct admin *admin = admin_new(config, metrics);
	struct fault f;
	int status = 1;

	if (admin == NULL)
		return 1;
	if (admin_open(admin, &f) != REASON_OK) {
		status = role_start_failed(&f);
	} else {
		log_event(LOG_INFO, "listening", "port", LOG_INT, (int64_t)listener_port(admin->listener), NULL);
		status = serve(admin);
	}
	metrics_gauge(metrics, GAUGE_READY, 0);
	admin_close(admin);
	return status;
}
