/*
 * enrolment.c - the life of an enrolment, and the deadline that answers for it when it takes too long.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sha.h"
#include "base/text.h"
#include "observe/log.h"
#include "ra/ra.h"

#define KEEPER_US 200000 /* how often gauges are set when no deadline comes first */

_Static_assert(sizeof(struct enrolment) <= LIMIT_HEAP_QUICK_BYTES, "struct enrolment"); /* one a request */

struct enrolment *enrolment_new(void)
{
	return calloc(1, sizeof(struct enrolment));
}

void enrolment_free(struct enrolment *e)
{
	if (e == NULL)
		return;
	if (e->basic != NULL)
		basic_wipe(e->basic);
	free(e->basic);
	grant_free(e->grant);
	buf_done(&e->body);
	underway_leave(e->place);
	peer_unref(e->peer);
	rules_unref(e->rules);
	free(e);
}

static enum reason count_as(struct ra *ra, struct enrolment *e, const char *id, unsigned most, struct fault *f)
{
	struct underway_place *place;

	TRY(underway_enter(ra->underway, id, most, &place, f));
	underway_leave(e->place);
	e->place = place;
	return REASON_OK;
}

/* An element with its vendor's certificate has a key of its own, as a device has; a user may stand for many. */
static unsigned most_of(const struct ra *ra, enum requester_kind kind)
{
	switch (kind) {
	case WHO_RIG:
	case WHO_RA:
		return ra->config->est.rig_under_way;
	case WHO_DEVICE:
	case WHO_VENDOR:
		return ra->config->est.device_under_way;
	default:
		return ra->config->est.user_under_way;
	}
}

/* A device may hold many certificates, each of which is another requester: what they share is the subject, which every
 * renewal copies. */
static void device_id(const struct cert *cert, char id[LIMIT_REQUESTER_CHARS + 1])
{
	char hex[65];
	uint8_t hash[32];

	sha256(cert->subject, hash);
	text_hex(BLOB_OF(hash), hex, sizeof(hex));
	snprintf(id, LIMIT_REQUESTER_CHARS + 1, "device:%s", hex);
}

enum reason enrolment_count(struct ra *ra, struct enrolment *e, struct fault *f)
{
	char id[LIMIT_REQUESTER_CHARS + 1];

	if (e->who.kind == WHO_DEVICE)
		device_id(e->who.cert, id);
	else
		memcpy(id, e->who.id, sizeof(id));
	return count_as(ra, e, id, most_of(ra, e->who.kind), f);
}

enum reason enrolment_count_address(struct ra *ra, struct enrolment *e, unsigned door, struct fault *f)
{
	char id[32];

	snprintf(id, sizeof(id), "address:%u", door);
	return count_as(ra, e, id, ra->config->est.user_under_way, f);
}

void deadlines_init(struct deadlines *deadlines)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&deadlines->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&deadlines->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

void deadlines_done(struct deadlines *deadlines)
{
	pthread_cond_destroy(&deadlines->changed);
	pthread_mutex_destroy(&deadlines->lock);
}

void enrolment_watch(struct ra *ra, struct enrolment *e)
{
	struct deadlines *d = &ra->deadlines;

	pthread_mutex_lock(&d->lock);
	e->deadline_us = clock_mono_us() + ra->config->est.deadline_ms * INT64_C(1000);
	e->older = d->newest;
	e->newer = NULL;
	if (d->newest != NULL)
		d->newest->newer = e;
	else
		d->oldest = e;
	d->newest = e;
	e->listed = true;
	pthread_mutex_unlock(&d->lock);
}

static void unlist(struct deadlines *d, struct enrolment *e)
{
	if (!e->listed)
		return;
	if (e->older != NULL)
		e->older->newer = e->newer;
	else
		d->oldest = e->newer;
	if (e->newer != NULL)
		e->newer->older = e->older;
	else
		d->newest = e->older;
	e->listed = false;
}

bool enrolment_waited_for(struct enrolment *e)
{
	return atomic_load(&e->waiter) != NULL;
}

/* RFC 9266: a tls-exporter binding serves one authentication, and the connection ends after it. */
static void close_after(struct reply *reply)
{
	reply_header(reply, "Connection", "close");
}

