/*
 * operate.c - what operators ask for: notes of their calls, plans, revocations, the registry. See channel/operate.h.
 *
 * A line of its own, on a ledger stream of its own, so that nothing an operator does holds up a certificate. A plan of
 * a hundred thousand goes piece by piece, each piece one commit, and lets every other call pass between two of them.
 * Who asked for it is told after two seconds that it is under way, and it goes on alone. What was begun and cut off, by
 * a crash or because the ledger went away, is completed: its operator_action says that it was ordered.
 */
#include "ca/operate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ca/operation.h"
#include "ca/publish.h"
#include "observe/log.h"
#include "operators.h"

#define BATCH 64

enum { LANE_CALLS, LANE_PIECES };

void operation_free(struct operation *op)
{
	channel_unref(op->asker);
	operate_done(&op->ask);
	free(op);
}

void operation_tell(struct operation *op, const struct operated *done)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct fault f;

	if (op->asker == NULL)
		return;
	if (operated_encode(done, &body, &f) != REASON_OK)
		log_fault(LOG_ERROR, "operated", &f);
	else
		(void)!channel_send(op->asker, FRAME_OPERATED, op->frame_id, buf_blob(&body)); /* down: it asks again */
	channel_unref(op->asker);
	op->asker = NULL;
}

void operation_answer(struct operation *op, const struct operated *done)
{
	operation_tell(op, done);
	operation_free(op);
}

void operation_tell_fault(struct operation *op, enum reason reason, const char *detail)
{
	struct operated done = { .reason = reason };

	snprintf(done.detail, sizeof(done.detail), "%s", detail);
	operation_tell(op, &done);
}

void operation_refuse(struct operation *op, const struct fault *fault)
{
	bool theirs = reason_info(fault->reason)->class == REASON_CLASS_CLIENT ||
		      reason_info(fault->reason)->class == REASON_CLASS_AUTH;

	if (!theirs)
		log_event(LOG_WARN, "operation_failed", "who", LOG_STR, op->ask.who, "call", LOG_STR, op->ask.call,
			  "request", LOG_STR, op->ask.request, "reason", LOG_STR, reason_info(fault->reason)->name,
			  "detail", LOG_STR, fault->detail, NULL);
	operation_tell_fault(op, fault->reason, theirs ? fault->detail : "nothing was changed");
	operation_free(op);
}

void operation_end(struct operation *op, enum reason reason, const struct operated *done, const struct fault *fault)
{
	if (reason == REASON_OK)
		operation_answer(op, done);
	else
		operation_refuse(op, fault);
}

bool operation_again(struct operations *all, struct operation *op)
{
	return !atomic_load(&all->ca->stopping) && line_put(all->line, 0, LANE_PIECES, &op->job);
}

/* Notes of a batch go into one commit. */
static void note_all(struct operations *all, struct operation **ops, size_t n)
{
	struct action_note notes[BATCH];
	struct fault f = { 0 };
	uint64_t first = 0;
	enum reason reason;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		notes[i] = (struct action_note){ ops[i]->ask.who, ops[i]->ask.call, ops[i]->ask.request,
						 reason_info(ops[i]->ask.outcome)->name, ops[i]->ask.note };
	reason = ledger_note(all->ledger, notes, n, &first, &f);
	for (size_t i = 0; i < n; i++)
		if (reason == REASON_OK)
			operation_answer(ops[i], &(struct operated){ .reason = REASON_OK, .action = first + i });
		else
			operation_refuse(ops[i], &f);
}

/* The last list has come to its end. */
static void published(void *user, struct crl_results *results)
{
	struct operation *op = user;
	struct operated done = { .reason = REASON_OK, .action = op->changed, .n = results->signed_lists };

	if (results->failed > 0) {
		log_fault(LOG_WARN, "crl_publish", &results->fault);
		done.reason = results->fault.reason;
		snprintf(done.detail, sizeof(done.detail),
			 "ordered as action %llu; %u CRLs are signed and published, %u are not yet: %.149s",
			 (unsigned long long)op->changed, results->signed_lists, results->failed,
			 done.reason == REASON_CRL_TOO_LONG ? results->fault.detail : "they follow by themselves");
	}
	done.sample = results->json;
	operation_answer(op, &done);
}

/* It is on record that it was ordered before the first list is signed. */
static enum reason order_crls(struct operations *all, struct operation *op, struct fault *f)
{
	const struct issuer *issuer = op->ask.value[0] == '\0' ? NULL : ca_issuer(all->ca, op->ask.value);
	struct action_note note = { op->ask.who, op->ask.call, op->ask.request, "ok", op->ask.note };

	if (issuer == NULL && op->ask.value[0] != '\0')
		return fault_set(f, REASON_API_FIELD, "issuer: must be one of the configuration's issuers");
	TRY(ledger_note(all->ledger, &note, 1, &op->changed, f));
	return publish_begin(all->ca, issuer, published, op, f);
}

