/*
 * operate.c - what operators ask for: notes of their calls, plans, revocations, the registry. See channel/operate.h.
 *
 * A line of its own, on a ledger stream of its own, so that nothing an operator does holds up a certificate. A plan of
 * a hundred thousand goes piece by piece, each piece one commit, and lets every other call pass between two of them.
 * What was begun and cut off by a crash is completed at the next start: its operator_action says that it was ordered.
 */
#include "ca/operate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "channel/operate.h"
#include "observe/log.h"
#include "operators.h"

#define PIECE 1000 /* certificates in one commit: some tens of milliseconds */
#define BATCH 64
#define AGAIN_MS 200 /* the ledger is away: look again */

enum { LANE_CALLS, LANE_PIECES };

struct operation {
	struct job job;        /* first */
	struct channel *asker; /* NULL: a plan that an earlier process began */
	uint64_t frame_id;
	struct operate ask;
};

struct operations {
	struct ca *ca;
	struct ledger *ledger;
	struct line *line;
};

static void operation_free(struct operation *op)
{
	channel_unref(op->asker);
	operate_done(&op->ask);
	free(op);
}

static void answer(struct operation *op, const struct operated *done)
{
	AUTO(buf_done) struct buf body = { 0 };
	struct fault f;

	if (op->asker == NULL)
		log_event(LOG_INFO, "revocation_completed", "who", LOG_STR, op->ask.who, "reason", LOG_STR,
			  reason_info(done->reason)->name, "changed", LOG_INT, (int64_t)done->n, NULL);
	else if (operated_encode(done, &body, &f) != REASON_OK)
		log_fault(LOG_ERROR, "operated", &f);
	else
		(void)!channel_send(op->asker, FRAME_OPERATED, op->frame_id, buf_blob(&body)); /* down: it asks again */
	operation_free(op);
}

static void refuse(struct operation *op, const struct fault *fault)
{
	struct operated done = { .reason = fault->reason };

	memcpy(done.detail, fault->detail,
	       sizeof(done.detail) < sizeof(fault->detail) ? sizeof(done.detail) : sizeof(fault->detail));
	done.detail[sizeof(done.detail) - 1] = '\0';
	answer(op, &done);
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
			answer(ops[i], &(struct operated){ .reason = REASON_OK, .action = first + i });
		else
			refuse(ops[i], &f);
}

static enum reason read_serials(struct blob packed, struct blob serials[OPERATE_LIST_SERIALS], size_t *ret_n,
				struct fault *f)
{
	size_t n = 0;

	while (packed.len > 0) {
		size_t len = packed.ptr[0];

		if (n == OPERATE_LIST_SERIALS || len == 0 || len > LIMIT_SERIAL_BYTES || packed.len < 1 + len)
			return fault_set(f, REASON_API_FIELD, "serial %zu of the list", n + 1);
		serials[n++] = BLOB(packed.ptr + 1, len);
		packed = BLOB(packed.ptr + 1 + len, packed.len - 1 - len);
	}
	*ret_n = n;
	return REASON_OK;
}

static enum reason do_list(struct operations *all, struct operation *op, struct operated *done, struct fault *f)
{
	struct blob serials[OPERATE_LIST_SERIALS];
	size_t n = 0;

	TRY(read_serials(buf_blob(&op->ask.serials), serials, &n, f));
	memcpy(done->plan, op->ask.plan, sizeof(done->plan));
	return ledger_plan_list(all->ledger, op->ask.plan, op->ask.who, serials, n, &done->n, f);
}

static const char *const by_names[SELECT_COUNT] = {
	[SELECT_SERIAL] = "serial",   [SELECT_DEVICE] = "device",   [SELECT_ORDER] = "order",
	[SELECT_RIG] = "rig",         [SELECT_PROFILE] = "profile", [SELECT_BATCH_CA] = "batch_ca",
	[SELECT_ELEMENT] = "element", [SELECT_KEY] = "key",         [SELECT_ISSUED] = "issued",
	[SELECT_LIST] = "list",
};

static enum reason do_plan(struct operations *all, struct operation *op, struct operated *done, struct fault *f)
{
	struct plan plan = { .who = op->ask.who,
			     .by = by_names[op->ask.by],
			     .value = op->ask.value,
			     .note = op->ask.note,
			     .from_s = op->ask.from_s,
			     .until_s = op->ask.until_s,
			     .reason = op->ask.reason };

	if (plan.by == NULL || plan.reason == 7)
		return fault_set(f, REASON_API_FIELD, "nothing to select by, or no such reason");
	memcpy(plan.id, op->ask.plan, sizeof(plan.id));
	TRY(ledger_plan(all->ledger, &plan, f));
	memcpy(done->plan, plan.id, sizeof(done->plan));
	done->n = plan.n;
	done->already = plan.already;
	done->expires_s = clock_wall_s() + OPERATE_PLAN_LIFETIME_S;
	return REASON_OK;
}

