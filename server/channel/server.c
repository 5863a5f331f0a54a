/* server.c - the listening side of a channel: the ca's socket for one other role, see channel.h. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel/connection.h"

struct peer {
	struct channel_server *server;
	struct channel *channel; /* NULL: the place is free */
	pthread_t thread;
	bool ended; /* its thread is about to return and may be joined */
};

struct channel_server {
	int fd, stop_fd;
	char *path;
	uid_t peer_uid;
	const struct channel_events *events;
	void *user;
	pthread_t acceptor;
	bool accepting;
	pthread_mutex_t lock;           /* of peers[].ended */
	struct peer peers[LIMIT_PEERS]; /* touched by the acceptor, and by close once it has ended */
};

static void *peer_run(void *arg)
{
	struct peer *peer = arg;

	channel_run(peer->channel);
	pthread_mutex_lock(&peer->server->lock);
	peer->ended = true;
	pthread_mutex_unlock(&peer->server->lock);
	return NULL;
}

static void peer_clear(struct peer *peer)
{
	pthread_join(peer->thread, NULL);
	channel_unref(peer->channel);
	*peer = (struct peer){ 0 };
}

static struct peer *free_place(struct channel_server *server)
{
	struct peer *place = NULL;

	for (unsigned i = 0; i < LIMIT_PEERS; i++) {
		struct peer *peer = &server->peers[i];
		bool ended;

		pthread_mutex_lock(&server->lock);
		ended = peer->ended;
		pthread_mutex_unlock(&server->lock);
		if (ended)
			peer_clear(peer);
		if (peer->channel == NULL)
			place = peer;
	}
	return place;
}

/* The socket's folder and mode keep strangers out already; this is for a role that has been taken over. */
static bool peer_allowed(const struct channel_server *server, int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == server->peer_uid;
}

static bool admit(struct channel_server *server, int fd)
{
	struct peer *peer = free_place(server);

	if (peer == NULL || !peer_allowed(server, fd))
		return false;
	if (channel_new(fd, LIMIT_FRAME_BYTES, server->events, server->user, &peer->channel, NULL) != REASON_OK)
		return false;
	peer->server = server;
	if (pthread_create(&peer->thread, NULL, peer_run, peer) != 0) {
		channel_unref(peer->channel); /* closes fd */
		*peer = (struct peer){ 0 };
	}
	return true;
}

static void *accept_run(void *arg)
{
	struct channel_server *server = arg;
	struct pollfd fds[2] = { { .fd = server->fd, .events = POLLIN }, { .fd = server->stop_fd, .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[1].revents != 0)
			return NULL;
		fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && !admit(server, fd))
			close(fd);
	}
}

static enum reason address_of(const char *path, struct sockaddr_un *ret_address, struct fault *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return fault_set(f, REASON_CONFIG, "run_dir is too long: %s is over %zu characters", path,
				 sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	*ret_address = address;
	return REASON_OK;
}

/* A socket left by a ca that was killed is removed: the supervisor's lock on run_dir says that no other ca lives here.
 */
static enum reason bind_at(struct channel_server *server, const char *path, struct fault *f)
{
	struct sockaddr_un address;
	mode_t mode = server->peer_uid == geteuid() ? 0600 : 0666; /* another user's: SO_PEERCRED decides */

	TRY(address_of(path, &address, f));
	server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd < 0)
		return fault_set(f, REASON_CONFIG, "socket: %s", strerror(errno));
	unlink(path);
	if (bind(server->fd, (struct sockaddr *)&address, sizeof(address)) != 0 || chmod(path, mode) != 0 ||
	    listen(server->fd, LIMIT_PEERS) != 0)
		return fault_set(f, REASON_CONFIG, "run_dir: cannot listen on %s: %s", path, strerror(errno));
	server->path = strdup(path);
	return REASON_OK;
}

static enum reason start(struct channel_server *server, struct fault *f)
{
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (server->stop_fd < 0 || pthread_create(&server->acceptor, NULL, accept_run, server) != 0)
		return fault_set(f, REASON_NO_MEMORY, "thread for %s", server->path);
	server->accepting = true;
	return REASON_OK;
}

AUTO_FREE(struct channel_server, server_closep, channel_server_close)

enum reason channel_listen(const char *path, uid_t peer_uid, const struct channel_events *events, void *user,
			   struct channel_server **ret_server, struct fault *f)
{
	AUTO(server_closep) struct channel_server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return fault_set(f, REASON_NO_MEMORY, "channel server");
	server->fd = server->stop_fd = -1;
	server->peer_uid = peer_uid;
	server->events = events;
	server->user = user;
	pthread_mutex_init(&server->lock, NULL);
	TRY(bind_at(server, path, f));
	TRY(start(server, f));
	*ret_server = TAKE(server);
	return REASON_OK;
}

static void stop_accepting(struct channel_server *server)
{
	uint64_t one = 1;
	ssize_t written;

	if (!server->accepting)
		return;
	written = write(server->stop_fd, &one, sizeof(one));
	(void)written; /* an eventfd at zero always takes one */
	pthread_join(server->acceptor, NULL);
}

void channel_server_close(struct channel_server *server)
{
	if (server == NULL)
		return;
	stop_accepting(server);
	for (unsigned i = 0; i < LIMIT_PEERS; i++)
		if (server->peers[i].channel != NULL)
			channel_drain(server->peers[i].channel);
	for (unsigned i = 0; i < LIMIT_PEERS; i++)
		if (server->peers[i].channel != NULL)
			peer_clear(&server->peers[i]);
	if (server->path != NULL)
		unlink(server->path);
	if (server->fd >= 0)
		close(server->fd);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	pthread_mutex_destroy(&server->lock);
	free(server->path);
	free(server);
}
