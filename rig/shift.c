/*
 * shift.c - the stations take boards one by one until there are none, and the main thread shows how far they are.
 */
#include "shift.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "persist.h"
#include "stop.h"

#define START_PATIENCE_S 5.0 /* a wrong URL should be told soon, a server that restarts be waited for */
#define REDRAW_MS 200

struct floor {
	const struct shift *shift;
	struct outcome *outcomes;
	atomic_size_t next; /* board */
	atomic_bool halt;   /* stop_on_first */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t done, failed, working; /* under lock */
};

struct worker {
	struct station station;
	struct floor *floor;
	pthread_t thread;
};

static void account(struct floor *floor, bool ok)
{
	(void)pthread_mutex_lock(&floor->lock);
	floor->done++;
	if (!ok)
		floor->failed++;
	if (floor->done * 10 / floor->shift->boards != (floor->done - 1) * 10 / floor->shift->boards)
		(void)pthread_cond_signal(&floor->changed);
	(void)pthread_mutex_unlock(&floor->lock);
	if (!ok && floor->shift->stop_on_first)
		atomic_store(&floor->halt, true);
}

static void *work(void *user)
{
	struct worker *worker = user;
	struct floor *floor = worker->floor;

	while (!stop_requested() && !atomic_load(&floor->halt)) {
		size_t index = atomic_fetch_add(&floor->next, 1);

		if (index >= floor->shift->boards)
			break;
		station_personalise(&worker->station, index, &floor->outcomes[index]);
		account(floor, floor->outcomes[index].ok);
	}
	(void)pthread_mutex_lock(&floor->lock);
	floor->working--;
	(void)pthread_cond_signal(&floor->changed);
	(void)pthread_mutex_unlock(&floor->lock);
	return NULL;
}

/* Until the last station has put down its last board. */
static void watch(struct floor *floor, struct progress *progress)
{
	(void)pthread_mutex_lock(&floor->lock);
	while (floor->working > 0) {
		struct timespec until;

		progress_show(progress, floor->done, floor->failed);
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += REDRAW_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		(void)pthread_cond_timedwait(&floor->changed, &floor->lock, &until);
	}
	progress_end(progress, floor->done, floor->failed);
	(void)pthread_mutex_unlock(&floor->lock);
}

static bool set_up(struct worker *worker, struct floor *floor, unsigned number, struct trouble *t)
{
	const struct plan *plan = floor->shift->plan;
	struct est_options options = plan_connection(plan);

	*worker = (struct worker){ .station = { .plan = plan, .number = number }, .floor = floor };
	if (plan->kind == PLAN_ENROL && !est_open(&options, &worker->station.est, t))
		return false;
	(void)pthread_mutex_lock(&floor->lock);
	floor->working++;
	(void)pthread_mutex_unlock(&floor->lock);
	if (pthread_create(&worker->thread, NULL, work, worker) == 0)
		return true;
	(void)pthread_mutex_lock(&floor->lock);
	floor->working--;
	(void)pthread_mutex_unlock(&floor->lock);
	est_close(worker->station.est);
	return trouble_set(t, "cannot start a thread for station %u", number);
}

static void floor_init(struct floor *floor, const struct shift *shift, struct outcome *outcomes)
{
	pthread_condattr_t monotonic;

	*floor = (struct floor){ .shift = shift, .outcomes = outcomes };
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&floor->lock, NULL);
	(void)pthread_cond_init(&floor->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

bool shift_run(const struct shift *shift, struct progress *progress, struct outcome *outcomes, struct trouble *t)
{
	struct floor floor;
	AUTO(auto_free) struct worker *workers = calloc(shift->stations, sizeof(*workers));
	unsigned started = 0;

	if (workers == NULL)
		return trouble_set(t, "not enough memory");
	floor_init(&floor, shift, outcomes);
	while (started < shift->stations && set_up(&workers[started], &floor, started + 1, t))
		started++;
	if (started < shift->stations)
		atomic_store(&floor.halt, true);
	watch(&floor, progress);
	for (unsigned i = 0; i < started; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		est_close(workers[i].station.est);
	}
	(void)pthread_cond_destroy(&floor.changed);
	(void)pthread_mutex_destroy(&floor.lock);
	return started == shift->stations;
}

static bool self_issued(X509 *cert)
{
	return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

/* The connection was authenticated by --cacert; its roots are what the devices' certificates must lead to. */
static bool sort_certs(struct plan *plan, STACK_OF(X509) * certs, struct trouble *t)
{
	size_t roots = 0;

	plan->trust = X509_STORE_new();
	plan->intermediates = sk_X509_new_null();
	if (plan->trust == NULL || plan->intermediates == NULL)
		return trouble_set(t, "not enough memory");
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		(void)X509_check_purpose(cert, -1,
					 0); /* OpenSSL reads extensions at first use: here, before the threads */
		if (self_issued(cert)) {
			roots++;
			if (X509_STORE_add_cert(plan->trust, cert) != 1)
				return trouble_openssl(t, "/cacerts");
		} else if (X509_up_ref(cert) != 1 || sk_X509_push(plan->intermediates, cert) <= 0) {
			return trouble_set(t, "not enough memory");
		}
	}
	return roots > 0 || trouble_set(t, "/cacerts gives no root certificate");
}

bool plan_fetch_trust(struct plan *plan, struct trouble *t)
{
	struct est_options options = plan_connection(plan);
	double patience = plan->patience_s < START_PATIENCE_S ? plan->patience_s : START_PATIENCE_S;
	AUTO(est_reply_done) struct est_reply reply = { 0 };
	AUTO(auto_x509_list) STACK_OF(X509) *certs = NULL;
	struct est *est;
	unsigned retries = 0;

	if (!est_open(&options, &est, t))
		return false;
	est_persist(est, NULL, EST_CACERTS, NULL, patience, &retries, &reply);
	est_close(est);
	if (reply.outcome != EST_DONE)
		return trouble_set(t, "%s: /cacerts: %s", plan->url, reply.text);
	return est_certs(&reply.body, &certs, t) && sort_certs(plan, certs, t);
}

void plan_done(struct plan *plan)
{
	X509_STORE_free(plan->trust);
	sk_X509_pop_free(plan->intermediates, X509_free);
	plan->trust = NULL;
	plan->intermediates = NULL;
}
