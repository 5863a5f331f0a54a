/*
 * ask.h - what a station sends: HTTP requests, whole, into the connection's buffer.
 *
 * Threads: pure.
 * Spec:    RFC 7030 section 4.2, draft-ietf-lamps-attestation-freshness-08 (nonce).
 */
#ifndef BENCH_ASK_H
#define BENCH_ASK_H

#include "board.h"
#include "est.h"
#include "http.h"

/* Each gives the request's length; 0 when it does not fit, or the nonce is not what the board was prepared for. */
size_t ask_nonce(const char *label, const char *host, char *out, size_t cap);
size_t ask_enrolment(const struct board *board, struct presign_room *room, const struct http_reply *nonce,
		     const char *label, const char *host, char *out, size_t cap);
size_t ask_renewal(const struct board *board, const char *label, const char *host, char *out, size_t cap);

/* How long this server's nonces are: asks for one, through the rig's library. */
MUST_CHECK bool ask_nonce_length(const struct est_options *options, const char *label, size_t *ret_len,
				 struct trouble *t);

#endif
