/*
 * channel.c - one connection: a reading and a writing thread over one socket, see channel.h.
 *
 * Senders copy their frame behind what waits already; the writing thread takes all of that at once and writes it in one
 * call. Who has put a batch writes it himself, as far as the socket takes it at once, and wakes nobody. A peer that
 * does not read for SEND_TIMEOUT_S loses the connection.
 */
#include "channel/connection.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "channel/split.h"

#define READ_BYTES ((size_t)64 * 1024)
#define KEEP_BYTES ((size_t)1024 * 1024) /* a buffer that a burst has made larger is given back */
#define SEND_TIMEOUT_S 5

struct channel {
	atomic_uint refs;
	int fd;
	size_t frame_max; /* of what we read */
	const struct channel_events *events;
	void *user;
	pthread_mutex_t lock; /* of waiting, down, draining */
	pthread_cond_t some;
	struct buf waiting;
	size_t leaving; /* bytes the writing thread has in hand: they count against the queue's bound */
	bool down;      /* nothing is sent any more */
	bool draining;  /* send what waits, then end */
};

enum reason channel_new(int fd, size_t frame_max, const struct channel_events *events, void *user,
			struct channel **ret_channel, struct fault *f)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	struct timeval timeout = { .tv_sec = SEND_TIMEOUT_S };

	if (channel == NULL)
		return fault_set(f, REASON_NO_MEMORY, "channel");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	atomic_init(&channel->refs, 1);
	channel->fd = fd;
	channel->frame_max = frame_max;
	channel->events = events;
	channel->user = user;
	pthread_mutex_init(&channel->lock, NULL);
	pthread_cond_init(&channel->some, NULL);
	*ret_channel = channel;
	return REASON_OK;
}

struct channel *channel_ref(struct channel *channel)
{
	atomic_fetch_add(&channel->refs, 1);
	return channel;
}

void channel_unref(struct channel *channel)
{
	if (channel == NULL || atomic_fetch_sub(&channel->refs, 1) != 1)
		return;
	close(channel->fd);
	pthread_mutex_destroy(&channel->lock);
	pthread_cond_destroy(&channel->some);
	buf_done(&channel->waiting);
	free(channel);
}

static enum reason append_frame(struct buf *b, enum frame_type type, uint64_t id, struct blob body)
{
	size_t need = b->len + FRAME_LENGTH_BYTES + FRAME_HEAD_BYTES + body.len;

	TRY(buf_reserve(b, need > b->cap ? need * 2 : b->cap, NULL));
	TRY(pack_u32(b, (uint32_t)(FRAME_HEAD_BYTES + body.len), NULL));
	TRY(pack_u8(b, FRAME_VERSION, NULL));
	TRY(pack_u8(b, (uint8_t)type, NULL));
	TRY(pack_u64(b, id, NULL));
	return buf_append(b, body, NULL);
}

bool channel_put(struct channel *channel, enum frame_type type, uint64_t id, struct blob body)
{
	bool put = false;

	if (body.len > LIMIT_FRAME_OWN_BYTES - FRAME_HEAD_BYTES)
		return false;
	pthread_mutex_lock(&channel->lock);
	if (!channel->down && !channel->draining &&
	    channel->waiting.len + channel->leaving + body.len <= LIMIT_FRAME_QUEUE_BYTES) {
		put = append_frame(&channel->waiting, type, id, body) == REASON_OK;
	}
	pthread_mutex_unlock(&channel->lock);
	return put;
}

/* Under the lock, while the writing thread has nothing in hand. What the socket does not take stays in front. */
static void write_some(struct channel *channel)
{
	struct buf *waiting = &channel->waiting;
	ssize_t n = send(channel->fd, waiting->ptr, waiting->len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n <= 0)
		return; /* full, or broken: the writing thread finds out */
	waiting->len -= (size_t)n;
	memmove(waiting->ptr, waiting->ptr + n, waiting->len);
}

