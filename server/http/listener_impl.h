/*
 * listener_impl.h - what listener.c, exchange.c and reply.c share and nobody else sees.
 */
#ifndef ASSAY_LISTENER_IMPL_H
#define ASSAY_LISTENER_IMPL_H

#include <stdatomic.h>

#include "http/listener.h"
#include "http/tls.h"

/* From so many on a connection lasts: a rig's. A newcomer's serve a nonce and an enrolment, perhaps twice. */
#define LASTING_REQUESTS 5

/* One TCP connection, from accept to close. */
struct connection {
	struct connection *next, *prev; /* the listener's list, under its lock */
	int fd;
	uint64_t next_id;  /* of its requests, counted from a random one: a draw for each cost 1.1 us */
	void *session;     /* of GnuTLS; NULL without TLS */
	unsigned fragment; /* the longest record that the client takes; 0: it has not said */
	bool held;         /* the reply in hand waits to leave as one record */
	bool stuck;        /* it could not: whatever else comes in is not read */
	bool asked;        /* a first request has come */
	bool asked_peer;   /* peer has been looked for */
	bool asked_binding;
	struct binding binding; /* once asked for: GnuTLS takes 25 us to derive it, and it stays what it is */
	bool known;             /* may idle for long */
	bool vouched;           /* a rig has shown itself on it */
	unsigned door;          /* the doorkeeper's slot of its address */
	unsigned n_requests;    /* up to LASTING_REQUESTS */
	struct peer *peer;
	struct tls_keys *keys; /* the server's certificate of this connection; NULL without TLS */
	atomic_int_fast64_t
		deadline_us; /* clock_mono_us() after which the socket is shut; INT64_MAX while we are at work */
};

const struct http_app *listener_app(const struct listener *listener);
void *listener_role(const struct listener *listener);
struct metrics *listener_metrics(const struct listener *listener);
unsigned listener_idle_s(const struct listener *listener);

unsigned listener_beginners(const struct listener *listener); /* connections that have asked for nothing yet */
/* Its first request has come, or it ends without one: it is no beginner any more. */
void listener_asked(struct listener *listener, struct connection *connection);
/* Counts the request in hand; false when the listener is stopping (the request is counted all the same). */
bool listener_enter(struct listener *listener);
void listener_leave(struct listener *listener);

/* libmicrohttpd's two callbacks on requests. */
enum MHD_Result exchange_handler(void *listener, struct MHD_Connection *connection, const char *url, const char *method,
				 const char *version, const char *data, size_t *data_len, void **slot);
void exchange_completed(void *listener, struct MHD_Connection *connection, void **slot,
			enum MHD_RequestTerminationCode code);

#endif
