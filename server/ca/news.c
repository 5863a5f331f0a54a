/*
 * news.c - pushes what the other roles have to know: who is revoked, who is registered.
 *
 * One thread with a connection to the ledger of its own asks at once when the ledger tells of a commit that revokes or
 * registers (LISTEN, on whatever node it was), and five times a second beside that, so that nothing hangs on a notice.
 * It sends to every subscriber what came after what it has had; a new one starts from nothing. An empty frame says
 * "nothing new". While the ledger is away nothing is sent at all, so that views grow stale and their roles refuse
 * rather than guess.
 *
 * Who starts from nothing may have a million rows to come. It gets a piece in each round, and round follows round
 * without a pause until it has them all, so that the others have their sign of life and what is new meanwhile; and no
 * piece while much waits for it, which would fill the queue beyond its bound and end the connection.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "ca/heads.h"
#include "ca/ocsp.h"
#include "channel/view.h"
#include "observe/log.h"

#define TICK_MS 200
#define AHEAD_MS 2 /* for peers to take what waits for them */
#define AHEAD_BYTES ((size_t)4 * 1024 * 1024)
#define SUBSCRIBERS_MAX (ROLE_COUNT * LIMIT_PEERS)

struct subscriber {
	struct channel *channel;        /* NULL: free place */
	uint64_t revocation, requester; /* numbers it has had */
	bool begun;                     /* the first frame has been sent */
	bool behind;                    /* there is more for it */
};

struct newsroom {
	struct ca *ca;
	struct ledger *ledger;
	pthread_t thread;
	int woken; /* eventfd: a new subscriber, a poke, the end */
	atomic_bool stop;
	pthread_mutex_t lock; /* of the rest */
	struct subscriber subscriber[SUBSCRIBERS_MAX];
};

/* What was read last in this round: who has had as much as the one before gets the same. */
struct piece {
	bool there;
	uint64_t after_revocation, after_requester;
	struct ledger_news rows;
	struct buf body;
};

static void piece_done(struct piece *piece)
{
	ledger_news_done(&piece->rows);
	buf_done(&piece->body);
	*piece = (struct piece){ 0 };
}

void news_poke(struct newsroom *news)
{
	(void)!eventfd_write(news->woken, 1);
}

void news_subscribe(struct newsroom *news, struct channel *channel)
{
	pthread_mutex_lock(&news->lock);
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++)
		if (news->subscriber[i].channel == NULL) {
			news->subscriber[i] = (struct subscriber){ .channel = channel_ref(channel) };
			break;
		}
	pthread_mutex_unlock(&news->lock);
	news_poke(news);
}

void news_unsubscribe(struct newsroom *news, struct channel *channel)
{
	pthread_mutex_lock(&news->lock);
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++)
		if (news->subscriber[i].channel == channel) {
			channel_unref(channel);
			news->subscriber[i] = (struct subscriber){ 0 };
		}
	pthread_mutex_unlock(&news->lock);
}

static void advance(struct subscriber *s, const struct ledger_news *rows)
{
	if (rows->n_revocations > 0)
		s->revocation = rows->revocation[rows->n_revocations - 1].number;
	if (rows->n_requesters > 0)
		s->requester = rows->requester[rows->n_requesters - 1].number;
	s->begun = true;
	s->behind = rows->more;
}

static enum reason read_piece(struct newsroom *news, const struct subscriber *s, struct piece *piece, struct fault *f)
{
	if (piece->there && piece->after_revocation == s->revocation && piece->after_requester == s->requester)
		return REASON_OK;
	piece_done(piece);
	TRY(ledger_news(news->ledger, s->revocation, s->requester, &piece->rows, f));
	TRY(view_encode(&piece->rows, false, &piece->body, f));
	piece->after_revocation = s->revocation;
	piece->after_requester = s->requester;
	piece->there = true;
	return REASON_OK;
}

/* As much as one frame holds of what this subscriber has not had yet. */
static enum reason push(struct newsroom *news, struct subscriber *s, struct piece *piece, struct fault *f)
{
	if (s->behind && channel_waiting(s->channel) > AHEAD_BYTES)
		return REASON_OK;
	TRY(read_piece(news, s, piece, f));
	view_mark_first(&piece->body, !s->begun);
	if (channel_send(s->channel, FRAME_VIEW, 0, buf_blob(&piece->body)))
		advance(s, &piece->rows);
	else /* it missed a frame, and must not go on as if it had not */
		channel_end(s->channel);
	return REASON_OK;
}

