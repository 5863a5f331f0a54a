/*
 * api.h - the admin API below /v1/: JSON in, JSON out, every call a row of the ledger. Files: api.c (routes, rights,
 * the way of a call), what a request says in query.c and fill_*.c (both stand on fields.h), asking.c (frames to the ca
 * and back), answers.c (what is answered).
 *
 * The way of a call: fill (HTTP thread) -> ask the ca, if it is to do something -> read, if the answer is read from the
 * ledger -> note -> answer. What the ca did is recorded in the commit that did it; everything else is noted before it
 * is answered, and a call that cannot be noted is not answered but refused.
 *
 * Owns:    a struct call belongs to one exchange until it is answered.
 * Threads: calls move along a line of their own; one inspector for each of its threads.
 */
#ifndef ASSAY_ADMIN_API_H
#define ASSAY_ADMIN_API_H

#include <jansson.h>
#include <stdatomic.h>

#include "admin/admin.h"
#include "channel/operate.h"
#include "line.h"
#include "operators.h"

#define API_ARGS 8
#define API_ARG_CHARS 128
#define API_READERS 2
#define API_CALLS_MAX 128        /* under way */
#define API_DEADLINE_US 40000000 /* a search may take 30 s, a revocation of very many goes on without its caller */

enum rights { MAY_READ = 1, MAY_REVOKE = 2, MAY_REGISTER = 4 };

struct call;

struct api_route {
	const char *op;   /* for the log */
	unsigned method;  /* HTTP_GET, HTTP_POST */
	const char *path; /* below /v1/; a "*" is one segment */
	unsigned rights;
	const struct query *queries; /* into call->arg; NULL: none */
	/* What else the request says, into call->ask; NULL: nothing. */
	enum reason (*fill)(struct call *call, struct fault *f);
	bool acts;                  /* the ca is asked with call->ask */
	enum inspection inspection; /* what the answer is read from; INSPECTIONS: what the ca said, or openapi.json */
	size_t n_args;
	const char *type; /* of the answer */
};

enum call_state { CALL_ACTING, CALL_READING, CALL_NOTING };

struct call {
	struct job job; /* first */
	struct api *api;
	const struct api_route *route;
	unsigned methods; /* that the path takes, HTTP_ bits */
	struct exchange *x;
	enum call_state state;
	uint64_t id;
	int64_t deadline_us;
	struct call *next;               /* in the table of those at the ca */
	json_t *body;                    /* POST; NULL otherwise */
	char segment[API_ARG_CHARS + 1]; /* what stood for the path's "*" */
	bool has_arg[API_ARGS];
	char arg[API_ARGS][API_ARG_CHARS + 1];
	struct operate ask;
	struct reply reply;
	char notice[sizeof(((struct operated *)0)->detail)]; /* what the ca adds to a plan that it did */
	bool recorded;                                       /* the ca has recorded it with what it did */
};

struct api {
	struct admin *admin;
	struct line *line;
	struct inspector *inspector[API_READERS];
	pthread_mutex_t lock; /* of the rest */
	uint64_t last_id;
	unsigned n_calls;
	struct call *at_ca;
	int64_t strangers_minute; /* in which strangers_noted refusals of strangers were noted */
	unsigned strangers_noted;
};

MUST_CHECK enum reason api_open(struct admin *admin, struct api **ret_api, struct fault *f);
void api_close(struct api *api); /* accepts NULL; after the listener has stopped */
/* From http_app.run: true if x->reply is filled, false if the call goes on without the HTTP thread. */
bool api_run(struct api *api, struct exchange *x);
void api_frame(struct api *api, const struct frame *frame); /* FRAME_OPERATED, FRAME_REFUSED */
void api_down(struct api *api);                             /* the ca is gone */
void api_expire(struct api *api, int64_t now_us);

extern const unsigned char openapi_json[]; /* openapi.json, put in by CMake */
extern const size_t openapi_json_len;

/* asking.c: false when the ca is away or its queue full: the call stays the caller's. */
MUST_CHECK bool asking_send(struct call *call, const struct operate *what);
/* The call goes on with what the ca said. */
void call_operated(struct call *call, const struct operated *operated);
void call_refused(struct call *call, const struct fault *fault);

/* answers.c */
#define TYPE_JSON "application/json"
struct reply answer_refusal(const struct exchange *x, const struct fault *fault);
/* What the ca says where nothing is read from the ledger. */
MUST_CHECK enum reason answer_operated(struct call *call, const struct operated *operated, struct fault *f);
/* Adds call->notice to the object that the ledger gave. */
MUST_CHECK enum reason answer_notice(const struct call *call, struct buf *text, struct fault *f);
/* What is no printable ASCII becomes a question mark; cut at out_len. */
void answer_plain(const char *text, char *out, size_t out_len);

/* query.c: a key of the query, or what stands for the star in the path. In a route's table the first one fills arg[0]
 * of the call, the next one arg[1]. */
enum query_type { QUERY_HEX, QUERY_TEXT, QUERY_TIME, QUERY_NUMBER, QUERY_PAGE, QUERY_PATH_HEX, QUERY_PATH_TEXT };

struct query {
	const char *name; /* NULL: the table's end */
	enum query_type type;
};

extern const struct query query_segment[], query_certificates[], query_devices[], query_actions[], query_requesters[],
	query_audit[], query_heads[];
MUST_CHECK enum reason query_read(struct call *call, struct fault *f);
enum reason fill_devices(struct call *call, struct fault *f);

/* fill_revocations.c */
enum reason fill_plan(struct call *call, struct fault *f);
enum reason fill_revoke(struct call *call, struct fault *f);
enum reason fill_list(struct call *call, struct fault *f);
enum reason fill_publish(struct call *call, struct fault *f);

/* fill_requesters.c */
enum reason fill_register(struct call *call, struct fault *f);
enum reason fill_retire(struct call *call, struct fault *f);
enum reason fill_renewal(struct call *call, struct fault *f);

#endif
