/*
 * intend.c - of the ledger station: a batch of grants becomes a batch of durable intents.
 *
 * Step by step over the whole batch; a grant that fails a step is answered there and leaves, the rest goes on. Nothing
 * that leaves for the sign station has not been recorded, and nothing else makes an issue signable.
 */
#include <string.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "ca/services.h"

/* One step for every issue in the room; those that fail it are refused. */
static void each(struct ca *ca, enum reason (*step)(struct ca *ca, struct issue *issue, struct fault *f))
{
	struct ledger_room *room = ca->room;
	size_t kept = 0;

	for (size_t i = 0; i < room->n; i++) {
		struct issue *issue = room->issue[i];
		struct fault fault = { 0 };

		if (step(ca, issue, &fault) == REASON_OK)
			room->issue[kept++] = issue;
		else
			issue_refused(ca, issue, &fault);
	}
	room->n = kept;
}

void intend_refuse_all(struct ca *ca, const struct fault *fault)
{
	struct ledger_room *room = ca->room;

	for (size_t i = 0; i < room->n; i++)
		issue_refused(ca, room->issue[i], fault);
	room->n = 0;
}

/* Policies and our own jobs are done with at once; grants stay in the room. */
void intend_take(struct ca *ca, struct issue *issue)
{
	if (issue->kind == ISSUE_CERTIFICATE) {
		ca->room->issue[ca->room->n++] = issue;
		return;
	}
	if (issue->kind == ISSUE_POLICY)
		intend_note_policy(ca, issue);
	else
		atomic_store(&ca->preparing, false);
	issue_finished(ca, issue);
}

/* One query for all re-enrolments of the batch. */
static enum reason ask_previous(struct ca *ca, struct fault *f)
{
	struct ledger_room *room = ca->room;
	struct issue *whose[CA_BATCH];
	size_t n = 0;

	for (size_t i = 0; i < room->n; i++) {
		struct issue *issue = room->issue[i];

		if (issue->grant->kind != GRANT_REENROL || issue->tries > 0)
			continue;
		room->asked[n] =
			(struct previous){ .serial = BLOB(issue->grant->previous, issue->grant->previous_len) };
		whose[n++] = issue;
	}
	if (n == 0)
		return REASON_OK;
	TRY(ledger_previous(ca->ledger, room->asked, n, f));
	for (size_t i = 0; i < n; i++)
		whose[i]->previous = room->asked[i];
	return REASON_OK;
}

/* What the device may become; one that has renewed too often gets what it has been given before, and nothing new. */
static enum reason check_renewal(struct ca *ca, struct issue *issue, struct fault *f)
{
	const struct issuer_options *options = ca_issuer_options(ca, issue->grant->issuer);
	struct grant *grant = issue->grant;

	TRY(reenrol_complete(grant, &issue->previous, options, f));
	if (grant->freshness == REASON_OK &&
	    !renewals_may(&ca->room->renewals, &grant->device, options->device_hourly, clock_wall_s()))
		grant->freshness = REASON_RENEWED_OFTEN;
	return REASON_OK;
}

/* The ca's own rules, after which the grant is all there is to know. An issue that comes round again has passed them.
 */
static enum reason check(struct ca *ca, struct issue *issue, struct fault *f)
{
	struct grant *grant = issue->grant;

	if (issue->tries > 0)
		return REASON_OK;
	issue->issuer = ca_issuer(ca, grant->issuer);
	if (issue->issuer == NULL)
		return fault_set(f, REASON_GRANT_REFUSED, "no issuer \"%s\" here", grant->issuer);
	if (!intend_knows_policy(ca, grant->policy_hash))
		return fault_set(f, REASON_GRANT_REFUSED, "the grant names a policy that was not announced");
	TRY(services_admit(ca, issue, f));
	grant = issue->grant; /* of a rig's renewal it makes another */
	if (grant->kind == GRANT_REENROL)
		TRY(check_renewal(ca, issue, f));
	TRY(issuer_check(issue->issuer, grant, clock_wall_s(), f));
	issue->reserved = true;
	if (issue->cmc_ra)
		grant->eku[grant->n_ekus++] = *oid_of(OID_KP_CMC_RA);
	return REASON_OK;
}

