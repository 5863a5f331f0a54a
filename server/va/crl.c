/*
 * crl.c - CRLs from the ca: when to ask, and what to keep of the answer.
 */
#include <openssl/x509.h>
#include <string.h>

#include "base/clock.h"
#include "channel/message.h"
#include "observe/log.h"
#include "va/va.h"

#define AGAIN_US 2000000 /* no answer, or a refusal: ask again */
#define ASK_NOW 0        /* due, and not asked yet */
#define GAUGES_US 200000
#define LIFETIME_MIN_S 10 /* a CRL shorter-lived than this would have us ask all the time */

static bool due(const struct va *va, int64_t now_us)
{
	for (size_t i = 0; i < va->n; i++)
		if (va->status[i].ask_at_us <= now_us)
			return true;
	return false;
}

static bool send_ask(struct channel *channel, const char *issuer)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct fault f;

	if (message_crl_ask_encode(issuer, &body, &f) != REASON_OK) {
		log_fault(LOG_ERROR, "crl_ask", &f);
		return false;
	}
	return channel_send(channel, FRAME_CRL_ASK, 0, buf_blob(&body));
}

static void ask_due(struct va *va, int64_t now_us)
{
	struct channel *channel = channel_client_get(va->ca);

	for (size_t i = 0; i < va->n; i++) {
		struct status *s = &va->status[i];

		if (s->ask_at_us > now_us)
			continue;
		if (channel != NULL)
			(void)send_ask(channel, s->name); /* refused or lost: asked again below */
		s->ask_at_us = now_us + AGAIN_US;
	}
	channel_unref(channel);
}

static void set_gauges(struct va *va, int64_t now_us)
{
	bool ready = view_fresh(va->view, now_us, NULL) == REASON_OK;

	for (size_t i = 0; i < va->n; i++)
		ready = ready && va->status[i].crl.len > 0;
	metrics_gauge(va->metrics, GAUGE_BEAT_MS, now_us / 1000);
	metrics_gauge(va->metrics, GAUGE_VIEW_AGE_MS, view_age_us(va->view, now_us) / 1000);
	metrics_gauge(va->metrics, GAUGE_READY, ready);
}

void *va_ask(void *role)
{
	struct va *va = role;

	pthread_mutex_lock(&va->lock);
	while (!va->closed) {
		int64_t now_us = clock_mono_us(), at_us = now_us + GAUGES_US;
		struct timespec until = { at_us / 1000000, (long)(at_us % 1000000) * 1000 };

		set_gauges(va, now_us);
		if (due(va, now_us))
			ask_due(va, now_us);
		(void)pthread_cond_timedwait(&va->changed, &va->lock, &until);
	}
	pthread_mutex_unlock(&va->lock);
	return NULL;
}

static void ask_all_now(struct va *va)
{
	pthread_mutex_lock(&va->lock);
	for (size_t i = 0; i < va->n; i++)
		va->status[i].ask_at_us = ASK_NOW;
	pthread_cond_broadcast(&va->changed);
	pthread_mutex_unlock(&va->lock);
}

