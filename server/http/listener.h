/*
 * listener.h - one listening address: libmicrohttpd in poll mode with its threads, TLS or not, and its connections.
 *
 * Poll and not epoll: with TLS, libmicrohttpd spins in epoll mode for as long as a handshake waits for its client.
 * A connection must finish a request within a time of its own (LIMIT_FIRST_REQUEST_S before the client is known,
 * idle_s after), counted from the last answer: libmicrohttpd's own timeout starts again with every byte, which a slow
 * client can feed for ever, so a watching thread shuts such sockets.
 *
 * Owns:    socket, threads, connections, exchanges.
 * Threads: open and stop from one thread.
 * Blocks:  listener_stop() until every request in hand has been answered.
 */
#ifndef ASSAY_LISTENER_H
#define ASSAY_LISTENER_H

#include "config.h"
#include "http/exchange.h"
#include "observe/metrics.h"

struct tls;

/* What a role does with requests. */
struct http_app {
	const char *event; /* log event: "est", "status", "admin" */
	void (*begin)(void *role, struct exchange *x);
	/* True: x->reply is filled. False: suspended, and handed on; x is not touched again. */
	bool (*run)(void *role, struct exchange *x);
	bool hears_refusals; /* run() comes too for what the listener refuses (x->reply.fault), to say it in its own way */
};

struct listener;

/* `tls` NULL: plain HTTP. Port 0 takes a free one. REASON_CONFIG naming address and port when they cannot be had. */
MUST_CHECK enum reason listener_open(const struct listener_options *options, struct tls *tls,
				     const struct http_app *app, void *role, struct metrics *metrics,
				     struct listener **ret_listener, struct fault *f);
uint16_t listener_port(const struct listener *listener);
/* A number for the client's address (an IPv6 client's /64); by chance others may share it. */
unsigned listener_door(const struct exchange *x);
/* A rig has shown itself: its address is no stranger to the doorkeeper. */
void listener_vouch(struct exchange *x);
bool listener_for_rigs(const struct listener *listener); /* by its options: rigs and RAs alone */
/* No new connections, requests in hand finish, new ones on open connections get 503; accepts NULL. */
void listener_quiesce(struct listener *listener);
/* Quiesces if that has not been done, waits for the last answer, closes and frees. Accepts NULL. */
void listener_stop(struct listener *listener);

#endif
