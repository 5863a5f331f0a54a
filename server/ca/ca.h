/*
 * ca.h - inside of the ca role: what its stations share, and what moves along its line.
 *
 * The order of the line is the promise: no signature without a durable intent, no certificate before it is durable. A
 * struct issue becomes signable only in intend_recorded(), after ledger_cycle() has said INTENT_NEW for it.
 *
 * Owns:     struct ca: everything that was opened; struct issue: its grant, its bytes and a reference to who asked.
 * Threads:  each member says whose it is; an issue belongs to the station that has it in hand.
 */
#ifndef ASSAY_CA_H
#define ASSAY_CA_H

#include <pthread.h>
#include <stdatomic.h>

#include "channel/channel.h"
#include "channel/message.h"
#include "config.h"
#include "issuer.h"
#include "ledger.h"
#include "line.h"
#include "lull.h"
#include "observe/metrics.h"

enum { CA_LEDGER, CA_STATUS, CA_COMPLETE, CA_OCSP, CA_HEADS, CA_SIGN, CA_STATIONS }; /* the order of ca_line[] */
enum {
	LANE_LINE,
	LANE_FIELD,
	LANE_OWN,
	LANE_OCSP,
	LANE_HEADS,
	LANES
}; /* enrolments, re-enrolments, all else, OCSP, heads */

/* Certificates between frame and answer, per lane; beyond it: REASON_OVERLOADED. Every station's lanes hold as many, so
 * that what has been taken in hand always finds its place. */
#define CA_LINE_MAX 2048
#define CA_FIELD_MAX 1024
#define CA_OWN_MAX 64
#define CA_OCSP_MAX 512
#define CA_HEADS_MAX 2 /* there is one at a time */

#define CA_IN_HAND_MAX (CA_LINE_MAX + CA_FIELD_MAX + CA_OWN_MAX)

#define CA_BATCH 512        /* intents, and as many signatures, in one commit */
#define CA_BATCH_LARGE 128  /* waiting for more than this saves nothing */
#define CA_COMPANY_MIN 4    /* with fewer to be expected, a commit does not wait for them */
#define CA_TOGETHER_MIN 1.2 /* nor with fewer in a batch: that is one station, whose own turns are no company */
#define CA_PATIENCE_US                                                                                                 \
	8000            /* how long a commit waits for company while no processor is idle; two commits, 50 ms in all */
#define CA_SIGN_PATIENCE_US 4000 /* how long a commit waits for the signatures that a quick token has in hand */
#define CA_SIGN_MOST 32 /* issues that one session takes at once, and for how long it works on them */
#define CA_SIGN_OWN_US 150 /* a token as quick as that is this machine's processor: sessions beside each other share it */
#define CA_SIGN_STRETCH_US 1000
#define CA_POLICIES_MAX 64         /* policies announced to one process: a new one comes with each reload of the ra */
#define CA_POLICIES_HOURLY 32      /* new ones among them in one hour: each is a row for ever */
#define CA_PENDING_TRIES 3         /* how often a claim whose intent has just left the line is asked for again */
#define CA_COUNT_US 1000000LL      /* how late the hourly counts of other nodes may be known */
#define CA_CLOCK_SKEW_S 5          /* how far nodes' clocks may be apart */
#define CA_CRL_TOO_LONG_US (600 * 1000000LL) /* until a complete list that was too long is built again */
#define CA_DELTA_MAX 2000          /* entries; beyond it the next complete list becomes the base of deltas */
#define CA_CRL_BACKDATE_S (5 * 60) /* thisUpdate lies so far back: a relying party's clock may be behind ours */

enum issue_kind {
	ISSUE_CERTIFICATE, /* a grant of the ra's */
	ISSUE_POLICY,      /* the ra tells which policy decides */
	ISSUE_CRL,         /* the va wants a CRL */
	ISSUE_OCSP,        /* the va asks for the state of certificates */
	ISSUE_RESPONDER,   /* our own: a certificate for the OCSP responder, if it is time for one */
	ISSUE_HEAD,        /* our own: where the chains stand, if it is time to sign that */
	ISSUE_PREPARE,     /* our own: get ready without waiting for a grant */
};

