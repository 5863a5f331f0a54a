/*
 * est.c - the EST operations as the listeners see them: what needs no line is answered at once, the rest suspended.
 *
 * Spec: RFC 7030 sections 4.1, 4.2 and 4.5; draft-ietf-lamps-attestation-freshness-08 for /nonce.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ra/who.h"

#define TYPE_PKCS7 "application/pkcs7-mime"

static bool challenge_helps(const struct label *label, enum est_op op)
{
	return label->facts.basic && op != EST_SIMPLEREENROLL;
}

struct reply est_refusal(const struct ra *ra, const struct label *label, enum est_op op, const struct fault *fault)
{
	struct reply reply = reply_fault(fault);

	if (fault->reason == REASON_AUTH_REQUIRED && !challenge_helps(label, op))
		reply.fault.reason = REASON_CERT_REQUIRED; /* RFC 9110 has no 401 without a challenge */
	else if (reason_info(fault->reason)->http == 401)
		reply_header(&reply, "WWW-Authenticate", "Basic realm=\"%s\"", ra->config->est.realm);
	return reply;
}

static bool refuse(const struct ra *ra, struct exchange *x, const struct label *label, const struct fault *fault)
{
	reply_done(&x->reply);
	x->reply = est_refusal(ra, label, x->route.op->op, fault);
	return true;
}

static void est_begin(void *role, struct exchange *x)
{
	AUTO(rules_unrefp) struct rules *rules = ra_rules(role);
	const struct label *label;
	struct fault f;

	if (route_parse(BLOB_STR(x->path), &x->route, &f) != REASON_OK) {
		exchange_refuse(x, &f);
		return;
	}
	x->op = x->route.op->name;
	x->metric = x->route.op->metric;
	label = label_find(rules->labels, x->route.label);
	if (label == NULL) {
		(void)fault_set(&f, REASON_HTTP_PATH, "label \"%s\"", x->route.label);
		exchange_refuse(x, &f);
		return;
	}
	snprintf(x->route.label, sizeof(x->route.label), "%s", label->facts.label); /* also for the bare path */
	if (route_check(x->route.op, x->method, exchange_header(x, "Content-Type"), &f) != REASON_OK) {
		exchange_refuse(x, &f);
		if (f.reason == REASON_HTTP_METHOD)
			reply_header(&x->reply, "Allow", "%s", http_methods_text(x->route.op->methods));
	}
}

/* A copy: the rules may be gone before the answer has left. */
static bool answer_copy(struct exchange *x, const char *type, struct blob bytes)
{
	struct fault f;

	x->reply = (struct reply){ .type = type };
	if (buf_copy(bytes, &x->reply.body, &f) != REASON_OK) {
		exchange_refuse(x, &f);
		return false;
	}
	return true;
}

static bool cacerts(struct exchange *x, const struct label *label)
{
	if (!answer_copy(x, TYPE_PKCS7, buf_blob(&label->cacerts)))
		return true;
	reply_header(&x->reply, "Content-Transfer-Encoding", "base64");
	return true;
}

static bool csrattrs(struct exchange *x, const struct label *label)
{
	if (label->csrattrs.len == 0) {
		x->reply = reply_fixed(NULL, (struct blob){ 0 });
		x->reply.status = 204;
		return true;
	}
	if (!answer_copy(x, "application/csrattrs", buf_blob(&label->csrattrs)))
		return true;
	reply_header(&x->reply, "Content-Transfer-Encoding", "base64");
	return true;
}

/*
 * Basic counts where the label allows it and for what has no certificate yet; a certificate beside it must hold all the
 * same. Re-enrolment is by certificate alone (RFC 7030 section 3.3.2).
 */
static enum reason take_basic(struct exchange *x, const struct label *label, enum est_op op, struct basic **ret_basic,
			      struct fault *f)
{
	const char *header = exchange_header(x, "Authorization");
	struct basic *basic;

	if (header == NULL || !challenge_helps(label, op) || !basic_scheme(BLOB_STR(header)))
		return REASON_OK;
	basic = calloc(1, sizeof(*basic));
	if (basic == NULL)
		return fault_set(f, REASON_NO_MEMORY, "credentials");
	*ret_basic = basic;
	return basic_parse(BLOB_STR(header), basic, f);
}

/* What has to be known of a request before anything is made for it. */
struct asked {
	struct requester who; /* who.cert points into the connection's peer */
	struct basic *basic;  /* NULL without */
	size_t nonce_len;     /* EST_NONCE */
};

static void asked_done(struct asked *asked)
{
	if (asked->basic != NULL)
		basic_wipe(asked->basic);
	free(asked->basic);
}

/* Takes over the password and the body. */
static struct enrolment *new_enrolment(struct exchange *x, struct rules *rules, const struct label *label,
				       struct asked *asked)
{
	struct enrolment *e = enrolment_new();

