/*
 * sign.c - the second station: one thread a session, never a barrier.
 *
 * A session makes one signature after the other and leaves them to be verified. The first that finds nobody verifying
 * does it for all sessions, batch by batch, until none are left; the others are back at the token meanwhile. So a slow
 * token is never kept waiting, and the faster the token, the larger the batches. Nothing leaves unverified.
 *
 * The first failure of a token marks it away, what is in hand is voided and answered by the ledger station, and keys.c
 * opens it again.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "ca/heads.h"
#include "ca/keys.h"
#include "ca/ocsp.h"

/* How long signatures take, one after the other: a mean that forgets. */
static void learn(struct ca *ca, int64_t took_us)
{
	int64_t mean_us = atomic_load_explicit(&ca->sign_us, memory_order_relaxed);

	if (mean_us > 0)
		took_us = mean_us + (took_us - mean_us) / 8;
	atomic_store_explicit(&ca->sign_us, took_us > 1 ? took_us : 1, memory_order_relaxed);
}

bool sign_quick(const struct ca *ca)
{
	int64_t sign_us = atomic_load_explicit(&ca->sign_us, memory_order_relaxed);

	return sign_us > 0 && sign_us < CA_SIGN_STRETCH_US;
}

/* Of a token that signs in microseconds one session takes several, rather than wake another thread for each. */
unsigned sign_most(void *role)
{
	const struct ca *ca = role;
	int64_t sign_us = atomic_load_explicit(&ca->sign_us, memory_order_relaxed);

	if (!sign_quick(ca))
		return 1;
	return sign_us <= CA_SIGN_OWN_US ? CA_SIGN_MOST : (unsigned)(CA_SIGN_STRETCH_US / sign_us);
}

static enum reason make(struct ca *ca, struct issue *issue, unsigned slot, struct fault *f)
{
	if (issue->kind == ISSUE_OCSP)
		return ocsp_sign_answer(ca, issue, slot, f);
	if (issue->kind == ISSUE_HEAD)
		return heads_sign(ca, issue, slot, f);
	return issuer_make(issue->issuer, slot, buf_blob(&issue->tbs), &issue->made, f);
}

/* OCSP's answers and heads are verified where they are made: nothing else waits for them. */
static bool is_proven(const struct issue *issue)
{
	return issue->kind == ISSUE_OCSP || issue->kind == ISSUE_HEAD;
}

static unsigned back_to(const struct issue *issue)
{
	return issue->kind == ISSUE_RESPONDER ? CA_OCSP : issue->kind == ISSUE_HEAD ? CA_HEADS : CA_LEDGER;
}

static enum reason sign(struct ca *ca, struct issue *issue, unsigned slot, struct fault *f)
{
	int64_t began_us = clock_mono_us();
	enum reason reason;

	TRY(keys_use(ca, f));
	atomic_store(&ca->signing_since_us[slot], began_us);
	reason = make(ca, issue, slot, f);
	atomic_store(&ca->signing_since_us[slot], 0);
	keys_used(ca);
	learn(ca, clock_mono_us() - began_us);
	if (reason == REASON_TOKEN_AWAY || reason == REASON_TOKEN_PIN)
		keys_lost(ca->keys, f);
	return reason;
}

static void leave(struct ca *ca, struct issue *issue)
{
	bool certificate = issue->kind == ISSUE_CERTIFICATE;

	issue->came_back = true;
	if (issue->kind == ISSUE_CRL)
		crl_signed(ca, issue);
	else if (issue->kind == ISSUE_OCSP)
		ocsp_signed(ca, issue);
	else
		issue_pass(ca, back_to(issue), issue);
	if (certificate)
		signing_back(&ca->signing);
}

static void count_made(struct ca *ca, unsigned n)
{
	metrics_gauge(ca->metrics, GAUGE_SIGNATURES, (int64_t)(atomic_fetch_add(&ca->signatures, n) + n));
}

/* What does not verify leaves with that fault and without a signature; the rest of the batch goes on. */
static void prove(struct ca *ca, struct issue *const *issue, size_t n)
{
	struct unproven batch[ISSUER_PROVE_MAX];
	unsigned good = 0;

	for (size_t i = 0; i < n; i++)
		batch[i] = (struct unproven){ .issuer = issue[i]->issuer,
					      .tbs = buf_blob(&issue[i]->tbs),
					      .made = buf_blob(&issue[i]->made),
					      .ret_tail = &issue[i]->tail,
					      .verdict = &issue[i]->fault };
	issuer_prove(batch, n);
	for (size_t i = 0; i < n; i++) {
		good += issue[i]->fault.reason == REASON_OK;
		if (issue[i]->fault.reason == REASON_TOKEN_AWAY)
			keys_lost(ca->keys, &issue[i]->fault);
	}
	count_made(ca, good);
	for (size_t i = 0; i < n; i++)
		leave(ca, issue[i]);
}

void proving_init(struct proving *proving)
{
	pthread_mutex_init(&proving->lock, NULL);
	proving->tail = &proving->head;
}

void proving_done(struct proving *proving)
{
	pthread_mutex_destroy(&proving->lock);
}

/* Takes some of those that wait; 0, and the next session that has some is at it, when there are none. */
static size_t take_made(struct proving *proving, struct issue **ret_issue)
{
	size_t n = 0;

	pthread_mutex_lock(&proving->lock);
	while (proving->head != NULL && n < ISSUER_PROVE_MAX) {
		ret_issue[n++] = (struct issue *)proving->head;
		proving->head = proving->head->next;
	}
	if (proving->head == NULL)
		proving->tail = &proving->head;
	proving->busy = n > 0;
	pthread_mutex_unlock(&proving->lock);
	return n;
}

/* Adds these, in order. True: nobody is at it, so the caller is. */
static bool put_made(struct proving *proving, struct issue *const *issue, size_t n)
{
	bool mine;

	pthread_mutex_lock(&proving->lock);
	for (size_t i = 0; i < n; i++) {
		issue[i]->job.next = NULL;
		*proving->tail = &issue[i]->job;
		proving->tail = &issue[i]->job.next;
	}
	mine = !proving->busy;
	proving->busy = true;
	pthread_mutex_unlock(&proving->lock);
	return mine;
}

void station_sign(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;
	struct issue *made[CA_SIGN_MOST], *some[ISSUER_PROVE_MAX];
	size_t n_made = 0;

	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];

		if (sign(ca, issue, thread, &issue->fault) != REASON_OK) {
			leave(ca, issue);
		} else if (is_proven(issue)) {
			count_made(ca, 1);
			leave(ca, issue);
		} else {
			made[n_made++] = issue;
		}
	}
	if (n_made == 0 || !put_made(&ca->proving, made, n_made))
		return;
	for (n = take_made(&ca->proving, some); n > 0; n = take_made(&ca->proving, some))
		prove(ca, some, n);
}