static struct blob names_of(const struct issue *issue)
{
	return issue->grant->kind == GRANT_REENROL ? buf_blob(&issue->previous.tbs) : buf_blob(&issue->names_from);
}

/* A serial for each; one that comes round again gets another. */
static enum reason number(struct ledger_room *room, struct fault *f)
{
	uint8_t serial[CA_BATCH][SERIAL_BYTES];

	TRY(serial_fill(clock_wall_us(), serial, room->n, f));
	for (size_t i = 0; i < room->n; i++) {
		memcpy(room->issue[i]->serial, serial[i], SERIAL_BYTES);
		room->issue[i]->serial_len = SERIAL_BYTES;
	}
	return REASON_OK;
}

static enum reason build(struct ca *ca, struct issue *issue, struct fault *f)
{
	struct copied_names names = { 0 };

	(void)ca;
	if (names_of(issue).len > 0)
		TRY(tbs_names(names_of(issue), &names, f));
	buf_done(&issue->tbs);
	return issuer_build(issue->issuer, issue->grant, &names, issue->serial, clock_wall_s(), &issue->tbs,
			    &issue->not_before_s, &issue->not_after_s, f);
}

static void fill_intent(const struct issue *issue, struct intent *intent)
{
	*intent = (struct intent){
		.grant = issue->grant,
		.serial_len = issue->serial_len,
		.tbs = buf_blob(&issue->tbs),
		.not_before_s = issue->not_before_s,
		.not_after_s = issue->not_after_s,
	};
	memcpy(intent->serial, issue->serial, issue->serial_len);
}

/*
 * The claim's intent is recorded and not signed. If it is on its way in this process, its outcome is ours too; if it
 * has just left, the ledger has the certificate by now; else another node has it in hand.
 */
static void wait_for(struct ca *ca, struct issue *issue, struct blob serial)
{
	struct fault fault;

	if (inflight_wait(&ca->inflight, serial, issue))
		return;
	if (++issue->tries < CA_PENDING_TRIES && line_put(ca->line, CA_LEDGER, issue->lane, &issue->job))
		return;
	fault_set(&fault, REASON_CLAIM_PENDING, "its intent is not in this process");
	issue_refused(ca, issue, &fault);
}

static void answer_issued(struct ca *ca, struct issue *issue, const struct intent *intent)
{
	memcpy(issue->serial, intent->serial, intent->serial_len);
	issue->serial_len = intent->serial_len;
	issue_enrolled(ca, issue, true, buf_blob(&intent->certificate));
}

/* The first session is woken when all are there: the fewer share them, the less each costs. */
static void to_sign(struct ca *ca, struct issue *issue)
{
	signing_began(&ca->signing);
	issue_lay(ca, CA_SIGN, issue);
}

/* New ones enter the table before anybody who waits for them is looked at: both may be in one batch. */
void intend_recorded(struct ca *ca)
{
	struct ledger_room *room = ca->room;

	for (size_t i = 0; i < room->n; i++)
		if (room->intent[i].outcome == INTENT_NEW) {
			room->issue[i]->reserved = false; /* taken for good */
			if (room->issue[i]->grant->kind == GRANT_REENROL)
				renewals_count(&room->renewals, &room->issue[i]->grant->device, clock_wall_s());
			inflight_add(&ca->inflight, room->issue[i]);
		}
	for (size_t i = 0; i < room->n; i++) {
		struct intent *intent = &room->intent[i];

		if (intent->outcome == INTENT_PENDING)
			wait_for(ca, room->issue[i], BLOB(intent->serial, intent->serial_len));
		else if (intent->outcome == INTENT_ISSUED)
			answer_issued(ca, room->issue[i], intent);
		else if (intent->outcome == INTENT_REFUSED)
			issue_refused(ca, room->issue[i], &intent->verdict);
		else
			to_sign(ca, room->issue[i]);
		buf_done(&intent->certificate);
	}
	line_wake(ca->line, CA_SIGN);
	room->n = 0;
}

enum reason intend_build(struct ca *ca, struct fault *f)
{
	struct ledger_room *room = ca->room;

	TRY(intend_prepare(ca, f));
	TRY(ask_previous(ca, f));
	each(ca, check);
	TRY(number(room, f));
	each(ca, build);
	for (size_t i = 0; i < room->n; i++)
		fill_intent(room->issue[i], &room->intent[i]);
	return REASON_OK;
}
