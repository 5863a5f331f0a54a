/*
 * crl.c - CRLs from the ca: when to ask, and what to keep of the answer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "channel/message.h"
#include "der.h"
#include "observe/log.h"
#include "va/feed.h"
#include "va/va_ocsp.h"

#define AGAIN_US 2000000           /* a refusal: ask again */
#define AGAIN_TOO_LONG_US 60000000 /* it does not become shorter by itself */
#define LOST_US 60000000           /* no answer: it does not come any more */
#define GAP_US 250000              /* between two questions for one list, however many revocations come */
#define LONG_BYTES 262144          /* a list longer than this ... */
#define LONG_GAP 10     /* ... is asked for again after ten times as long as it took: it has a tenth of the time */
#define UNDER_WAY_MAX 8 /* questions at once: the ca has other things to do too */
#define GAUGES_US 200000
#define CLOSE_PART 4 /* the last quarter of a CRL's time is close to its nextUpdate */

enum reason crl_lists_open(struct status *status, struct fault *f)
{
	const size_t n = 2 + status->crl_shards;

	status->list = calloc(n, sizeof(*status->list));
	if (status->list == NULL)
		return fault_set(f, REASON_NO_MEMORY, "%zu CRLs", n);
	status->n_lists = n;
	for (size_t i = 0; i < n; i++) {
		struct crl_list *list = &status->list[i];

		list->scope.kind = i == 0 ? CRL_COMPLETE : i == 1 ? CRL_DELTA : CRL_SHARD;
		list->scope.shard = i < 2 ? 0 : (unsigned)(i - 2);
		list->due_us = INT64_MAX; /* until the ca is there */
		crl_name(status->name, &list->scope, list->name);
	}
	return REASON_OK;
}

void crl_lists_close(struct status *status)
{
	for (size_t i = 0; i < status->n_lists; i++)
		shared_unref(status->list[i].der);
	free(status->list);
}

struct crl_list *crl_list_find(struct va *va, const char *name, struct status **ret_status)
{
	for (size_t i = 0; i < va->n; i++) {
		struct status *s = &va->status[i];
		struct crl_scope scope;

		if (!crl_name_parse(name, s->name, s->crl_shards, &scope))
			continue;
		*ret_status = s;
		return &s->list[scope.kind == CRL_SHARD ? 2 + scope.shard : scope.kind == CRL_DELTA ? 1 : 0];
	}
	return NULL;
}

/* Every list of every issuer; false from `each` ends the walk. */
static void walk(struct va *va, bool (*each)(struct status *s, struct crl_list *list, void *user), void *user)
{
	for (size_t i = 0; i < va->n; i++)
		for (size_t k = 0; k < va->status[i].n_lists; k++)
			if (!each(&va->status[i], &va->status[i].list[k], user))
				return;
}

/* When this list may be asked for again. */
static int64_t earliest_us(const struct crl_list *list)
{
	int64_t gap_us = GAP_US;

	if (list->asked_us == 0)
		return 0;
	if (list->der != NULL && list->der->bytes.len > LONG_BYTES && list->took_us * LONG_GAP > gap_us)
		gap_us = list->took_us * LONG_GAP;
	return list->asked_us + gap_us;
}

static void soon(struct crl_list *list)
{
	if (list->under_way)
		list->outdated = true;
	else if (earliest_us(list) < list->due_us)
		list->due_us = earliest_us(list);
}

struct round {
	struct va *va;
	struct channel *channel;
	int64_t now_us;
	unsigned under_way;
};

static bool count_under_way(struct status *s, struct crl_list *list, void *user)
{
	struct round *round = user;

	(void)s;
	if (list->under_way && round->now_us - list->asked_us > LOST_US)
		list->under_way = false;
	round->under_way += list->under_way;
	return true;
}

/* The frame's id says which list it was, for a refusal does not: issuer and place, both from one on. */
static uint64_t id_of(const struct va *va, const struct status *s, const struct crl_list *list)
{
	return (uint64_t)(s - va->status + 1) << 32 | (uint64_t)(list - s->list + 1);
}

