/*
 * desk.c - where the other roles' frames come in. What a role may ask follows from the socket it came in on; anything
 * else, and anything malformed, ends the connection with a line in the log.
 */
#include <stdio.h>
#include <string.h>

#include "ca/ca.h"
#include "ca/ocsp.h"
#include "ca/operate.h"
#include "ca/publish.h"
#include "observe/log.h"
#include "role.h"

static void refuse(struct channel *channel, const struct frame *frame, const struct fault *fault)
{
	send_refusal(channel, frame->id, fault);
}

/* Into the line, or refused here: the desk never waits. */
static void put(struct ca *ca, unsigned station, struct issue *issue)
{
	struct fault fault;

	if (line_put(ca->line, station, issue->lane, &issue->job))
		return;
	fault_set(&fault, REASON_STOPPING, "the ca is stopping");
	issue_refused(ca, issue, &fault);
}

static enum reason take_enrol(struct ca *ca, struct channel *channel, const struct frame *frame, struct fault *f)
{
	struct issue *issue;
	struct grant *grant;
	unsigned lane;

	TRY(grant_decode(frame->body, &grant, f));
	lane = grant->kind == GRANT_REENROL ? LANE_FIELD : LANE_LINE;
	if (issue_new(ca, ISSUE_CERTIFICATE, lane, channel, frame->id, &issue, f) != REASON_OK) {
		grant_free(grant);
		refuse(channel, frame, f);
		return REASON_OK;
	}
	issue->grant = grant;
	put(ca, CA_LEDGER, issue);
	return REASON_OK;
}

/* There is no answer: grants that name the policy come behind it on the same line. */
static enum reason take_policy(struct ca *ca, struct channel *channel, const struct frame *frame, struct fault *f)
{
	struct message_policy policy;
	struct issue *issue;

	TRY(message_policy_decode(frame->body, &policy, f));
	TRY(issue_new(ca, ISSUE_POLICY, LANE_OWN, channel, frame->id, &issue, f));
	memcpy(issue->policy_hash, policy.hash, sizeof(policy.hash));
	snprintf(issue->policy_what, POLICY_WHAT_CHARS + 1, "%s", policy.what);
	put(ca, CA_LEDGER, issue);
	return REASON_OK;
}

static enum reason take_crl_ask(struct ca *ca, struct channel *channel, const struct frame *frame, struct fault *f)
{
	char name[CRL_NAME_CHARS + 1];
	struct issuer *issuer = NULL;
	struct crl_scope scope;
	struct issue *issue;

	TRY(message_crl_ask_decode(frame->body, name, f));
	for (size_t i = 0; i < ca->n_issuers && issuer == NULL; i++)
		if (crl_name_parse(name, issuer_name(ca->issuer[i]), ca->config->issuer[i].crl_shards, &scope))
			issuer = ca->issuer[i];
	if (issuer == NULL)
		return fault_set(f, REASON_CHANNEL_FRAME, "CRL of an unknown issuer");
	if (issue_new(ca, ISSUE_CRL, LANE_OWN, channel, frame->id, &issue, f) != REASON_OK) {
		refuse(channel, frame, f);
		return REASON_OK;
	}
	issue->issuer = issuer;
	issue->crl = scope;
	put(ca, scope.kind == CRL_COMPLETE ? CA_COMPLETE : CA_STATUS, issue);
	return REASON_OK;
}

static enum reason take_operate(struct ca *ca, struct channel *channel, const struct frame *frame, struct fault *f)
{
	return operate_take(ca->operations, channel, frame, f);
}

/* Who may ask what. A reason other than OK ends the connection. */
static const struct request {
	enum role from;
	enum frame_type type;
	enum reason (*take)(struct ca *ca, struct channel *channel, const struct frame *frame, struct fault *f);
} requests[] = {
	{ ROLE_RA, FRAME_ENROL, take_enrol },
	{ ROLE_RA, FRAME_POLICY, take_policy },
	{ ROLE_VA, FRAME_CRL_ASK, take_crl_ask },
	{ ROLE_VA, FRAME_OCSP_ASK, ocsp_take },
	{ ROLE_ADMIN, FRAME_OPERATE, take_operate },
};

static enum reason take_frame(struct ca *ca, enum role from, struct channel *channel, const struct frame *frame,
			      struct fault *f)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].from == from && requests[i].type == frame->type)
			return requests[i].take(ca, channel, frame, f);
	return fault_set(f, REASON_CHANNEL_FRAME, "frame of type %d is not %s's to send", (int)frame->type,
			 role_name(from));
}

static void on_frame(struct ca *ca, enum role from, struct channel *channel, const struct frame *frame)
{
	struct fault fault = { 0 };

	if (take_frame(ca, from, channel, frame, &fault) == REASON_OK)
		return;
	log_event(LOG_ERROR, "channel_ended", "peer", LOG_STR, role_name(from), "reason", LOG_STR,
		  reason_info(fault.reason)->name, "detail", LOG_STR, fault.detail, NULL);
	channel_end(channel);
}

static void on_up(struct ca *ca, enum role from, struct channel *channel)
{
	log_event(LOG_INFO, "peer_up", "peer", LOG_STR, role_name(from), NULL);
	news_subscribe(ca->news, channel);
	if (from == ROLE_VA)
		publish_va_up(ca, channel);
}

static void on_down(struct ca *ca, enum role from, struct channel *channel)
{
	log_event(LOG_INFO, "peer_down", "peer", LOG_STR, role_name(from), NULL);
	news_unsubscribe(ca->news, channel);
	if (from == ROLE_VA)
		publish_va_down(ca, channel);
}

/* One set of events a socket: the function knows the role, so no frame can claim another. */
#define DESK(role, id)                                                                                                 \
	static void role##_up(void *ca, struct channel *channel)                                                       \
	{                                                                                                              \
		on_up(ca, id, channel);                                                                                \
	}                                                                                                              \
	static void role##_frame(void *ca, struct channel *channel, const struct frame *frame)                         \
	{                                                                                                              \
		on_frame(ca, id, channel, frame);                                                                      \
	}                                                                                                              \
	static void role##_down(void *ca, struct channel *channel)                                                     \
	{                                                                                                              \
		on_down(ca, id, channel);                                                                              \
	}

DESK(ra, ROLE_RA)
DESK(va, ROLE_VA)
DESK(admin, ROLE_ADMIN)

static const struct channel_events desk_events[ROLE_COUNT] = {
	[ROLE_RA] = { ra_up, ra_frame, ra_down },
	[ROLE_VA] = { va_up, va_frame, va_down },
	[ROLE_ADMIN] = { admin_up, admin_frame, admin_down },
};

enum reason desk_open(struct ca *ca, struct fault *f)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		char path[512];

		if (desk_events[i].frame == NULL)
			continue;
		snprintf(path, sizeof(path), "%s/ca-%s.sock", ca->config->run_dir, role_name((enum role)i));
		TRY(channel_listen(path, role_uid(ca->config, (enum role)i), &desk_events[i], ca, &ca->server[i], f));
	}
	return REASON_OK;
}

void desk_close(struct ca *ca)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		channel_server_close(ca->server[i]);
		ca->server[i] = NULL;
	}
}
