/*
 * acceptor.h - a listening socket and the thread that takes connections off it, one decision each.
 *
 * libmicrohttpd could do it, but at its connection limit it stops looking: newcomers then wait unseen in the kernel's
 * backlog until they give up. And each of its threads wakes for every newcomer, also for one that is turned away, and
 * walks over all its connections. Here a refusal is an accept and a close, and whoever is refused knows it at once.
 *
 * Owns:    the socket; a connection from accept until `take` has it.
 * Threads: open, start and stop from one thread; `take` and `after` run on the acceptor's.
 * Does not: know who may come in (doorkeeper.h).
 */
#ifndef ASSAY_ACCEPTOR_H
#define ASSAY_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/reason.h"

struct acceptor;

/* Consumes fd, which is non-blocking: hands it on, or ends it with acceptor_refuse(). */
typedef void acceptor_take(void *user, int fd, const struct sockaddr *from, socklen_t len);

/* Called when nobody waits in the kernel any more: true when it is to be called again at once, after another look. */
typedef bool acceptor_after(void *user);

/* Binds and listens. Port 0 takes a free one. REASON_CONFIG naming address and port when they cannot be had. */
MUST_CHECK enum reason acceptor_open(const char *name, const char *address, uint16_t port,
				     struct acceptor **ret_acceptor, struct fault *f);
uint16_t acceptor_port(const struct acceptor *acceptor);
MUST_CHECK enum reason acceptor_start(struct acceptor *acceptor, acceptor_take *take, acceptor_after *after, void *user,
				      struct fault *f);
/* Ends the thread, closes the socket and frees: newcomers find the port closed. Accepts NULL and one never started. */
void acceptor_stop(struct acceptor *acceptor);

/* Closes with a reset: the client knows at once, and the kernel keeps nothing of the connection. */
void acceptor_refuse(int fd);

#endif