/* Nobody reads this answer any more; a retry will find what was recorded. */
static void log_late(const struct enrolment *e, const struct reply *reply)
{
	log_event(LOG_WARN, "late", "label", LOG_STR, e->label->facts.label, "reason", LOG_STR,
		  reason_info(reply->fault.reason)->name, "request", LOG_STR, e->request, "who", LOG_STR, e->who.id,
		  "serial", LOG_STR, reply->serial, "detail", LOG_STR,
		  reply->fault.reason == REASON_OK ? "" : reply->fault.detail, NULL);
}

void enrolment_finish(struct ra *ra, struct enrolment *e, struct reply *reply)
{
	struct exchange *x;

	pthread_mutex_lock(&ra->deadlines.lock);
	unlist(&ra->deadlines, e);
	pthread_mutex_unlock(&ra->deadlines.lock);
	x = atomic_exchange(&e->waiter, NULL);
	if (atomic_load(&e->bound))
		close_after(reply);
	underway_leave(TAKE(e->place)); /* before the client can send its next */
	if (x != NULL) {
		memcpy(x->who, e->who.id, sizeof(x->who)); /* who came with a password has a name only now */
		exchange_answer(x, reply);
	} else {
		log_late(e, reply);
		reply_done(reply);
	}
	enrolment_free(e);
}

void enrolment_refuse(struct ra *ra, struct enrolment *e, const struct fault *fault)
{
	struct reply reply = est_refusal(ra, e->label, e->op, fault);

	enrolment_finish(ra, e, &reply);
}

/* The oldest overdue exchange, and whether its connection closes; its enrolment is not touched after the lock is let
 * go, for the line may end it. */
static struct exchange *take_overdue(struct deadlines *d, int64_t now_us, bool *ret_bound)
{
	struct exchange *x = NULL;

	while (x == NULL && d->oldest != NULL && d->oldest->deadline_us <= now_us) {
		struct enrolment *e = d->oldest;

		unlist(d, e);
		*ret_bound = atomic_load(&e->bound);
		x = atomic_exchange(&e->waiter, NULL);
	}
	return x;
}

static void answer_overdue(struct exchange *x, bool bound)
{
	struct fault f;
	struct reply reply;

	(void)fault_set(&f, REASON_DEADLINE, "the enrolment goes on");
	reply = reply_fault(&f);
	if (bound)
		close_after(&reply);
	exchange_answer(x, &reply);
}

static void set_gauges(struct ra *ra, int64_t now_us)
{
	struct channel *channel = channel_client_get(ra->ca);
	bool fresh = view_fresh(ra->view, now_us, NULL) == REASON_OK;

	metrics_gauge(ra->metrics, GAUGE_BEAT_MS, now_us / 1000);
	metrics_gauge(ra->metrics, GAUGE_VIEW_AGE_MS, view_age_us(ra->view, now_us) / 1000);
	metrics_gauge(ra->metrics, GAUGE_UNDER_WAY, underway_count(ra->underway));
	metrics_gauge(ra->metrics, GAUGE_READY, channel != NULL && fresh);
	channel_unref(channel);
}

static void wait_until(struct deadlines *d, int64_t at_us)
{
	struct timespec until;

	if (d->oldest != NULL && d->oldest->deadline_us < at_us)
		at_us = d->oldest->deadline_us;
	until = (struct timespec){ at_us / 1000000, (long)(at_us % 1000000) * 1000 };
	(void)pthread_cond_timedwait(&d->changed, &d->lock, &until);
}

void *ra_keep(void *role)
{
	struct ra *ra = role;
	struct deadlines *d = &ra->deadlines;

	pthread_mutex_lock(&d->lock);
	while (!d->closed) {
		int64_t now_us = clock_mono_us();
		bool bound = false;
		struct exchange *x = take_overdue(d, now_us, &bound);

		if (x == NULL) {
			pthread_mutex_unlock(&d->lock);
			set_gauges(ra, now_us);
			pthread_mutex_lock(&d->lock);
			if (!d->closed)
				wait_until(d, now_us + KEEPER_US);
			continue;
		}
		pthread_mutex_unlock(&d->lock);
		answer_overdue(x, bound);
		pthread_mutex_lock(&d->lock);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}
