/*
 * operate.c - what operators ask for: notes of their calls, plans, revocations, the registry. See channel/operate.h.
 *
 * A line of its own, on a ledger stream of its own, so that nothing an operator does holds up a certificate. A plan of
 * a hundred thousand goes piece by piece, each piece one commit, and lets every other call pass between two of them.
 * Who asked for it is told after PATIENCE_US that it is under way, and it goes on alone. What was begun and cut off, by
 * a crash or because the ledger went away, is completed: its operator_action says that it was ordered.
 */
#include "ca/operate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "ca/publish.h"
#include "ca/services.h"
#include "channel/operate.h"
#include "observe/log.h"
#include "operators.h"

#define PIECE 1000 /* certificates in one commit: some tens of milliseconds */
#define BATCH 64
#define AGAIN_MS 200        /* the ledger is away: look again */
#define PATIENCE_US 2000000 /* an answer that long in coming says how far it is */

enum { LANE_CALLS, LANE_PIECES };

struct operation {
	struct job job;        /* first */
	struct channel *asker; /* NULL: nobody waits any more */
	uint64_t frame_id;
	struct operate ask;
	int64_t came_us;
	bool lapses;     /* our own: keys whose time is over are retired */
	uint64_t action; /* recorded, while the certificate that follows is made */
	bool looks;      /* for plans that were begun and cut off: ask is the plan it found last */
	bool begun;      /* its plan: some of it is in the ledger */
	uint64_t changed, n;
};

struct operations {
	struct ca *ca;
	struct ledger *ledger;
	struct line *line;
	bool looking; /* an operation that looks is in the line; of its thread */
};

static void operation_free(struct operation *op)
{
	channel_unref(op->asker);
	operate_done(&op->ask);
	free(op);
}

/* Nobody waits for more than one answer. */
static void tell(struct operation *op, const struct operated *done)
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

static void answer(struct operation *op, const struct operated *done)
{
	tell(op, done);
	operation_free(op);
}

static void tell_fault(struct operation *op, enum reason reason, const char *detail)
{
	struct operated done = { .reason = reason };

	snprintf(done.detail, sizeof(done.detail), "%s", detail);
	tell(op, &done);
}

/* What a part of ours says of itself is for the log; the operator reads what became of the call. */
static void refuse(struct operation *op, const struct fault *fault)
{
	bool theirs = reason_info(fault->reason)->class == REASON_CLASS_CLIENT ||
		      reason_info(fault->reason)->class == REASON_CLASS_AUTH;

	if (!theirs)
		log_event(LOG_WARN, "operation_failed", "who", LOG_STR, op->ask.who, "call", LOG_STR, op->ask.call,
			  "request", LOG_STR, op->ask.request, "reason", LOG_STR, reason_info(fault->reason)->name,
			  "detail", LOG_STR, fault->detail, NULL);
	tell_fault(op, fault->reason, theirs ? fault->detail : "nothing was changed");
	operation_free(op);
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
	return ledger_plan_list(all->ledger, op->ask.plan, op->ask.who, op->ask.by == SELECT_LIST, serials, n, &done->n,
				f);
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
				  .active = op->ask.op == OPERATE_REGISTER,
				  .reason = op->ask.reason };

	TRY(ledger_register(all->ledger, &r, f));
	done->action = r.action;
	news_poke(all->ca->news);
	return REASON_OK;
}

/* What the line has made of it; whoever asked may be gone. */
static void enrolled(void *user, struct blob certificate, const struct fault *fault)
{
	struct operation *op = user;
	AUTO(operated_done) struct operated done = { .action = op->action };
	struct fault f;

	if (fault != NULL && reason_info(fault->reason)->class == REASON_CLASS_RETRY) {
		tell_fault(op, fault->reason,
			   "the key has its rights, its certificate could not be made: the same call again "
			   "gives it");
		operation_free(op);
	} else if (fault != NULL) {
		refuse(op, fault);
	} else if (buf_copy(certificate, &done.certificate, &f) != REASON_OK) {
		refuse(op, &f);
	} else {
		answer(op, &done);
	}
}

/* Rights first, then the certificate: the operation is the line's from services_put() on. */
static void enrol(struct operations *all, struct operation *op)
{
	struct service service = { .told = enrolled, .user = op };
	struct fault f = { 0 };
	enum reason reason =
		op->ask.op == OPERATE_ENROL
			? requesters_enrol(all->ca, all->ledger, &op->ask, &op->action, &service.grant, &f)
			: requesters_renew(all->ca, all->ledger, &op->ask, &op->action, &service.grant, &f);

	if (reason != REASON_OK) {
		refuse(op, &f);
		return;
	}
	news_poke(all->ca->news);
	if (services_put(all->ca, &service, &f) != REASON_OK)
		enrolled(op, (struct blob){ 0 }, &f);
}

