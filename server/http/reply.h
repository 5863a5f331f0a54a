/*
 * reply.h - what a client gets, and the only place that makes response, log line and metric: one call for all three.
 *
 * Every handler, on whatever thread, fills one struct reply; reply_send() runs on the connection's HTTP thread.
 *
 * Owns:    body, until reply_send() or reply_done().
 * Threads: a struct reply belongs to whoever answers the exchange.
 * Spec:    RFC 7030 section 4.2.3 and RFC 8951 section 5.1: a refusal is readable plain text.
 */
#ifndef ASSAY_REPLY_H
#define ASSAY_REPLY_H

#include <stdatomic.h>

#include "base/blob.h"
#include "base/limits.h"

struct exchange;

#define REPLY_HEADERS 4
#define REPLY_HEADER_CHARS 96
#define REPLY_RETRY_AFTER_S 1 /* an integer, for some clients read nothing else */

struct reply_header {
	const char *name; /* canonical case: some clients miss other spellings */
	char value[REPLY_HEADER_CHARS];
};

/* Bytes that several answers, and who keeps them, have in hand at once; nobody changes them. */
struct shared {
	atomic_uint refs;
	struct buf bytes;
};
/* Consumes bytes; NULL: no memory, and they are still the caller's. */
struct shared *shared_new(struct buf *bytes);
struct shared *shared_ref(struct shared *shared);
void shared_unref(struct shared *shared); /* accepts NULL */

struct reply {
	struct fault fault; /* REASON_OK, or why not */
	int status;         /* 0: the reason's */
	const char *type;   /* Content-Type; NULL for none (refusals get text/plain) */
	struct blob fixed;  /* body that outlives the listener */
	struct buf body;    /* or body of this reply alone */
	struct shared *shared; /* or one that others have too: a reference */
	size_t n_headers;
	struct reply_header header[REPLY_HEADERS];
	char serial[2 * LIMIT_SERIAL_BYTES + 1]; /* for the log, of the certificate in it */
	bool repeated;                           /* this certificate had been issued before */
	bool quiet;                              /* success and "not ready" at debug level: probes ask all the time */
};

/* A refusal; `fault` carries the reason and what the log alone may say. */
struct reply reply_fault(const struct fault *fault);
/* Success with bytes that outlive the listener. */
struct reply reply_fixed(const char *type, struct blob bytes);
__attribute__((format(printf, 3, 4))) void reply_header(struct reply *reply, const char *name, const char *fmt, ...);
void reply_done(struct reply *reply); /* frees a reply that nobody waits for */

/*
 * Pure part, for reply_send() and tests: sets status, and for a refusal Content-Type, the text "what (reason, request
 * id)" and Retry-After. Cannot fail: short of memory the body stays empty.
 */
void reply_finish(struct reply *reply, const char *request);

/* Finishes, queues, logs and counts. Consumes the exchange's reply; MHD_NO when the connection has to be dropped. */
int reply_send(struct exchange *x);

#endif
