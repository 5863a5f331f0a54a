/*
 * record.c - of the ledger station: signatures become durable, and only then are certificates answered.
 *
 * With the ledger away they stay in the room until it is back, for they have been made and must be on record; whoever
 * waits is told at once to come back, and finds the certificate then. A signature whose record the stop of the role
 * cuts off is void after the next start: its intent is there, its signature is not.
 */
#include <string.h>

#include "ca/ca.h"
#include "observe/log.h"

/* An intent that gets no signature, or whose signature the ledger does not take, is void from now on. */
static void give_up(struct ca *ca, struct issue *issue, const struct fault *why)
{
	struct blob serial = BLOB(issue->serial, issue->serial_len);
	struct fault fault = { 0 };

	if (ledger_void(ca->ledger, serial, reason_info(why->reason)->name, &fault) != REASON_OK) {
		log_fault(LOG_WARN, "void_later", &fault);
		orphan_add(&ca->inflight, serial);
	}
	issue_refused(ca, issue, why);
}

static void answer(struct ca *ca, struct issue *issue, enum reason verdict)
{
	AUTO(buf_done) struct buf certificate = { 0 };
	struct fault fault = { 0 };
	enum reason reason = verdict;

	if (verdict != REASON_OK)
		fault_set(&fault, verdict, "the signature could not be recorded");
	else
		reason = signed_assemble(buf_blob(&issue->tbs), buf_blob(&issue->tail), &certificate, &fault);
	if (reason == REASON_OK)
		issue_enrolled(ca, issue, false, buf_blob(&certificate));
	else if (verdict == REASON_LEDGER_REFUSED)
		give_up(ca, issue, &fault);
	else
		issue_refused(ca, issue, &fault);
}

void record_take(struct ca *ca, struct issue *issue)
{
	if (issue->fault.reason != REASON_OK)
		give_up(ca, issue, &issue->fault);
	else
		ca->room->signed_one[ca->room->n_signed++] = issue;
}

size_t record_rows(struct ca *ca)
{
	struct ledger_room *room = ca->room;
	size_t n = room->n_signed < CA_BATCH ? room->n_signed : CA_BATCH;

	for (size_t i = 0; i < n; i++) {
		const struct issue *issue = room->signed_one[i];

		room->row[i] = (struct signed_row){ .serial = BLOB(issue->serial, issue->serial_len),
						    .tail = buf_blob(&issue->tail) };
	}
	return n;
}

void record_done(struct ca *ca, size_t n)
{
	struct ledger_room *room = ca->room;

	room->record_waits = false;
	for (size_t i = 0; i < n; i++)
		answer(ca, room->signed_one[i], room->row[i].verdict);
	room->n_signed -= n;
	memmove(room->signed_one, room->signed_one + n, room->n_signed * sizeof(struct issue *));
}

static void wait_for_ledger(struct ca *ca, const struct fault *fault)
{
	struct ledger_room *room = ca->room;

	if (!room->record_waits)
		log_fault(LOG_ERROR, "record_waits", fault);
	room->record_waits = true;
	for (size_t i = 0; i < room->n_signed; i++)
		issue_later(ca, room->signed_one[i], fault);
	atomic_store(&ca->ledger_ready, false); /* so that we are nudged until it is back, though nobody asks */
}

void record_failed(struct ca *ca, const struct fault *fault)
{
	struct ledger_room *room = ca->room;

	if (room->n_signed == 0)
		return;
	if (fault->reason == REASON_LEDGER_AWAY && !atomic_load(&ca->stopping)) {
		wait_for_ledger(ca, fault);
		return;
	}
	for (size_t i = 0; i < room->n_signed; i++)
		issue_refused(ca, room->signed_one[i], fault);
	room->n_signed = 0;
}
