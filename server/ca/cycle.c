/*
 * cycle.c - the ledger station: one commit records the signatures that came back from the token and the intents of the
 * grants that came in.
 *
 * A certificate passes here twice: as a grant, to leave for the sign station with a durable intent, and signed, to be
 * answered when its signature is durable. Both kinds share every commit, for its price is much the same whatever is in
 * it; and while the machine is busy, a commit waits a little for company (lull.h).
 */
#include "base/clock.h"
#include "ca/ca.h"

bool company_expected(const struct company *company, size_t n)
{
	return n < CA_BATCH_LARGE && company->coming >= CA_COMPANY_MIN && company->together >= CA_TOGETHER_MIN;
}

void company_came(struct company *company, size_t n, int64_t now_us)
{
	double coming = (double)n * CA_PATIENCE_US / (double)(now_us - company->last_us + 1);

	company->coming = (3 * company->coming + coming) / 4;
	company->together = (3 * company->together + (double)n) / 4;
	company->last_us = now_us;
}

void signing_init(struct signing *signing)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&signing->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&signing->back, &monotonic);
	pthread_condattr_destroy(&monotonic);
	signing->n = 0;
}

void signing_done(struct signing *signing)
{
	pthread_cond_destroy(&signing->back);
	pthread_mutex_destroy(&signing->lock);
}

void signing_began(struct signing *signing)
{
	pthread_mutex_lock(&signing->lock);
	signing->n++;
	pthread_mutex_unlock(&signing->lock);
}

void signing_back(struct signing *signing)
{
	pthread_mutex_lock(&signing->lock);
	if (--signing->n == 0)
		pthread_cond_signal(&signing->back);
	pthread_mutex_unlock(&signing->lock);
}

void signing_wait(struct signing *signing, int64_t patience_us)
{
	int64_t until_us = clock_mono_us() + patience_us;
	struct timespec until = { .tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000 };
	int timed_out = 0;

	pthread_mutex_lock(&signing->lock);
	while (signing->n > 0 && timed_out == 0)
		timed_out = pthread_cond_timedwait(&signing->back, &signing->lock, &until);
	pthread_mutex_unlock(&signing->lock);
}

/* Signatures first, if the token is quick: one that misses this commit waits for the whole of it and then for the next.
 */
static size_t gather(struct ca *ca, struct job **batch, size_t n)
{
	if (company_expected(&ca->room->company, n)) {
		if (sign_quick(ca))
			signing_wait(&ca->signing, CA_SIGN_PATIENCE_US);
		lull_wait(ca->lull, CA_PATIENCE_US);
		n += line_more(ca->line, CA_LEDGER, batch + n, CA_BATCH - n);
	}
	company_came(&ca->room->company, n, clock_mono_us());
	return n;
}

static void enter(struct ca *ca, struct job **batch, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];

		if (issue->came_back)
			record_take(ca, issue);
		else
			intend_take(ca, issue);
	}
}

/* False: the ledger did not take it. Intents that may have been recorded are voided before it is ready again. */
static bool commit(struct ca *ca)
{
	struct ledger_room *room = ca->room;
	struct fault fault = { 0 };
	size_t n_rows = record_rows(ca);

	if (ledger_cycle(ca->ledger, room->row, n_rows, room->intent, room->n, &fault) != REASON_OK) {
		room->checked = false;
		intend_refuse_all(ca, &fault);
		record_failed(ca, &fault);
		return false;
	}
	intend_recorded(ca); /* first: the token is waiting, and repeats join those that are answered next */
	record_done(ca, n_rows);
	issue_answers_leave(ca);
	return true;
}

void station_ledger(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;
	struct ledger_room *room = ca->room;
	struct fault fault = { 0 };
	bool taken = true;

	(void)thread;
	n = gather(ca, batch, n);
	enter(ca, batch, n);
	if (intend_build(ca, &fault) != REASON_OK)
		intend_refuse_all(ca, &fault);
	while (taken && room->n + room->n_signed > 0)
		taken = commit(ca);
}
