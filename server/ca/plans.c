/*
 * plans.c - of the operate station: certificates are selected, a plan of them is made, and done piece by piece. See
 * operation.h.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ca/operation.h"
#include "observe/log.h"
#include "operators.h"

#define PIECE 1000          /* certificates in one commit: some tens of milliseconds */
#define AGAIN_MS 200        /* the ledger is away: look again */
#define PATIENCE_US 2000000 /* an answer that long in coming says how far it is */

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

enum reason plans_list(struct operations *all, struct operation *op, struct operated *done, struct fault *f)
{
	struct blob serials[OPERATE_LIST_SERIALS];
	size_t n = 0;

	TRY(read_serials(buf_blob(&op->ask.serials), serials, &n, f));
	memcpy(done->plan, op->ask.plan, sizeof(done->plan));
	return ledger_plan_list(all->ledger, op->ask.plan, op->ask.who, op->ask.by == SELECT_LIST, serials, n, &done->n,
				f);
}

static const char *const by_names[SELECT_COUNT] = {
	[SELECT_SERIAL] = "serial",   [SELECT_DEVICE] = "device",   [SELECT_ORDER] = "order",
	[SELECT_RIG] = "rig",         [SELECT_PROFILE] = "profile", [SELECT_BATCH_CA] = "batch_ca",
	[SELECT_ELEMENT] = "element", [SELECT_KEY] = "key",         [SELECT_ISSUED] = "issued",
	[SELECT_LIST] = "list",
};

enum reason plans_make(struct operations *all, struct operation *op, struct operated *done, struct fault *f)
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

static void pause_ms(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	(void)nanosleep(&t, NULL);
}

static uint64_t two_operators_above(const struct config *config)
{
	return config->admin.two_operators_above == 0 ? INT64_MAX : config->admin.two_operators_above;
}

/* From here it looks for plans that were begun and cut off, its own among them. One that looks is enough. */
static void look(struct operations *all, struct operation *op)
{
	op->looks = !all->looking;
	if (!op->looks || !operation_again(all, op))
		operation_free(op);
	else
		all->looking = true;
}

static void piece_failed(struct operations *all, struct operation *op, const struct plan_piece *piece,
			 const struct fault *fault)
{
	char text[200];

	if (fault->reason != REASON_LEDGER_AWAY && fault->reason != REASON_LEDGER_BEHIND) {
		operation_refuse(op, fault);
		return;
	}
	log_fault(LOG_WARN, "revocation_interrupted", fault);
	if (op->begun)
		snprintf(text, sizeof(text),
			 "%llu of %llu are done and in force; the rest follows by itself when the ledger is back",
			 (unsigned long long)op->changed, (unsigned long long)op->n);
	else
		snprintf(text, sizeof(text), "%s",
			 piece->sent ? "the ledger went away meanwhile: whether it was done is not known; the same "
				       "call again tells, and does nothing twice"
				     : "not revoked: the ledger is away, nothing was changed");
	operation_tell_fault(op, fault->reason, text);
	if (op->begun || piece->sent)
		look(all, op);
	else
		operation_free(op);
}

/* To the log, for nobody waits for it. */
static void tell_completed(const struct operation *op, const struct plan_piece *piece)
{
	log_event(LOG_INFO, "revocation_completed", "who", LOG_STR, op->ask.who, "action", LOG_INT,
		  (int64_t)piece->action, "changed", LOG_INT, (int64_t)piece->changed, NULL);
}

/* What is recorded is in force where nothing has to be signed for it; the rest is said. */
static void tell_what_follows(const struct ca *ca, struct operated *done)
{
	if (atomic_load(&ca->token_away))
		snprintf(done->detail, sizeof(done->detail), "%s",
			 "recorded, and in force now in enrolment, TLS and the admin API; the token is away: CRL and "
			 "OCSP follow when it is back");
}

/* A piece is in the ledger: on to the next, or the end. */
static void piece_done(struct operations *all, struct operation *op, const struct plan_piece *piece)
{
	struct operated done = { .reason = REASON_OK, .action = piece->action, .n = piece->changed };
	char text[120];

	memcpy(done.plan, op->ask.plan, sizeof(done.plan));
	done.already = piece->n - piece->changed;
	tell_what_follows(all->ca, &done);
	if (!piece->more && op->asker == NULL)
		tell_completed(op, piece);
	if (!piece->more || clock_mono_us() - op->came_us > PATIENCE_US)
		operation_tell(op, &done);
	if (!piece->more) {
		operation_free(op);
	} else if (!operation_again(all, op)) {
		snprintf(text, sizeof(text), "%llu of %llu are done; the rest follows at the next start",
			 (unsigned long long)piece->changed, (unsigned long long)piece->n);
		operation_tell_fault(op, REASON_STOPPING, text);
		operation_free(op);
	}
}

/* Comes round again until its plan is done. */
void plans_revoke(struct operations *all, struct operation *op)
{
	struct plan_piece piece = { .id = op->ask.plan,
				    .who = op->ask.who,
				    .call = op->ask.call,
				    .request = op->ask.request,
				    .lifetime_s = OPERATE_PLAN_LIFETIME_S,
				    .two_above = two_operators_above(all->ca->config),
				    .max = PIECE };
	struct fault f = { 0 };

	if (ledger_plan_do(all->ledger, &piece, &f) != REASON_OK) {
		piece_failed(all, op, &piece, &f);
		return;
	}
	news_poke(all->ca->news);
	op->begun = true;
	op->changed = piece.changed;
	op->n = piece.n;
	piece_done(all, op, &piece);
}

/* Does a piece of a plan that was begun and is not done; looks again until there is none, however long the ledger is
 * away. */
void plans_resume(struct operations *all, struct operation *op)
{
	struct plan_piece piece = {
		.id = op->ask.plan, .who = op->ask.who, .call = "", .request = "", .two_above = INT64_MAX, .max = PIECE
	};
	struct fault f = { 0 };
	bool found = false;
	enum reason reason = ledger_plan_begun(all->ledger, op->ask.plan, op->ask.who, &found, &f);

	if (reason == REASON_OK && found)
		reason = ledger_plan_do(all->ledger, &piece, &f);
	if (reason == REASON_OK && found) {
		news_poke(all->ca->news);
		if (!piece.more)
			tell_completed(op, &piece);
	} else if (reason != REASON_OK) {
		pause_ms(AGAIN_MS);
	}
	if ((reason == REASON_OK && !found) || !operation_again(all, op)) {
		all->looking = false;
		operation_free(op);
	}
}
