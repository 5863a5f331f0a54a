/* responder.c - see responder.h. */
#include "ca/responder.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "observe/log.h"

#define LOOK_US 60000000LL /* at most: certificates live for weeks */
#define LOOK_SOON_US 1000000LL

void certificate_unref(struct certificate *certificate)
{
	if (certificate == NULL || atomic_fetch_sub(&certificate->references, 1) > 1)
		return;
	buf_done(&certificate->der);
	free(certificate);
}

/* Consumes *der. */
static enum reason install(struct responder *r, struct buf *der, int64_t not_after_s, struct fault *f)
{
	struct certificate *certificate = calloc(1, sizeof(*certificate));

	if (certificate == NULL)
		return fault_set(f, REASON_NO_MEMORY, "responder's certificate");
	atomic_init(&certificate->references, 1);
	certificate->der = *der;
	*der = (struct buf){ 0 };
	certificate_unref(r->certificate);
	r->certificate = certificate;
	r->not_after_s = not_after_s;
	return REASON_OK;
}

/* What an earlier process, or another node, has had made for this key. */
static enum reason look(struct ca *ca, struct responder *r, const char *issuer, struct fault *f)
{
	struct responder_row row;
	enum reason reason = REASON_OK;

	TRY(ledger_responder(ca->ocsp->ledger, issuer, ca->ocsp->key_hash, &row, f));
	if (row.certificate.len > 0 && row.not_after_s > r->not_after_s)
		reason = install(r, &row.certificate, row.not_after_s, f);
	buf_done(&row.certificate);
	return reason;
}

static int64_t end_of(const struct ca *ca, const struct issuer *issuer, int64_t now_s)
{
	int64_t end_s = now_s + (int64_t)ca->config->certificates.responder_s,
		last_s = issuer_cert(issuer)->not_after_s;

	return end_s < last_s ? end_s : last_s;
}

/* Built and on record: it may be signed. */
static enum reason intend(struct ca *ca, struct issue *issue, struct fault *f)
{
	int64_t now_s = clock_wall_s();

	issue->not_before_s = now_s - RESPONDER_BACKDATE_S;
	issue->not_after_s = end_of(ca, issue->issuer, now_s);
	issue->serial_len = SERIAL_BYTES;
	TRY(serial_new(clock_wall_us(), issue->serial, f));
	TRY(ocsp_build_responder(issue->issuer, &ca->ocsp->public, BLOB(issue->serial, SERIAL_BYTES),
				 issue->not_before_s, issue->not_after_s, &issue->tbs, f));
	return ledger_responder_intend(ca->ocsp->ledger,
				       &(struct responder_intent){ .issuer = issuer_name(issue->issuer),
								   .serial = BLOB(issue->serial, SERIAL_BYTES),
								   .tbs = buf_blob(&issue->tbs),
								   .key_hash = ca->ocsp->key_hash,
								   .not_before_s = issue->not_before_s,
								   .not_after_s = issue->not_after_s },
				       f);
}

static enum reason record(struct ca *ca, struct responder *r, struct issue *issue, struct fault *f)
{
	AUTO(buf_done) struct buf der = { 0 };

	if (issue->fault.reason != REASON_OK)
		return fault_set(f, issue->fault.reason, "%s", issue->fault.detail);
	TRY(ledger_responder_record(ca->ocsp->ledger, BLOB(issue->serial, issue->serial_len), buf_blob(&issue->tail),
				    f));
	TRY(signed_assemble(buf_blob(&issue->tbs), buf_blob(&issue->tail), &der, f));
	return install(r, &der, issue->not_after_s, f);
}

static struct responder *responder_of(struct ca *ca, const struct issue *issue)
{
	size_t i = 0;

	while (ca->issuer[i] != issue->issuer)
		i++;
	return &ca->ocsp->responder[i];
}

/* For how long the configured kind of certificate has answers signed. */
static int64_t serves_s(const struct ca *ca)
{
	return (int64_t)ca->config->certificates.responder_s - RESPONDER_LAST_S;
}

/* No certificate, or one with less than half of its time to go: the next is made while this one still serves. Not one
 * that would end with its issuer as well. */
static bool due(const struct ca *ca, const struct responder *r, const struct issuer *issuer)
{
	int64_t now_s = clock_wall_s(), left_s = r->not_after_s - RESPONDER_LAST_S - now_s;

	return r->certificate == NULL || (left_s <= serves_s(ca) / 2 && end_of(ca, issuer, now_s) > r->not_after_s);
}

static enum reason begin(struct ca *ca, struct responder *r, struct issue *issue, bool *ret_signs, struct fault *f)
{
	*ret_signs = false;
	if (due(ca, r, issue->issuer))
		TRY(look(ca, r, issuer_name(issue->issuer), f));
	if (!due(ca, r, issue->issuer))
		return REASON_OK;
	TRY(intend(ca, issue, f));
	*ret_signs = true;
	return REASON_OK;
}

