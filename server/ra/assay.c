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
	uint8_t *p = e->continuity;

	assert(serial.len <= LIMIT_SERIAL_BYTES); /* who.c */
	memcpy(p, CONTINUITY_LABEL, sizeof(CONTINUITY_LABEL) - 1);
	p += sizeof(CONTINUITY_LABEL) - 1;
	memcpy(p, serial.ptr, serial.len);
	p += serial.len;
	pubkey_hash(&e->csr.key, p);
	p += 32;
	return claims_add(&e->claims,
			  (struct claim){ .key = &e->who.cert->key,
					  .alg = continuity_alg(e->who.cert->key.type),
					  .message = BLOB(e->continuity, (size_t)(p - e->continuity)),
					  .signature = e->csr.continuity,
					  .refusal = REASON_CONTINUITY,
					  .what = "continuity" },
			  f);
}

static enum reason assess(struct enrolment *e, struct fault *f)
{
	e->evidence = evidence_new();
	if (e->evidence == NULL)
		return fault_set(f, REASON_NO_MEMORY, "evidence");
	TRY(evidence_assess(e->evidence, e->rules->vendors, e->csr.evidence, &e->csr.key, clock_wall_s(), &e->claims,
			    &e->verdict, f));
	e->has_verdict = true;
	return REASON_OK;
}

/* Everything that can be read without believing it. */
static enum reason read_request(struct enrolment *e, struct fault *f)
{
	TRY(body_der(buf_blob(&e->body), &e->csr_der, f));
	buf_done(&e->body);
	TRY(csr_parse(buf_blob(&e->csr_der), &e->csr, &e->claims, f));
	TRY(linking_check(e, f));
	if (e->csr.evidence.len > 0)
		TRY(assess(e, f));
	if (e->csr.continuity.len > 0 && e->op == EST_SIMPLEREENROLL && e->who.kind == WHO_DEVICE)
		TRY(claim_continuity(e, f));
	return REASON_OK;
}

/* A verdict of its own, for a claim already met is answered whatever its nonce: the ca knows those. */
static enum reason freshness(const struct enrolment *e)
{
	const struct profile_facts *facts = &e->label->facts;

	if (!e->has_verdict || facts->nonce_lifetime_s == 0)
		return REASON_OK;
	if (!e->verdict.has_freshness)
		return REASON_NONCE_MISSING;
	return nonce_check(e->rules->nonce_key, e->who.id, facts->label, BLOB(e->verdict.nonce, e->verdict.nonce_len),
			   facts->nonce_lifetime_s, NULL);
}

static enum reason decide(struct enrolment *e, struct fault *f)
{
	struct ask ask = {
		.op = e->op,
		.who = &e->who,
		.csr = &e->csr,
		.csr_der = buf_blob(&e->csr_der),
		.verdict = e->has_verdict ? &e->verdict : NULL,
		.freshness = freshness(e),
	};

	return policy_decide(e->rules->policy, e->label->profile, &ask, &e->grant, f);
}

/* Consumes the enrolment unless it has a grant. */
static bool granted(struct ra *ra, struct enrolment *e, const struct fault *verdict)
{
	struct fault f = *verdict;

	if (f.reason == REASON_OK && decide(e, &f) == REASON_OK)
		return true;
	enrolment_refuse(ra, e, &f);
	return false;
}

void station_assay(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ra *ra = role;
	struct enrolment *read[ASSAY_BATCH];
	struct claims *claims[ASSAY_BATCH] = { NULL };
	struct fault verdict[ASSAY_BATCH], f;
	size_t n_read = 0, n_granted = 0;

	(void)thread;
	assert(n <= ASSAY_BATCH);
	for (size_t i = 0; i < n; i++) {
		struct enrolment *e = (struct enrolment *)batch[i];

		(void)fault_set(&f, REASON_DEADLINE, "nobody waits and nothing is recorded yet");
		if (!enrolment_waited_for(e) || read_request(e, &f) != REASON_OK) {
			enrolment_refuse(ra, e, &f);
			continue;
		}
		claims[n_read] = &e->claims;
		read[n_read++] = e;
	}
	claims_check(claims, n_read, verdict);
	for (size_t i = 0; i < n_read; i++)
		if (granted(ra, read[i], &verdict[i]))
			read[n_granted++] = read[i];
	ask_ca(ra, read, n_granted);
}