static int64_t unix_time(const ASN1_TIME *t)
{
	struct tm tm;

	return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* Half of its lifetime, for the next one must be out before this one ends. */
static enum reason read_dates(struct blob der, int64_t *ret_this_s, int64_t *ret_half_s, struct fault *f)
{
	const uint8_t *p = der.ptr;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	int64_t this_s, next_s;

	if (crl == NULL)
		return fault_set(f, REASON_CHANNEL_FRAME, "CRL from the ca does not parse");
	this_s = unix_time(X509_CRL_get0_lastUpdate(crl));
	next_s = unix_time(X509_CRL_get0_nextUpdate(crl));
	X509_CRL_free(crl);
	*ret_this_s = this_s;
	*ret_half_s = next_s - this_s > LIFETIME_MIN_S ? (next_s - this_s) / 2 : LIFETIME_MIN_S / 2;
	return REASON_OK;
}

static struct status *status_of(struct va *va, const char *name)
{
	for (size_t i = 0; i < va->n; i++)
		if (strcmp(va->status[i].name, name) == 0)
			return &va->status[i];
	return NULL;
}

/* An older number than the one we have can come when two answers cross: the newer stays. */
static void keep(struct va *va, struct status *s, struct buf *crl, uint64_t number, int64_t this_s, int64_t half_s)
{
	struct buf old = *crl;

	pthread_mutex_lock(&va->lock);
	if (s->crl.len == 0 || number > s->crl_number) {
		old = s->crl;
		s->crl = *crl;
		s->crl_number = number;
		s->this_update_s = this_s;
		etag_of(buf_blob(&s->crl), s->crl_etag);
	}
	if (s->ask_at_us != ASK_NOW) /* else a revocation has come since this one was asked for */
		s->ask_at_us = clock_mono_us() + half_s * 1000000;
	pthread_mutex_unlock(&va->lock);
	*crl = (struct buf){ 0 };
	buf_done(&old);
}

static enum reason take_crl(struct va *va, struct blob body, struct fault *f)
{
	AUTO(buf_done) struct buf crl = { 0 };
	struct message_crl message;
	struct status *s;
	int64_t this_s = 0, half_s = 0;

	TRY(message_crl_decode(body, &message, f));
	s = status_of(va, message.issuer);
	if (s == NULL)
		return fault_set(f, REASON_CHANNEL_FRAME, "CRL of an issuer that is not configured");
	TRY(read_dates(message.der, &this_s, &half_s, f));
	TRY(buf_copy(message.der, &crl, f));
	keep(va, s, &crl, message.number, this_s, half_s);
	log_event(LOG_INFO, "crl", "issuer", LOG_STR, s->name, "number", LOG_INT, (int64_t)message.number, "bytes",
		  LOG_INT, (int64_t)message.der.len, NULL);
	return REASON_OK;
}

/* u8 first, u32 revocations: any at all means that the CRLs may have to change. */
static bool brings_revocations(struct blob body)
{
	struct pack_reader r = { .left = body };

	(void)pack_get_u8(&r);
	return pack_get_u32(&r) > 0;
}

/* Which issuer it was is not said: all are asked for again, soon and not at once. */
static void refused(struct va *va, struct blob body)
{
	struct pack_reader r = { .left = body };
	int64_t again_us = clock_mono_us() + AGAIN_US;
	char name[64];

	pack_get_text(&r, name, sizeof(name));
	log_event(LOG_WARN, "crl_refused", "reason", LOG_STR, name, NULL);
	pthread_mutex_lock(&va->lock);
	for (size_t i = 0; i < va->n; i++)
		if (va->status[i].ask_at_us > again_us)
			va->status[i].ask_at_us = again_us;
	pthread_mutex_unlock(&va->lock);
}

static void on_frame(void *role, struct channel *channel, const struct frame *frame)
{
	struct va *va = role;
	struct fault f;

	(void)channel;
	if (frame->type == FRAME_VIEW) {
		if (view_apply(va->view, frame->body, clock_mono_us(), &f) != REASON_OK)
			log_fault(LOG_ERROR, "view", &f);
		else if (brings_revocations(frame->body))
			ask_all_now(va);
	} else if (frame->type == FRAME_CRL) {
		if (take_crl(va, frame->body, &f) != REASON_OK)
			log_fault(LOG_ERROR, "crl", &f);
	} else if (frame->type == FRAME_REFUSED) {
		refused(va, frame->body);
	}
}

/* The connection is given out only after this returns: the asking thread finds the issuers due and asks. */
static void on_up(void *role, struct channel *channel)
{
	(void)channel;
	ask_all_now(role);
}

const struct channel_events va_channel_events = { .up = on_up, .frame = on_frame };
