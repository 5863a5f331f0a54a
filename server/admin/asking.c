/* asking.c - see api.h: calls at the ca, by the id of their frame. Whoever takes a call out of it goes on with it. */
#include "admin/api.h"
#include "base/clock.h"
#include "observe/log.h"

static uint64_t put(struct api *api, struct call *call)
{
	uint64_t id;

	pthread_mutex_lock(&api->lock);
	call->id = id = ++api->last_id;
	call->next = api->at_ca;
	api->at_ca = call;
	pthread_mutex_unlock(&api->lock);
	return id; /* the call may be gone already */
}

/* NULL if somebody else has taken it. */
static struct call *take(struct api *api, uint64_t id)
{
	struct call **at, *call;

	pthread_mutex_lock(&api->lock);
	at = &api->at_ca;
	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	call = *at;
	if (call != NULL)
		*at = call->next;
	pthread_mutex_unlock(&api->lock);
	return call;
}

/* Calls whose time is up; all of them for INT64_MAX. */
static struct call *take_due(struct api *api, int64_t now_us)
{
	struct call **at, *due = NULL;

	pthread_mutex_lock(&api->lock);
	at = &api->at_ca;
	while (*at != NULL) {
		struct call *call = *at;

		if (call->deadline_us > now_us) {
			at = &call->next;
			continue;
		}
		*at = call->next;
		call->next = due;
		due = call;
	}
	pthread_mutex_unlock(&api->lock);
	return due;
}

bool asking_send(struct call *call, const struct operate *what)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct api *api = call->api;
	struct channel *channel;
	struct fault f;
	uint64_t id;
	bool sent;

	if (operate_encode(what, &body, &f) != REASON_OK) {
		log_fault(LOG_ERROR, "operate", &f);
		return false;
	}
	channel = channel_client_get(api->admin->ca);
	if (channel == NULL)
		return false;
	id = put(api, call);
	sent = channel_send(channel, FRAME_OPERATE, id, buf_blob(&body));
	channel_unref(channel);
	/* not sent and still ours: nobody else goes on with it; taken already: the connection's end did */
	return sent || take(api, id) == NULL;
}

static void end_all(struct call *call, enum reason reason, const char *detail)
{
	struct fault f;

	(void)fault_set(&f, reason, "%s", detail);
	while (call != NULL) {
		struct call *next = call->next;

		call_refused(call, &f);
		call = next;
	}
}

void api_down(struct api *api)
{
	end_all(take_due(api, INT64_MAX), REASON_CA_AWAY,
		"the ca went away meanwhile: look whether it was done; "
		"the same call again does nothing twice");
}

void api_expire(struct api *api, int64_t now_us)
{
	end_all(take_due(api, now_us), REASON_DEADLINE,
		"no answer in time: look whether it was done; "
		"the same call again does nothing twice");
}

void api_frame(struct api *api, const struct frame *frame)
{
	AUTO(operated_done) struct operated operated = { 0 };
	struct call *call;
	struct fault f;

	if (frame->type != FRAME_OPERATED)
		return;
	if (operated_decode(frame->body, &operated, &f) != REASON_OK) {
		log_fault(LOG_ERROR, "operated", &f);
		return;
	}
	call = take(api, frame->id);
	if (call != NULL)
		call_operated(call, &operated);
}
