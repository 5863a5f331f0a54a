/*
 * prepare.c - what has to be true before an intent may be recorded; all of it on the ledger station's thread.
 *
 * PostgreSQL may be away when the ca starts and at any time later: every batch then is refused with LEDGER_AWAY, and
 * the first one after it is back finds everything looked at again.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "observe/log.h"
#include "role.h"

/* An ra that has been taken over must not fill the ledger with policies; its grants under them are refused. */
static bool may_note(struct ledger_room *room)
{
	int64_t hour = clock_wall_s() / 3600;

	if (hour != room->policies_hour) {
		room->policies_hour = hour;
		room->policies_new = 0;
	}
	if (++room->policies_new <= CA_POLICIES_HOURLY)
		return true;
	if (room->policies_new == CA_POLICIES_HOURLY + 1)
		log_event(LOG_ERROR, "policies_refused", "detail", LOG_STR,
			  "the ra announces more new policies in one hour than anybody loads", NULL);
	return false;
}

void intend_note_policy(struct ca *ca, const struct issue *issue)
{
	struct ledger_room *room = ca->room;
	struct policy_known *policy;

	if (intend_knows_policy(ca, issue->policy_hash) || !may_note(room))
		return;
	if (room->n_policies == CA_POLICIES_MAX) { /* the oldest makes room: grants that name it are long answered */
		memmove(&room->policy[0], &room->policy[1], sizeof(room->policy[0]) * (CA_POLICIES_MAX - 1));
		room->n_policies--;
	}
	policy = &room->policy[room->n_policies++];
	memcpy(policy->hash, issue->policy_hash, sizeof(policy->hash));
	snprintf(policy->what, sizeof(policy->what), "%s", issue->policy_what);
	policy->recorded = false;
}

bool intend_knows_policy(const struct ca *ca, const uint8_t hash[32])
{
	for (size_t i = 0; i < ca->room->n_policies; i++)
		if (memcmp(ca->room->policy[i].hash, hash, 32) == 0)
			return true;
	return false;
}

static enum reason record_policies(struct ca *ca, struct fault *f)
{
	for (size_t i = 0; i < ca->room->n_policies; i++) {
		struct policy_known *policy = &ca->room->policy[i];

		if (policy->recorded)
			continue;
		TRY(ledger_policy(ca->ledger, policy->hash, policy->what, f));
		policy->recorded = true;
	}
	return REASON_OK;
}

/* Before the first intent: what an earlier process of this node left without a signature will never be signed. */
static enum reason void_leftovers(struct ca *ca, struct fault *f)
{
	size_t n;

	if (ca->room->voided)
		return REASON_OK;
	TRY(ledger_void_unsigned(ca->ledger, &n, f));
	ca->room->voided = true;
	metrics_gauge(ca->metrics, GAUGE_INTENTS_VOIDED, (int64_t)n);
	log_event(n > 0 ? LOG_WARN : LOG_INFO, "intents_voided", "n", LOG_INT, (int64_t)n, NULL);
	return REASON_OK;
}

/* What this process gave up while the ledger did not take it. */
static enum reason void_orphans(struct ca *ca, struct fault *f)
{
	struct serial orphan;

	while (orphan_take(&ca->inflight, &orphan)) {
		enum reason reason = ledger_void(ca->ledger, BLOB(orphan.bytes, orphan.len), "given up", f);

		if (reason == REASON_OK)
			continue;
		orphan_add(&ca->inflight, BLOB(orphan.bytes, orphan.len));
		return reason == REASON_LEDGER_REFUSED ? REASON_OK : reason; /* refused: others' claims go on */
	}
	return REASON_OK;
}

static enum reason check_clock(struct ca *ca, struct fault *f)
{
	struct ledger_room *room = ca->room;
	int64_t now_s = clock_wall_s(), newest_s = 0;

