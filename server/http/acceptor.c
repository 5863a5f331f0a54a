/*
 * acceptor.c - see acceptor.h.
 */
#include "http/acceptor.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/blob.h"

#define BACKLOG 1024 /* newcomers between two looks of the thread; the kernel's own limit may be lower */
#define SHORT_MS 50  /* the wait when the kernel is short of memory for a connection */

struct acceptor {
	int fd, wake; /* wake: readable once the thread is to end */
	int spare;    /* given up for a moment when descriptors run out, so that a newcomer can be refused */
	uint16_t port;
	acceptor_take *take;
	acceptor_after *after;
	void *user;
	pthread_t thread;
	bool running;
};

AUTO_FREE(struct acceptor, acceptor_stopp, acceptor_stop)

static enum reason bind_socket(struct acceptor *acceptor, const struct addrinfo *at)
{
	struct sockaddr_storage bound;
	socklen_t bound_len = sizeof(bound);
	char text[8];
	int on = 1;

	acceptor->fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (acceptor->fd < 0)
		return REASON_CONFIG;
	(void)setsockopt(acceptor->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(acceptor->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* connections inherit it */
	if (bind(acceptor->fd, at->ai_addr, at->ai_addrlen) != 0 || listen(acceptor->fd, BACKLOG) != 0 ||
	    getsockname(acceptor->fd, (struct sockaddr *)&bound, &bound_len) != 0)
		return REASON_CONFIG;
	if (getnameinfo((struct sockaddr *)&bound, bound_len, NULL, 0, text, sizeof(text), NI_NUMERICSERV) == 0)
		acceptor->port = (uint16_t)strtoul(text, NULL, 10);
	return REASON_OK;
}

enum reason acceptor_open(const char *name, const char *address, uint16_t port, struct acceptor **ret_acceptor,
			  struct fault *f)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found = NULL;
	AUTO(acceptor_stopp) struct acceptor *acceptor = calloc(1, sizeof(*acceptor));
	enum reason reason;
	char text[8];
	int error;

	if (acceptor == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct acceptor");
	acceptor->fd = -1;
	acceptor->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	acceptor->spare = eventfd(0, EFD_CLOEXEC);
	if (acceptor->wake < 0 || acceptor->spare < 0)
		return fault_set(f, REASON_NO_MEMORY, "listener \"%.32s\": eventfd: %s", name, strerror(errno));
	snprintf(text, sizeof(text), "%u", port);
	error = getaddrinfo(address, text, &hints, &found);
	if (error != 0)
		return fault_set(f, REASON_CONFIG,
				 "listener \"%.32s\": address \"%.48s\" is not an IPv4 or IPv6 address: %s", name,
				 address, gai_strerror(error));
	reason = bind_socket(acceptor, found);
	error = errno;
	freeaddrinfo(found);
	if (reason != REASON_OK)
		return fault_set(f, reason, "listener \"%.32s\": cannot listen on %.48s port %u: %s", name, address,
				 port, strerror(error));
	*ret_acceptor = TAKE(acceptor);
	return REASON_OK;
}

uint16_t acceptor_port(const struct acceptor *acceptor)
{
	return acceptor->port;
}

void acceptor_refuse(int fd)
{
	struct linger none = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(fd);
}

/* The process has no descriptor left: the spare one's place serves to refuse a newcomer, who would wait for ever else.
 */
static void refuse_one(struct acceptor *acceptor)
{
	int fd;

	if (acceptor->spare >= 0)
		close(acceptor->spare);
	fd = accept4(acceptor->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		acceptor_refuse(fd);
	acceptor->spare = eventfd(0, EFD_CLOEXEC);
}

/* Takes all that wait; false when the kernel has to be given a moment. */
static bool take_all(struct acceptor *acceptor)
{
	for (;;) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		int fd = accept4(acceptor->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			acceptor->take(acceptor->user, fd, (const struct sockaddr *)&from, len);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return true;
		else if (errno == ENOBUFS || errno == ENOMEM)
			return false;
		else if (errno == EMFILE || errno == ENFILE) {
			refuse_one(acceptor);
			return acceptor->spare >= 0;
		} /* anything else is about a connection that has gone again */
	}
}

static void *run(void *user)
{
	struct acceptor *acceptor = user;
	struct pollfd look[2] = { { .fd = acceptor->wake, .events = POLLIN },
				  { .fd = acceptor->fd, .events = POLLIN } };

	for (bool again = false;; again = acceptor->after(acceptor->user)) {
		if (poll(look, 2, again ? 0 : -1) < 0 && errno != EINTR)
			abort(); /* no memory for two descriptors */
		if (look[0].revents != 0)
			return NULL;
		if (look[1].revents != 0 && !take_all(acceptor))
			(void)poll(look, 1, SHORT_MS);
	}
}

enum reason acceptor_start(struct acceptor *acceptor, acceptor_take *take, acceptor_after *after, void *user,
			   struct fault *f)
{
	int error;

	acceptor->take = take;
	acceptor->after = after;
	acceptor->user = user;
	error = pthread_create(&acceptor->thread, NULL, run, acceptor);
	if (error != 0)
		return fault_set(f, REASON_NO_MEMORY, "listener's accepting thread: %s", strerror(error));
	acceptor->running = true;
	return REASON_OK;
}

void acceptor_stop(struct acceptor *acceptor)
{
	if (acceptor == NULL)
		return;
	if (acceptor->running) {
		(void)eventfd_write(acceptor->wake, 1);
		pthread_join(acceptor->thread, NULL);
	}
	if (acceptor->fd >= 0)
		close(acceptor->fd);
	if (acceptor->wake >= 0)
		close(acceptor->wake);
	if (acceptor->spare >= 0)
		close(acceptor->spare);
	free(acceptor);
}
