/*
 * crl.c - the stations of CRLs: the va asks for a list, the ledger gives its number and its entries and takes
 * the hash of what will be signed, the sign station signs.
 *
 * On connections of their own, so that a long list of revocations holds up neither intents nor heartbeats; complete
 * lists on another than shards and deltas, which are to be out within a second however long the complete one has
 * become.
 */
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "ca/publish.h"

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
static enum reason intend_crl(struct ledger *ledger, const struct issue *issue, struct fault *f)
{
	uint8_t hash[32];

	if (EVP_Digest(issue->tbs.ptr, issue->tbs.len, hash, NULL, EVP_sha256(), NULL) != 1)
		return fault_set(f, REASON_NO_MEMORY, "SHA-256 of a CRL");
	return ledger_crl_intend(ledger, issuer_name(issue->issuer), issue->crl_number, hash, f);
}

static struct crl_base *base_of(struct ca *ca, const struct issuer *issuer)
{
	size_t i = 0;

	while (ca->issuer[i] != issuer)
		i++;
	return &ca->crl_base[i];
}

/* Longer than the channel takes: said at once, and not built again for a while. Shards have no such end. */
static enum reason too_long(const struct issue *issue, struct fault *f)
{
	char name[CRL_NAME_CHARS + 1];

	crl_name(issuer_name(issue->issuer), &issue->crl, name);
	return fault_set(f, REASON_CRL_TOO_LONG,
			 "%s would be longer than %d bytes: give issuers.crl_shards to the issuer, and crl: shard to "
			 "its profiles",
			 name, LIMIT_CRL_BYTES);
}

static enum reason check_length(struct ca *ca, const struct issue *issue, struct fault *f)
{
	if (issue->tbs.len <= LIMIT_CRL_BYTES)
		return REASON_OK;
	if (issue->crl.kind == CRL_COMPLETE) {
		pthread_mutex_lock(&ca->crl_lock);
		base_of(ca, issue->issuer)->too_long_us = clock_mono_us();
		pthread_mutex_unlock(&ca->crl_lock);
	}
	return too_long(issue, f);
}

static enum reason was_too_long(struct ca *ca, const struct issue *issue, struct fault *f)
{
	int64_t at_us;

	if (issue->crl.kind != CRL_COMPLETE)
		return REASON_OK;
	pthread_mutex_lock(&ca->crl_lock);
	at_us = base_of(ca, issue->issuer)->too_long_us;
	pthread_mutex_unlock(&ca->crl_lock);
	if (at_us == 0 || clock_mono_us() - at_us > CA_CRL_TOO_LONG_US)
		return REASON_OK;
	return too_long(issue, f);
}

/* Where a delta starts. A complete list comes first; the va asks for it first. */
static enum reason find_base(struct ca *ca, struct issue *issue, uint64_t *ret_after, struct fault *f)
{
	struct crl_base base;

	if (issue->crl.kind != CRL_DELTA)
		return REASON_OK;
	pthread_mutex_lock(&ca->crl_lock);
	base = *base_of(ca, issue->issuer);
	pthread_mutex_unlock(&ca->crl_lock);
	if (base.number == 0)
		return fault_set(f, REASON_OVERLOADED, "no complete CRL of %s for a delta yet",
				 issuer_name(issue->issuer));
	issue->crl.base = base.number;
	*ret_after = base.upto;
	return REASON_OK;
}

static enum reason build_tbs(struct ca *ca, struct issue *issue, const struct ledger_crl *crl, struct fault *f)
{
	struct revoked_entry *entries = NULL;
	int64_t now_s = clock_wall_s();
	enum reason reason;

	TRY(entries_of(crl->rows, crl->n, &entries, f));
	reason = issuer_build_crl(issue->issuer, &issue->crl, crl->number, now_s - CA_CRL_BACKDATE_S,
				  now_s + (int64_t)ca->config->status.crl_validity_s, entries, crl->n, &issue->tbs, f);
	free(entries);
	return reason;
}

