/* ocsp.c - see ocsp.h: questions, answers. The responder's certificates are in responder.c. */
#include "ca/ocsp.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sha.h"
#include "ca/responder.h"

void ocsp_job_free(struct ocsp_job *job)
{
	if (job == NULL)
		return;
	certificate_unref(job->certificate);
	free(job);
}

/* One signature off the ration, which grows with the time up to what a second brings. */
static bool ration(struct ca *ca, bool nonce)
{
	struct ocsp_desk *desk = ca->ocsp;
	double full = ca->config->status.ocsp_s, least = nonce ? full / 4 : 0;
	int64_t now_us = clock_mono_us();
	bool granted;

	pthread_mutex_lock(&desk->lock);
	desk->ration += full * (double)(now_us - desk->rationed_us) / 1e6;
	desk->rationed_us = now_us;
	if (desk->ration > full)
		desk->ration = full;
	granted = desk->ration >= 1 && desk->ration >= least;
	if (granted)
		desk->ration -= 1;
	pthread_mutex_unlock(&desk->lock);
	return granted;
}

static enum reason new_job(struct ca *ca, const struct message_ocsp_ask *ask, struct ocsp_job **ret_job,
			   struct fault *f)
{
	struct ocsp_job *job;
	size_t i = 0;

	while (i < ca->n_issuers && strcmp(issuer_name(ca->issuer[i]), ask->issuer) != 0)
		i++;
	if (i == ca->n_issuers)
		return fault_set(f, REASON_CHANNEL_FRAME, "OCSP for an unknown issuer");
	job = calloc(1, sizeof(*job));
	if (job == NULL)
		return fault_set(f, REASON_NO_MEMORY, "OCSP question");
	job->ask = *ask;
	job->issuer = i;
	*ret_job = job;
	return REASON_OK;
}

static enum reason admit(struct ca *ca, struct channel *channel, uint64_t id, const struct message_ocsp_ask *ask,
			 struct issue **ret_issue, struct fault *f)
{
	if (atomic_load(&ca->token_away)) /* before anything is on record for it */
		return fault_set(f, REASON_TOKEN_AWAY, "the token is away");
	if (!ration(ca, ask->nonce_len > 0))
		return fault_set(f, REASON_OVERLOADED, "%u OCSP signatures a second", ca->config->status.ocsp_s);
	return issue_new(ca, ISSUE_OCSP, LANE_OCSP, channel, id, ret_issue, f);
}

enum reason ocsp_take(struct ca *ca, struct channel *channel, const struct frame *frame, struct fault *f)
{
	struct message_ocsp_ask ask;
	struct ocsp_job *job = NULL;
	struct issue *issue;
	struct fault stopping;

	if (ca->ocsp == NULL)
		return fault_set(f, REASON_CHANNEL_FRAME, "OCSP is not configured: status.responder");
	TRY(message_ocsp_ask_decode(frame->body, &ask, f));
	TRY(new_job(ca, &ask, &job, f));
	if (admit(ca, channel, frame->id, &ask, &issue, f) != REASON_OK) {
		ocsp_job_free(job);
		send_refusal(channel, frame->id, f);
		return REASON_OK;
	}
	issue->ocsp = job;
	issue->issuer = ca->issuer[job->issuer];
	if (line_put(ca->line, CA_OCSP, issue->lane, &issue->job))
		return REASON_OK;
	fault_set(&stopping, REASON_STOPPING, "the ca is stopping");
	issue_refused(ca, issue, &stopping);
	return REASON_OK;
}

static void refuse_all(struct ca *ca, size_t n, const struct fault *fault)
{
	for (size_t i = 0; i < n; i++)
		issue_refused(ca, ca->ocsp->issue[i], fault);
}

/* The states of all certificates that a batch asks about, in its order. */
static enum reason look_up(struct ca *ca, size_t n, struct fault *f)
{
	struct ocsp_desk *desk = ca->ocsp;
	size_t rows = 0;

	for (size_t i = 0; i < n; i++) {
		const struct message_ocsp_ask *ask = &desk->issue[i]->ocsp->ask;

		for (size_t k = 0; k < ask->n; k++)
			desk->row[rows++] =
				(struct status_row){ .issuer = ask->issuer,
						     .serial = BLOB(ask->item[k].serial, ask->item[k].serial_len) };
	}
	return ledger_status(desk->ledger, desk->row, rows, f);
}

