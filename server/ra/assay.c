/*
 * assay.c - the first stations of the line: who has a password, what the CSR and its evidence say, what policy grants.
 *
 * Parsers only collect signatures to check; those of a whole batch are checked at once, and nothing that was parsed is
 * believed before.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/body.h"
#include "ra/ra.h"

/* The station has a thread of its own, for a slow hash must not hold up those who came with a certificate. */
static enum reason check_password(struct ra *ra, struct enrolment *e, struct fault *f)
{
	enum reason reason = policy_user(e->rules->policy, e->basic->user, e->basic->password, &e->who, f);

	basic_wipe(e->basic);
	free(e->basic);
	e->basic = NULL;
	TRY(reason);
	TRY(policy_may(e->label->profile, e->op, &e->who, f));
	return enrolment_count(ra, e, f);
}

static void password_one(struct ra *ra, struct enrolment *e)
{
	struct reply reply;
	struct fault f;

	if (check_password(ra, e, &f) != REASON_OK) {
		enrolment_refuse(ra, e, &f);
	} else if (e->op == EST_NONCE) {
		if (nonce_reply(e->rules, e->label, &e->who, e->nonce_len, &reply, &f) == REASON_OK)
			enrolment_finish(ra, e, &reply);
		else
			enrolment_refuse(ra, e, &f);
	} else if (!line_put(ra->line, STATION_ASSAY, LANE_OTHER, &e->job)) {
		(void)fault_set(&f, REASON_OVERLOADED, "assay station, lane for others");
		enrolment_refuse(ra, e, &f);
	}
}

void station_password(void *role, unsigned thread, struct job **batch, size_t n)
{
	(void)thread;
	for (size_t i = 0; i < n; i++)
		password_one(role, (struct enrolment *)batch[i]);
}

static enum sig_alg continuity_alg(enum key_type type)
{
	return type == KEY_EC_P384 ? SIG_ECDSA_SHA384 : type == KEY_RSA ? SIG_RSA_SHA256 : SIG_ECDSA_SHA256;
}

/* assay.4.1: the previous key's signature over previous serial and new key, proof that needs no trust in the CA. */
static enum reason claim_continuity(struct enrolment *e, struct fault *f)
{
	struct blob serial = e->who.cert->serial;
	struct reading *r = e->read;
	uint8_t *p = r->continuity;

	assert(serial.len <= LIMIT_SERIAL_BYTES); /* who.c */
	memcpy(p, CONTINUITY_LABEL, sizeof(CONTINUITY_LABEL) - 1);
	p += sizeof(CONTINUITY_LABEL) - 1;
	memcpy(p, serial.ptr, serial.len);
	p += serial.len;
	pubkey_hash(&r->csr.key, p);
	p += 32;
	return claims_add(&r->claims,
			  (struct claim){ .key = &e->who.cert->key,
					  .alg = continuity_alg(e->who.cert->key.type),
					  .message = BLOB(r->continuity, (size_t)(p - r->continuity)),
					  .signature = r->csr.continuity,
					  .refusal = REASON_CONTINUITY,
					  .what = "continuity" },
			  f);
}

static enum reason assess(const struct enrolment *e, struct fault *f)
{
	struct reading *r = e->read;

	if (r->evidence == NULL)
		r->evidence = evidence_new();
	if (r->evidence == NULL)
		return fault_set(f, REASON_NO_MEMORY, "evidence");
	TRY(evidence_assess(r->evidence, e->rules->vendors, r->csr.evidence, &r->csr.key, clock_wall_s(), &r->claims,
			    &r->verdict, f));
	r->has_verdict = true;
	return REASON_OK;
}

/* Everything that can be read without believing it. */
static enum reason read_request(struct enrolment *e, struct fault *f)
{
	struct reading *r = e->read;