struct issue {
	struct job job; /* first */
	enum issue_kind kind;
	unsigned lane;
	struct channel *asker; /* NULL for our own */
	uint64_t frame_id;
	int64_t came_us;
	struct grant *grant;
	struct issuer *issuer;   /* borrowed */
	bool reserved;           /* holds a place in the issuer's hourly count that no intent has taken */
	uint8_t policy_hash[32]; /* ISSUE_POLICY */
	char *policy_what;       /* room for POLICY_WHAT_CHARS */
	struct crl_scope crl; /* ISSUE_CRL */
	uint64_t crl_number, crl_upto;
	size_t crl_entries;
	struct ocsp_job *ocsp;   /* ISSUE_OCSP; see ca/ocsp.h */
	uint64_t head_number;    /* ISSUE_HEAD */
	struct crl_order *order; /* ISSUE_CRL that an operator asked for, see ca/publish.h; NULL otherwise */
	/* Ours, see ca/services.h: who is told of the outcome, once, on whatever thread it comes about. */
	void (*told)(void *user, struct blob certificate, const struct fault *fault);
	void *told_user;
	struct buf names_from; /* a TBS whose names are copied; empty: the grant's, or the previous certificate's */
	bool cmc_ra; /* RFC 7030 section 3.6.1: what the EST listener's certificate says, and no grant may ask for */

	/* from the first time round at station_ledger (station_status for a CRL) */
	struct previous previous; /* GRANT_REENROL; its tbs is ours to free */
	uint8_t serial[LIMIT_SERIAL_BYTES];
	size_t serial_len;
	struct buf tbs;
	int64_t not_before_s, not_after_s;
	unsigned tries;

	/* from station_sign */
	bool came_back;     /* from there: this time round it is to be recorded */
	struct buf made;    /* the signature as the token gave it, which nobody has verified */
	struct buf tail;    /* the same, verified */
	struct fault fault; /* why there is no signature; REASON_OK otherwise */

	/* inflight.c's */
	bool in_flight;
	struct issue *next_in_bucket, *waiters, *next_waiter;
};

/* Serials between intent and record in this process, and who waits for them. */
#define INFLIGHT_BUCKETS 1024
#define ORPHANS_MAX 4096 /* more than can be in hand */
struct serial {
	uint8_t bytes[LIMIT_SERIAL_BYTES];
	size_t len;
};
struct inflight {
	pthread_mutex_t lock;
	struct issue *bucket[INFLIGHT_BUCKETS];
	/* Intents that this process gave up and could not void: voided before the next intent, or a retry would wait
	 * for them for ever. */
	size_t n_orphans;
	struct serial orphan[ORPHANS_MAX];
};

struct policy_known {
	uint8_t hash[32];
	char what[POLICY_WHAT_CHARS + 1];
	bool recorded;
};

/*
 * Whether a commit has company to wait for: as many as came lately in the time that it would wait. One station alone
 * comes often as well, with its grant and then with its signature, but never with both at once: nobody waits for it.
 */
struct company {
	double coming;   /* in CA_PATIENCE_US */
	double together; /* in one batch */
	int64_t last_us; /* when the last batch was complete */
};

/* Certificates between the ledger station and a signature that is made and verified: the next commit's company. */
struct signing {
	pthread_mutex_t lock;
	pthread_cond_t back; /* the last of them is */
	unsigned n;
};

/* By renewal, in one hour: see renewals.c. */
#define RENEWALS_PLACES 65536
struct renewals {
	int64_t hour;
	uint16_t n[RENEWALS_PLACES];
};

/* Of the ledger station's one thread. */
struct ledger_room {
	bool checked;          /* clock and anchor have been looked at since the last trouble */
	bool told_behind;      /* the alarm has been given: the ledger went back in time */
	bool told_ready;       /* the log says that it is ready */
	enum reason told;      /* why it is not, as the log has it */
	bool voided;           /* what an earlier process left unsigned has been voided */
	int64_t newest_s;      /* newest wall time known to be in the ledger */
	int64_t counted_us;    /* when the issuers' hourly counts were last compared with the ledger's */
	int64_t policies_hour; /* in which policies_new were announced */
	unsigned policies_new;
	size_t n_policies;
	struct policy_known policy[CA_POLICIES_MAX];
	struct company company;
	struct renewals renewals;
	size_t n;
	struct issue *issue[CA_BATCH]; /* the batch in hand */
	struct intent intent[CA_BATCH];
	struct previous asked[CA_BATCH];
	/* Signed and not recorded yet, the oldest first: they stay here while the ledger is away. */
	bool record_waits;
	struct channel *answered; /* gets its answers at the end of the commit, in one write: issue_answers_leave() */
	size_t n_signed;
	struct issue *signed_one[CA_IN_HAND_MAX];
	struct signed_row row[CA_BATCH];
};

