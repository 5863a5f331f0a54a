/* keys.c - see keys.h. */
#include "ca/keys.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "ca/heads.h"
#include "ca/ocsp.h"
#include "observe/log.h"
#include "role.h"

#define AGAIN_MIN_MS 100
#define AGAIN_MAX_MS 2000           /* a token that is back is in use again within 5 s */
#define SETTLED_US (10 * 1000000LL) /* a token that has served so long is looked for with the shortest wait again */
#define CLOSE_S 5                   /* for the module to let go at the end */

struct keys {
	struct ca *ca;
	void *module; /* keeps it in memory: not every module bears to be unloaded, and the role is sealed by then */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool stop, tried;   /* tried: the first attempt is over */
	struct fault first; /* how it ended */
	int64_t opened_us;
	int again_ms;
	enum reason told; /* why it is away, as the log has it; the thread's own */
};

enum reason keys_use(struct ca *ca, struct fault *f)
{
	if (!atomic_load(&ca->token_away)) {
		pthread_rwlock_rdlock(&ca->token_use);
		if (!atomic_load(&ca->token_away))
			return REASON_OK;
		pthread_rwlock_unlock(&ca->token_use);
	}
	return fault_set(f, REASON_TOKEN_AWAY, "the token is away");
}

void keys_used(struct ca *ca)
{
	pthread_rwlock_unlock(&ca->token_use);
}

void keys_lost(struct keys *keys, const struct fault *fault)
{
	struct ca *ca = keys->ca;

	if (atomic_exchange(&ca->token_away, true))
		return;
	log_fault(LOG_ERROR, "token_lost", fault);
	metrics_gauge(ca->metrics, GAUGE_TOKEN_UP, 0);
	metrics_gauge(ca->metrics, GAUGE_READY, 0);
	pthread_mutex_lock(&keys->lock);
	pthread_cond_broadcast(&keys->changed);
	pthread_mutex_unlock(&keys->lock);
}

/* Nobody has them in hand any more when this returns. */
static void give_up(struct ca *ca)
{
	pthread_rwlock_wrlock(&ca->token_use);
	for (size_t i = 0; i < ca->n_issuers; i++)
		issuer_detach(ca->issuer[i]);
	ocsp_detach(ca->ocsp);
	heads_detach(ca->heads);
	pthread_rwlock_unlock(&ca->token_use);
	hsm_close(ca->hsm);
	ca->hsm = NULL;
}

static enum reason take_up(struct ca *ca, struct fault *f)
{
	TRY(hsm_open(&ca->config->token, &ca->hsm, f));
	for (size_t i = 0; i < ca->n_issuers; i++)
		TRY(issuer_attach(ca->issuer[i], &ca->config->issuer[i], ca->hsm, f));
	TRY(ocsp_attach(ca, f));
	return heads_attach(ca, f);
}

/* Signers look at token_away first, and find the keys there once it is false. */
static enum reason attempt(struct keys *keys, struct fault *f)
{
	struct ca *ca = keys->ca;
	enum reason reason;

	atomic_store(&ca->opening_since_us, clock_mono_us());
	give_up(ca);
	reason = take_up(ca, f);
	if (reason != REASON_OK)
		give_up(ca);
	atomic_store(&ca->opening_since_us, 0);
	if (reason != REASON_OK)
		return reason;
	metrics_gauge(ca->metrics, GAUGE_TOKEN_UP, 1);
	atomic_store(&ca->token_away, false);
	return REASON_OK;
}

/* Not every attempt is news; a PIN that was refused is the end of the role. */
static void tell(struct keys *keys, const struct fault *fault, bool first)
{
	if (fault->reason == REASON_OK && !first)
		log_event(LOG_INFO, "token_back", NULL);
	else if (fault->reason != keys->told && fault->reason != REASON_OK)
		log_fault(LOG_ERROR, "token_away", fault);
	keys->told = fault->reason;
	if (fault->reason != REASON_TOKEN_PIN || first) /* keys_open() says it */
		return;
	metrics_gauge(keys->ca->metrics, GAUGE_PIN_REFUSED, 1);
	role_stop(EXIT_TOKEN_PIN);
}

/* Under the lock. */
static void wait_ms(struct keys *keys, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!keys->stop && pthread_cond_timedwait(&keys->changed, &keys->lock, &until) != ETIMEDOUT)
		;
}