	if (!room->checked) {
		TRY(ledger_newest(ca->ledger, &newest_s, f));
		if (newest_s > room->newest_s)
			room->newest_s = newest_s;
	}
	if (now_s + CA_CLOCK_SKEW_S < room->newest_s)
		return fault_set(f, REASON_CLOCK_BEHIND, "the clock is %lld s behind the ledger",
				 (long long)(room->newest_s - now_s));
	if (now_s > room->newest_s)
		room->newest_s = now_s;
	return REASON_OK;
}

/* The hourly counts go on from what the ledger holds: neither a restart nor another node makes them more. */
static enum reason count_on(struct ca *ca, struct fault *f)
{
	struct ledger_room *room = ca->room;
	const char *names[LIMIT_ISSUERS];
	struct issuer_hour hours[LIMIT_ISSUERS];
	int64_t now_us = clock_mono_us();

	if (room->checked && now_us - room->counted_us < CA_COUNT_US)
		return REASON_OK;
	for (size_t i = 0; i < ca->n_issuers; i++)
		names[i] = issuer_name(ca->issuer[i]);
	TRY(ledger_hour(ca->ledger, names, ca->n_issuers, hours, f));
	for (size_t i = 0; i < ca->n_issuers; i++)
		issuer_counted(ca->issuer[i], hours[i].hour, hours[i].own, hours[i].others);
	room->counted_us = now_us;
	return REASON_OK;
}

/* A certificate's CRLDP names a shard by a number that follows from how many there were: with another number of shards
 * its list would tell of others. Once; until then no CRL is signed either. */
static enum reason check_shards(struct ca *ca, struct fault *f)
{
	if (atomic_load(&ca->shards_hold))
		return REASON_OK;
	for (size_t i = 0; i < ca->n_issuers; i++) {
		const struct issuer_options *options = &ca->config->issuer[i];
		unsigned hold;

		TRY(ledger_crl_shards(ca->ledger, options->name, options->crl_shards, &hold, f));
		if (hold != options->crl_shards)
			return fault_set(
				f, REASON_CONFIG,
				"issuers: %s: crl_shards is %u, but certificates name their shard out of %u: set "
				"it to %u again, or give the new number to a new issuer",
				options->name, options->crl_shards, hold, hold);
	}
	atomic_store(&ca->shards_hold, true);
	return REASON_OK;
}

static enum reason prepare(struct ca *ca, struct fault *f)
{
	TRY(ledger_ready(ca->ledger, f));
	TRY(check_shards(ca, f));
	TRY(void_leftovers(ca, f));
	TRY(void_orphans(ca, f));
	if (atomic_load(&ca->token_away))
		return fault_set(f, REASON_TOKEN_AWAY, "nothing is issued without the token");
	TRY(check_clock(ca, f));
	TRY(count_on(ca, f));
	ca->room->checked = true;
	return record_policies(ca, f);
}

/* Once: it stays so until an operator has looked and starts the ca anew. */
static void alarm_behind(struct ca *ca, const struct fault *fault)
{
	if (ca->room->told_behind)
		return;
	ca->room->told_behind = true;
	metrics_gauge(ca->metrics, GAUGE_LEDGER_MISSING_ROW, (int64_t)ledger_missing_row(ca->ledger));
	log_fault(LOG_ERROR, "ledger_behind", fault);
}

enum reason intend_prepare(struct ca *ca, struct fault *f)
{
	enum reason reason = prepare(ca, f);
	bool ready = reason == REASON_OK, was_ready = ca->room->told_ready;

	atomic_store(&ca->ledger_ready, ready);
	if (reason == REASON_LEDGER_BEHIND)
		alarm_behind(ca, f);
	if (reason == REASON_CONFIG)
		role_stop(EXIT_CONFIG);
	if (ready && !was_ready)
		log_event(LOG_INFO, "ready", NULL);
	if (!ready && (was_ready || reason != ca->room->told))
		log_fault(LOG_ERROR, "not_ready", f);
	ca->room->told = reason;
	ca->room->told_ready = ready;
	if (!ready)
		ca->room->checked = false;
	return reason;
}
