/*
 * exchange.h - one request and its answer, as long as the connection has it.
 *
 * The order of its life, all on the connection's HTTP thread but for the one step marked:
 *   headers    app->begin(): route; a refusal is kept until the body has been read, so that the connection lives on
 *   body       collected up to LIMIT_BODY_BYTES
 *   run        app->run(): either fills x->reply, or suspends and hands the exchange to whoever answers later
 *   (any thread) exchange_answer(): stores the reply and resumes, exactly once
 *   send       reply_send()
 *   done       libmicrohttpd says the request is over; the exchange is freed
 *
 * Owns:    body and reply; peer is the connection's.
 * Threads: between exchange_suspend() and exchange_answer() the exchange belongs to whoever answers.
 */
#ifndef ASSAY_EXCHANGE_H
#define ASSAY_EXCHANGE_H

#include <microhttpd.h>

#include "http/peer.h"
#include "http/reply.h"
#include "http/route.h"

struct listener;
struct connection;
struct binding;

enum exchange_state { EXCHANGE_READING, EXCHANGE_WAITING, EXCHANGE_ANSWERED };

struct exchange {
	struct listener *listener;
	struct connection *at; /* what the listener knows of the connection */
	struct MHD_Connection *connection;
	enum exchange_state state;
	char request[17]; /* id: in the log and in the client's text; a connection's count on from a random one */
	int64_t began_us;
	const char *method_name, *path; /* as they came; live as long as the request */
	unsigned method;                /* HTTP_ bit, 0 for any other */
	struct peer *peer;              /* NULL without a client certificate; borrowed */
	struct route route;             /* EST only */
	const char *op;                 /* for the log: operation or resource, static; NULL: none known */
	enum metric_op metric;
	struct buf body;
	size_t body_seen;                    /* bytes received, kept or not */
	char who[LIMIT_REQUESTER_CHARS + 1]; /* for the log, as far as it is known */
	struct reply reply;
};

/* The value of a request header, or NULL; lives as long as the request. */
const char *exchange_header(const struct exchange *x, const char *name);
/* The same for an argument of the query, percent-encoded as it came. */
const char *exchange_argument(const struct exchange *x, const char *name);
bool exchange_loopback(const struct exchange *x); /* does the client sit on this machine? */
/* The channel binding of the connection; type NULL without TLS. */
void exchange_binding(const struct exchange *x, struct binding *ret_binding);
/* The client is known: its connection may idle for the listener's full time. */
void exchange_known(struct exchange *x);
bool exchange_is_known(const struct exchange *x);

/* Refuses in begin() or run(): fills x->reply. */
void exchange_refuse(struct exchange *x, const struct fault *fault);

/* From run(): after this the exchange is whoever's that will call exchange_answer(). */
void exchange_suspend(struct exchange *x);
/* Consumes *reply, from any thread, once; the caller does not touch x again. */
void exchange_answer(struct exchange *x, struct reply *reply);

#endif