static enum reason do_register(struct operations *all, struct operation *op, struct operated *done, struct fault *f)
{
	struct registration r = { .who = op->ask.who,
				  .call = op->ask.call,
				  .request = op->ask.request,
				  .note = op->ask.note,
				  .kind = op->ask.kind,
				  .name = op->ask.name,
				  .names = op->ask.names,
				  .labels = op->ask.labels,
				  .spki_hash = op->ask.spki_hash,
				  .active = op->ask.op == OPERATE_REGISTER };

	TRY(ledger_register(all->ledger, &r, f));
	done->action = r.action;
	news_poke(all->ca->news);
	return REASON_OK;
}

static void pause_ms(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

static uint64_t two_operators_above(const struct config *config)
{
	return config->admin.two_operators_above == 0 ? INT64_MAX : config->admin.two_operators_above;
}

/* Comes round again until its plan is done. One without asker waits for the ledger as long as it takes. */
static void revoke_piece(struct operations *all, struct operation *op)
{
	struct plan_piece piece = { .id = op->ask.plan,
				    .who = op->ask.who,
				    .call = op->ask.call,
				    .request = op->ask.request,
				    .lifetime_s = OPERATE_PLAN_LIFETIME_S,
				    .two_above = two_operators_above(all->ca->config),
				    .max = PIECE };
	struct operated done = { .reason = REASON_OK };
	struct fault f = { 0 };
	enum reason reason = ledger_plan_do(all->ledger, &piece, &f);

	if (reason == REASON_LEDGER_AWAY && op->asker == NULL && !atomic_load(&all->ca->stopping))
		pause_ms(AGAIN_MS);
	else if (reason != REASON_OK) {
		refuse(op, &f);
		return;
	}
	if (reason == REASON_OK)
		news_poke(all->ca->news);
	if ((reason != REASON_OK || piece.more) && line_put(all->line, 0, LANE_PIECES, &op->job))
		return;
	if (piece.more || reason != REASON_OK) {
		fault_set(&f, REASON_STOPPING, "%llu of %llu are done; the rest follows at the next start",
			  (unsigned long long)piece.changed, (unsigned long long)piece.n);
		refuse(op, &f);
		return;
	}
	memcpy(done.plan, op->ask.plan, sizeof(done.plan));
	done.action = piece.action;
	done.n = piece.changed;
	done.already = piece.n - piece.changed;
	answer(op, &done);
}

static void one(struct operations *all, struct operation *op)
{
	static enum reason (*const tasks[OPERATE_OPS])(struct operations *, struct operation *, struct operated *,
						       struct fault *) = {
		[OPERATE_LIST] = do_list,
		[OPERATE_PLAN] = do_plan,
		[OPERATE_REGISTER] = do_register,
		[OPERATE_RETIRE] = do_register,
	};
	AUTO(operated_done) struct operated done = { .reason = REASON_OK };
	struct fault f = { 0 };

	if (op->ask.op == OPERATE_REVOKE)
		revoke_piece(all, op);
	else if (tasks[op->ask.op] == NULL) {
		fault_set(&f, REASON_CHANNEL_FRAME, "operation %d", (int)op->ask.op);
		refuse(op, &f);
	} else if (tasks[op->ask.op](all, op, &done, &f) != REASON_OK)
		refuse(op, &f);
	else
		answer(op, &done);
}

/* Finds one plan that was begun and not done, and goes on with it; looks again until there is none. */
static void resume(struct operations *all, struct operation *op)
{
	struct fault f = { 0 };
	bool found = false;
	enum reason reason = ledger_plan_begun(all->ledger, op->ask.plan, op->ask.who, &found, &f);

	if (reason == REASON_OK && !found) {
		operation_free(op);
		return;
	}
	if (reason == REASON_OK)
		op->ask.op = OPERATE_REVOKE;
	else
		pause_ms(AGAIN_MS);
	if (atomic_load(&all->ca->stopping) || !line_put(all->line, 0, LANE_PIECES, &op->job))
		operation_free(op);
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
		else if (op->asker == NULL && op->ask.op != OPERATE_REVOKE)
			resume(all, op);
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
	op->ask = ask;
	ask = (struct operate){ 0 };
	if (!line_put(all->line, 0, LANE_CALLS, &op->job)) {
		struct fault full = { 0 };

		fault_set(&full, REASON_OVERLOADED, "operators' calls");
		refuse(op, &full);
	}
	return REASON_OK;
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