static void publish(struct operations *all, struct operation *op)
{
	struct fault f = { 0 };

	if (atomic_load(&all->ca->token_away)) {
		operation_tell_fault(op, REASON_TOKEN_AWAY,
				     "nothing was signed: the token is away; CRLs follow when it is back");
		operation_free(op);
	} else if (order_crls(all, op, &f) != REASON_OK) {
		operation_refuse(op, &f);
	}
}

/* Of each operation one: done at once and answered here, or the operation's own way to its end. */
static const struct task {
	enum reason (*done)(struct operations *all, struct operation *op, struct operated *done, struct fault *f);
	void (*begun)(struct operations *all, struct operation *op);
} tasks[OPERATE_OPS] = {
	[OPERATE_LIST] = { .done = plans_list },
	[OPERATE_PLAN] = { .done = plans_make },
	[OPERATE_REVOKE] = { .begun = plans_revoke },
	[OPERATE_PUBLISH] = { .begun = publish },
	[OPERATE_REGISTER] = { .done = requesters_register },
	[OPERATE_RETIRE] = { .done = requesters_register },
	[OPERATE_ENROL] = { .begun = requesters_enrol },
	[OPERATE_RENEW] = { .begun = requesters_enrol },
};

static void do_task(const struct task *task, struct operations *all, struct operation *op)
{
	struct operated done = { .reason = REASON_OK };
	struct fault f = { 0 };

	if (task->begun != NULL)
		task->begun(all, op);
	else if (task->done == NULL)
		operation_end(op, fault_set(&f, REASON_CHANNEL_FRAME, "operation %d", (int)op->ask.op), &done, &f);
	else
		operation_end(op, task->done(all, op, &done, &f), &done, &f);
}

static void one(struct operations *all, struct operation *op)
{
	if (op->looks)
		plans_resume(all, op);
	else if (op->lapses)
		requesters_lapse(all, op);
	else
		do_task(&tasks[op->ask.op], all, op);
}

static void station_operate(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct operations *all = role;
	struct operation *notes[BATCH];
	size_t n_notes = 0;

	(void)thread;
	for (size_t i = 0; i < n; i++) {
		struct operation *op = (struct operation *)batch[i];

		if (op->ask.op == OPERATE_NOTE)
			notes[n_notes++] = op;
	}
	note_all(all, notes, n_notes);
	for (size_t i = 0, noted = 0; i < n; i++) {
		struct operation *op = (struct operation *)batch[i];

		if (noted < n_notes && op == notes[noted])
			noted++;
		else
			one(all, op);
	}
}

/* clang-format off */
static const struct station operate_line[] = {
	{ "operate", station_operate, 1, BATCH, { [LANE_CALLS] = { "calls", 16, 256 }, [LANE_PIECES] = { "pieces", 1, 64 } } },
};
/* clang-format on */

enum reason operate_take(struct operations *all, struct channel *channel, const struct frame *frame, struct fault *f)
{
	AUTO(operate_done) struct operate ask = { 0 };
	struct operation *op;

	TRY(operate_decode(frame->body, &ask, f));
	op = calloc(1, sizeof(*op));
	if (op == NULL)
		return fault_set(f, REASON_NO_MEMORY, "operation");
	op->asker = channel_ref(channel);
	op->frame_id = frame->id;
	op->came_us = clock_mono_us();
	op->ask = ask;
	ask = (struct operate){ 0 };
	if (!line_put(all->line, 0, LANE_CALLS, &op->job)) {
		struct fault full = { 0 };

		fault_set(&full, REASON_OVERLOADED, "operators' calls");
		operation_refuse(op, &full);
	}
	return REASON_OK;
}

void operate_lapse(struct operations *all)
{
	struct operation *op = calloc(1, sizeof(*op));

	if (op == NULL)
		return;
	op->lapses = true;
	if (!line_put(all->line, 0, LANE_PIECES, &op->job))
		operation_free(op);
}

enum reason operate_open(struct ca *ca, struct operations **ret_operations, struct fault *f)
{
	struct operations *all = calloc(1, sizeof(*all));
	struct operation *first = calloc(1, sizeof(*first));
	enum reason reason = REASON_OK;

	if (all == NULL || first == NULL)
		reason = fault_set(f, REASON_NO_MEMORY, "operations");
	if (reason == REASON_OK) {
		all->ca = ca;
		reason = ca_ledger(ca->config, "operate", &all->ledger, f);
	}
	if (reason == REASON_OK)
		reason = line_open(operate_line, 1, all, NULL, &all->line, f);
	if (reason != REASON_OK) {
		free(first);
		operate_close(all);
		return reason;
	}
	first->looks = all->looking = true; /* before the line's thread can see it */
	if (!line_put(all->line, 0, LANE_PIECES, &first->job))
		operation_free(first);
	*ret_operations = all;
	return REASON_OK;
}

void operate_close(struct operations *all)
{
	if (all == NULL)
		return;
	line_close(all->line);
	ledger_close(all->ledger);
	free(all);
}
