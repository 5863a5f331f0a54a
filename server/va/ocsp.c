/*
 * ocsp.c - see va_ocsp.h: questions at the ca, and who waits for them. Whoever takes a question out of the table
 * answers it.
 */
#include "va/va_ocsp.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "observe/log.h"

#define ASKED_MAX 512 /* questions at the ca; beyond it: tryLater */
#define PATIENCE_US 5000000LL
#define OWN_IDS (1ULL << 63) /* ids of frames: those of CRLs have not this bit */

struct question {
	struct exchange *x; /* NULL: a free place */
	uint64_t id;
	int64_t deadline_us;
	struct message_ocsp_ask ask;
};

struct va_ocsp {
	struct ocsp_cache *cache;
	pthread_mutex_t lock; /* of the rest */
	uint64_t last_id;
	struct question asked[ASKED_MAX];
};

bool va_ocsp_is_mine(uint64_t frame_id)
{
	return (frame_id & OWN_IDS) != 0;
}

/* 0: every place is taken. */
static uint64_t put(struct va_ocsp *ocsp, struct exchange *x, const struct message_ocsp_ask *ask)
{
	uint64_t id = 0;

	pthread_mutex_lock(&ocsp->lock);
	for (size_t tries = 0; tries < ASKED_MAX && id == 0; tries++) {
		struct question *q = &ocsp->asked[++ocsp->last_id % ASKED_MAX];

		if (q->x != NULL)
			continue;
		id = OWN_IDS | ocsp->last_id;
		*q = (struct question){ .x = x, .id = id, .deadline_us = clock_mono_us() + PATIENCE_US, .ask = *ask };
	}
	pthread_mutex_unlock(&ocsp->lock);
	return id;
}

/* False: somebody else has taken it. */
static bool take(struct va_ocsp *ocsp, uint64_t id, struct question *ret_question)
{
	struct question *q = &ocsp->asked[(id & ~OWN_IDS) % ASKED_MAX];
	bool taken;

	pthread_mutex_lock(&ocsp->lock);
	taken = q->x != NULL && q->id == id;
	if (taken) {
		*ret_question = *q;
		q->x = NULL;
	}
	pthread_mutex_unlock(&ocsp->lock);
	return taken;
}

static void later(struct exchange *x, const struct fault *fault)
{
	struct reply reply = ocsp_reply_error(OCSP_TRY_LATER, fault);

	exchange_answer(x, &reply);
}

static bool send_ask(struct va *va, uint64_t id, const struct message_ocsp_ask *ask)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct channel *channel = channel_client_get(va->ca);
	bool sent = channel != NULL && message_ocsp_ask_encode(ask, &body, NULL) == REASON_OK &&
		    channel_send(channel, FRAME_OCSP_ASK, id, buf_blob(&body));

	channel_unref(channel);
	return sent;
}

/* For a suspended exchange: asks, or answers that it cannot. */
static void ask_ca(struct va *va, struct exchange *x, const struct message_ocsp_ask *ask)
{
	struct question question;
	struct fault fault;
	uint64_t id = put(va->ocsp, x, ask);

	if (id == 0) {
		(void)fault_set(&fault, REASON_OVERLOADED, "%d OCSP questions at the ca", ASKED_MAX);
		later(x, &fault);
	} else if (!send_ask(va, id, ask) && take(va->ocsp, id, &question)) {
		(void)fault_set(&fault, REASON_CA_AWAY, "OCSP");
		later(x, &fault);
	}
}

static bool from_memory(struct va *va, const struct message_ocsp_ask *ask, struct ocsp_kept *ret_kept)
{
	struct blob serial = BLOB(ask->item[0].serial, ask->item[0].serial_len);

	/* the view may have grown old while the ca was asked */
	return view_fresh(va->view, clock_mono_us(), NULL) == REASON_OK &&
	       ocsp_cache_get(va->ocsp->cache, ask, view_revoked(va->view, serial), clock_wall_s(), ret_kept);
}

bool va_ocsp_answer(struct va *va, struct exchange *x, const struct message_ocsp_ask *ask)
{
	struct ocsp_kept kept;
	struct fault fault;

	if (view_fresh(va->view, clock_mono_us(), &fault) != REASON_OK) {
		x->reply = ocsp_reply_error(OCSP_TRY_LATER, &fault);
		return true;
	}
	if (from_memory(va, ask, &kept)) {
		ocsp_reply(x, &kept, false, &x->reply);
		return true;
	}
	exchange_suspend(x);
	ask_ca(va, x, ask);
	return false;
}