static void back_off(struct keys *keys)
{
	if (clock_mono_us() - keys->opened_us > SETTLED_US || keys->again_ms == 0)
		keys->again_ms = AGAIN_MIN_MS;
	wait_ms(keys, keys->again_ms);
	keys->again_ms = keys->again_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : keys->again_ms * 2;
}

/* One look at the token. True when it makes no sense to look again. */
static bool look(struct keys *keys)
{
	struct fault fault = { 0 };
	bool first = !keys->tried;

	pthread_mutex_unlock(&keys->lock);
	fault.reason = attempt(keys, &fault);
	tell(keys, &fault, first);
	pthread_mutex_lock(&keys->lock);
	if (first)
		keys->first = fault;
	keys->tried = true;
	pthread_cond_broadcast(&keys->changed);
	if (fault.reason == REASON_OK)
		keys->opened_us = clock_mono_us();
	return fault.reason == REASON_TOKEN_PIN || (first && fault.reason == REASON_CONFIG);
}

static void *keys_run(void *arg)
{
	struct keys *keys = arg;
	bool over;

	pthread_mutex_lock(&keys->lock);
	over = look(keys);
	while (!keys->stop && !over) {
		if (!atomic_load(&keys->ca->token_away)) {
			pthread_cond_wait(&keys->changed, &keys->lock);
			continue;
		}
		back_off(keys);
		over = keys->stop || look(keys);
	}
	pthread_mutex_unlock(&keys->lock);
	give_up(keys->ca);
	return NULL;
}

/* Why the role cannot start, if that is certain; a token that does not answer is away. */
static enum reason first_verdict(struct keys *keys, struct fault *f)
{
	const struct config *config = keys->ca->config;
	enum reason reason = REASON_OK;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(config->sign_timeout_ms / 1000 + 1);
	pthread_mutex_lock(&keys->lock);
	while (!keys->tried && pthread_cond_timedwait(&keys->changed, &keys->lock, &until) != ETIMEDOUT)
		;
	if (keys->first.reason == REASON_TOKEN_PIN || keys->first.reason == REASON_CONFIG) {
		*f = keys->first;
		reason = f->reason;
	}
	pthread_mutex_unlock(&keys->lock);
	return reason;
}

static struct keys *keys_new(struct ca *ca)
{
	struct keys *keys = calloc(1, sizeof(*keys));
	pthread_condattr_t attr;

	if (keys == NULL)
		return NULL;
	keys->ca = ca;
	keys->module = dlopen(ca->config->token.module, RTLD_LAZY | RTLD_LOCAL); /* hsm_open() says why it cannot */
	pthread_mutex_init(&keys->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&keys->changed, &attr);
	pthread_condattr_destroy(&attr);
	pthread_rwlock_init(&ca->token_use, NULL);
	atomic_store(&ca->token_away, true);
	return keys;
}

static void keys_free(struct keys *keys)
{
	pthread_rwlock_destroy(&keys->ca->token_use);
	pthread_mutex_destroy(&keys->lock);
	pthread_cond_destroy(&keys->changed);
	if (keys->module != NULL)
		dlclose(keys->module);
	free(keys);
}

enum reason keys_open(struct ca *ca, struct keys **ret_keys, struct fault *f)
{
	struct keys *keys = keys_new(ca);

	if (keys == NULL)
		return fault_set(f, REASON_NO_MEMORY, "keys");
	if (pthread_create(&keys->thread, NULL, keys_run, keys) != 0) {
		keys_free(keys);
		return fault_set(f, REASON_NO_MEMORY, "thread of the token");
	}
	*ret_keys = keys;
	return first_verdict(keys, f);
}

void keys_close(struct keys *keys)
{
	struct timespec until;

	if (keys == NULL)
		return;
	pthread_mutex_lock(&keys->lock);
	keys->stop = true;
	pthread_cond_broadcast(&keys->changed);
	pthread_mutex_unlock(&keys->lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_S;
	if (pthread_timedjoin_np(keys->thread, NULL, &until) != 0) { /* all that was in hand is done */
		log_event(LOG_ERROR, "token_hangs", "detail", LOG_STR, "while it is let go", NULL);
		_exit(EXIT_FAILURE);
	}
	keys_free(keys);
}
