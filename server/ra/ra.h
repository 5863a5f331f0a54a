/*
 * ra.h - the registration authority's state, and the enrolments that move along its line.
 *
 * Two lifetimes: struct exchange belongs to the connection, struct enrolment to the line. The enrolment's `waiter` is
 * the exchange that still waits for it, and whoever takes it away atomically answers it: the line with the outcome, or
 * the deadline with 503 while the enrolment goes on and is recorded all the same.
 *
 * Threads: what is opened at start is read-only; deadlines and waiting have locks of their own.
 */
#ifndef ASSAY_RA_H
#define ASSAY_RA_H

#include <pthread.h>
#include <stdatomic.h>

#include "channel/channel.h"
#include "channel/view.h"
#include "config.h"
#include "evidence.h"
#include "http/basic.h"
#include "http/exchange.h"
#include "http/listener.h"
#include "http/tls.h"
#include "line.h"
#include "nonce.h"
#include "policy.h"
#include "ra/rules.h"
#include "ra/underway.h"

enum ra_station { STATION_PASSWORD, STATION_ASSAY, STATION_COUNT };
enum ra_lane { LANE_PRODUCTION, LANE_FIELD, LANE_OTHER };

#define ASSAY_BATCH 32

/* "assay-continuity-v1", the previous serial, SHA-256 of the new SubjectPublicKeyInfo */
#define CONTINUITY_LABEL "assay-continuity-v1"
#define CONTINUITY_BYTES (sizeof(CONTINUITY_LABEL) - 1 + LIMIT_SERIAL_BYTES + 32)

struct enrolment {
	struct job job; /* first: the line knows nothing else */
	_Atomic(struct exchange *) waiter;
	struct enrolment *older, *newer; /* list of deadlines */
	bool listed;
	int64_t deadline_us;
	struct enrolment *next_waiting; /* table of those that the ca has in hand */
	uint64_t id;

	/* from the listener */
	char request[17];
	struct rules *rules;       /* one reference: those that held when the request came */
	const struct label *label; /* of the rules */
	enum est_op op;
	struct peer *peer;    /* one reference; NULL without a client certificate */
	struct basic *basic;  /* NULL without, or once checked */
	struct requester who; /* who.cert points into peer */
	size_t nonce_len;     /* EST_NONCE */
	struct binding binding;
	atomic_bool bound; /* its binding has served: the connection closes with the answer */
	struct buf body;
	struct underway_place *place; /* among those of its requester */

	/* from the assay station */
	struct reading *read; /* while it is there */
	struct grant *grant;  /* until it has been sent */
};

/*
 * What a request says, for as long as the assay station decides over it: 20 KiB that lie ready there, one for each
 * enrolment of a batch, and are neither asked of the heap nor cleared for each.
 */
struct reading {
	struct buf csr_der;
	struct csr csr;
	struct claims claims;
	struct evidence *evidence; /* made at the first use, kept for the next */
	struct verdict verdict;
	bool has_verdict;
	uint8_t continuity[CONTINUITY_BYTES];
};

/* Of one thread of the assay station. */
struct assay_room {
	struct reading place[ASSAY_BATCH];
};

/* Enrolments in the order of their deadlines, which are all equally long. */
struct deadlines {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct enrolment *oldest, *newest;
	bool closed;
};

#define WAITING_BUCKETS 1024 /* a power of two */
struct waiting {
	pthread_mutex_t lock;
	struct enrolment *bucket[WAITING_BUCKETS];
	uint64_t last_id;
};

struct ra {
	const struct config *config;
	struct metrics *metrics;
	pthread_mutex_t rules_lock;
	struct rules *rules; /* ra_rules() */
	struct view *view;
	struct line *line;
	struct assay_room *room; /* as many as the assay station has threads */
	unsigned n_rooms;
	struct underway *underway;
	struct channel_client *ca;
	pthread_mutex_t told_lock; /* of the two below */
	struct channel *told;      /* the connection on which told_policy has been announced */
	uint8_t told_policy[32];
	struct tls *tls;
	struct listener *listener[CONFIG_LISTENERS_MAX];
	struct deadlines deadlines;
	struct waiting waiting;
	pthread_t keeper; /* deadlines and gauges */
	bool keeping;
};

/* A reference to the rules that hold now. */
struct rules *ra_rules(struct ra *ra);

/* est.c: what the listeners call. */
extern const struct http_app est_app;
/* A refusal as this label words it: a challenge where a password would help, "certificate required" where not. */
struct reply est_refusal(const struct ra *ra, const struct label *label, enum est_op op, const struct fault *fault);

/* linking.c, of an enrolment that is being read: is the CSR made for this very TLS connection, where it says so or the
 * label wants it? LINK_ reasons. */
MUST_CHECK enum reason linking_check(struct enrolment *e, struct fault *f);
/* The same on values alone. `challenge` absent: the CSR has none. */
MUST_CHECK enum reason linking_compare(const struct binding *binding, struct blob challenge, bool required,
				       struct fault *f);

/* nonce_reply.c */
/* `body` absent: a GET. REASON_HTTP_BODY for anything but the draft's object. */
MUST_CHECK enum reason nonce_request(struct blob body, size_t *ret_len, struct fault *f);
MUST_CHECK enum reason nonce_reply(const struct rules *rules, const struct label *label, const struct requester *who,
				   size_t len, struct reply *ret_reply, struct fault *f);

/* enrolment.c */
struct enrolment *enrolment_new(void);    /* NULL when memory is short */
void enrolment_free(struct enrolment *e); /* accepts NULL and half-built ones */
void deadlines_init(struct deadlines *deadlines);
void deadlines_done(struct deadlines *deadlines);
/*
 * Once it is known who asks: REASON_REQUESTER_BUSY when as many of theirs are under way as may be. Who has yet to show
 * a password counts by address till then, for anybody can name a user.
 */
MUST_CHECK enum reason enrolment_count(struct ra *ra, struct enrolment *e, struct fault *f);
MUST_CHECK enum reason enrolment_count_address(struct ra *ra, struct enrolment *e, unsigned door, struct fault *f);
/* Before the enrolment goes onto the line. */
void enrolment_watch(struct ra *ra, struct enrolment *e);
bool enrolment_waited_for(struct enrolment *e);
/* Both consume the enrolment and answer whoever still waits. */
void enrolment_finish(struct ra *ra, struct enrolment *e, struct reply *reply);
void enrolment_refuse(struct ra *ra, struct enrolment *e, const struct fault *fault);
void *ra_keep(void *ra); /* thread: deadlines and gauges until deadlines.closed */

/* The stations, in the line's order. */
void station_password(void *ra, unsigned thread, struct job **batch, size_t n);
void station_assay(void *ra, unsigned thread, struct job **batch, size_t n);
/* For so many threads of the assay station, before it opens. */
MUST_CHECK enum reason assay_rooms_open(struct ra *ra, unsigned n, struct fault *f);
void assay_rooms_close(struct ra *ra); /* accepts none */

/* ask_ca.c: consumes enrolments that have a grant, as one batch. */
void ask_ca(struct ra *ra, struct enrolment *const *granted, size_t n);
/* The ca gets the policy that holds now, so that it is recorded without waiting for a grant. */
void ra_tell_policy(struct ra *ra);
/* What comes back. */
extern const struct channel_events ra_channel_events;
void waiting_init(struct waiting *waiting);
void waiting_done(struct waiting *waiting);

#endif
