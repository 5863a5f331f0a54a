/*
 * sign.c - the second station: one thread a session, one signature at a time, never a barrier.
 *
 * A token that fails does not come back in this process (PKCS#11 modules do not recover in place): the first failure
 * marks it lost, what is in hand is voided and answered by the ledger station, and the role ends to be started again.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "observe/log.h"
#include "role.h"

static void token_failed(struct ca *ca, const struct fault *fault)
{
	if (atomic_exchange(&ca->token_lost, true))
		return;
	log_fault(LOG_ERROR, "token_lost", fault);
	metrics_gauge(ca->metrics, GAUGE_TOKEN_UP, 0);
	metrics_gauge(ca->metrics, GAUGE_READY, 0);
	role_stop(EXIT_FAILURE);
}

static enum reason sign(struct ca *ca, struct issue *issue, unsigned slot, struct fault *f)
{
	enum reason reason;

	if (atomic_load(&ca->token_lost))
		return fault_set(f, REASON_TOKEN_AWAY, "the token failed; the role is being started again");
	atomic_store(&ca->signing_since_us[slot], clock_mono_us());
	reason = issuer_sign(issue->issuer, slot, buf_blob(&issue->tbs), &issue->tail, f);
	atomic_store(&ca->signing_since_us[slot], 0);
	if (reason == REASON_TOKEN_AWAY || reason == REASON_TOKEN_PIN)
		token_failed(ca, f);
	if (reason == REASON_OK)
		metrics_gauge(ca->metrics, GAUGE_SIGNATURES, (int64_t)(atomic_fetch_add(&ca->signatures, 1) + 1));
	return reason;
}

void station_sign(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;

	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];

		(void)!sign(ca, issue, thread, &issue->fault);
		issue->came_back = true;
		if (issue->kind == ISSUE_CRL)
			crl_signed(ca, issue);
		else
			issue_pass(ca, CA_LEDGER, issue);
	}
}
