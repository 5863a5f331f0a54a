/*
 * wire.h - one TLS connection that never blocks: OpenSSL over a socket that epoll watches.
 *
 * Owns:     wire_context_free(), wire_close(); a wire keeps its last session ticket until wire_done().
 * Threads:  one thread drives all wires of a context.
 * Does not: know what the requests mean.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <openssl/ssl.h>

#include "basics.h"
#include "http.h"

#define WIRE_REQUEST_MAX 6144
#define WIRE_REPLY_MAX 12288

struct wire_options {
	const char *url;                  /* https://host:port */
	const char *cacert;               /* PEM */
	const char *cert_file, *key_file; /* of the client, PEM; NULL: each wire brings its own */
	const char *tls, *suite, *group;  /* "1.2" or "1.3", OpenSSL's names; NULL: what the two ends like best */
};

struct wire_context;
MUST_CHECK bool wire_context_new(const struct wire_options *options, struct wire_context **ret_context,
				 struct trouble *t);
void wire_context_free(struct wire_context *context);      /* accepts NULL */
const char *wire_host(const struct wire_context *context); /* host:port, for the Host header */

enum wire_state { WIRE_DOWN, WIRE_SHAKING, WIRE_UP, WIRE_LEAVING };

struct wire {
	struct wire_context *context;
	void *user; /* what epoll hands back */
	X509 *cert; /* borrowed: this wire's own identity; NULL: the context's */
	EVP_PKEY *key;
	bool resumes; /* keeps tickets and presents the last one */
	enum wire_state state;
	bool waits; /* a request is out */
	int fd;
	SSL *ssl;
	SSL_SESSION *session;
	size_t out_len, out_at, in_len;
	char *out, *in; /* of WIRE_REQUEST_MAX and WIRE_REPLY_MAX + 1 bytes, from the first use on */
};

enum wire_event {
	WIRE_WAIT,   /* nothing to do until epoll reports */
	WIRE_OPENED, /* the handshake is over on this side */
	WIRE_REPLY,  /* a whole reply: wire->in holds it until the next request */
	WIRE_CLOSED, /* orderly, by the other side */
	WIRE_LOST,
};

/* Connects; edge-triggered events come with wire->user. A wire that is up is closed first. */
MUST_CHECK bool wire_open(struct wire *wire, int epoll_fd, struct trouble *t);
/* Goes on where it can. */
enum wire_event wire_step(struct wire *wire, struct http_reply *ret_reply, struct trouble *t);
/* Sends what the caller has put into wire->out; wire_step() then gives the reply. */
MUST_CHECK bool wire_room(struct wire *wire); /* makes sure that wire->out is there */
void wire_send(struct wire *wire, size_t len);
/* Says close_notify and waits for the other side to close: wire_step() then gives WIRE_CLOSED. */
void wire_leave(struct wire *wire);
void wire_close(struct wire *wire);
void wire_done(struct wire *wire);
/* "TLSv1.3 TLS_AES_128_GCM_SHA256 P-256", of a wire that is up. */
void wire_describe(const struct wire *wire, char *out, size_t cap);

#endif
