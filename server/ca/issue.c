/* issue.c - what moves along the ca's line: made, answered, freed. See ca.h. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/ca.h"
#include "ca/ocsp.h"
#include "observe/log.h"

static const unsigned lane_max[LANES] = { CA_LINE_MAX, CA_FIELD_MAX, CA_OWN_MAX, CA_OCSP_MAX, CA_HEADS_MAX };

_Static_assert(sizeof(struct issue) <= LIMIT_HEAP_QUICK_BYTES, "struct issue"); /* one an enrolment */

static struct issue *new_of(enum issue_kind kind)
{
	struct issue *issue = calloc(1, sizeof(*issue));

	if (issue == NULL)
		return NULL;
	issue->kind = kind;
	if (kind == ISSUE_POLICY && (issue->policy_what = calloc(1, POLICY_WHAT_CHARS + 1)) == NULL) {
		free(issue);
		return NULL;
	}
	return issue;
}

enum reason issue_new(struct ca *ca, enum issue_kind kind, unsigned lane, struct channel *asker, uint64_t frame_id,
		      struct issue **ret_issue, struct fault *f)
{
	struct issue *issue;

	/* counted first: whoever stops the line sees it, or it sees that the line stops */
	if (atomic_fetch_add(&ca->in_hand[lane], 1) >= lane_max[lane]) {
		atomic_fetch_sub(&ca->in_hand[lane], 1);
		return fault_set(f, REASON_OVERLOADED, "%u in hand", lane_max[lane]);
	}
	if (atomic_load(&ca->stopping) && asker != NULL) {
		atomic_fetch_sub(&ca->in_hand[lane], 1);
		return fault_set(f, REASON_STOPPING, "the ca is stopping");
	}
	issue = new_of(kind);
	if (issue == NULL) {
		atomic_fetch_sub(&ca->in_hand[lane], 1);
		return fault_set(f, REASON_NO_MEMORY, "issue");
	}
	issue->lane = lane;
	issue->asker = asker == NULL ? NULL : channel_ref(asker);
	issue->frame_id = frame_id;
	issue->came_us = clock_mono_us();
	*ret_issue = issue;
	return REASON_OK;
}

static void issue_free(struct ca *ca, struct issue *issue)
{
	atomic_fetch_sub(&ca->in_hand[issue->lane], 1);
	if (issue->reserved)
		issuer_uncount(issue->issuer);
	channel_unref(issue->asker);
	grant_free(issue->grant);
	ocsp_job_free(issue->ocsp);
	buf_done(&issue->previous.tbs);
	buf_done(&issue->names_from);
	buf_done(&issue->tbs);
	buf_done(&issue->made);
	buf_done(&issue->tail);
	free(issue->policy_what);
	free(issue);
}

void issue_wake(struct ca *ca)
{
	struct issue *issue;

	if (atomic_exchange(&ca->preparing, true))
		return;
	if (issue_new(ca, ISSUE_PREPARE, LANE_OWN, NULL, 0, &issue, NULL) != REASON_OK)
		atomic_store(&ca->preparing, false);
	else if (!line_put(ca->line, CA_LEDGER, LANE_OWN, &issue->job))
		issue_finished(ca, issue);
}

void issue_finished(struct ca *ca, struct issue *issue)
{
	issue_free(ca, issue);
}

static enum reason encode_refusal(const struct fault *fault, struct buf *body)
{
	TRY(pack_text(body, reason_info(fault->reason)->name, NULL));
	return pack_text(body, fault->detail, NULL);
}

void send_refusal(struct channel *asker, uint64_t frame_id, const struct fault *fault)
{
	AUTO(buf_done) struct buf body = { 0 };

	if (encode_refusal(fault, &body) == REASON_OK)
		(void)!channel_send(asker, FRAME_REFUSED, frame_id, buf_blob(&body));
}

static enum reason encode_enrolled(bool repeated, struct blob serial, struct blob certificate, struct buf *body)
{
	TRY(buf_reserve(body, 16 + serial.len + certificate.len, NULL));
	TRY(pack_u8(body, repeated, NULL));
	TRY(pack_bytes(body, serial, NULL));
	return pack_bytes(body, certificate, NULL);
}

void issue_answers_leave(struct ca *ca)
{
	if (ca->room->answered != NULL)
		channel_flush(ca->room->answered);
	channel_unref(ca->room->answered);
	ca->room->answered = NULL;
}

/* Who asked may be gone by now: the certificate is recorded, and a retry finds it. */
static void put_answer(struct ca *ca, const struct issue *issue, struct blob body)
{
	if (!channel_put(issue->asker, FRAME_ENROLLED, issue->frame_id, body) || ca->room->answered == issue->asker)
		return;
	issue_answers_leave(ca); /* another's */
	ca->room->answered = channel_ref(issue->asker);
}

