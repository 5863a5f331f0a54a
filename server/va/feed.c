/* feed.c - see feed.h. */
#include "va/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PREFIX "/feed/"
#define SUFFIX ".crl"
#define AFTER_DIGITS 20 /* of 2^64 */

struct waiter {
	struct exchange *x;
	const struct crl_list *list;
	int64_t deadline_us;
	unsigned door;
};

struct feed {
	bool stopped;
	size_t n;
	struct waiter waiter[LIMIT_FEED_WAITERS];
};

bool feed_path(const char *path)
{
	return strncmp(path, PREFIX, sizeof(PREFIX) - 1) == 0;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > AFTER_DIGITS || text[len] != '\0')
		return false;
	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
			return false;
	*ret_number = number;
	return true;
}

enum reason feed_request_parse(const char *path, const char *after, struct feed_request *ret_request, struct fault *f)
{
	const size_t before = sizeof(PREFIX) - 1, behind = sizeof(SUFFIX) - 1, len = strlen(path);
	struct feed_request request = { .after = 0 };

	if (!feed_path(path) || len <= before + behind || len - before - behind > CRL_NAME_CHARS ||
	    strcmp(path + len - behind, SUFFIX) != 0)
		return fault_set(f, REASON_STATUS_PATH, "%.128s", path);
	if (after != NULL && !parse_number(after, &request.after))
		return fault_set(f, REASON_FEED_AFTER, "after=%.32s", after);
	memcpy(request.list, path + before, len - before - behind);
	*ret_request = request;
	return REASON_OK;
}

enum reason feed_open(struct feed **ret_feed, struct fault *f)
{
	struct feed *feed = calloc(1, sizeof(*feed));

	if (feed == NULL)
		return fault_set(f, REASON_NO_MEMORY, "feed");
	*ret_feed = feed;
	return REASON_OK;
}

void feed_close(struct feed *feed)
{
	free(feed);
}

/* What has no signature is nobody's to keep, and what waits for the next list is not either. */
static struct reply reply_of(int status)
{
	struct reply reply = { .status = status, .quiet = true };

	reply_header(&reply, "Cache-Control", "no-store");
	return reply;
}

/* Under the lock. */
static struct reply list_reply(const struct crl_list *list)
{
	struct reply reply = reply_of(0);

	if (list->der->bytes.len > LIMIT_FEED_BYTES) {
		reply.status = 303;
		reply_header(&reply, "Location", "/crl/%s.crl", list->name);
		return reply;
	}
	reply.type = "application/pkix-crl";
	reply.shared = shared_ref(list->der);
	return reply;
}

static struct reply nothing_reply(void)
{
	return reply_of(204);
}

/* The last one takes the place. */
static void answer(struct feed *feed, struct waiter *waiter, struct reply reply)
{
	struct exchange *x = waiter->x;

	*waiter = feed->waiter[--feed->n];
	exchange_answer(x, &reply);
}

static void gauge(struct va *va)
{
	metrics_gauge(va->metrics, GAUGE_FEED_WAITING, (int64_t)va->feed->n);
}

void feed_news(struct va *va, struct crl_list *list)
{
	struct feed *feed = va->feed;

	for (size_t i = feed->n; i-- > 0;)
		if (feed->waiter[i].list == list)
			answer(feed, &feed->waiter[i], list_reply(list));
	gauge(va);
}

void feed_tick(struct va *va, int64_t now_us)
{
	struct feed *feed = va->feed;

	for (size_t i = feed->n; i-- > 0;)
		if (feed->waiter[i].deadline_us <= now_us)
			answer(feed, &feed->waiter[i], nothing_reply());
	gauge(va);
}

void feed_stop(struct va *va)
{
	pthread_mutex_lock(&va->lock);
	va->feed->stopped = true;
	feed_tick(va, INT64_MAX);
	pthread_mutex_unlock(&va->lock);
}

static bool has_place(const struct feed *feed, unsigned door)
{
	size_t same = 0;

	for (size_t i = 0; i < feed->n; i++)
		same += feed->waiter[i].door == door;
	return !feed->stopped && feed->n < LIMIT_FEED_WAITERS && same < LIMIT_FEED_WAITERS_ADDRESS;
}

/* Under the lock, which whoever answers needs: until it is let go the exchange stays ours. */
static void wait_for(struct va *va, struct exchange *x, const struct crl_list *list)
{
	struct feed *feed = va->feed;

	exchange_suspend(x);
	feed->waiter[feed->n++] = (struct waiter){ .x = x,
						   .list = list,
						   .deadline_us = clock_mono_us() + FEED_WAIT_S * INT64_C(1000000),
						   .door = listener_door(x) };
	gauge(va);
}

/* Under the lock. False: it waits. */
static bool serve(struct va *va, struct exchange *x, const struct crl_list *list, uint64_t after)
{
	if (list->der != NULL && list->number > after) {
		x->reply = list_reply(list);
		return true;
	}
	if (has_place(va->feed, listener_door(x))) {
		wait_for(va, x, list);
		return false;
	}
	x->reply = nothing_reply();
	reply_header(&x->reply, "Retry-After", "%d", REPLY_RETRY_AFTER_S);
	return true;
}

bool feed_run(struct va *va, struct exchange *x)
{
	struct feed_request request;
	struct crl_list *list = NULL;
	struct status *issuer;
	struct fault f;
	bool answered;

	x->op = "feed";
	x->metric = OP_FEED;
	x->reply.quiet = true;
	if (feed_request_parse(x->path, exchange_argument(x, "after"), &request, &f) == REASON_OK) {
		list = crl_list_find(va, request.list, &issuer);
		if (list == NULL)
			(void)fault_set(&f, REASON_STATUS_PATH, "%.128s", x->path);
	}
	if (list == NULL) {
		exchange_refuse(x, &f);
		return true;
	}
	pthread_mutex_lock(&va->lock);
	answered = serve(va, x, list, request.after);
	pthread_mutex_unlock(&va->lock);
	return answered;
}