static struct crl_list *list_by_id(struct va *va, uint64_t id)
{
	uint64_t issuer = id >> 32, place = id & UINT32_MAX;

	if (issuer == 0 || issuer > va->n || place == 0 || place > va->status[issuer - 1].n_lists)
		return NULL;
	return &va->status[issuer - 1].list[place - 1];
}

static bool send_ask(const struct round *round, const struct status *s, const struct crl_list *list)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct fault f;

	if (message_crl_ask_encode(list->name, &body, &f) != REASON_OK) {
		log_fault(LOG_ERROR, "crl_ask", &f);
		return false;
	}
	return channel_send(round->channel, FRAME_CRL_ASK, id_of(round->va, s, list), buf_blob(&body));
}

/*
 * A delta adds to a complete list of the same ca process, which therefore comes first. When that has grown too long,
 * the ca still has the one before it for a base, and so have relying parties: to a va that has just started deltas go
 * on.
 */
static bool ask_one(struct status *s, struct crl_list *list, void *user)
{
	struct round *round = user;

	if (list->due_us > round->now_us || list->under_way ||
	    (list->scope.kind == CRL_DELTA && !s->list[0].of_this_ca && !s->list[0].too_long))
		return true;
	if (round->under_way == UNDER_WAY_MAX || !send_ask(round, s, list))
		return false;
	round->under_way++;
	list->under_way = true;
	list->outdated = false;
	list->asked_us = round->now_us;
	list->due_us = INT64_MAX;
	return true;
}

static void ask_due(struct va *va, int64_t now_us)
{
	struct round round = { .va = va, .channel = channel_client_get(va->ca), .now_us = now_us };

	walk(va, count_under_way, &round);
	if (round.channel != NULL)
		walk(va, ask_one, &round);
	channel_unref(round.channel);
}

struct state {
	const struct va *va;
	int64_t now_s, left_s; /* until the first nextUpdate */
	bool missing, close;
	int64_t too_long; /* place of an issuer in the configuration, from 1; 0: none */
};

static bool look_at(struct status *s, struct crl_list *list, void *user)
{
	struct state *state = user;

	if (list->too_long)
		state->too_long = s - state->va->status + 1;
	if (list->der == NULL) {
		state->missing = true;
		return true;
	}
	state->close = state->close || state->now_s >= list->close_s;
	if (list->next_update_s - state->now_s < state->left_s)
		state->left_s = list->next_update_s - state->now_s;
	return true;
}

static void set_gauges(struct va *va, int64_t now_us)
{
	bool fresh = view_fresh(va->view, now_us, NULL) == REASON_OK;
	struct state state = { .va = va, .now_s = clock_wall_s(), .left_s = INT64_MAX };

	walk(va, look_at, &state);
	metrics_gauge(va->metrics, GAUGE_BEAT_MS, now_us / 1000);
	metrics_gauge(va->metrics, GAUGE_VIEW_AGE_MS, view_age_us(va->view, now_us) / 1000);
	metrics_gauge(va->metrics, GAUGE_CRL_LEFT_S, state.left_s == INT64_MAX ? 0 : state.left_s);
	metrics_gauge(va->metrics, GAUGE_CRL_CLOSE, state.close);
	metrics_gauge(va->metrics, GAUGE_CRL_TOO_LONG, state.too_long);
	metrics_gauge(va->metrics, GAUGE_READY, fresh && !state.missing);
}

static bool due_first(struct status *s, struct crl_list *list, void *user)
{
	int64_t *at_us = user;

	(void)s;
	if (!list->under_way && list->due_us < *at_us)
		*at_us = list->due_us;
	return true;
}

/* Until a list is due; not earlier than a moment from now, for what is due may have to wait for others' answers. */
static struct timespec wait_until(struct va *va, int64_t now_us)
{
	int64_t at_us = now_us + GAUGES_US;

