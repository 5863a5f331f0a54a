/*
 * record.c - the last station: signatures become durable in one commit, and only then are certificates answered.
 *
 * With the ledger away the batch is tried again until it is back, for the signatures have been made and must be on
 * record; whoever waits is told at once to come back, and finds the certificate then. A signature whose
 * record the stop of the role cuts off is void after the next start: its intent is there, its signature is not.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "ca/ca.h"
#include "observe/log.h"

#define RETRY_MS 200

/* An intent that gets no signature, or whose signature the ledger does not take, is void from now on. */
static void give_up(struct ca *ca, struct issue *issue, const struct fault *why)
{
	struct blob serial = BLOB(issue->serial, issue->serial_len);
	struct fault fault = { 0 };

	if (ledger_void(ca->record, serial, reason_info(why->reason)->name, &fault) != REASON_OK) {
		log_fault(LOG_WARN, "void_later", &fault);
		orphan_add(&ca->inflight, serial);
	}
	issue_refused(ca, issue, why);
}

static void pause_ms(long ms)
{
	struct timespec t = { .tv_nsec = ms * 1000000 };

	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

static enum reason record_until_there(struct ca *ca, struct issue **issues, struct signed_row *rows, size_t n,
				      struct fault *f)
{
	enum reason reason = ledger_record(ca->record, rows, n, f);

	if (reason == REASON_LEDGER_AWAY)
		log_fault(LOG_ERROR, "record_waits", f);
	for (size_t i = 0; reason == REASON_LEDGER_AWAY && i < n; i++)
		issue_later(ca, issues[i], f);
	while (reason == REASON_LEDGER_AWAY && !atomic_load(&ca->stopping)) {
		pause_ms(RETRY_MS);
		reason = ledger_record(ca->record, rows, n, f);
	}
	return reason;
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

static void record_signed(struct ca *ca, struct issue **signed_ones, size_t n)
{
	struct signed_row rows[CA_BATCH];
	struct fault fault = { 0 };
	enum reason reason;

	for (size_t i = 0; i < n; i++)
		rows[i] = (struct signed_row){ .serial = BLOB(signed_ones[i]->serial, signed_ones[i]->serial_len),
					       .tail = buf_blob(&signed_ones[i]->tail) };
	reason = record_until_there(ca, signed_ones, rows, n, &fault);
	for (size_t i = 0; i < n; i++)
		if (reason == REASON_OK)
			answer(ca, signed_ones[i], rows[i].verdict);
		else
			issue_refused(ca, signed_ones[i], &fault);
}

void station_record(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;
	struct issue *signed_ones[CA_BATCH];
	size_t n_signed = 0;

	(void)thread;
	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];

		if (issue->fault.reason != REASON_OK)
			give_up(ca, issue, &issue->fault);
		else
			signed_ones[n_signed++] = issue;
	}
	if (n_signed > 0)
		record_signed(ca, signed_ones, n_signed);
}