	TRY(body_der(buf_blob(&e->body), &r->csr_der, f));
	buf_done(&e->body);
	TRY(csr_parse(buf_blob(&r->csr_der), &r->csr, &r->claims, f));
	TRY(linking_check(e, f));
	if (r->csr.evidence.len > 0)
		TRY(assess(e, f));
	if (r->csr.continuity.len > 0 && e->op == EST_SIMPLEREENROLL && e->who.kind == WHO_DEVICE)
		TRY(claim_continuity(e, f));
	return REASON_OK;
}

/* A verdict of its own, for a claim already met is answered whatever its nonce: the ca knows those. */
static enum reason freshness(const struct enrolment *e)
{
	const struct profile_facts *facts = &e->label->facts;
	const struct reading *r = e->read;

	if (!r->has_verdict || facts->nonce_lifetime_s == 0)
		return REASON_OK;
	if (!r->verdict.has_freshness)
		return REASON_NONCE_MISSING;
	return nonce_check(e->rules->nonce_key, e->who.id, facts->label, BLOB(r->verdict.nonce, r->verdict.nonce_len),
			   facts->nonce_lifetime_s, NULL);
}

static enum reason decide(struct enrolment *e, struct fault *f)
{
	const struct reading *r = e->read;
	struct ask ask = {
		.op = e->op,
		.who = &e->who,
		.csr = &r->csr,
		.csr_der = buf_blob(&r->csr_der),
		.verdict = r->has_verdict ? &r->verdict : NULL,
		.freshness = freshness(e),
	};

	return policy_decide(e->rules->policy, e->label->profile, &ask, &e->grant, f);
}

/* Consumes the enrolment unless it has a grant. */
static bool granted(struct ra *ra, struct enrolment *e, const struct fault *verdict)
{
	struct fault f = *verdict;

	if (f.reason == REASON_OK && decide(e, &f) == REASON_OK) {
		e->read = NULL;
		return true;
	}
	enrolment_refuse(ra, e, &f);
	return false;
}

static void reading_clear(struct reading *r)
{
	buf_done(&r->csr_der);
	claims_clear(&r->claims);
	evidence_clear(r->evidence);
	r->has_verdict = false;
}

enum reason assay_rooms_open(struct ra *ra, unsigned n, struct fault *f)
{
	ra->room = calloc(n, sizeof(*ra->room));
	if (ra->room == NULL)
		return fault_set(f, REASON_NO_MEMORY, "room for %u batches", n);
	ra->n_rooms = n;
	return REASON_OK;
}

void assay_rooms_close(struct ra *ra)
{
	for (unsigned i = 0; i < ra->n_rooms; i++)
		for (size_t j = 0; j < ASSAY_BATCH; j++) {
			reading_clear(&ra->room[i].place[j]);
			evidence_free(ra->room[i].place[j].evidence);
		}
	free(ra->room);
}

/* Consumes the enrolment unless all that it says can be read; that is in this place then. */
static bool was_read(struct ra *ra, struct enrolment *e, struct reading *place)
{
	struct fault f;

	reading_clear(place);
	e->read = place;
	(void)fault_set(&f, REASON_DEADLINE, "nobody waits and nothing is recorded yet");
	if (enrolment_waited_for(e) && read_request(e, &f) == REASON_OK)
		return true;
	enrolment_refuse(ra, e, &f);
	return false;
}

void station_assay(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ra *ra = role;
	struct reading *place = ra->room[thread].place;
	struct enrolment *read[ASSAY_BATCH];
	struct claims *claims[ASSAY_BATCH] = { NULL };
	struct fault verdict[ASSAY_BATCH];
	size_t n_read = 0, n_granted = 0;

	assert(n <= ASSAY_BATCH);
	for (size_t i = 0; i < n; i++) {
		struct enrolment *e = (struct enrolment *)batch[i];

		if (!was_read(ra, e, &place[n_read]))
			continue;
		claims[n_read] = &place[n_read].claims;
		read[n_read++] = e;
	}
	claims_check(claims, n_read, verdict);
	for (size_t i = 0; i < n_read; i++)
		if (granted(ra, read[i], &verdict[i]))
			read[n_granted++] = read[i];
	ask_ca(ra, read, n_granted);
}