static void send_enrolled(struct ca *ca, const struct issue *issue, bool repeated, struct blob serial,
			  struct blob certificate)
{
	AUTO(buf_done) struct buf body = { 0 };

	if (issue->told != NULL)
		issue->told(issue->told_user, certificate, NULL);
	else if (issue->asker != NULL && encode_enrolled(repeated, serial, certificate, &body) == REASON_OK)
		put_answer(ca, issue, buf_blob(&body));
}

static void count(struct ca *ca, const struct issue *issue, enum reason reason)
{
	enum metric_op op = issue->kind == ISSUE_CRL ? OP_CRL : issue->kind == ISSUE_OCSP ? OP_OCSP : OP_SIGN;

	metrics_request(ca->metrics, op, reason, clock_mono_us() - issue->came_us);
}

static struct issue *take_waiters(struct ca *ca, struct issue *issue)
{
	return issue->in_flight ? inflight_remove(&ca->inflight, issue) : NULL;
}

void issue_enrolled(struct ca *ca, struct issue *issue, bool repeated, struct blob certificate)
{
	struct issue *waiter = take_waiters(ca, issue);
	struct blob serial = BLOB(issue->serial, issue->serial_len);

	count(ca, issue, REASON_OK);
	send_enrolled(ca, issue, repeated, serial, certificate);
	while (waiter != NULL) {
		struct issue *next = waiter->next_waiter;

		count(ca, waiter, REASON_OK);
		send_enrolled(ca, waiter, true, serial, certificate);
		issue_free(ca, waiter);
		waiter = next;
	}
	issue_free(ca, issue);
}

/* A refused grant is news for the operator only if the ra should have known better, or a part of ours failed. */
static void log_refusal(const struct issue *issue, const struct fault *fault)
{
	enum log_level level = reason_info(fault->reason)->class == REASON_CLASS_INTERNAL ? LOG_WARN : LOG_DEBUG;
	char serial[2 * LIMIT_SERIAL_BYTES + 1];

	text_hex(BLOB(issue->serial, issue->serial_len), serial, sizeof(serial));
	log_event(level, "refused", "reason", LOG_STR, reason_info(fault->reason)->name, "detail", LOG_STR,
		  fault->detail, "profile", LOG_STR, issue->grant == NULL ? "" : issue->grant->profile, "requester",
		  LOG_STR, issue->grant == NULL ? "" : issue->grant->requester, "serial", LOG_STR, serial, NULL);
}

static void send_refused(const struct issue *issue, const struct fault *fault)
{
	if (issue->told != NULL)
		issue->told(issue->told_user, (struct blob){ 0 }, fault);
	else if (issue->asker != NULL)
		send_refusal(issue->asker, issue->frame_id, fault);
}

static void refuse_one(struct ca *ca, struct issue *issue, const struct fault *fault)
{
	count(ca, issue, fault->reason);
	log_refusal(issue, fault);
	send_refused(issue, fault);
	issue_free(ca, issue);
}

void issue_refused(struct ca *ca, struct issue *issue, const struct fault *fault)
{
	struct issue *waiter = take_waiters(ca, issue);

	while (waiter != NULL) {
		struct issue *next = waiter->next_waiter;

		refuse_one(ca, waiter, fault);
		waiter = next;
	}
	refuse_one(ca, issue, fault);
}

void issue_later(struct ca *ca, struct issue *issue, const struct fault *fault)
{
	struct issue *waiter = inflight_take_waiters(&ca->inflight, issue);

	while (waiter != NULL) {
		struct issue *next = waiter->next_waiter;

		refuse_one(ca, waiter, fault);
		waiter = next;
	}
	send_refused(issue, fault);
	channel_unref(issue->asker);
	issue->asker = NULL;
	issue->told = NULL;
}

void issue_pass(struct ca *ca, unsigned station, struct issue *issue)
{
	bool taken = line_put(ca->line, station, issue->lane, &issue->job);

	assert(taken); /* lanes hold all that may be in hand, and a station closes after those before it */
	(void)taken;
}

void issue_lay(struct ca *ca, unsigned station, struct issue *issue)
{
	bool taken = line_lay(ca->line, station, issue->lane, &issue->job);

	assert(taken);
	(void)taken;
}

const struct issuer_options *ca_issuer_options(const struct ca *ca, const char *name)
{
	size_t i = 0;

	while (strcmp(ca->config->issuer[i].name, name) != 0)
		i++;
	return &ca->config->issuer[i];
}

struct issuer *ca_issuer(const struct ca *ca, const char *name)
{
	for (size_t i = 0; i < ca->n_issuers; i++)
		if (strcmp(issuer_name(ca->issuer[i]), name) == 0)
			return ca->issuer[i];
	return NULL;
}
