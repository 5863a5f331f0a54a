/*
 * route.h - EST paths as data: which operation of which label a request means, and what it must look like.
 *
 * Threads: pure.
 * Spec:    RFC 7030 section 3.2.2; draft-ietf-lamps-attestation-freshness-08 for /nonce. Beside the standard form
 *          /.well-known/est[/<label>]/<operation>, the form /<label>/.well-known/est/<operation> is taken, which
 *          strongSwan makes of its --label like setting.
 */
#ifndef ASSAY_ROUTE_H
#define ASSAY_ROUTE_H

#include "base/blob.h"
#include "base/limits.h"
#include "observe/metrics.h"
#include "policy.h"

/* Bits; any other method is 0. HEAD is GET to all who answer, and libmicrohttpd leaves the body out (RFC 9110 section
 * 9.3.2): no route has to know of it, and each that takes GET takes HEAD (section 9.1). */
enum http_method { HTTP_GET = 1, HTTP_POST = 2 };

struct route_op {
	const char *name; /* last segment of the path */
	enum est_op op;
	enum metric_op metric;
	unsigned methods;      /* HTTP_ bits */
	const char *post_type; /* media type that a POST must have; NULL if there is no POST */
};

struct route {
	const struct route_op *op;
	char label[LIMIT_LABEL_CHARS + 1]; /* empty for the bare path */
};

/* `path` as it came, percent-encoded, without the query. REASON_HTTP_PATH if it is no EST path. */
MUST_CHECK enum reason route_parse(struct blob path, struct route *ret_route, struct fault *f);

/* REASON_HTTP_METHOD or REASON_HTTP_MEDIA_TYPE; `type` may be NULL when the header is absent. */
MUST_CHECK enum reason route_check(const struct route_op *op, unsigned method, const char *type, struct fault *f);

unsigned http_method(const char *name);          /* HTTP_GET, HTTP_POST, or 0 */
const char *http_methods_text(unsigned methods); /* for Allow: "GET, HEAD, POST" */
/* Type and subtype equal, whatever the case; parameters are ignored. RFC 9110 section 8.3.1. */
bool media_type_is(const char *header, const char *wanted);

#endif
