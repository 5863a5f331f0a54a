/*
 * drive.c - see drive.h.
 *
 * A station goes through phases: open a connection where there is none, ask for the nonce, send the request, read the
 * answer, next. advance() is called whenever epoll or the clock has something for it and goes on until it must wait.
 */
#include "drive.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "due.h"

#define LOST_MAX 200     /* connections in a row that one board may lose */
#define LOST_PAUSE_MS 50 /* before the next, growing to... */
#define LOST_PAUSE_MAX_MS 2000
#define PAUSE_WITHOUT_ADVICE_S 0.1
#define EVENTS 256

enum phase { PHASE_REST, PHASE_OPEN, PHASE_NONCE, PHASE_REQUEST, PHASE_LEAVE, PHASE_PAUSE, PHASE_HELD, PHASE_OVER };

struct drive;

struct station {
	struct drive *drive;
	struct wire wire;
	enum phase phase, next; /* next: after opening or a pause */
	size_t board;
	unsigned lost;
	bool primed, busy;
	int64_t due_ns, request_ns;
	size_t ready; /* bytes of a request that is being tried again */
};

struct drive {
	const struct drive_plan *plan;
	int epoll;
	struct due due;
	struct presign_room *room;
	struct station *stations;
	char nonce_request[256];
	size_t nonce_request_len;
	bool running; /* the clock has started */
	bool stopping;
	unsigned active; /* stations that are not over */
	int64_t began_ns;
	struct drive_result result;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void advance(struct station *s);

static void pause_until(struct station *s, enum phase next, int64_t at_ns)
{
	s->phase = PHASE_PAUSE;
	s->next = next;
	due_add(&s->drive->due, at_ns, s);
}

static void over(struct station *s)
{
	s->phase = PHASE_OVER;
	s->drive->active--;
}

/* ---- one board ends, the next begins ---- */

static bool no_more(struct drive *d, int64_t at_ns)
{
	const struct drive_plan *plan = d->plan;

	return d->stopping || d->result.begun == plan->n ||
	       (plan->seconds > 0 && at_ns >= d->began_ns + (int64_t)(plan->seconds * 1e9));
}

static enum phase first_request(const struct drive_plan *plan)
{
	return plan->work == WORK_RENEW ? PHASE_REQUEST : plan->work == WORK_HANDSHAKE ? PHASE_LEAVE : PHASE_NONCE;
}

static void identify(struct station *s)
{
	const struct drive_plan *plan = s->drive->plan;

	if (plan->work != WORK_RENEW)
		return;
	s->wire.cert = plan->boards[s->board].cert;
	s->wire.key = plan->boards[s->board].key;
}

static void begin_board(struct station *s)
{
	struct drive *d = s->drive;

	if (no_more(d, s->due_ns)) {
		over(s);
		return;
	}
	s->board = d->result.begun++;
	s->busy = true;
	s->ready = 0;
	s->lost = 0;
	identify(s);
	s->phase = s->wire.state == WIRE_UP ? first_request(d->plan) : PHASE_OPEN;
	s->next = first_request(d->plan);
}

/* Sets when the station begins its next board: now, or when its takt says. */
static void rest(struct station *s)
{
	struct drive *d = s->drive;
	int64_t now = now_ns();

	s->busy = false;
	if (!d->running) {
		s->primed = true;
		over(s);
		return;
	}
	if (d->plan->takt_s <= 0) {
		s->due_ns = now;
		s->phase = PHASE_REST;
		return;
	}
	s->due_ns += (int64_t)(d->plan->takt_s * 1e9);
	if (no_more(d, s->due_ns))
		over(s);
	else
		pause_until(s, PHASE_REST, s->due_ns); /* in the past: at once, and its time counts from then */
}

static void finish(struct station *s)
{
	struct drive *d = s->drive;
	struct drive_result *r = &d->result;
	int64_t now = now_ns();

	if (d->running && s->busy) {
		r->whole_ms[r->done] = (double)(now - s->due_ns) / 1e6;
		r->request_ms[r->done++] = (double)(now - s->request_ns) / 1e6;
	}
	if (d->plan->work == WORK_HOLD) {
		s->busy = false;
		over(s);
		s->phase = PHASE_HELD;
		return;
	}
	if (d->plan->connections != CONNECT_KEEP || d->plan->work == WORK_RENEW)
		wire_close(&s->wire);
	rest(s);
}

static void give_up(struct station *s, const char *what, const char *text)
{
	struct drive_result *r = &s->drive->result;

	if (r->failed++ == 0)
		(void)trouble_set(&r->first, "%s: %.300s", what, text);
	wire_close(&s->wire);
	rest(s);
}

/* ---- requests ---- */

static bool write_enrolment(struct station *s, const struct http_reply *reply)
{
	const struct drive *d = s->drive;

	s->ready = ask_enrolment(&d->plan->boards[s->board], d->room, reply, d->plan->label,
				 wire_host(d->plan->context), s->wire.out, WIRE_REQUEST_MAX);
	return s->ready > 0;
}

static bool write_renewal(struct station *s)
{
	const struct drive *d = s->drive;

	s->ready = ask_renewal(&d->plan->boards[s->board], d->plan->label, wire_host(d->plan->context), s->wire.out,
			       WIRE_REQUEST_MAX);
	return s->ready > 0;
}

static void send_nonce_request(struct station *s)
{
	const struct drive *d = s->drive;

	memcpy(s->wire.out, d->nonce_request, d->nonce_request_len);
	s->phase = PHASE_NONCE;
	s->request_ns = now_ns();
	wire_send(&s->wire, d->nonce_request_len);
}

static void send_request(struct station *s)
{
	if (s->ready == 0 && !write_renewal(s)) {
		give_up(s, "renewal", "does not fit");
		return;
	}
	s->phase = PHASE_REQUEST;
	s->request_ns = now_ns();
	wire_send(&s->wire, s->ready);
}

/* ---- replies ---- */

static void refused(struct station *s, const struct http_reply *reply)
{
	struct drive_result *r = &s->drive->result;
	double wait_s = reply->retry_after_s;
	char text[160];

	if (reply->status != 503 && reply->status != 429) {
		(void)snprintf(text, sizeof(text), "%d %.*s", reply->status, (int)(reply->body_len & 0x7f),
			       reply->body);
		give_up(s, "refused", text);
		return;
	}
	r->retried++;
	if (wait_s <= 0)
		r->refused_without_retry_after++;
	else if (r->retry_after_min_s <= 0 || wait_s < r->retry_after_min_s)
		r->retry_after_min_s = wait_s;
	if (reply->close)
		wire_close(&s->wire);
	pause_until(s, s->phase, now_ns() + (int64_t)((wait_s > 0 ? wait_s : PAUSE_WITHOUT_ADVICE_S) * 1e9));
}

static bool keep_reply(struct station *s, const struct http_reply *reply, struct trouble *t)
{
	struct board *board = &s->drive->plan->boards[s->board];

	return s->drive->plan->work != WORK_ENROL || board->element == NULL ||
	       board_receive(board, reply->body, reply->body_len, t);
}

static void answered(struct station *s, const struct http_reply *reply)
{
	struct trouble t = { 0 };

	if (reply->status != 200) {
		refused(s, reply);
		return;
	}
	if (s->phase == PHASE_NONCE && s->busy && s->drive->plan->work == WORK_ENROL) {
		if (write_enrolment(s, reply))
			send_request(s);
		else
			give_up(s, "nonce", "the reply has none of the expected length");
	} else if (s->phase == PHASE_NONCE || keep_reply(s, reply, &t)) {
		finish(s);
	} else {
		give_up(s, "certificate", t.text);
	}
	if (reply->close && s->wire.state == WIRE_UP && !s->wire.waits)
		wire_close(&s->wire);
}

static void connection_lost(struct station *s, const struct trouble *t)
{
	unsigned pause_ms = LOST_PAUSE_MS << (s->lost < 6 ? s->lost : 6);

	wire_close(&s->wire);
	s->drive->result.lost++;
	if (++s->lost > LOST_MAX) {
		give_up(s, "connection", t->text);
		return;
	}
	if (s->phase == PHASE_OPEN || s->phase == PHASE_LEAVE)
		s->phase = first_request(s->drive->plan);
	if (pause_ms > LOST_PAUSE_MAX_MS)
		pause_ms = LOST_PAUSE_MAX_MS;
	(void)snprintf(s->drive->result.first.text, sizeof(s->drive->result.first.text), "%.300s", t->text);
	pause_until(s, s->phase, now_ns() + (int64_t)pause_ms * 1000000);
}

/* ---- the machine ---- */

static void open_wire(struct station *s)
{
	struct trouble t = { 0 };

	s->phase = PHASE_OPEN;
	if (!wire_open(&s->wire, s->drive->epoll, &t))
		connection_lost(s, &t);
}

/* The phase that stands in s->phase begins: there may be a connection or not. */
static void start(struct station *s)
{
	if (s->phase != PHASE_OPEN && s->wire.state != WIRE_UP) {
		s->next = s->phase;
		open_wire(s);
	} else if (s->phase == PHASE_OPEN) {
		open_wire(s);
	} else if (s->phase == PHASE_LEAVE) {
		wire_leave(&s->wire);
	} else if (s->phase == PHASE_NONCE) {
		send_nonce_request(s);
	} else {
		send_request(s);
	}
}

static void opened(struct station *s)
{
	struct drive *d = s->drive;

	if (d->result.tls[0] == '\0')
		wire_describe(&s->wire, d->result.tls, sizeof(d->result.tls));
	s->phase = s->next;
	start(s);
}

static void lost_or_closed(struct station *s, enum wire_event event, const struct trouble *t)
{
	static const struct trouble closed = { "the server closed the connection" };

	if (s->phase == PHASE_LEAVE && event == WIRE_CLOSED) {
		wire_close(&s->wire);
		finish(s);
	} else if (s->phase == PHASE_OPEN || s->phase == PHASE_NONCE || s->phase == PHASE_REQUEST ||
		   s->phase == PHASE_LEAVE) {
		connection_lost(s, event == WIRE_CLOSED ? &closed : t);
	} else {
		wire_close(&s->wire); /* between boards: opened again when the next begins */
		if (s->phase == PHASE_HELD)
			s->drive->result.lost++;
	}
}

static void advance(struct station *s)
{
	for (;;) {
		struct http_reply reply;
		struct trouble t = { 0 };
		enum wire_event event;

		if (s->phase == PHASE_REST) {
			begin_board(s);
			if (s->phase == PHASE_OVER)
				return;
			start(s);
		}
		event = wire_step(&s->wire, &reply, &t);
		if (event == WIRE_WAIT && s->phase != PHASE_REST)
			return;
		if (event == WIRE_OPENED)
			opened(s);
		else if (event == WIRE_REPLY && (s->phase == PHASE_NONCE || s->phase == PHASE_REQUEST))
			answered(s, &reply);
		else if (event == WIRE_REPLY)
			wire_close(&s->wire); /* not asked for: a server that ends an idle connection with a word */
		else if (event != WIRE_WAIT)
			lost_or_closed(s, event, &t);
	}
}

static void time_has_come(struct station *s)
{
	s->phase = s->next;
	if (s->phase != PHASE_REST)
		start(s);
	advance(s);
}

static void loop(struct drive *d)
{
	struct epoll_event events[EVENTS];
	struct station *s;

	while (d->active > 0) {
		int n = epoll_wait(d->epoll, events, EVENTS, due_timeout_ms(&d->due, now_ns()));

		for (int i = 0; i < n; i++)
			if (events[i].data.ptr == NULL)
				d->stopping = true;
			else
				advance(events[i].data.ptr);
		while ((s = due_take(&d->due, now_ns())) != NULL)
			time_has_come(s);
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
		start(s);
		advance(s);
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
	d->began_ns = now_ns();
	for (unsigned i = 0; i < plan->stations; i++) {
		struct station *s = &d->stations[i];

		s->due_ns = d->began_ns + (int64_t)(plan->takt_s * 1e9 * i / plan->stations);
		pause_until(s, PHASE_REST, s->due_ns);
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
	d->result.seconds = (double)(now_ns() - d->began_ns) / 1e9;
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