static void lapse(struct operations *all, struct operation *op)
{
	struct fault f = { 0 };
	uint64_t n = 0;

	if (ledger_lapse(all->ledger, &n, &f) != REASON_OK) {
		log_fault(LOG_WARN, "keys_not_retired", &f);
	} else if (n > 0) {
		news_poke(all->ca->news);
		log_event(LOG_INFO, "keys_retired", "n", LOG_INT, (int64_t)n, NULL);
	}
	operation_free(op);
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

/* To the end of the line, so that other calls pass. */
static bool again(struct operations *all, struct operation *op)
{
	return !atomic_load(&all->ca->stopping) && line_put(all->line, 0, LANE_PIECES, &op->job);
}

/* From here it looks for plans that were begun and cut off, its own among them. One that looks is enough. */
static void look(struct operations *all, struct operation *op)
{
	op->looks = !all->looking;
	if (!op->looks || !again(all, op))
		operation_free(op);
	else
		all->looking = true;
}

static void piece_failed(struct operations *all, struct operation *op, const struct plan_piece *piece,
			 const struct fault *fault)
{
	char text[200];

	if (fault->reason != REASON_LEDGER_AWAY && fault->reason != REASON_LEDGER_BEHIND) {
		refuse(op, fault);
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
				       "call again "
				       "tells, and does nothing twice"
				     : "not revoked: the ledger is away, nothing was changed");
	tell_fault(op, fault->reason, text);
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
		tell(op, &done);
	if (!piece->more) {
		operation_free(op);
	} else if (!again(all, op)) {
		snprintf(text, sizeof(text), "%llu of %llu are done; the rest follows at the next start",
			 (unsigned long long)piece->changed, (unsigned long long)piece->n);
		tell_fault(op, REASON_STOPPING, text);
		operation_free(op);
	}
}

/* Comes round again until its plan is done. */
static void revoke_piece(struct operations *all, struct operation *op)
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

/* The last list has come to its end. */
static void published(void *user, struct crl_results *results)
{
	struct operation *op = user;
	struct operated done = { .reason = REASON_OK, .action = op->changed, .n = results->signed_lists };

	if (results->failed > 0) {
		log_fault(LOG_WARN, "crl_publish", &results->fault);
		done.reason = results->fault.reason;
		snprintf(done.detail, sizeof(done.detail),
			 "ordered as action %llu; %u CRLs are signed and published, %u are not yet: they follow by "
			 "themselves",
			 (unsigned long long)op->changed, results->signed_lists, results->failed);
	}
	done.sample = results->json;
	answer(op, &done);
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
		tell_fault(op, REASON_TOKEN_AWAY, "nothing was signed: the token is away; CRLs follow when it is back");
		operation_free(op);
	} else if (order_crls(all, op, &f) != REASON_OK) {
		refuse(op, &f);
	}
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

	if (op->lapses)
		lapse(all, op);
	else if (op->ask.op == OPERATE_REVOKE)
		revoke_piece(all, op);
	else if (op->ask.op == OPERATE_PUBLISH)
		publish(all, op);
	else if (op->ask.op == OPERATE_ENROL || op->ask.op == OPERATE_RENEW)
		enrol(all, op);
	else if (tasks[op->ask.op] == NULL) {
		fault_set(&f, REASON_CHANNEL_FRAME, "operation %d", (int)op->ask.op);
		refuse(op, &f);
	} else if (tasks[op->ask.op](all, op, &done, &f) != REASON_OK)
		refuse(op, &f);
	else
		answer(op, &done);
}

/* Does a piece of a plan that was begun and is not done; looks again until there is none, however long the ledger is
 * away. */
static void resume(struct operations *all, struct operation *op)
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
	if ((reason == REASON_OK && !found) || !again(all, op)) {
		all->looking = false;
		operation_free(op);
	}
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
		else if (op->looks)
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
	op->came_us = clock_mono_us();
	op->ask = ask;
	ask = (struct operate){ 0 };
	if (!line_put(all->line, 0, LANE_CALLS, &op->job)) {
		struct fault full = { 0 };

		fault_set(&full, REASON_OVERLOADED, "operators' calls");
		refuse(op, &full);
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
