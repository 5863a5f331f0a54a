/* services.c - see services.h. */
#include "ca/services.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/sha.h"
#include "operators.h"

/* What each kind gets. */
static const struct class
{
	const char *kind;
	enum issuer_use use;
	enum oid_id purpose;
	size_t validity; /* of struct config */
} classes[] = {
	{ "operator", ISSUER_SERVICES, OID_KP_CLIENT_AUTH, offsetof(struct config, certificates.operators_s) },
	{ "auditor", ISSUER_SERVICES, OID_KP_CLIENT_AUTH, offsetof(struct config, certificates.operators_s) },
	{ "administrator", ISSUER_SERVICES, OID_KP_CLIENT_AUTH, offsetof(struct config, certificates.operators_s) },
	{ "rig", ISSUER_RIGS, OID_KP_CLIENT_AUTH, offsetof(struct config, certificates.rigs_s) },
	{ SERVICES_TLS, ISSUER_SERVICES, OID_KP_SERVER_AUTH, offsetof(struct config, certificates.tls_s) },
};

static const struct class *class_of(const char *kind)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strcmp(classes[i].kind, kind) == 0)
			return &classes[i];
	return NULL;
}

static const struct issuer_options *options_of(const struct ca *ca, const char *name)
{
	for (size_t i = 0; i < ca->config->n_issuers; i++)
		if (strcmp(ca->config->issuer[i].name, name) == 0)
			return &ca->config->issuer[i];
	return NULL;
}

static const struct issuer_options *issuer_for(const struct ca *ca, enum issuer_use use)
{
	for (size_t i = 0; i < ca->config->n_issuers; i++)
		if (ca->config->issuer[i].use == use)
			return &ca->config->issuer[i];
	return NULL;
}

/* One device for each key of each requester. */
static void identify(const char *kind, const char *name, struct grant *grant)
{
	uint8_t key[32], text[64 + LIMIT_REQUESTER_CHARS + 32];
	int len;

	pubkey_hash(&grant->key, key);
	len = snprintf((char *)text, sizeof(text) - sizeof(key), "%.32s:%.96s", kind, name) + 1;
	memcpy(text + len, key, sizeof(key));
	snprintf(grant->device.format, sizeof(grant->device.format), "requester");
	memset(grant->device.vendor_root, 0, sizeof(grant->device.vendor_root));
	grant->device.element_len = 32;
	sha256(BLOB(text, (size_t)len + sizeof(key)), grant->device.element);
}

/* Within what is left of the issuer. */
static uint64_t validity(const struct ca *ca, const struct class *class, const struct issuer *issuer)
{
	int64_t left_s = issuer_cert(issuer)->not_after_s - clock_wall_s() - 1;
	uint64_t wanted_s;

	memcpy(&wanted_s, (const char *)ca->config + class->validity, sizeof(wanted_s));
	return left_s > 0 && wanted_s > (uint64_t)left_s ? (uint64_t)left_s : wanted_s;
}

/* The policy that decides over these certificates is this file's table and the configured lifetimes. */
static void policy(const struct ca *ca, char what[POLICY_WHAT_CHARS + 1], uint8_t hash[32])
{
	const struct config *config = ca->config;

	snprintf(what, POLICY_WHAT_CHARS + 1,
		 "certificates of requesters and listeners: operators %llu s, rigs %llu s, tls %llu s",
		 (unsigned long long)config->certificates.operators_s, (unsigned long long)config->certificates.rigs_s,
		 (unsigned long long)config->certificates.tls_s);
	sha256(BLOB_STR(what), hash);
}

static void name_subject(const struct issuer *issuer, const char *name, struct grant *grant)
{
	struct name_attr *attr = grant->subject;

	if (name_get(issuer_cert(issuer)->subject, OID_AT_ORG, attr->value))
		(attr++)->type = OID_AT_ORG;
	attr->type = OID_AT_CN;
	snprintf(attr->value, sizeof(attr->value), "%s", name);
	grant->n_subject = (size_t)(attr + 1 - grant->subject);
}

static enum reason check_name(const char *name, struct fault *f)
{
	size_t len = strlen(name);

	if (len >= 1 && len <= LIMIT_NAME_CHARS &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-") == len)
		return REASON_OK;
	return fault_set(f, REASON_API_FIELD, "name: for a certificate it must be 1 to %d of A-Z a-z 0-9 . and -",
			 LIMIT_NAME_CHARS);
}

enum reason services_fill(struct ca *ca, const char *kind, const char *name, const char *requester, struct grant *grant,
			  struct fault *f)
{
	const struct class *class = class_of(kind);
	const struct issuer_options *options = class == NULL ? NULL : issuer_for(ca, class->use);
	const struct issuer *issuer;
	char what[POLICY_WHAT_CHARS + 1];