	walk(va, due_first, &at_us);
	if (at_us < now_us + GAUGES_US / 20)
		at_us = now_us + GAUGES_US / 20;
	return (struct timespec){ at_us / 1000000, (long)(at_us % 1000000) * 1000 };
}

void *va_ask(void *role)
{
	struct va *va = role;

	pthread_mutex_lock(&va->lock);
	while (!va->closed) {
		int64_t now_us = clock_mono_us();
		struct timespec until;

		set_gauges(va, now_us);
		va_ocsp_tick(va, now_us);
		feed_tick(va, now_us);
		ask_due(va, now_us);
		until = wait_until(va, now_us);
		(void)pthread_cond_timedwait(&va->changed, &va->lock, &until);
	}
	pthread_mutex_unlock(&va->lock);
	return NULL;
}

static bool anew(struct status *s, struct crl_list *list, void *user)
{
	(void)s, (void)user;
	list->under_way = list->of_this_ca = list->too_long = false;
	list->asked_us = 0;
	list->due_us = INT64_MAX;
	return true;
}

static bool now(struct status *s, struct crl_list *list, void *user)
{
	(void)s, (void)user;
	soon(list);
	return true;
}

/* Only what stands before the entries, of which there may be a million: views wait behind this. The ca has verified it.
 */
static enum reason read_dates(struct blob der, struct crl_list *out, struct fault *f)
{
	struct blob list, tbs, skipped;
	uint32_t version;
	int64_t left_s;

	if (!der_only(der, DER_SEQUENCE, &list) || !der_take(&list, DER_SEQUENCE, &tbs) || !der_small(&tbs, &version) ||
	    !der_take(&tbs, DER_SEQUENCE, &skipped) || !der_take(&tbs, DER_SEQUENCE, &skipped) ||
	    !der_time(&tbs, &out->this_update_s) || !der_time(&tbs, &out->next_update_s))
		return fault_set(f, REASON_CHANNEL_FRAME, "CRL from the ca does not parse");
	left_s = out->next_update_s - clock_wall_s();
	out->close_s = out->next_update_s - left_s / CLOSE_PART;
	/* half of what it has, for the next one must be out before this one ends */
	out->due_us = clock_mono_us() + (left_s > 2 ? left_s * 1000000 / 2 : AGAIN_US);
	return REASON_OK;
}

/* Takes its own reference. An older number than the one we have can come when two answers cross: the newer stays. */
static void keep(struct va *va, struct crl_list *list, struct shared *crl, uint64_t number,
		 const struct crl_list *dates)
{
	struct shared *old = NULL;

	pthread_mutex_lock(&va->lock);
	list->took_us = clock_mono_us() - list->asked_us;
	list->under_way = list->too_long = false;
	list->of_this_ca = true;
	if (list->der == NULL || number > list->number) {
		old = list->der;
		list->der = shared_ref(crl);
		list->number = number;
		list->this_update_s = dates->this_update_s;
		list->next_update_s = dates->next_update_s;
		list->close_s = dates->close_s;
		memcpy(list->etag, dates->etag, sizeof(list->etag));
		feed_news(va, list);
	}
	list->due_us = list->outdated ? earliest_us(list) : dates->due_us;
	pthread_cond_broadcast(&va->changed);
	pthread_mutex_unlock(&va->lock);
	shared_unref(old);
}

static enum reason take_crl(struct va *va, struct blob body, struct fault *f)
{
	AUTO(buf_done) struct buf crl = { 0 };
	struct message_crl message;
	struct crl_list *list, dates;
	struct shared *shared;
	struct status *s;

