/*
 * http.h - as much of HTTP/1.1 as a load driver needs: is this reply whole, and what does it say?
 *
 * Threads: pure.
 * Spec:    RFC 9112. Replies without Content-Length are not understood: the server sends none.
 */
#ifndef BENCH_HTTP_H
#define BENCH_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct http_reply {
	int status;
	double retry_after_s; /* 0: none */
	bool close;           /* the server will end the connection */
	const char *body;     /* points into the text */
	size_t body_len;
};

enum http_progress { HTTP_MORE, HTTP_WHOLE, HTTP_BROKEN };

/* `text` must have a NUL behind its len bytes. */
enum http_progress http_reply_parse(const char *text, size_t len, struct http_reply *ret_reply);

#endif
