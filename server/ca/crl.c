/*
 * crl.c - the status station: the va asks for a CRL, the ledger gives its number and its entries and takes
 * the hash of what will be signed, the sign station signs.
 *
 * On a connection of its own, so that a long list of revocations holds up neither intents nor heartbeats.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "channel/message.h"

static enum reason entries_of(const struct revocation_row *rows, size_t n, struct revoked_entry **ret_entries,
			      struct fault *f)
{
	struct revoked_entry *entries = calloc(n + 1, sizeof(*entries));

	if (entries == NULL)
		return fault_set(f, REASON_NO_MEMORY, "CRL of %zu entries", n);
	for (size_t i = 0; i < n; i++) {
		memcpy(entries[i].serial, rows[i].serial, rows[i].serial_len);
		entries[i].serial_len = rows[i].serial_len;
		entries[i].reason = rows[i].reason;
		entries[i].at_s = rows[i].at_s;
	}
	*ret_entries = entries;
	return REASON_OK;
}

/* No signature without a durable intent: of a CRL, the hash of what the token is asked to sign. */
static enum reason intend_crl(struct ca *ca, const struct issue *issue, struct fault *f)
{
	uint8_t hash[32];

	if (EVP_Digest(issue->tbs.ptr, issue->tbs.len, hash, NULL, EVP_sha256(), NULL) != 1)
		return fault_set(f, REASON_NO_MEMORY, "SHA-256 of a CRL");
	return ledger_crl_intend(ca->status, issuer_name(issue->issuer), issue->crl_number, hash, f);
}

static enum reason build(struct ca *ca, struct issue *issue, struct fault *f)
{
	struct revocation_row *rows = NULL;
	struct revoked_entry *entries = NULL;
	int64_t now_s = clock_wall_s();
	enum reason reason;
	size_t n = 0;

	TRY(ledger_crl(ca->status, issuer_name(issue->issuer), &issue->crl_number, &rows, &n, f));
	reason = entries_of(rows, n, &entries, f);
	free(rows);
	if (reason == REASON_OK)
		reason = issuer_build_crl(issue->issuer, issue->crl_number, now_s - CA_CRL_BACKDATE_S,
					  now_s + CA_CRL_VALIDITY_S, entries, n, &issue->tbs, f);
	free(entries);
	return reason == REASON_OK ? intend_crl(ca, issue, f) : reason;
}

void station_status(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;

	(void)thread;
	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];
		struct fault fault = { 0 };

		if (build(ca, issue, &fault) == REASON_OK)
			issue_pass(ca, CA_SIGN, issue);
		else
			issue_refused(ca, issue, &fault);
	}
}

static enum reason encode(const struct issue *issue, struct buf *body, struct fault *f)
{
	AUTO(buf_done) struct buf crl = { 0 };
	struct message_crl message;

	TRY(signed_assemble(buf_blob(&issue->tbs), buf_blob(&issue->tail), &crl, f));
	snprintf(message.issuer, sizeof(message.issuer), "%s", issuer_name(issue->issuer));
	message.number = issue->crl_number;
	message.der = buf_blob(&crl);
	return message_crl_encode(&message, body, f);
}

void crl_signed(struct ca *ca, struct issue *issue)
{
	AUTO(buf_done) struct buf body = { 0 };

	if (issue->fault.reason != REASON_OK || encode(issue, &body, &issue->fault) != REASON_OK) {
		issue_refused(ca, issue, &issue->fault);
		return;
	}
	metrics_request(ca->metrics, OP_CRL, REASON_OK, clock_mono_us() - issue->came_us);
	(void)!channel_send(issue->asker, FRAME_CRL, issue->frame_id, buf_blob(&body));
	issue_finished(ca, issue);
}
