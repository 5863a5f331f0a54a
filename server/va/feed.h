/*
 * feed.h - CRLs for those who want each one as soon as it is there: GET /feed/<list>.crl?after=<CRL number>.
 *
 * <list> is named as below /crl/: "attested", "attested-delta", "attested/7". A list whose number is above `after`
 * (default 0) is answered at once. Otherwise the request waits: until there is one, or FEED_WAIT_S is over (204). A
 * list that is too long to be given to everybody at once is answered with 303 and its place below /crl/. When as many
 * wait as may, the answer is 204 with Retry-After at once, and the client's questions are an ordinary poll.
 *
 * Nothing here has to be believed: what is served are CRLs, signed by their issuer, with number and time in them.
 *
 * Owns:    exchanges that wait. A waiter costs a suspended connection and a place in an array, and no work.
 * Threads: any; guarded by va->lock.
 */
#ifndef ASSAY_FEED_H
#define ASSAY_FEED_H

#include "va/va.h"

#define FEED_WAIT_S 25 /* below the idle time of common proxies */

struct feed;

struct feed_request {
	char list[CRL_NAME_CHARS + 1];
	uint64_t after;
};

bool feed_path(const char *path);
/* `after` as in the query, NULL: absent. REASON_STATUS_PATH or REASON_FEED_AFTER. Pure. */
MUST_CHECK enum reason feed_request_parse(const char *path, const char *after, struct feed_request *ret_request,
					  struct fault *f);

MUST_CHECK enum reason feed_open(struct feed **ret_feed, struct fault *f);
void feed_close(struct feed *feed);                   /* nobody waits any more; accepts NULL */
bool feed_run(struct va *va, struct exchange *x);     /* as http_app.run */
void feed_news(struct va *va, struct crl_list *list); /* under the lock: the list has become newer */
void feed_tick(struct va *va, int64_t now_us);        /* under the lock: whoever has waited long enough */
void feed_stop(struct va *va);                        /* everybody is answered, and nobody waits after this */

#endif
