/*
 * scripted.h - an HTTPS server that answers by a script, for the faults that a real one cannot be asked for: a reply
 * that is lost, a nonce that went stale, a certificate for another key.
 *
 * Threads: it runs in one of its own, from scripted_start() to scripted_stop().
 */
#ifndef RIG_TEST_SCRIPTED_H
#define RIG_TEST_SCRIPTED_H

#include "basics.h"

#define SCRIPTED_REQUESTS 16

struct scripted_reply {
	int status;          /* 0: read the request and close the connection */
	const char *headers; /* each with CRLF; NULL: none */
	const char *body;    /* NULL: none */
};

struct scripted_request {
	char path[128];
	char head[2048];
	char body[4096];
};

struct scripted;
/* Writes the certificate that clients are to trust to cacert_path. */
struct scripted *scripted_start(const char *cacert_path, const struct scripted_reply *script, size_t n);
const char *scripted_url(const struct scripted *server);
/* Ends it and gives what it has been asked; returns how many requests there were. */
size_t scripted_stop(struct scripted *server, struct scripted_request requests[SCRIPTED_REQUESTS]);

#endif
