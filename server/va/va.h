/*
 * va.h - the validation authority's state: issuers' certificates and CRLs, in memory, ready to be served.
 *
 * CRLs come from the ca, which signs them: asked for at start, at half their lifetime, and at once when a revocation
 * comes with the view.
 *
 * Threads: `lock` guards everything in struct status but name and certificate, which do not change.
 */
#ifndef ASSAY_VA_H
#define ASSAY_VA_H

#include <pthread.h>

#include "channel/channel.h"
#include "channel/view.h"
#include "config.h"
#include "http/listener.h"

#define ETAG_CHARS 35 /* quotes, 16 bytes of SHA-256 in hex, NUL */

/* What is served of one issuer. */
struct status {
	const char *name;
	struct issuer *issuer;
	char certificate_etag[ETAG_CHARS];
	/* under the lock */
	struct buf crl; /* DER; empty: none yet */
	uint64_t crl_number;
	char crl_etag[ETAG_CHARS];
	int64_t this_update_s;
	int64_t ask_at_us; /* clock_mono_us(); the next time to ask */
};

struct va {
	const struct config *config;
	struct metrics *metrics;
	struct view *view;
	struct channel_client *ca;
	struct listener *listener;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	pthread_t asker;
	bool asking;
	size_t n;
	struct status status[LIMIT_ISSUERS];
};

/* crl.c */
extern const struct channel_events va_channel_events;
void *va_ask(void *va); /* thread: asks for CRLs when they are due, until va->closed */

/* status.c */
extern const struct http_app status_app;
void etag_of(struct blob bytes, char out[ETAG_CHARS]);

#endif