	if (class == NULL)
		return fault_set(f, REASON_API_FIELD, "kind: %.32s gets no certificate here", kind);
	if (options == NULL)
		return fault_set(f, REASON_NO_ISSUER, "issuers: none has \"for\": \"%s\"",
				 class->use == ISSUER_RIGS ? "rigs" : "services");
	TRY(check_name(name, f));
	issuer = ca_issuer(ca, options->name);
	snprintf(grant->issuer, sizeof(grant->issuer), "%s", options->name);
	snprintf(grant->profile, sizeof(grant->profile), "%s", kind);
	snprintf(grant->family, sizeof(grant->family), "%s", kind);
	snprintf(grant->requester, sizeof(grant->requester), "%s", requester);
	policy(ca, what, grant->policy_hash);
	identify(kind, name, grant);
	name_subject(issuer, name, grant);
	grant->level = grant->level_needed = LEVEL_NONE;
	grant->validity_s = validity(ca, class, issuer);
	grant->key_usage = KU_DIGITAL_SIGNATURE;
	grant->n_ekus = 1;
	grant->eku[0] = *oid_of(class->purpose);
	grant->crl = GRANT_CRL_COMPLETE;
	return REASON_OK;
}

/* Into the line, which knows nothing of ours yet but what is in the issue. */
static enum reason put(struct ca *ca, struct issue *issue, struct fault *f)
{
	if (!atomic_load(&ca->stopping) && line_put(ca->line, CA_LEDGER, LANE_OWN, &issue->job))
		return REASON_OK;
	issue_finished(ca, issue);
	return fault_set(f, REASON_STOPPING, "the ca is stopping");
}

static enum reason put_policy(struct ca *ca, struct fault *f)
{
	struct issue *issue;

	TRY(issue_new(ca, ISSUE_POLICY, LANE_OWN, NULL, 0, &issue, f));
	policy(ca, issue->policy_what, issue->policy_hash);
	return put(ca, issue, f);
}

enum reason services_put(struct ca *ca, struct service *service, struct fault *f)
{
	AUTO(grant_freep) struct grant *grant = TAKE(service->grant);
	AUTO(buf_done) struct buf names_from = service->names_from;
	struct issue *issue;

	service->names_from = (struct buf){ 0 };
	TRY(put_policy(ca, f));
	TRY(issue_new(ca, ISSUE_CERTIFICATE, LANE_OWN, NULL, 0, &issue, f));
	issue->grant = TAKE(grant);
	issue->names_from = names_from;
	names_from = (struct buf){ 0 };
	issue->cmc_ra = service->cmc_ra;
	issue->told = service->told;
	issue->told_user = service->user;
	return put(ca, issue, f);
}

/* The certificate presented is not in the ledger, as those of a ceremony are not: the first one that is. */
static void begin_identity(struct grant *grant)
{
	grant->kind = GRANT_ENROL;
	grant->previous_len = 0;
}

/* Names and identity are the previous certificate's. */
static enum reason go_on(struct issue *issue, struct fault *f)
{
	if (strcmp(issue->previous.issuer, issue->grant->issuer) != 0)
		return fault_set(f, REASON_CLIENT_KIND, "the certificate presented is of issuer %s, not %s",
				 issue->previous.issuer, issue->grant->issuer);
	issue->grant->n_subject = 0;
	return REASON_OK;
}

static enum reason admit_rig(struct ca *ca, struct issue *issue, struct fault *f)
{
	struct grant *asked = issue->grant;
	AUTO(grant_freep) struct grant *grant = grant_new();
	struct requester_row row;
	uint8_t key[32];
	char requester[LIMIT_REQUESTER_CHARS + 1];

	if (grant == NULL)
		return fault_set(f, REASON_NO_MEMORY, "grant");
	pubkey_hash(&asked->key, key);
	if (issue->previous.found && memcmp(key, issue->previous.key_hash, sizeof(key)) != 0)
		return fault_set(f, REASON_KEY_NEW, "a rig keeps its key; an administrator enrols another");
	TRY(ledger_requester(ca->ledger, key, &row, f));
	if (!row.active || strcmp(row.kind, "rig") != 0)
		return fault_set(f, REASON_REQUESTER_UNKNOWN, "the key is not a rig's");
	if ((size_t)snprintf(requester, sizeof(requester), "rig:%s", row.name) >= sizeof(requester))
		return fault_set(f, REASON_API_FIELD, "registered name \"%.64s...\" is too long", row.name);
	grant->kind = GRANT_REENROL;
	grant->key = asked->key;
	grant->previous_len = asked->previous_len;
	memcpy(grant->previous, asked->previous, sizeof(grant->previous));
	TRY(services_fill(ca, row.kind, row.name, requester, grant, f));
	memcpy(grant->policy_hash, asked->policy_hash, sizeof(grant->policy_hash)); /* of the label, too */
	grant_free(asked);
	issue->grant = TAKE(grant);
	return REASON_OK;
}

enum reason services_admit(struct ca *ca, struct issue *issue, struct fault *f)
{
	const struct issuer_options *to = options_of(ca, issue->grant->issuer);
	const struct issuer_options *from = issue->previous.found ? options_of(ca, issue->previous.issuer) : NULL;
	const bool renewal = issue->grant->kind == GRANT_REENROL;

	if (to->use == ISSUER_DEVICES) {
		if (from != NULL && from->use != ISSUER_DEVICES)
			return fault_set(f, REASON_CLIENT_KIND, "a certificate of issuer %s is no device's",
					 from->name);
		return REASON_OK;
	}
	if (issue->told == NULL && (to->use != ISSUER_RIGS || !renewal))
		return fault_set(f, REASON_GRANT_REFUSED, "issuer %s is not for grants of the ra", to->name);
	if (issue->told == NULL)
		TRY(admit_rig(ca, issue, f));
	if (renewal && issue->previous.found)
		return go_on(issue, f);
	if (renewal)
		begin_identity(issue->grant);
	return REASON_OK;
}