/* Signatures that are made and not verified yet: whichever session is the first to look verifies for all. */
struct proving {
	pthread_mutex_t lock; /* of what follows */
	struct job *head, **tail;
	bool busy; /* a session is at it, and will look again */
};

/* The complete list that an issuer's deltas add to. It stays for half a CRL's validity, so that who has fetched any
 * list since then is brought up to date by a delta. */
struct crl_base {
	uint64_t number, upto; /* 0: none signed by this process yet */
	int64_t at_us;
	size_t delta_entries; /* of the last delta upon it */
	int64_t too_long_us;  /* when it was found longer than a frame holds; 0: never */
};

struct keys;
struct newsroom;
struct ocsp_desk;
struct heads_desk;
struct crl_order;
struct ocsp_job;
struct operations;
struct upkeep;
struct watch;

struct ca {
	const struct config *config;
	struct metrics *metrics;
	struct hsm *hsm; /* keys.c's; NULL: away */
	struct keys *keys;
	pthread_rwlock_t token_use; /* read by who signs, written by who takes the keys away: keys.h */
	size_t n_issuers;
	struct issuer *issuer[LIMIT_ISSUERS];      /* in the order of the configuration */
	struct ledger *ledger, *status, *complete; /* each its station's own connection */
	pthread_mutex_t crl_lock;
	struct crl_base crl_base[LIMIT_ISSUERS]; /* under crl_lock; in the order of issuer[] */
	struct ledger_room *room;
	struct lull *lull;
	struct inflight inflight;
	struct signing signing;
	struct proving proving;
	struct line *line;
	struct newsroom *news;
	struct ocsp_desk *ocsp;        /* ca/ocsp.h; NULL: not configured */
	struct heads_desk *heads;      /* ca/heads.h; NULL: not configured */
	struct operations *operations; /* operate.h */
	pthread_mutex_t va_lock;
	struct channel *va; /* under va_lock: this node's, while it is connected; publish.h */
	struct upkeep *upkeep;
	struct watch *watch;
	struct channel_server *server[ROLE_COUNT];
	atomic_uint in_hand[LANES];
	atomic_bool shards_hold; /* the configuration's numbers of shards are those that certificates name */
	atomic_bool token_away, ledger_ready, preparing, stopping;
	atomic_uint_fast64_t signatures;
	_Atomic int64_t signing_since_us[64]; /* per session; 0: idle */
	_Atomic int64_t opening_since_us;     /* the token; 0: not now */
	_Atomic int64_t sign_us;              /* how long the token takes for a signature, as it was lately */
};

/* ca.c */
MUST_CHECK enum reason ca_ledger(const struct config *config, const char *stream, struct ledger **ret_ledger,
				 struct fault *f);

/* issue.c: every issue ends in exactly one of these three, which frees it. issue_enrolled() is the ledger station's. */
MUST_CHECK enum reason issue_new(struct ca *ca, enum issue_kind kind, unsigned lane, struct channel *asker,
				 uint64_t frame_id, struct issue **ret_issue, struct fault *f);
void issue_enrolled(struct ca *ca, struct issue *issue, bool repeated, struct blob certificate);
void issue_answers_leave(struct ca *ca); /* what issue_enrolled() has put for those who asked */
void issue_refused(struct ca *ca, struct issue *issue, const struct fault *fault);
void issue_finished(struct ca *ca, struct issue *issue); /* nothing to say */
void issue_wake(struct ca *ca);                          /* lets the ledger station look around, once */
/* Answers everybody who waits, as issue_refused() does, while the issue goes on: a retry finds what becomes of it. */
void issue_later(struct ca *ca, struct issue *issue, const struct fault *fault);
void send_refusal(struct channel *asker, uint64_t frame_id, const struct fault *fault);
void issue_pass(struct ca *ca, unsigned station, struct issue *issue); /* on to a later station: there is always room */
void issue_lay(struct ca *ca, unsigned station, struct issue *issue);  /* the same; line_wake() when all are there */
struct issuer *ca_issuer(const struct ca *ca, const char *name);       /* NULL if there is none */
const struct issuer_options *ca_issuer_options(const struct ca *ca, const char *name); /* of one that there is */

