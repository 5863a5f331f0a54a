/* test_channel.c - do frames arrive, whole and in order, and do bad peers lose their connection? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "channel/channel.h"

#define FRAMES 5000

/* One side of a connection as the test sees it. */
struct side {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	atomic_uint ups, downs;
	atomic_uint_fast64_t frames, bytes, disorder;
	atomic_bool echo;    /* answer each frame with its own body */
	atomic_bool blocked; /* the reading thread waits while set */
};

struct bed {
	char dir[64], path[96];
	struct side server, client;
	struct channel_server *listening;
	struct channel_client *connecting;
};

static void side_init(struct side *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
}

static void changed(struct side *s)
{
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void on_up(void *user, struct channel *channel)
{
	struct side *s = user;

	(void)channel;
	pthread_mutex_lock(&s->lock);
	s->ups++;
	changed(s);
}

static void on_down(void *user, struct channel *channel)
{
	struct side *s = user;

	(void)channel;
	pthread_mutex_lock(&s->lock);
	s->downs++;
	changed(s);
}

static void on_frame(void *user, struct channel *channel, const struct frame *frame)
{
	struct side *s = user;

	pthread_mutex_lock(&s->lock);
	s->disorder += frame->id != s->frames;
	s->frames++;
	s->bytes += frame->body.len;
	while (s->blocked)
		pthread_cond_wait(&s->changed, &s->lock);
	changed(s);
	if (s->echo) /* counted first: who has the echo sees the count */
		assert_true(channel_send(channel, frame->type, frame->id, frame->body));
}

static const struct channel_events events = { on_up, on_frame, on_down };

static void bed_init(struct bed *b)
{
	struct fault f;

	snprintf(b->dir, sizeof(b->dir), "/tmp/assay-channel-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->path, sizeof(b->path), "%s/ca.sock", b->dir);
	side_init(&b->server);
	side_init(&b->client);
	assert_int_equal(channel_listen(b->path, geteuid(), &events, &b->server, &b->listening, &f), REASON_OK);
	assert_int_equal(channel_connect(b->path, &events, &b->client, &b->connecting, &f), REASON_OK);
}

static void bed_done(struct bed *b)
{
	channel_client_close(b->connecting);
	channel_server_close(b->listening);
	assert_int_equal(rmdir(b->dir), 0); /* the socket went with its server */
}

static void wait_ups(struct side *s, unsigned n)
{
	pthread_mutex_lock(&s->lock);
	while (s->ups < n)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void wait_downs(struct side *s, unsigned n)
{
	pthread_mutex_lock(&s->lock);
	while (s->downs < n)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

static void wait_frames(struct side *s, uint64_t n)
{
	pthread_mutex_lock(&s->lock);
	while (s->frames < n)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* The connection once it is there; `up` has been called a moment before it is given out. */
static struct channel *connected(struct bed *b)
{
	struct channel *channel;

	wait_ups(&b->client, 1);
	while ((channel = channel_client_get(b->connecting)) == NULL)
		sched_yield();
	return channel;
}

static void thousands_of_frames_go_both_ways_in_order(void **state)
{
	static uint8_t body[LIMIT_FRAME_BYTES - 10];
	struct channel *channel;
	uint64_t bytes = 0;
	struct bed b;

	(void)state;
	bed_init(&b);
	b.server.echo = true;
	channel = connected(&b);
	for (uint64_t i = 0; i < FRAMES; i++) {
		size_t len = i == 17 ? sizeof(body) : (size_t)(i * 37 % 4000); /* one of the largest */

		bytes += len;
		assert_true(channel_send(channel, FRAME_ENROL, i, BLOB(body, len)));
	}
	wait_frames(&b.client, FRAMES);
	assert_int_equal(b.server.frames, FRAMES);
	assert_int_equal(b.server.bytes, bytes);
	assert_int_equal(b.client.bytes, bytes);
	assert_int_equal(b.server.disorder + b.client.disorder, 0);
	channel_unref(channel);
	bed_done(&b);
}

static void put_batch(struct channel *channel, struct blob body, uint64_t *id, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		assert_true(channel_put(channel, FRAME_ENROL, (*id)++, body));
	channel_flush(channel);
}

/* The peer reads nothing at first, so that a socket takes a part of a batch, and then none. */
static void batches_go_whole_and_in_order_whoever_writes_them(void **state)
{
	static uint8_t body[4000];
	struct channel *channel;
	uint64_t id = 0;
	struct bed b;

	(void)state;
	bed_init(&b);
	channel = connected(&b);
	for (unsigned i = 0; i < 200; i++) /* one at a time: nothing is left waiting for another flush */
		put_batch(channel, BLOB("x", 1), &id, 1), wait_frames(&b.server, id);
	for (unsigned round = 0; round < 20; round++) {
		b.server.blocked = true;
		if (round % 2 == 1)
			assert_true(channel_send(channel, FRAME_ENROL, id++, BLOB("x", 1)));
		put_batch(channel, BLOB_OF(body), &id, 300);
		pthread_mutex_lock(&b.server.lock);
		b.server.blocked = false;
		changed(&b.server);
		wait_frames(&b.server, id);
	}
	assert_int_equal(b.server.disorder, 0);
	assert_int_equal(b.server.bytes, 200 + 20 * 300 * sizeof(body) + 10);
	channel_unref(channel);
	bed_done(&b);
}

static void a_client_connects_again_when_the_server_is_back(void **state)
{
	struct fault f;
	struct bed b;

	(void)state;
	bed_init(&b);
	wait_ups(&b.server, 1);
	channel_server_close(b.listening);
	wait_downs(&b.client, 1);
	assert_int_equal(channel_listen(b.path, geteuid(), &events, &b.server, &b.listening, &f), REASON_OK);
	wait_ups(&b.client, 2);
	wait_ups(&b.server, 2);
	bed_done(&b);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
	struct channel *channel;
	struct bed b;

	(void)state;
	bed_init(&b);
	channel = connected(&b);
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(channel_send(channel, FRAME_ENROL, i, BLOB("x", 1)));
	channel_client_close(b.connecting);
	b.connecting = NULL;
	wait_frames(&b.server, 1000);
	wait_downs(&b.server, 1);
	assert_false(channel_send(channel, FRAME_ENROL, 0, BLOB("x", 1))); /* down: refused, not lost in silence */
	channel_unref(channel);
	bed_done(&b);
}

static int raw_connect(const struct bed *b)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct timeval patience = { .tv_sec = 20 };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", b->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

static void a_malformed_frame_ends_the_connection(void **state)
{
	static const struct {
		const char *what;
		uint8_t bytes[16];
		size_t len;
	} bad[] = {
		{ "shorter than its own header", { 0, 0, 0, 9, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0 }, 14 },
		{ "empty", { 0, 0, 0, 0 }, 4 },
		{ "larger than a frame may be", { 0, 2, 0, 1, 1, 1 }, 6 },
		{ "as large as can be said", { 255, 255, 255, 255, 1, 1 }, 6 },
		{ "another version", { 0, 0, 0, 10, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0 }, 14 },
	};
	struct bed b;

	(void)state;
	bed_init(&b);
	wait_ups(&b.server, 1);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = raw_connect(&b);
		char c;

		assert_int_equal(send(fd, bad[i].bytes, bad[i].len, 0), bad[i].len);
		assert_int_equal(recv(fd, &c, 1, 0), 0); /* ended, and nothing was said */
		close(fd);
		wait_downs(&b.server, i + 1);
	}
	assert_int_equal(b.server.frames, 0);
	bed_done(&b);
}

static void a_frame_in_single_bytes_is_still_a_frame(void **state)
{
	const uint8_t frame[] = { 0, 0, 0, 12, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 'h', 'i' };
	struct bed b;
	int fd;

	(void)state;
	bed_init(&b);
	fd = raw_connect(&b);
	for (size_t i = 0; i < sizeof(frame); i++)
		assert_int_equal(send(fd, &frame[i], 1, 0), 1);
	wait_frames(&b.server, 1);
	assert_int_equal(b.server.bytes, 2);
	close(fd);
	bed_done(&b);
}

static void another_user_is_not_let_in(void **state)
{
	struct bed b;
	struct fault f;
	char c;
	int fd;

	(void)state;
	bed_init(&b);
	wait_ups(&b.server, 1);
	channel_client_close(b.connecting);
	b.connecting = NULL;
	channel_server_close(b.listening);
	assert_int_equal(channel_listen(b.path, geteuid() + 1, &events, &b.server, &b.listening, &f), REASON_OK);
	fd = raw_connect(&b);
	assert_true(recv(fd, &c, 1, 0) <= 0);
	assert_int_equal(b.server.ups, 1); /* the one of before */
	close(fd);
	bed_done(&b);
}

static void the_queue_for_a_peer_that_does_not_read_is_bounded(void **state)
{
	static uint8_t body[LIMIT_FRAME_BYTES - 10];
	struct channel *channel;
	uint64_t sent = 0;
	struct bed b;

	(void)state;
	bed_init(&b);
	b.server.blocked = true;
	channel = connected(&b);
	while (sent < 10000 && channel_send(channel, FRAME_ENROL, sent, BLOB_OF(body)))
		sent++;
	assert_in_range(sent * sizeof(body), LIMIT_FRAME_QUEUE_BYTES - 2 * sizeof(body), /* frames have heads */
			LIMIT_FRAME_QUEUE_BYTES + (4 << 20));
	pthread_mutex_lock(&b.server.lock);
	b.server.blocked = false;
	changed(&b.server);
	wait_frames(&b.server, sent);
	channel_unref(channel);
	bed_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thousands_of_frames_go_both_ways_in_order),
		cmocka_unit_test(batches_go_whole_and_in_order_whoever_writes_them),
		cmocka_unit_test(a_client_connects_again_when_the_server_is_back),
		cmocka_unit_test(what_was_sent_before_the_end_arrives),
		cmocka_unit_test(a_malformed_frame_ends_the_connection),
		cmocka_unit_test(a_frame_in_single_bytes_is_still_a_frame),
		cmocka_unit_test(another_user_is_not_let_in),
		cmocka_unit_test(the_queue_for_a_peer_that_does_not_read_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
