/*
 * station.c - see station.h.
 */
#include "station.h"

#include <string.h>
#include <time.h>

#include "ask.h"

#define LOST_MAX 200     /* connections in a row that one board may lose */
#define LOST_PAUSE_MS 50 /* before the next, growing to... */
#define LOST_PAUSE_MAX_MS 2000
#define PAUSE_WITHOUT_ADVICE_S 0.1

int64_t station_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void station_pause_until(struct station *s, enum phase next, int64_t at_ns)
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
	int64_t now = station_now_ns();

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
		station_pause_until(s, PHASE_REST, s->due_ns); /* in the past: at once, and its time counts from then */
}

static void finish(struct station *s)
{
	struct drive *d = s->drive;
	struct drive_result *r = &d->result;
	int64_t now = station_now_ns();

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
	s->request_ns = station_now_ns();
	wire_send(&s->wire, d->nonce_request_len);
}

static void send_request(struct station *s)
{
	if (s->ready == 0 && !write_renewal(s)) {
		give_up(s, "renewal", "does not fit");
		return;
	}
	s->phase = PHASE_REQUEST;
	s->request_ns = station_now_ns();
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
	station_pause_until(s, s->phase,
			    station_now_ns() + (int64_t)((wait_s > 0 ? wait_s : PAUSE_WITHOUT_ADVICE_S) * 1e9));
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
	station_pause_until(s, s->phase, station_now_ns() + (int64_t)pause_ms * 1000000);
}

/* ---- the machine ---- */

static void open_wire(struct station *s)
{
	struct trouble t = { 0 };

	s->phase = PHASE_OPEN;
	if (!wire_open(&s->wire, s->drive->epoll, &t))
		connection_lost(s, &t);
}

void station_start(struct station *s)
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
	station_start(s);
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

void station_advance(struct station *s)
{
	for (;;) {
		struct http_reply reply;
		struct trouble t = { 0 };
		enum wire_event event;

		if (s->phase == PHASE_REST) {
			begin_board(s);
			if (s->phase == PHASE_OVER)
				return;
			station_start(s);
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

void station_due(struct station *s)
{
	s->phase = s->next;
	if (s->phase != PHASE_REST)
		station_start(s);
	station_advance(s);
}