/* A copy to work on without the lock; a subscriber that leaves meanwhile is dropped in put_back(). */
static bool lend(struct newsroom *news, unsigned i, struct subscriber *ret_copy)
{
	bool there;

	pthread_mutex_lock(&news->lock);
	*ret_copy = news->subscriber[i];
	there = ret_copy->channel != NULL;
	if (there)
		channel_ref(ret_copy->channel);
	pthread_mutex_unlock(&news->lock);
	return there;
}

static void put_back(struct newsroom *news, unsigned i, const struct subscriber *copy)
{
	pthread_mutex_lock(&news->lock);
	if (news->subscriber[i].channel == copy->channel)
		news->subscriber[i] = *copy;
	pthread_mutex_unlock(&news->lock);
	channel_unref(copy->channel);
}

static enum reason push_each(struct newsroom *news, struct piece *piece, bool *ret_behind, struct fault *f)
{
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++) {
		struct subscriber copy;
		enum reason reason;

		if (!lend(news, i, &copy))
			continue;
		reason = push(news, &copy, piece, f);
		*ret_behind = *ret_behind || copy.behind;
		put_back(news, i, &copy);
		TRY(reason);
	}
	return REASON_OK;
}

/* One round; *ret_behind: somebody waits for more. */
static enum reason push_all(struct newsroom *news, bool *ret_behind, struct fault *f)
{
	struct piece piece = { 0 };
	enum reason reason;

	*ret_behind = false;
	TRY(ledger_ready(news->ledger, f));
	reason = push_each(news, &piece, ret_behind, f);
	piece_done(&piece);
	return reason;
}

/* Lets the ledger station get ready by itself: after a start, and after the ledger was away, nobody needs to ask first.
 */
static void nudge(struct ca *ca)
{
	if (!atomic_load(&ca->ledger_ready) && !atomic_load(&ca->stopping))
		issue_wake(ca);
}

static void tell(struct newsroom *news, bool up)
{
	struct ca *ca = news->ca;
	bool token = !atomic_load(&ca->token_away);

	metrics_gauge(ca->metrics, GAUGE_LEDGER_UP, up);
	metrics_gauge(ca->metrics, GAUGE_READY, up && token && atomic_load(&ca->ledger_ready));
	if (!up)
		atomic_store(&ca->ledger_ready, false);
}

/* True: the next round follows at once. */
static bool tick(struct newsroom *news, bool *up)
{
	struct fault fault = { 0 };
	bool behind, now_up = push_all(news, &behind, &fault) == REASON_OK;

	if (*up && !now_up)
		log_fault(LOG_ERROR, "ledger_down", &fault);
	if (!*up && now_up)
		log_event(LOG_INFO, "ledger_up", NULL);
	*up = now_up;
	tell(news, now_up);
	nudge(news->ca);
	ocsp_nudge(news->ca);
	heads_nudge(news->ca);
	return now_up && behind;
}

static bool wait_tick(struct newsroom *news, int ms)
{
	eventfd_t pokes;

	ledger_wait(news->ledger, news->woken, ms);
	(void)!eventfd_read(news->woken, &pokes);
	return !atomic_load(&news->stop);
}

static void *news_run(void *arg)
{
	struct newsroom *news = arg;
	bool up = true; /* so that a ledger that is away from the start is told */

	while (wait_tick(news, tick(news, &up) ? AHEAD_MS : TICK_MS))
		;
	return NULL;
}

static void news_free(struct newsroom *news)
{
	ledger_close(news->ledger);
	pthread_mutex_destroy(&news->lock);
	if (news->woken >= 0)
		(void)close(news->woken);
	free(news);
}

AUTO_FREE(struct newsroom, news_freep, news_free)

static struct newsroom *news_new(struct ca *ca)
{
	struct newsroom *news = calloc(1, sizeof(*news));

	if (news == NULL)
		return NULL;
	news->ca = ca;
	news->woken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&news->lock, NULL);
	return news;
}

enum reason news_open(struct ca *ca, struct newsroom **ret_news, struct fault *f)
{
	AUTO(news_freep) struct newsroom *news = news_new(ca);

	if (news == NULL || news->woken < 0)
		return fault_set(f, REASON_NO_MEMORY, "news");
	TRY(ca_ledger(ca->config, "view", &news->ledger, f));
	ledger_listen(news->ledger);
	if (pthread_create(&news->thread, NULL, news_run, news) != 0)
		return fault_set(f, REASON_NO_MEMORY, "thread of the news");
	*ret_news = TAKE(news);
	return REASON_OK;
}

void news_close(struct newsroom *news)
{
	if (news == NULL)
		return;
	atomic_store(&news->stop, true);
	news_poke(news);
	pthread_join(news->thread, NULL);
	for (unsigned i = 0; i < SUBSCRIBERS_MAX; i++)
		channel_unref(news->subscriber[i].channel);
	news_free(news);
}