static enum reason build(struct ca *ca, struct ledger *ledger, struct issue *issue, struct fault *f)
{
	static const enum ledger_list list[] = {
		[CRL_COMPLETE] = LEDGER_COMPLETE,
		[CRL_DELTA] = LEDGER_DELTA,
		[CRL_SHARD] = LEDGER_SHARD,
	};
	const char *name = issuer_name(issue->issuer);
	struct ledger_crl crl = { .issuer = name, .list = list[issue->crl.kind], .shard = issue->crl.shard };
	enum reason reason;

	crl.shards = ca_issuer_options(ca, name)->crl_shards;
	TRY(was_too_long(ca, issue, f));
	TRY(find_base(ca, issue, &crl.after, f));
	TRY(ledger_crl_list(ledger, &crl, f));
	issue->crl_number = crl.number;
	issue->crl_upto = crl.upto;
	issue->crl_entries = crl.n;
	reason = build_tbs(ca, issue, &crl, f);
	free(crl.rows);
	if (reason == REASON_OK)
		reason = check_length(ca, issue, f);
	return reason == REASON_OK ? intend_crl(ledger, issue, f) : reason;
}

static void failed(struct ca *ca, struct issue *issue, const struct fault *fault)
{
	if (issue->order != NULL)
		publish_ended(ca, issue, fault);
	else
		issue_refused(ca, issue, fault);
}

static void build_all(struct ca *ca, struct ledger *ledger, struct job **batch, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];
		struct fault fault = { 0 };

		if (atomic_load(&ca->token_away)) /* before it takes a number */
			fault_set(&fault, REASON_TOKEN_AWAY, "CRLs follow when the token is back");
		else if (!atomic_load(&ca->shards_hold))
			fault_set(&fault, REASON_LEDGER_AWAY, "the number of shards is not known to hold yet");
		if (fault.reason == REASON_OK && build(ca, ledger, issue, &fault) == REASON_OK)
			issue_pass(ca, CA_SIGN, issue);
		else
			failed(ca, issue, &fault);
	}
}

void station_status(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;

	(void)thread;
	build_all(ca, ca->status, batch, n);
}

void station_complete(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;

	(void)thread;
	build_all(ca, ca->complete, batch, n);
}

/* A base that is old, or that much has come after, makes way for the next complete list. */
static void note_signed(struct ca *ca, const struct issue *issue)
{
	const int64_t stays_us = (int64_t)ca->config->status.crl_validity_s * 1000000 / 2;
	struct crl_base *base;

	pthread_mutex_lock(&ca->crl_lock);
	base = base_of(ca, issue->issuer);
	if (issue->crl.kind == CRL_DELTA && issue->crl.base == base->number)
		base->delta_entries = issue->crl_entries;
	if (issue->crl.kind == CRL_COMPLETE && issue->crl_number > base->number &&
	    (base->number == 0 || base->delta_entries > CA_DELTA_MAX || issue->came_us - base->at_us > stays_us))
		*base = (struct crl_base){ .number = issue->crl_number,
					   .upto = issue->crl_upto,
					   .at_us = issue->came_us };
	pthread_mutex_unlock(&ca->crl_lock);
}

static enum reason encode(const struct issue *issue, struct buf *body, struct fault *f)
{
	AUTO(buf_done) struct buf crl = { 0 };
	struct message_crl message;

	TRY(signed_assemble(buf_blob(&issue->tbs), buf_blob(&issue->tail), &crl, f));
	crl_name(issuer_name(issue->issuer), &issue->crl, message.list);
	message.number = issue->crl_number;
	message.der = buf_blob(&crl);
	return message_crl_encode(&message, body, f);
}

void crl_signed(struct ca *ca, struct issue *issue)
{
	AUTO(buf_done) struct buf body = { 0 };

	if (issue->fault.reason != REASON_OK || encode(issue, &body, &issue->fault) != REASON_OK) {
		const struct fault fault = issue->fault;

		failed(ca, issue, &fault);
		return;
	}
	note_signed(ca, issue);
	metrics_request(ca->metrics, OP_CRL, REASON_OK, clock_mono_us() - issue->came_us);
	if (issue->asker != NULL)
		(void)!channel_send(issue->asker, FRAME_CRL, issue->frame_id, buf_blob(&body));
	if (issue->order != NULL)
		publish_ended(ca, issue, NULL);
	else
		issue_finished(ca, issue);
}
