/*
 * va.h - the validation authority's state: issuers' certificates and CRLs, in memory, ready to be served.
 *
 * CRLs come from the ca, which signs them: asked for at start, at half their lifetime, and at once when a revocation
 * that belongs on them comes with the view; a long one as soon as its size allows.
 *
 * Threads: `lock` guards everything in struct status but name and certificate, and in struct crl_list but name and
 * scope, which do not change.
 */
#ifndef ASSAY_VA_H
#define ASSAY_VA_H

#include <pthread.h>

#include "channel/channel.h"
#include "channel/view.h"
#include "config.h"
#include "http/listener.h"
#include "http/reply.h"
#include "issuer.h"
#include "ocsp.h"

#define ETAG_CHARS 35 /* quotes, 16 bytes of SHA-256 in hex, NUL */

/* One CRL, as it is served; times in us are clock_mono_us(). */
struct crl_list {
	char name[CRL_NAME_CHARS + 1]; /* as in its URL */
	struct crl_scope scope;
	/* under the lock */
	struct shared *der; /* NULL: none yet */
	uint64_t number;
	char etag[ETAG_CHARS];
	int64_t this_update_s, next_update_s;
	int64_t close_s;    /* Unix time from which its nextUpdate is close: another should have come long before */
	int64_t due_us;     /* the next time to ask */
	int64_t asked_us;   /* last time; 0: never */
	int64_t took_us;    /* from question to answer, last time */
	bool under_way;     /* asked for, and no answer yet */
	bool outdated;      /* a revocation has come since it was asked for */
	bool of_this_ca;    /* came from the ca process that we are connected to */
	bool too_long;      /* the ca makes none any more: it would be longer than one may be */
};

/* What is served of one issuer. */
struct status {
	const char *name;
	struct issuer *issuer;
	char certificate_etag[ETAG_CHARS];
	struct ocsp_issuer ocsp; /* how OCSP names it */
	unsigned crl_shards;
	size_t n_lists;
	struct crl_list *list; /* the complete one, the delta, the shards */
};

struct va_ocsp;
struct feed;

struct va {
	const struct config *config;
	struct metrics *metrics;
	struct view *view;
	struct channel_client *ca;
	struct listener *listener;
	struct va_ocsp *ocsp; /* va/va_ocsp.h; NULL: not configured */
	struct feed *feed;     /* va/feed.h */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool closed;
	bool gathering; /* the ca has not sent its whole view yet: what is asked for now would be asked for again */
	pthread_t asker;
	bool asking;
	size_t n;
	struct status status[LIMIT_ISSUERS];
};

/* crl.c */
MUST_CHECK enum reason crl_lists_open(struct status *status, struct fault *f);
void crl_lists_close(struct status *status);
struct crl_list *crl_list_find(struct va *va, const char *name, struct status **ret_status); /* NULL: there is none */
extern const struct channel_events va_channel_events;
void *va_ask(void *va); /* thread: asks for CRLs when they are due, until va->closed */

/* status.c */
extern const struct http_app status_app;
void etag_of(struct blob bytes, char out[ETAG_CHARS]);

#endif
