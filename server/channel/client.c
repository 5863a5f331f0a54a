/* client.c - the connecting side of a channel: one thread that connects, reads, and connects again, see channel.h. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "channel/connection.h"

#define RETRY_MS 100

struct channel_client {
	struct sockaddr_un address;
	struct channel_events events; /* ours: they pass on to theirs */
	const struct channel_events *theirs;
	void *user;
	pthread_t thread;
	pthread_mutex_t lock; /* of the rest */
	pthread_cond_t stopped;
	struct channel *running; /* from connect to end; borrowed from the thread */
	struct channel *ready;   /* after `up` */
	bool stop;
};

static void set_ready(struct channel_client *client, struct channel *channel)
{
	pthread_mutex_lock(&client->lock);
	client->ready = channel;
	pthread_mutex_unlock(&client->lock);
}

static void on_up(void *user, struct channel *channel)
{
	struct channel_client *client = user;

	if (client->theirs->up != NULL)
		client->theirs->up(client->user, channel);
	set_ready(client, channel);
}

static void on_frame(void *user, struct channel *channel, const struct frame *frame)
{
	struct channel_client *client = user;

	client->theirs->frame(client->user, channel, frame);
}

static void on_down(void *user, struct channel *channel)
{
	struct channel_client *client = user;

	set_ready(client, NULL);
	if (client->theirs->down != NULL)
		client->theirs->down(client->user, channel);
}

/* The new connection, or NULL: the ca is away, or we are stopping. */
static struct channel *try_connect(struct channel_client *client)
{
	struct channel *channel;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return NULL;
	if (connect(fd, (const struct sockaddr *)&client->address, sizeof(client->address)) != 0 ||
	    channel_new(fd, LIMIT_FRAME_OWN_BYTES, &client->events, client, &channel, NULL) != REASON_OK) {
		close(fd);
		return NULL;
	}
	return channel;
}

/* Makes the connection known to channel_client_close(); false when that has been called already. */
static bool announce(struct channel_client *client, struct channel *channel)
{
	bool go_on;

	pthread_mutex_lock(&client->lock);
	client->running = channel;
	go_on = !client->stop;
	pthread_mutex_unlock(&client->lock);
	return go_on;
}

/* Waits before the next attempt; false when it is time to end. */
static bool pause_or_stop(struct channel_client *client)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += RETRY_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&client->lock);
	while (!client->stop && pthread_cond_timedwait(&client->stopped, &client->lock, &until) == 0)
		;
	go_on = !client->stop;
	pthread_mutex_unlock(&client->lock);
	return go_on;
}

static void *client_run(void *arg)
{
	struct channel_client *client = arg;

	do {
		struct channel *channel = try_connect(client);

		if (channel == NULL)
			continue;
		if (announce(client, channel))
			channel_run(channel);
		(void)announce(client, NULL);
		channel_unref(channel);
	} while (pause_or_stop(client));
	return NULL;
}

static void client_free(struct channel_client *client)
{
	pthread_mutex_destroy(&client->lock);
	pthread_cond_destroy(&client->stopped);
	free(client);
}

static struct channel_client *client_new(const char *path, const struct channel_events *events, void *user)
{
	struct channel_client *client = calloc(1, sizeof(*client));
	pthread_condattr_t attr;

	if (client == NULL)
		return NULL;
	client->address.sun_family = AF_UNIX;
	memcpy(client->address.sun_path, path, strlen(path) + 1);
	client->events = (struct channel_events){ on_up, on_frame, on_down };
	client->theirs = events;
	client->user = user;
	pthread_mutex_init(&client->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&client->stopped, &attr);
	pthread_condattr_destroy(&attr);
	return client;
}

enum reason channel_connect(const char *path, const struct channel_events *events, void *user,
			    struct channel_client **ret_client, struct fault *f)
{
	struct channel_client *client;

	if (strlen(path) >= sizeof(client->address.sun_path))
		return fault_set(f, REASON_CONFIG, "run_dir is too long: %s", path);
	client = client_new(path, events, user);
	if (client == NULL)
		return fault_set(f, REASON_NO_MEMORY, "channel client");
	if (pthread_create(&client->thread, NULL, client_run, client) != 0) {
		client_free(client);
		return fault_set(f, REASON_NO_MEMORY, "thread for %s", path);
	}
	*ret_client = client;
	return REASON_OK;
}

struct channel *channel_client_get(struct channel_client *client)
{
	struct channel *channel;

	pthread_mutex_lock(&client->lock);
	channel = client->ready == NULL ? NULL : channel_ref(client->ready);
	pthread_mutex_unlock(&client->lock);
	return channel;
}

void channel_client_close(struct channel_client *client)
{
	if (client == NULL)
		return;
	pthread_mutex_lock(&client->lock);
	client->stop = true;
	if (client->running != NULL)
		channel_drain(client->running);
	pthread_cond_signal(&client->stopped);
	pthread_mutex_unlock(&client->lock);
	pthread_join(client->thread, NULL);
	client_free(client);
}
