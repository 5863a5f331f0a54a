/*
 * ask_ca.c - grants go to the ca, a batch at a time; certificates come back on the channel's reading thread.
 *
 * An enrolment at the ca stands in the table of those waiting, under the id of its frame. Whoever takes it out of the
 * table answers it: the answer, the end of the connection, or the sender that could not send.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "channel/message.h"
#include "http/body.h"
#include "observe/log.h"
#include "pkcs7.h"
#include "ra/answer.h"
#include "ra/ra.h"

#define TYPE_CERTS_ONLY "application/pkcs7-mime; smime-type=certs-only"

void waiting_init(struct waiting *waiting)
{
	pthread_mutex_init(&waiting->lock, NULL);
}

void waiting_done(struct waiting *waiting)
{
	pthread_mutex_destroy(&waiting->lock);
}

static uint64_t waiting_put(struct waiting *w, struct enrolment *e)
{
	struct enrolment **bucket;
	uint64_t id;

	pthread_mutex_lock(&w->lock);
	e->id = id = ++w->last_id;
	bucket = &w->bucket[id % WAITING_BUCKETS];
	e->next_waiting = *bucket;
	*bucket = e;
	pthread_mutex_unlock(&w->lock);
	return id;
}

/* NULL if somebody else has taken it. */
static struct enrolment *waiting_take(struct waiting *w, uint64_t id)
{
	struct enrolment **at, *e;

	pthread_mutex_lock(&w->lock);
	at = &w->bucket[id % WAITING_BUCKETS];
	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next_waiting;
	e = *at;
	if (e != NULL)
		*at = e->next_waiting;
	pthread_mutex_unlock(&w->lock);
	return e;
}

static struct enrolment *waiting_take_all(struct waiting *w)
{
	struct enrolment *all = NULL;

	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < WAITING_BUCKETS; i++)
		while (w->bucket[i] != NULL) {
			struct enrolment *e = w->bucket[i];

			w->bucket[i] = e->next_waiting;
			e->next_waiting = all;
			all = e;
		}
	pthread_mutex_unlock(&w->lock);
	return all;
}

static void away(struct ra *ra, struct enrolment *e, const char *detail)
{
	struct fault f;

	(void)fault_set(&f, REASON_CA_AWAY, "%s", detail);
	enrolment_refuse(ra, e, &f);
}

static bool tell_policy(const struct ra *ra, struct channel *channel, const uint8_t hash[32])
{
	AUTO(buf_done) struct buf body = { 0 };
	struct message_policy message;
	struct fault f;

	memcpy(message.hash, hash, sizeof(message.hash));
	snprintf(message.what, sizeof(message.what), "profiles of %s", ra->config->profiles);
	for (char *p = message.what; *p != '\0'; p++)
		if (*p < ' ' || *p > '~') /* a folder may be called anything; the ca takes plain text */
			*p = '?';
	if (message_policy_encode(&message, &body, &f) == REASON_OK)
		return channel_send(channel, FRAME_POLICY, 0, buf_blob(&body));
	log_fault(LOG_ERROR, "policy", &f);
	return false;
}

/*
 * The ca records which policy decides before it gets the first grant of it, whatever connections and policies have come
 * and gone between: what this connection has been told last is known here, and told anew when it is something else.
 */
static bool told(struct ra *ra, struct channel *channel, const uint8_t hash[32])
{
	bool done;

	pthread_mutex_lock(&ra->told_lock);
	done = channel == ra->told && memcmp(ra->told_policy, hash, 32) == 0;
	if (!done && tell_policy(ra, channel, hash)) {
		if (channel != ra->told) {
			channel_unref(ra->told);
			ra->told = channel_ref(channel);
		}
		memcpy(ra->told_policy, hash, 32);
		done = true;
	}
	pthread_mutex_unlock(&ra->told_lock);
	return done;
}

static void ask_one(struct ra *ra, struct channel *channel, struct enrolment *e)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct fault f;
	uint64_t id;

	if (!enrolment_waited_for(e)) {
		(void)fault_set(&f, REASON_DEADLINE, "nobody waits and nothing is recorded yet");
		enrolment_refuse(ra, e, &f);
		return;
	}
	if (channel == NULL || !told(ra, channel, e->grant->policy_hash)) {
		away(ra, e, channel == NULL ? "no connection to the ca" : "the ca cannot be told of the policy");
		return;
	}
	if (grant_encode(e->grant, &body, &f) != REASON_OK) {
		enrolment_refuse(ra, e, &f);
		return;
	}
	grant_free(TAKE(e->grant));        /* 5 KiB that this thread needs again at once */
	id = waiting_put(&ra->waiting, e); /* before sending: from there the answer may come */
	if (!channel_put(channel, FRAME_ENROL, id, buf_blob(&body)) && (e = waiting_take(&ra->waiting, id)) != NULL)
		away(ra, e, "connection to the ca takes nothing more");
}