void channel_flush(struct channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	if (channel->leaving == 0 && channel->waiting.len > 0 && !channel->down)
		write_some(channel);
	if (channel->waiting.len > 0)
		pthread_cond_signal(&channel->some);
	pthread_mutex_unlock(&channel->lock);
}

size_t channel_waiting(struct channel *channel)
{
	size_t n;

	pthread_mutex_lock(&channel->lock);
	n = channel->waiting.len + channel->leaving;
	pthread_mutex_unlock(&channel->lock);
	return n;
}

bool channel_send(struct channel *channel, enum frame_type type, uint64_t id, struct blob body)
{
	if (!channel_put(channel, type, id, body))
		return false;
	pthread_mutex_lock(&channel->lock);
	pthread_cond_signal(&channel->some);
	pthread_mutex_unlock(&channel->lock);
	return true;
}

void channel_end(struct channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	channel->down = true;
	pthread_cond_signal(&channel->some);
	pthread_mutex_unlock(&channel->lock);
	shutdown(channel->fd, SHUT_RDWR);
}

void channel_drain(struct channel *channel)
{
	pthread_mutex_lock(&channel->lock);
	channel->draining = true;
	pthread_cond_signal(&channel->some);
	pthread_mutex_unlock(&channel->lock);
}

static bool write_all(int fd, struct blob bytes)
{
	while (bytes.len > 0) {
		ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes.ptr += n;
		bytes.len -= (size_t)n;
	}
	return true;
}

/* Swaps what waits with the emptied buffer of the last round; false when there is nothing to do any more. */
static bool take_waiting(struct channel *channel, struct buf *out)
{
	bool some;

	out->len = 0;
	if (out->cap > KEEP_BYTES)
		buf_done(out);
	pthread_mutex_lock(&channel->lock);
	channel->leaving = 0;
	while (channel->waiting.len == 0 && !channel->down && !channel->draining)
		pthread_cond_wait(&channel->some, &channel->lock);
	some = channel->waiting.len > 0 && !channel->down;
	if (some) {
		struct buf swapped = channel->waiting;

		channel->waiting = *out;
		*out = swapped;
		channel->leaving = out->len;
	}
	pthread_mutex_unlock(&channel->lock);
	return some;
}

static void *write_run(void *arg)
{
	struct channel *channel = arg;
	AUTO(buf_done) struct buf out = { 0 };

	while (take_waiting(channel, &out))
		if (!write_all(channel->fd, buf_blob(&out)))
			break;
	channel_end(channel);
	return NULL;
}

/* Gives every whole frame in `in` to the events and keeps the rest; false if one is malformed. */
static bool take_frames(struct channel *channel, struct buf *in)
{
	struct blob left = buf_blob(in);
	struct frame frame;
	enum split split;

	while ((split = frame_split(&left, channel->frame_max, &frame)) == SPLIT_FRAME)
		channel->events->frame(channel->user, channel, &frame);
	if (left.len > 0)
		memmove(in->ptr, left.ptr, left.len);
	in->len = left.len;
	return split == SPLIT_WAIT;
}

static void read_frames(struct channel *channel)
{
	AUTO(buf_done) struct buf in = { 0 };

	for (;;) {
		ssize_t n;

		if (buf_reserve(&in, in.cap - in.len < READ_BYTES ? in.cap * 2 + READ_BYTES : in.cap, NULL) !=
		    REASON_OK)
			return;
		n = recv(channel->fd, in.ptr + in.len, in.cap - in.len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		in.len += (size_t)n;
		if (!take_frames(channel, &in))
			return;
	}
}

void channel_run(struct channel *channel)
{
	pthread_t writer;

	if (pthread_create(&writer, NULL, write_run, channel) != 0)
		return;
	if (channel->events->up != NULL)
		channel->events->up(channel->user, channel);
	read_frames(channel);
	channel_end(channel);
	pthread_join(writer, NULL);
	if (channel->events->down != NULL)
		channel->events->down(channel->user, channel);
}