/* thisUpdate is now, for it is now that this is known to be so. */
static enum reason build(struct ca *ca, struct issue *issue, const struct status_row *row, int64_t now_s,
			 struct fault *f)
{
	struct ocsp_single single[LIMIT_OCSP_IDS] = { 0 };
	struct ocsp_job *job = issue->ocsp;
	const struct message_ocsp_ask *ask = &job->ask;

	job->status = row[0].status;
	job->this_s = now_s;
	job->next_s = now_s + OCSP_VALIDITY_S;
	for (size_t i = 0; i < ask->n; i++) {
		single[i] = (struct ocsp_single){ .hash = ask->item[i].sha256 ? OCSP_SHA256 : OCSP_SHA1,
						  .null_params = ask->item[i].null_params,
						  .issuer = &ca->ocsp->responder[job->issuer].id,
						  .serial_len = ask->item[i].serial_len,
						  .status = row[i].status,
						  .reason = row[i].reason,
						  .revoked_s = row[i].at_s,
						  .this_s = job->this_s,
						  .next_s = job->next_s };
		memcpy(single[i].serial, ask->item[i].serial, ask->item[i].serial_len);
	}
	return ocsp_build(&ca->ocsp->public, single, ask->n, BLOB(ask->nonce, ask->nonce_len), now_s, &issue->tbs, f);
}

/* Builds what can be built, refuses the rest: how many are left, and the hashes of what will be signed. */
static size_t build_all(struct ca *ca, size_t n, uint8_t hashes[OCSP_BATCH * 32])
{
	struct ocsp_desk *desk = ca->ocsp;
	const struct status_row *row = desk->row;
	int64_t now_s = clock_wall_s();
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		struct issue *issue = desk->issue[i];
		size_t asked = issue->ocsp->ask.n;
		struct fault fault = { 0 };

		if (responder_for(ca, issue->ocsp, now_s, &fault) == REASON_OK &&
		    build(ca, issue, row, now_s, &fault) == REASON_OK) {
			sha256(buf_blob(&issue->tbs), hashes + 32 * left);
			desk->issue[left++] = issue;
		} else {
			issue_refused(ca, issue, &fault);
		}
		row += asked;
	}
	return left;
}

static void answer(struct ca *ca, size_t n)
{
	struct ocsp_desk *desk = ca->ocsp;
	uint8_t hashes[OCSP_BATCH * 32];
	struct fault fault = { 0 };

	if (look_up(ca, n, &fault) != REASON_OK) {
		refuse_all(ca, n, &fault);
		return;
	}
	n = build_all(ca, n, hashes);
	if (n == 0)
		return;
	if (ledger_status_intend(desk->ledger, BLOB(hashes, 32 * n), &fault) != REASON_OK) {
		refuse_all(ca, n, &fault);
		return;
	}
	for (size_t i = 0; i < n; i++)
		issue_pass(ca, CA_SIGN, desk->issue[i]);
}

void station_ocsp(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;
	size_t questions = 0;

	(void)thread;
	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];

		if (issue->kind == ISSUE_OCSP)
			ca->ocsp->issue[questions++] = issue;
		else
			responder_step(ca, issue);
	}
	if (questions > 0)
		answer(ca, questions);
}

enum reason ocsp_sign_answer(struct ca *ca, struct issue *issue, unsigned slot, struct fault *f)
{
	return ocsp_sign(ca->ocsp->key, slot, buf_blob(&issue->tbs), &issue->tail, f);
}

static enum reason encode(const struct issue *issue, struct buf *body, struct fault *f)
{
	AUTO(buf_done) struct buf der = { 0 };
	const struct ocsp_job *job = issue->ocsp;

	TRY(ocsp_assemble(buf_blob(&issue->tbs), buf_blob(&issue->tail), buf_blob(&job->certificate->der), &der, f));
	return message_ocsp_encode(&(struct message_ocsp){ .status = (uint8_t)job->status,
							   .this_s = job->this_s,
							   .next_s = job->next_s,
							   .der = buf_blob(&der) },
				   body, f);
}

void ocsp_signed(struct ca *ca, struct issue *issue)
{
	AUTO(buf_done) struct buf body = { 0 };

	if (issue->fault.reason != REASON_OK || encode(issue, &body, &issue->fault) != REASON_OK) {
		issue_refused(ca, issue, &issue->fault);
		return;
	}
	metrics_request(ca->metrics, OP_OCSP, REASON_OK, clock_mono_us() - issue->came_us);
	(void)!channel_send(issue->asker, FRAME_OCSP, issue->frame_id, buf_blob(&body));
	issue_finished(ca, issue);
}