	TRY(message_crl_decode(body, &message, f));
	list = crl_list_find(va, message.list, &s);
	if (list == NULL)
		return fault_set(f, REASON_CHANNEL_FRAME, "CRL of an issuer that is not configured");
	TRY(read_dates(message.der, &dates, f));
	TRY(buf_copy(message.der, &crl, f));
	etag_of(message.der, dates.etag);
	shared = shared_new(&crl);
	if (shared == NULL)
		return fault_set(f, REASON_NO_MEMORY, "CRL");
	keep(va, list, shared, message.number, &dates);
	shared_unref(shared);
	log_event(LOG_INFO, "crl", "issuer", LOG_STR, s->name, "list", LOG_STR, list->name, "number", LOG_INT,
		  (int64_t)message.number, "bytes", LOG_INT, (int64_t)message.der.len, NULL);
	return REASON_OK;
}

/* Under the lock. The lists that a revocation belongs on: complete and delta of its issuer, and its shard. */
static void outdate(void *user, const char *issuer, struct blob serial)
{
	struct va *va = user;

	for (size_t i = 0; i < va->n; i++) {
		struct status *s = &va->status[i];

		if (strcmp(s->name, issuer) != 0)
			continue;
		soon(&s->list[0]);
		soon(&s->list[1]);
		if (s->crl_shards > 0)
			soon(&s->list[2 + crl_shard(serial, s->crl_shards)]);
	}
}

static void ignore(void *user, const char *issuer, struct blob serial)
{
	(void)user, (void)issuer, (void)serial;
}

/* While the whole view is being sent nothing is asked for: every list is, once it is there. */
static void outdate_lists(struct va *va, struct blob view)
{
	bool more = true;

	pthread_mutex_lock(&va->lock);
	if (view_revocations(view, va->gathering ? ignore : outdate, va, &more) && va->gathering && !more) {
		va->gathering = false;
		walk(va, now, NULL);
	}
	pthread_cond_broadcast(&va->changed);
	pthread_mutex_unlock(&va->lock);
}

/* Under the lock. Without the list that it adds to, a delta comes no sooner than that. */
static bool waits_long(struct va *va, const struct crl_list *list)
{
	struct status *s;

	return list->too_long ||
	       (list->scope.kind == CRL_DELTA && crl_list_find(va, list->name, &s) != NULL && s->list[0].too_long);
}

static void refused(struct va *va, const struct frame *frame)
{
	struct pack_reader r = { .left = frame->body };
	struct crl_list *list = list_by_id(va, frame->id);
	char name[64];

	pack_get_text(&r, name, sizeof(name));
	log_event(LOG_WARN, "crl_refused", "reason", LOG_STR, name, "list", LOG_STR, list == NULL ? "" : list->name,
		  NULL);
	if (list == NULL)
		return;
	pthread_mutex_lock(&va->lock);
	list->under_way = false;
	list->too_long = strcmp(name, reason_info(REASON_CRL_TOO_LONG)->name) == 0;
	list->due_us = clock_mono_us() + (waits_long(va, list) ? AGAIN_TOO_LONG_US : AGAIN_US);
	pthread_cond_broadcast(&va->changed); /* a delta may have waited for this */
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
		else {
			va_ocsp_view(va, frame->body);
			outdate_lists(va, frame->body);
		}
	} else if (va_ocsp_is_mine(frame->id)) {
		va_ocsp_frame(va, frame);
	} else if (frame->type == FRAME_CRL) {
		if (take_crl(va, frame->body, &f) != REASON_OK)
			log_fault(LOG_ERROR, "crl", &f);
	} else if (frame->type == FRAME_REFUSED) {
		refused(va, frame);
	}
}

/* The connection is given out only after this returns; the lists are asked for when the ca's view is here. */
static void on_up(void *role, struct channel *channel)
{
	struct va *va = role;

	(void)channel;
	pthread_mutex_lock(&va->lock);
	va->gathering = true;
	walk(va, anew, NULL);
	pthread_mutex_unlock(&va->lock);
}

/* Whoever waits for the ca's word waits in vain. */
static void on_down(void *role, struct channel *channel)
{
	(void)channel;
	va_ocsp_tick(role, INT64_MAX);
}

const struct channel_events va_channel_events = { .up = on_up, .frame = on_frame, .down = on_down };