/* inflight.c */
void inflight_init(struct inflight *table);
void inflight_done(struct inflight *table);
void inflight_add(struct inflight *table, struct issue *issue);
/* Lets `waiter` be answered together with the issue of this serial; false when it is not in flight here. */
MUST_CHECK bool inflight_wait(struct inflight *table, struct blob serial, struct issue *waiter);
/* Takes the issue out; its waiters, linked by next_waiter, are the caller's. */
struct issue *inflight_remove(struct inflight *table, struct issue *issue);
struct issue *inflight_take_waiters(struct inflight *table, struct issue *issue); /* it stays in */
void orphan_add(struct inflight *table, struct blob serial);
MUST_CHECK bool orphan_take(struct inflight *table, struct serial *ret_serial);

/* intend.c: the grants in the room */
void intend_take(struct ca *ca, struct issue *issue);
/* Refuses those that the ca's own rules refuse; the rest have their to-be-signed bytes and stand in room->intent. */
MUST_CHECK enum reason intend_build(struct ca *ca, struct fault *f);
void intend_refuse_all(struct ca *ca, const struct fault *fault);
void intend_recorded(struct ca *ca); /* to the sign station, or answered */

/* record.c: the signatures in the room */
void record_take(struct ca *ca, struct issue *issue);
size_t record_rows(struct ca *ca); /* fills room->row: how many */
void record_done(struct ca *ca, size_t n);
void record_failed(struct ca *ca, const struct fault *fault);

/* reenrol.c: the rules of re-enrolment, pure: completes the grant from what the ledger knows, or refuses */
MUST_CHECK enum reason reenrol_complete(struct grant *grant, const struct previous *previous,
					const struct issuer_options *issuer, struct fault *f);

/* renewals.c: may this device have one more, of at most so many in an hour (0: no bound)? Counted once it is durable. */
bool renewals_may(struct renewals *renewals, const struct device_id *device, unsigned most, int64_t now_s);
void renewals_count(struct renewals *renewals, const struct device_id *device, int64_t now_s);

/* cycle.c: the first two are pure */
bool company_expected(const struct company *company, size_t n); /* n: how many are there already */
void company_came(struct company *company, size_t n, int64_t now_us);
void signing_init(struct signing *signing);
void signing_done(struct signing *signing);
void signing_began(struct signing *signing); /* one more */
void signing_back(struct signing *signing);
void signing_wait(struct signing *signing, int64_t patience_us); /* until all are back */

/* The stations. */
void station_ledger(void *role, unsigned thread, struct job **batch, size_t n); /* cycle.c */
void station_status(void *role, unsigned thread, struct job **batch,
		    size_t n); /* crl.c: shards and deltas, which are short */
void station_complete(void *role, unsigned thread, struct job **batch,
		      size_t n); /* crl.c: complete lists, which hold up nothing */
void station_sign(void *role, unsigned thread, struct job **batch, size_t n); /* sign.c */
bool sign_quick(const struct ca *ca); /* microseconds a signature, as of late */
unsigned sign_most(void *role);                                               /* for line_share() */
void proving_init(struct proving *proving);
void proving_done(struct proving *proving);
void crl_signed(struct ca *ca, struct issue *issue); /* crl.c: answers with the finished CRL, or the fault */

/* prepare.c: is everything there that an intent needs? Connects, voids leftovers, checks the clock, records policies.
 */
MUST_CHECK enum reason intend_prepare(struct ca *ca, struct fault *f);
void intend_note_policy(struct ca *ca, const struct issue *issue);
bool intend_knows_policy(const struct ca *ca, const uint8_t hash[32]);

/* news.c: pushes the view to every connection, 5 times a second */
MUST_CHECK enum reason news_open(struct ca *ca, struct newsroom **ret_news, struct fault *f);
void news_close(struct newsroom *news); /* accepts NULL */
void news_poke(struct newsroom *news);  /* something is new: push it now and not at the next tick */
void news_subscribe(struct newsroom *news, struct channel *channel);
void news_unsubscribe(struct newsroom *news, struct channel *channel);

/* watch.c: ends the process when the token does not come back from a signature */
MUST_CHECK enum reason watch_open(struct ca *ca, struct watch **ret_watch, struct fault *f);
void watch_close(struct watch *watch); /* accepts NULL */

/* desk.c: frames of the other roles; the socket a frame came in on says what it may be */
MUST_CHECK enum reason desk_open(struct ca *ca, struct fault *f);
void desk_close(struct ca *ca);

#endif
