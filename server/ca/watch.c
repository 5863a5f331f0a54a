/*
 * watch.c - ends the process when a signature does not come back.
 *
 * A PKCS#11 module that hangs cannot be called back: its thread is lost, and an orderly stop would wait for it for
 * ever. Intents are durable and unsigned ones are voided by the next start, so ending at once loses nothing. One that
 * hangs while it is opened holds up nothing but itself, so it is given longer.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "observe/log.h"

#define TICK_MS 500
#define OPENING_US (60 * 1000000LL)

struct watch {
	struct ca *ca;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool stop;
};

static void end(int64_t session, int64_t took_us)
{
	log_event(LOG_ERROR, "token_hangs", "session", LOG_INT, session, "ms", LOG_INT, took_us / 1000, NULL);
	_exit(EXIT_FAILURE);
}

static void look(struct ca *ca)
{
	int64_t now_us = clock_mono_us(), timeout_us = ca->config->sign_timeout_ms * 1000LL;
	int64_t opening_us = atomic_load(&ca->opening_since_us);

	if (opening_us != 0 && now_us - opening_us > OPENING_US)
		end(-1, now_us - opening_us);

	for (unsigned i = 0; i < ca->config->token.sessions; i++) {
		int64_t since_us = atomic_load(&ca->signing_since_us[i]);

		if (since_us != 0 && now_us - since_us >= timeout_us)
			end(i, now_us - since_us);
	}
}

static void *watch_run(void *arg)
{
	struct watch *watch = arg;
	struct timespec until;

	pthread_mutex_lock(&watch->lock);
	while (!watch->stop) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		if (pthread_cond_timedwait(&watch->woken, &watch->lock, &until) == ETIMEDOUT)
			look(watch->ca);
	}
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

enum reason watch_open(struct ca *ca, struct watch **ret_watch, struct fault *f)
{
	struct watch *watch = calloc(1, sizeof(*watch));
	pthread_condattr_t attr;

	if (watch == NULL)
		return fault_set(f, REASON_NO_MEMORY, "watch");
	watch->ca = ca;
	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->woken, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&watch->thread, NULL, watch_run, watch) != 0) {
		free(watch);
		return fault_set(f, REASON_NO_MEMORY, "thread of the watch");
	}
	*ret_watch = watch;
	return REASON_OK;
}

void watch_close(struct watch *watch)
{
	if (watch == NULL)
		return;
	pthread_mutex_lock(&watch->lock);
	watch->stop = true;
	pthread_cond_signal(&watch->woken);
	pthread_mutex_unlock(&watch->lock);
	pthread_join(watch->thread, NULL);
	pthread_mutex_destroy(&watch->lock);
	pthread_cond_destroy(&watch->woken);
	free(watch);
}
