/*
 * drive.c - see drive.h: the loop that wakes stations, and what is around it.
 */
#include <sys/epoll.h>
#include <unistd.h>

#include "ask.h"
#include "station.h"

#define EVENTS 256

static void loop(struct drive *d)
{
	struct epoll_event events[EVENTS];
	struct station *s;

	while (d->active > 0) {
		int n = epoll_wait(d->epoll, events, EVENTS, due_timeout_ms(&d->due, station_now_ns()));

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				d->stopping = true;
			else
				station_advance(events[i].data.ptr);
		while ((s = due_take(&d->due, station_now_ns())) != NULL)
			station_due(s);
	}
}

/* Opens all connections before the clock starts, and lets tickets come in. */
static void prime(struct drive *d)
{
	const struct drive_plan *plan = d->plan;

	if (plan->work == WORK_RENEW || plan->work == WORK_HOLD || plan->connections == CONNECT_FULL)
		return;
	d->active = plan->stations;
	for (unsigned i = 0; i < plan->stations; i++) {
		struct station *s = &d->stations[i];

		s->next = s->phase = plan->work == WORK_HANDSHAKE ? PHASE_LEAVE : PHASE_NONCE;
		station_start(s);
		station_advance(s);
	}
	loop(d);
	if (plan->connections == CONNECT_RESUMED)
		for (unsigned i = 0; i < plan->stations; i++)
			wire_close(&d->stations[i].wire);
}

/* With a takt the stations' first boards are spread over it evenly. */
static void begin(struct drive *d)
{
	const struct drive_plan *plan = d->plan;

	if (plan->begin != NULL)
		plan->begin();
	d->running = true;
	d->active = plan->stations;
	d->began_ns = station_now_ns();
	for (unsigned i = 0; i < plan->stations; i++) {
		struct station *s = &d->stations[i];

		s->due_ns = d->began_ns + (int64_t)(plan->takt_s * 1e9 * i / plan->stations);
		station_pause_until(s, PHASE_REST, s->due_ns);
	}
}

static bool watch_input(struct drive *d)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = NULL };

	return !d->plan->until_input || epoll_ctl(d->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0;
}

static bool set_up(struct drive *d, struct trouble *t)
{
	const struct drive_plan *plan = d->plan;

	d->epoll = epoll_create1(EPOLL_CLOEXEC);
	d->stations = calloc(plan->stations, sizeof(*d->stations));
	d->result.whole_ms = calloc(plan->n, sizeof(double));
	d->result.request_ms = calloc(plan->n, sizeof(double));
	if (d->epoll < 0 || d->stations == NULL || d->result.whole_ms == NULL || d->result.request_ms == NULL ||
	    !due_init(&d->due, plan->stations))
		return trouble_set(t, "not enough memory");
	for (unsigned i = 0; i < plan->stations; i++) {
		struct station *s = &d->stations[i];

		s->drive = d;
		s->wire = (struct wire){ .context = plan->context,
					 .user = s,
					 .resumes = plan->connections == CONNECT_RESUMED };
	}
	d->nonce_request_len =
		ask_nonce(plan->label, wire_host(plan->context), d->nonce_request, sizeof(d->nonce_request));
	return presign_room_new(&d->room, t);
}

static void tear_down(struct drive *d)
{
	for (unsigned i = 0; d->stations != NULL && i < d->plan->stations; i++)
		wire_done(&d->stations[i].wire);
	free(d->stations);
	due_done(&d->due);
	presign_room_free(d->room);
	if (d->epoll >= 0)
		(void)close(d->epoll);
}

void drive_result_done(struct drive_result *result)
{
	free(result->whole_ms);
	free(result->request_ms);
	*result = (struct drive_result){ 0 };
}

static bool run(struct drive *d, struct trouble *t)
{
	if (!set_up(d, t))
		return false;
	prime(d);
	if (d->result.failed > 0)
		return trouble_set(t, "before the clock started: %.300s", d->result.first.text);
	d->result.lost = d->result.retried = 0;
	begin(d);
	if (!watch_input(d))
		return trouble_set(t, "standard input cannot be watched");
	loop(d);
	d->result.seconds = (double)(station_now_ns() - d->began_ns) / 1e9;
	if (d->plan->end != NULL)
		d->plan->end(&d->result);
	return true;
}

bool drive_run(const struct drive_plan *plan, struct drive_result *ret_result, struct trouble *t)
{
	struct drive d = { .plan = plan, .epoll = -1 };
	bool ok = run(&d, t);

	tear_down(&d);
	if (ok)
		*ret_result = d.result;
	else
		drive_result_done(&d.result);
	return ok;
}