	if (e == NULL)
		return NULL;
	atomic_init(&e->waiter, x);
	memcpy(e->request, x->request, sizeof(e->request));
	e->rules = rules_ref(rules);
	e->label = label;
	e->op = x->route.op->op;
	e->peer = peer_ref(x->peer);
	e->who = asked->who;
	e->basic = TAKE(asked->basic);
	e->nonce_len = asked->nonce_len;
	e->body = x->body;
	x->body = (struct buf){ 0 };
	exchange_binding(x, &e->binding);
	return e;
}

/* Suspends first: from line_put() on, the answer may come at any moment. */
static bool put_on_line(struct ra *ra, struct exchange *x, struct enrolment *e)
{
	unsigned station = e->basic != NULL ? STATION_PASSWORD : STATION_ASSAY;
	unsigned lane = e->basic != NULL ? 0 : who_lane(&e->who);
	struct fault f;

	exchange_suspend(x);
	enrolment_watch(ra, e);
	if (!line_put(ra->line, station, lane, &e->job)) {
		(void)fault_set(&f, REASON_OVERLOADED, "lane %u of station %u is full", lane, station);
		enrolment_refuse(ra, e, &f);
	}
	return false;
}

/* Everything that needs to know who asks. */
static enum reason admit(struct ra *ra, struct exchange *x, const struct rules *rules, const struct label *label,
			 struct asked *asked, struct fault *f)
{
	enum est_op op = x->route.op->op;

	TRY(who_certificate(ra, rules, x->peer, &label->facts, op, &asked->who, f));
	memcpy(x->who, asked->who.id, sizeof(x->who));
	if (listener_for_rigs(x->listener) && who_lane(&asked->who) != LANE_PRODUCTION)
		return fault_set(f, REASON_CLIENT_KIND, "%s on a listener for rigs",
				 requester_kind_name(asked->who.kind));
	if (asked->who.kind != WHO_NOBODY)
		exchange_known(x);
	if (who_lane(&asked->who) == LANE_PRODUCTION)
		listener_vouch(x);
	TRY(take_basic(x, label, op, &asked->basic, f));
	if (asked->basic != NULL)
		TRY(view_fresh(ra->view, clock_mono_us(), f));
	else
		TRY(policy_may(label->profile, op, &asked->who, f));
	if (op == EST_NONCE)
		return nonce_request(x->method == HTTP_POST ? buf_blob(&x->body) : (struct blob){ 0 },
				     &asked->nonce_len, f);
	return x->body.len > 0 ? REASON_OK : fault_set(f, REASON_HTTP_BODY, "empty body");
}

/* From here on it is under way. */
static bool take_in(struct ra *ra, struct exchange *x, struct rules *rules, const struct label *label,
		    struct asked *asked)
{
	struct enrolment *e = new_enrolment(x, rules, label, asked);
	enum reason reason;
	struct fault f;

	if (e == NULL) {
		(void)fault_set(&f, REASON_NO_MEMORY, "struct enrolment");
		return refuse(ra, x, label, &f);
	}
	if (e->basic != NULL)
		reason = enrolment_count_address(ra, e, listener_door(x), &f);
	else
		reason = enrolment_count(ra, e, &f);
	if (reason == REASON_OK)
		return put_on_line(ra, x, e);
	enrolment_free(e);
	return refuse(ra, x, label, &f);
}

static bool authenticated(struct ra *ra, struct exchange *x, struct rules *rules, const struct label *label)
{
	AUTO(asked_done) struct asked asked = { 0 };
	struct fault f;

	if (admit(ra, x, rules, label, &asked, &f) != REASON_OK)
		return refuse(ra, x, label, &f);
	if (x->route.op->op != EST_NONCE || asked.basic != NULL)
		return take_in(ra, x, rules, label, &asked);
	if (nonce_reply(rules, label, &asked.who, asked.nonce_len, &x->reply, &f) != REASON_OK)
		return refuse(ra, x, label, &f);
	return true;
}

static bool answer(void *role, struct exchange *x)
{
	struct ra *ra = role;
	AUTO(rules_unrefp) struct rules *rules = ra_rules(ra);
	const struct label *label = label_find(rules->labels, x->route.label);
	struct fault f;

	if (label == NULL) { /* it was there when the request began */
		(void)fault_set(&f, REASON_HTTP_PATH, "label \"%s\"", x->route.label);
		exchange_refuse(x, &f);
		return true;
	}
	switch (x->route.op->op) {
	case EST_CACERTS:
		return cacerts(x, label);
	case EST_CSRATTRS:
		return csrattrs(x, label);
	default:
		return authenticated(ra, x, rules, label);
	}
}

/* On a listener for rigs anybody may read /cacerts, but only who has shown to be a rig keeps the connection. */
static bool est_run(void *role, struct exchange *x)
{
	if (!answer(role, x))
		return false;
	if (listener_for_rigs(x->listener) && !exchange_is_known(x))
		reply_header(&x->reply, "Connection", "close");
	return true;
}

const struct http_app est_app = { .event = "est", .begin = est_begin, .run = est_run };
