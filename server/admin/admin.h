/*
 * admin.h - the admin role's state: who operates, and how the other roles fare.
 *
 * Threads: read-only after open; the view has its own lock.
 */
#ifndef ASSAY_ADMIN_H
#define ASSAY_ADMIN_H

#include <pthread.h>

#include "channel/channel.h"
#include "channel/view.h"
#include "config.h"
#include "http/listener.h"

struct api;

struct admin {
	const struct config *config;
	struct metrics *metrics;
	pthread_mutex_t operators_lock;
	struct operators *operators; /* operators_now() */
	uint64_t lists; /* operators' lists loaded, for the main thread */
	struct view *view;
	struct channel_client *ca;
	struct tls *tls;
	struct listener *listener;
	struct api *api; /* api.h */
	pthread_mutex_t lock; /* closed */
	pthread_cond_t changed;
	bool closed;
	pthread_t keeper; /* gauges */
	bool keeping;
};

/* pages.c: /livez, /readyz, /metrics; below /v1/ an operator's certificate is needed before anything is said. */
extern const struct http_app admin_app;

/*
 * ready.c: what keeps Assay from doing its work. Appends one JSON string a fault, with commas, to `list`; REASON_OK and
 * an empty list when there is none.
 */
MUST_CHECK enum reason ready_list(const struct admin *admin, int64_t now_us, struct buf *list, struct fault *f);

/* operator.c: the list of operators' CAs, counted, for it may change while a request looks at it. */
struct operators;
MUST_CHECK enum reason operators_load(const char *path, uint64_t number, struct operators **ret_operators,
				      struct fault *f);
void operators_use(struct admin *admin, struct operators *operators); /* takes it over */
void operators_unref(struct operators *operators); /* accepts NULL */

/*
 * operator.c: the client certificate leads to the operators' list, is good today, not revoked, and registered as
 * operator, auditor or administrator. `ret_who` is its name for the log.
 */
MUST_CHECK enum reason operator_check(struct admin *admin, struct peer *peer,
				      char ret_who[LIMIT_REQUESTER_CHARS + 1], struct fault *f);

#endif