void ask_ca(struct ra *ra, struct enrolment *const *granted, size_t n)
{
	struct channel *channel = channel_client_get(ra->ca);

	for (size_t i = 0; i < n; i++)
		ask_one(ra, channel, granted[i]);
	if (channel != NULL)
		channel_flush(channel);
	channel_unref(channel);
}

enum reason answer_enrolled(struct blob body, struct reply *ret_reply, struct fault *f)
{
	struct pack_reader r = { .left = body };
	struct reply reply = { .repeated = pack_get_u8(&r) != 0 };
	struct blob serial = pack_get_bytes(&r), certificate = pack_get_bytes(&r);
	AUTO(buf_done) struct buf der = { 0 };

	if (!pack_done(&r) || serial.len > LIMIT_SERIAL_BYTES)
		return fault_set(f, REASON_CHANNEL_FRAME, "the ca's answer to an enrolment is malformed");
	text_hex(serial, reply.serial, sizeof(reply.serial));
	TRY(pkcs7_certs_only(&certificate, 1, &der, f));
	TRY(body_base64(buf_blob(&der), &reply.body, f));
	reply.type = TYPE_CERTS_ONLY;
	reply_header(&reply, "Content-Transfer-Encoding", "base64");
	*ret_reply = reply;
	return REASON_OK;
}

static void enrolled(struct ra *ra, const struct frame *frame)
{
	struct enrolment *e = waiting_take(&ra->waiting, frame->id);
	struct reply reply;
	struct fault f;

	if (e == NULL)
		return;
	if (answer_enrolled(frame->body, &reply, &f) == REASON_OK)
		enrolment_finish(ra, e, &reply);
	else
		enrolment_refuse(ra, e, &f);
}

struct fault answer_refused(struct blob body)
{
	struct pack_reader r = { .left = body };
	struct fault f = { 0 };
	char name[64];

	pack_get_text(&r, name, sizeof(name));
	pack_get_text(&r, f.detail, sizeof(f.detail));
	if (!pack_done(&r) || !reason_by_name(name, &f.reason) || f.reason == REASON_OK)
		(void)fault_set(&f, REASON_CHANNEL_FRAME, "the ca's refusal is malformed");
	return f;
}

static void refused(struct ra *ra, const struct frame *frame)
{
	struct enrolment *e = waiting_take(&ra->waiting, frame->id);
	struct fault f = answer_refused(frame->body);

	if (e != NULL)
		enrolment_refuse(ra, e, &f);
	else
		log_fault(LOG_ERROR, "ca_refused", &f);
}

static void on_frame(void *role, struct channel *channel, const struct frame *frame)
{
	struct ra *ra = role;
	struct fault f;

	(void)channel;
	if (frame->type == FRAME_ENROLLED)
		enrolled(ra, frame);
	else if (frame->type == FRAME_REFUSED)
		refused(ra, frame);
	else if (frame->type == FRAME_VIEW && view_apply(ra->view, frame->body, clock_mono_us(), &f) != REASON_OK)
		log_fault(LOG_ERROR, "view", &f);
}

static void on_up(void *role, struct channel *channel)
{
	AUTO(rules_unrefp) struct rules *rules = ra_rules(role);
	uint8_t hash[32];

	policy_hash(rules->policy, hash);
	if (tell_policy(role, channel, hash))
		log_event(LOG_INFO, "policy_told", NULL);
}

void ra_tell_policy(struct ra *ra)
{
	struct channel *channel = channel_client_get(ra->ca);

	if (channel != NULL) /* else on_up() does */
		on_up(ra, channel);
	channel_unref(channel);
}

static void on_down(void *role, struct channel *channel)
{
	struct ra *ra = role;
	struct enrolment *all = waiting_take_all(&ra->waiting);

	(void)channel;
	log_event(LOG_WARN, "ca_down", NULL);
	while (all != NULL) {
		struct enrolment *e = all;

		all = e->next_waiting;
		away(ra, e, "connection to the ca ended; the enrolment may have been recorded");
	}
}

const struct channel_events ra_channel_events = { .up = on_up, .frame = on_frame, .down = on_down };