void responder_step(struct ca *ca, struct issue *issue)
{
	struct responder *r = responder_of(ca, issue);
	struct fault fault = { 0 };
	bool signs = false;
	enum reason reason = issue->came_back ? record(ca, r, issue, &fault) : begin(ca, r, issue, &signs, &fault);

	if (reason == REASON_OK && signs) {
		issue_pass(ca, CA_SIGN, issue);
		return;
	}
	if (reason == REASON_OK) {
		if (issue->came_back)
			log_event(LOG_INFO, "responder_certificate", "issuer", LOG_STR, issuer_name(issue->issuer),
				  "days", LOG_INT, (issue->not_after_s - clock_wall_s()) / 86400, NULL);
		issue_finished(ca, issue);
		return;
	}
	log_fault(LOG_WARN, "responder_certificate", &fault);
	atomic_store(&ca->ocsp->look_at_us, clock_mono_us() + LOOK_SOON_US);
	issue_finished(ca, issue);
}

enum reason responder_for(struct ca *ca, struct ocsp_job *job, int64_t now_s, struct fault *f)
{
	struct responder *r = &ca->ocsp->responder[job->issuer];

	if (r->certificate == NULL || now_s + RESPONDER_LAST_S > r->not_after_s)
		return fault_set(f, REASON_CA_AWAY, "no responder's certificate under %s yet", job->ask.issuer);
	atomic_fetch_add(&r->certificate->references, 1);
	job->certificate = r->certificate;
	return REASON_OK;
}

/* Several times in the half of a certificate's time in which the next is made. */
static int64_t look_us(const struct ca *ca)
{
	int64_t often_us = serves_s(ca) * 1000000 / 16;

	return often_us < LOOK_US ? often_us : LOOK_US;
}

void ocsp_nudge(struct ca *ca)
{
	int64_t now_us = clock_mono_us();
	struct issue *issue;

	if (ca->ocsp == NULL || !atomic_load(&ca->ledger_ready) || atomic_load(&ca->token_away) ||
	    atomic_load(&ca->stopping) || now_us < atomic_load(&ca->ocsp->look_at_us))
		return;
	atomic_store(&ca->ocsp->look_at_us, now_us + look_us(ca));
	for (size_t i = 0; i < ca->n_issuers; i++) {
		if (issue_new(ca, ISSUE_RESPONDER, LANE_OCSP, NULL, 0, &issue, NULL) != REASON_OK)
			return;
		issue->issuer = ca->issuer[i];
		if (!line_put(ca->line, CA_OCSP, LANE_OCSP, &issue->job))
			issue_finished(ca, issue);
	}
}

/* What is known of the key stays when the token goes; another one in its place is refused. */
static enum reason learn(struct ocsp_desk *desk, const struct hsm_key *key, const char *label, struct fault *f)
{
	if (!desk->key_known) {
		desk->public = *hsm_key_public(key);
		pubkey_hash(&desk->public, desk->key_hash);
		desk->key_known = true;
	}
	if (!pubkey_equal(hsm_key_public(key), &desk->public))
		return fault_set(f, REASON_CONFIG, "status.responder: key '%s' is not the one it was: restart assayd",
				 label);
	return REASON_OK;
}

enum reason ocsp_attach(struct ca *ca, struct fault *f)
{
	const char *label = ca->config->status.responder;
	const struct hsm_key *key;
	struct fault none = { 0 };

	if (ca->ocsp == NULL)
		return REASON_OK;
	if (hsm_key(ca->hsm, label, &key, &none) != REASON_OK)
		return fault_set(f, none.reason,
				 "status.responder: key '%s' for OCSP: %.60s; make it with assay-ceremony "
				 "(\"ocsp_key\" of its spec), or leave status.responder out",
				 label, none.detail);
	TRY(learn(ca->ocsp, key, label, f));
	ca->ocsp->key = key;
	return REASON_OK;
}

void ocsp_detach(struct ocsp_desk *desk)
{
	if (desk != NULL)
		desk->key = NULL;
}

enum reason ocsp_open(struct ca *ca, struct ocsp_desk **ret_desk, struct fault *f)
{
	struct ocsp_desk *desk;

	if (ca->config->status.responder == NULL)
		return REASON_OK;
	desk = calloc(1, sizeof(*desk));
	if (desk == NULL)
		return fault_set(f, REASON_NO_MEMORY, "OCSP");
	pthread_mutex_init(&desk->lock, NULL);
	desk->rationed_us = clock_mono_us();
	desk->ration = ca->config->status.ocsp_s;
	*ret_desk = desk;
	for (size_t i = 0; i < ca->n_issuers; i++)
		ocsp_issuer_of(issuer_cert(ca->issuer[i]), &desk->responder[i].id);
	return ca_ledger(ca->config, "ocsp", &desk->ledger, f);
}

void ocsp_close(struct ocsp_desk *desk)
{
	if (desk == NULL)
		return;
	ledger_close(desk->ledger);
	for (size_t i = 0; i < LIMIT_ISSUERS; i++)
		certificate_unref(desk->responder[i].certificate);
	pthread_mutex_destroy(&desk->lock);
	free(desk);
}