/* The view may know better already, for the answer was made before it came: then it is given, and not kept. */
static void keep(struct va *va, const struct message_ocsp_ask *ask, const struct message_ocsp *answer)
{
	struct blob serial = BLOB(ask->item[0].serial, ask->item[0].serial_len);

	if (view_revoked(va->view, serial) == (answer->status == OCSP_REVOKED))
		ocsp_cache_put(va->ocsp->cache, ask, answer);
}

static void answered(struct va *va, struct question *q, struct blob body)
{
	struct message_ocsp message;
	struct ocsp_kept kept = { 0 };
	struct reply reply;
	struct fault fault;

	if (message_ocsp_decode(body, &message, &fault) != REASON_OK ||
	    buf_copy(message.der, &kept.der, &fault) != REASON_OK) {
		later(q->x, &fault);
		return;
	}
	keep(va, &q->ask, &message);
	kept.this_s = message.this_s;
	kept.next_s = message.next_s;
	ocsp_reply(q->x, &kept, q->ask.nonce_len > 0, &reply);
	exchange_answer(q->x, &reply);
}

static void refused(struct va *va, struct question *q, struct blob body)
{
	struct pack_reader r = { .left = body };
	struct ocsp_kept kept;
	struct fault fault;
	struct reply reply;
	char name[64];

	if (q->ask.nonce_len > 0) { /* as if there had been none */
		q->ask.nonce_len = 0;
		if (from_memory(va, &q->ask, &kept)) {
			ocsp_reply(q->x, &kept, false, &reply);
			exchange_answer(q->x, &reply);
		} else {
			ask_ca(va, q->x, &q->ask);
		}
		return;
	}
	pack_get_text(&r, name, sizeof(name));
	(void)fault_set(&fault, REASON_CA_AWAY, "OCSP: the ca says %s", name);
	later(q->x, &fault);
}

void va_ocsp_frame(struct va *va, const struct frame *frame)
{
	struct question question;

	if (va->ocsp == NULL || !take(va->ocsp, frame->id, &question))
		return;
	if (frame->type == FRAME_OCSP)
		answered(va, &question, frame->body);
	else
		refused(va, &question, frame->body);
}

/* u8 first, u32 revocations: serial, reason. view_apply() has checked them. */
void va_ocsp_view(struct va *va, struct blob body)
{
	struct pack_reader r = { .left = body };
	uint32_t n;

	if (va->ocsp == NULL)
		return;
	(void)pack_get_u8(&r);
	n = pack_get_u32(&r);
	for (uint32_t i = 0; i < n && !r.failed; i++) {
		ocsp_cache_drop(va->ocsp->cache, pack_get_bytes(&r));
		(void)pack_get_u8(&r);
	}
}

static struct exchange *take_due(struct va_ocsp *ocsp, int64_t now_us)
{
	struct exchange *x = NULL;

	pthread_mutex_lock(&ocsp->lock);
	for (size_t i = 0; i < ASKED_MAX && x == NULL; i++) {
		struct question *q = &ocsp->asked[i];

		if (q->x != NULL && q->deadline_us <= now_us) {
			x = q->x;
			q->x = NULL;
		}
	}
	pthread_mutex_unlock(&ocsp->lock);
	return x;
}

void va_ocsp_tick(struct va *va, int64_t now_us)
{
	struct exchange *x;
	struct fault fault;

	if (va->ocsp == NULL)
		return;
	(void)fault_set(&fault, REASON_CA_AWAY, "OCSP: no answer from the ca");
	while ((x = take_due(va->ocsp, now_us)) != NULL)
		later(x, &fault);
}

enum reason va_ocsp_open(struct va *va, struct va_ocsp **ret_ocsp, struct fault *f)
{
	struct va_ocsp *ocsp;

	if (va->config->status.responder == NULL)
		return REASON_OK;
	ocsp = calloc(1, sizeof(*ocsp));
	if (ocsp == NULL)
		return fault_set(f, REASON_NO_MEMORY, "OCSP");
	pthread_mutex_init(&ocsp->lock, NULL);
	ocsp->cache = ocsp_cache_new();
	*ret_ocsp = ocsp;
	return ocsp->cache != NULL ? REASON_OK : fault_set(f, REASON_NO_MEMORY, "OCSP answers");
}

void va_ocsp_close(struct va_ocsp *ocsp)
{
	if (ocsp == NULL)
		return;
	ocsp_cache_free(ocsp->cache);
	pthread_mutex_destroy(&ocsp->lock);
	free(ocsp);
}
