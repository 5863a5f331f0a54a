/*
 * decide.c - the decision: may this requester have this certificate, and what is in it.
 *
 * Pure: a profile, a requester, a parsed CSR and a verdict go in; a grant or a refusal comes out. What the ledger
 * knows (retries, one element one identity, levels of earlier keys) is decided by the ca.
 */
#include <stdio.h>
#include <string.h>

#include "profile.h"
#include "names.h"

static const char *const kind_names[] = {
	[WHO_NOBODY] = "nobody", [WHO_RIG] = "rig",   [WHO_DEVICE] = "device",
	[WHO_VENDOR] = "vendor", [WHO_USER] = "user", [WHO_RA] = "ra",
};

const char *requester_kind_name(enum requester_kind kind)
{
	return (unsigned)kind < sizeof(kind_names) / sizeof(kind_names[0]) ? kind_names[kind] : "nobody";
}

/* --- may this requester use this operation at all --- */

/* "a,b" holds label; the empty list holds every one. */
static bool label_listed(const char *labels, const char *label)
{
	size_t len = strlen(label);

	if (labels[0] == '\0')
		return true;
	for (const char *at = labels; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, label, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

static unsigned kinds_for(const struct profile *profile, enum est_op op)
{
	switch (op) {
	case EST_SIMPLEENROLL:
		return profile->enrol.who;
	case EST_SIMPLEREENROLL:
		return profile->reenrol.who;
	default:
		return profile->enrol.who | profile->reenrol.who;
	}
}

enum reason policy_may(const struct profile *profile, enum est_op op, const struct requester *who, struct fault *f)
{
	unsigned kinds = kinds_for(profile, op);

	if (op == EST_CACERTS || op == EST_CSRATTRS)
		return REASON_OK;
	if (kinds == 0)
		return fault_set(f, REASON_CLIENT_KIND, "label %s has no such operation", profile->label);
	if (who->kind == WHO_NOBODY)
		return fault_set(f, REASON_AUTH_REQUIRED, "nobody on label %s", profile->label);
	if ((kinds & WHO(who->kind)) == 0)
		return fault_set(f, REASON_CLIENT_KIND, "%s on label %s", requester_kind_name(who->kind),
				 profile->label);
	if (who->kind == WHO_RIG && op == EST_SIMPLEREENROLL)
		return REASON_OK; /* its own certificate: the labels of its registration are for devices */
	if (!label_listed(who->labels, profile->label))
		return fault_set(f, REASON_CLIENT_KIND, "%s may use the labels %s", who->id, who->labels);
	if (who->cert_expired && op == EST_SIMPLEENROLL)
		return fault_set(f, REASON_CHAIN_EXPIRED, "%s: an expired certificate may only be renewed", who->id);
	return REASON_OK;
}

/* --- what a CSR may ask for, whoever asks --- */

static enum reason check_key(const struct profile *profile, const struct pubkey *key, struct fault *f)
{
	for (size_t i = 0; i < profile->n_keys; i++)
		if (profile->key[i].type == key->type && profile->key[i].bits == key->bits)
			return REASON_OK;
	return fault_set(f, REASON_KEY_TYPE, "%s of %u bits on label %s", key_type_name(key->type), key->bits,
			 profile->label);
}

static bool purpose_given(const struct profile *profile, const struct oid *purpose)
{
	for (size_t i = 0; i < profile->n_ekus; i++)
		if (oid_equal(&profile->eku[i], purpose))
			return true;
	return false;
}

/* A profile gives no CA's usage and no purpose with powers (profile_check.c), so what it gives bounds the wish. */
static enum reason check_usage(const struct profile *profile, const struct csr *csr, struct fault *f)
{
	char text[80];

	if (csr->asks_ca)
		return fault_set(f, REASON_CSR_CA, "basicConstraints CA:TRUE");
	if ((csr->key_usage & ~profile->key_usage) != 0)
		return fault_set(f, REASON_CSR_USAGE, "keyUsage bits 0x%x, label %s gives 0x%x", csr->key_usage,
				 profile->label, profile->key_usage);
	for (size_t i = 0; i < csr->n_ekus; i++) {
		if (purpose_given(profile, &csr->eku[i]))
			continue;
		oid_text(&csr->eku[i], text, sizeof(text));
		return fault_set(f, REASON_CSR_USAGE, "purpose %s is not given on label %s", text, profile->label);
	}
	return REASON_OK;
}

/* --- names of a first certificate --- */

/* The texts that placeholders stand for, while a grant is made. */
struct names {
	char element[LIMIT_NAME_CHARS + 1], unit_serial[LIMIT_NAME_CHARS + 1], name[LIMIT_NAME_CHARS + 1];
	const char *values[PLACE_COUNT];
};

/* The identity is the element's: whatever the requester says, its evidence names it. */
static enum reason identify_element(const struct profile *profile, const struct ask *ask, struct grant *grant,
				    struct names *names, struct fault *f)
{
	const struct verdict *verdict = ask->verdict;

	if (verdict == NULL)
		return fault_set(f, REASON_EVIDENCE_MISSING, "label %s", profile->label);
	if (!element_text(BLOB(verdict->device.element, verdict->device.element_len), names->element))
		return fault_set(f, REASON_EVIDENCE_IDENTITY, "element id of %zu bytes fits no name",
				 verdict->device.element_len);
	names->values[PLACE_ELEMENT] = names->element;
	names->values[PLACE_FORMAT] = verdict->format;
	grant->device = verdict->device;
	return REASON_OK;
}

/* Without evidence the identity is a name: the CSR's CN, within what the requester's credential allows. */
static enum reason identify_name(const struct ask *ask, struct grant *grant, struct names *names, struct fault *f)
{
	if (!name_get(ask->csr->subject, OID_AT_CN, names->name))
		return fault_set(f, REASON_CSR_SUBJECT,
				 "no CN (once, printable, at most %d characters) to name the device by",
				 LIMIT_NAME_CHARS);
	if (!pattern_fits(ask->who->names, names->name))
		return fault_set(f, REASON_AUTH_NAME, "CN \"%s\", %s may have \"%s\"", names->name, ask->who->id,
				 ask->who->names);
	if (!name_is_clean(names->name))
		return fault_set(f, REASON_AUTH_NAME, "CN \"%s\": allowed: A-Z a-z 0-9 . : -", names->name);
	names->values[PLACE_NAME] = names->name;
	grant->once = ask->who->kind == WHO_USER;
	snprintf(grant->device.format, sizeof(grant->device.format), "name");
	grant->device.element_len = strlen(names->name);
	memcpy(grant->device.element, names->name, grant->device.element_len);
	return REASON_OK;
}

/* The product's serial is the one URI of the profile's form in the CSR's subjectAltName. */
static enum reason find_unit_serial(const struct profile *profile, const struct sans *asked, struct names *names,
				    struct fault *f)
{
	size_t found = 0;

	if (!profile->has_unit)
		return REASON_OK;
	for (size_t i = 0; i < asked->n; i++)
		if (asked->san[i].type == SAN_URI && template_match(&profile->unit.pattern, asked->san[i].value,
								    names->unit_serial, sizeof(names->unit_serial)))
			found++;
	if (found != 1)
		return fault_set(f, REASON_UNIT_SERIAL, "%zu names of the form %.120s", found,
				 profile->unit.pattern.text);
	if (regexec(&profile->unit.format, names->unit_serial, 0, NULL, 0) != 0)
		return fault_set(f, REASON_UNIT_SERIAL, "\"%s\" does not have the profile's format",
				 names->unit_serial);
	names->values[PLACE_UNIT_SERIAL] = names->unit_serial;
	return REASON_OK;
}

/* What a name that comes out too long or unclean is blamed on: the part that the profile does not control. */
static enum reason name_refusal(const struct profile *profile)
{
	if (profile->has_unit)
		return REASON_UNIT_SERIAL;
	return profile->enrol.evidence ? REASON_EVIDENCE_IDENTITY : REASON_AUTH_NAME;
}

static enum reason build_subject(const struct profile *profile, const struct names *names, struct grant *grant,
				 struct fault *f)
{
	for (size_t i = 0; i < profile->n_subject; i++) {
		struct name_attr *attr = &grant->subject[i];

		attr->type = profile->subject[i].type;
		if (!template_expand(&profile->subject[i].value, names->values, attr->value, sizeof(attr->value)) ||
		    (attr->type == OID_AT_CN && !name_is_clean(attr->value)))
			return fault_set(f, name_refusal(profile),
					 "%.100s comes out empty, over %d characters or unclean",
					 profile->subject[i].value.text, LIMIT_NAME_CHARS);
	}
	grant->n_subject = profile->n_subject;
	return REASON_OK;
}

/* hwSerialNum is octets: the element's own where the profile says just {element}, else the text's. */
static bool expand_hw_serial(const struct san_rule *rule, const struct names *names, const struct device_id *device,
			     struct san *san)
{
	char text[LIMIT_SAN_CHARS + 1];

	if (rule->value.uses == USES(PLACE_ELEMENT) && strcmp(rule->value.text, "{element}") == 0)
		return san_hw_serial(BLOB(device->element, device->element_len), san);
	return template_expand(&rule->value, names->values, text, sizeof(text)) && san_hw_serial(BLOB_STR(text), san);
}

static enum reason build_sans(const struct profile *profile, const struct names *names, struct grant *grant,
			      struct fault *f)
{
	for (size_t i = 0; i < profile->n_sans; i++) {
		const struct san_rule *rule = &profile->san[i];
		struct san *san = &grant->san[i];
		bool made;

		san->type = rule->type;
		san->hw_type = rule->hw_type;
		made = rule->type == SAN_HW_MODULE
			       ? expand_hw_serial(rule, names, &grant->device, san)
			       : template_expand(&rule->value, names->values, san->value, sizeof(san->value));
		if (!made)
			return fault_set(f, name_refusal(profile), "%.100s comes out empty or too long",
					 rule->value.text);
	}
	grant->n_sans = profile->n_sans;
	return REASON_OK;
}

/* Nothing may be asked for that is not given: other attributes, other values, other alternative names. */
static enum reason check_asked(const struct grant *grant, const struct csr *csr, const struct sans *asked,
			       struct fault *f)
{
	if (!subject_within(csr->subject, grant->subject, grant->n_subject))
		return fault_set(f, REASON_CSR_SUBJECT, "subject has an attribute or value other than %s's",
				 grant->subject[0].value);
	for (size_t i = 0; i < asked->n; i++) {
		bool given = false;

		for (size_t k = 0; k < grant->n_sans; k++)
			given = given || san_equal(&asked->san[i], &grant->san[k]);
		if (!given)
			return fault_set(f, REASON_CSR_SAN, "\"%.120s\" is not given", asked->san[i].value);
	}
	return REASON_OK;
}

static const char *subject_value(const struct grant *grant, enum oid_id type)
{
	for (size_t i = 0; i < grant->n_subject; i++)
		if (grant->subject[i].type == type)
			return grant->subject[i].value;
	return "";
}

/* Who may ask for an attested element's certificate: a user or RA within its names, a device for itself alone. */
static enum reason check_entitled(const struct grant *grant, const struct requester *who, struct fault *f)
{
	const char *cn = subject_value(grant, OID_AT_CN), *serial = subject_value(grant, OID_AT_SERIAL_NUMBER);
	char own[LIMIT_NAME_CHARS + 1];

	if ((who->kind == WHO_USER || who->kind == WHO_RA) && !pattern_fits(who->names, cn))
		return fault_set(f, REASON_AUTH_NAME, "CN \"%s\", %s may have \"%s\"", cn, who->id, who->names);
	if (who->kind == WHO_DEVICE &&
	    (who->cert == NULL || !name_get(who->cert->subject, OID_AT_SERIAL_NUMBER, own) || strcmp(own, serial) != 0))
		return fault_set(f, REASON_AUTH_NAME, "%s asks for serialNumber \"%s\"", who->id, serial);
	return REASON_OK;
}

static enum reason decide_enrol(const struct profile *profile, const struct ask *ask, struct grant *grant,
				struct fault *f)
{
	struct names names = { 0 };
	struct sans asked;

	grant->kind = GRANT_ENROL;
	if (profile->enrol.evidence)
		TRY(identify_element(profile, ask, grant, &names, f));
	else
		TRY(identify_name(ask, grant, &names, f));
	if (!sans_parse(ask->csr->san, &asked))
		return fault_set(f, REASON_CSR_SAN, "a name in a form that no profile gives");
	TRY(find_unit_serial(profile, &asked, &names, f));
	memcpy(grant->unit_serial, names.unit_serial, sizeof(grant->unit_serial));
	TRY(build_subject(profile, &names, grant, f));
	TRY(build_sans(profile, &names, grant, f));
	TRY(check_entitled(grant, ask->who, f));
	return check_asked(grant, ask->csr, &asked, f);
}

/* --- names and key of a re-enrolment --- */

/* Both absent means "as now"; otherwise the subject is equal and the SAN equal as a set (RFC 7030 section 4.2.2). */
static enum reason check_same_names(const struct csr *csr, const struct cert *now, struct fault *f)
{
	if (csr->asks_change_name)
		return fault_set(f, REASON_CSR_SUBJECT, "changeSubjectName (RFC 6402) is not given to anybody");
	if (name_empty(csr->subject) && csr->san.len == 0)
		return REASON_OK;
	if (!subject_same(csr->subject, now->subject))
		return fault_set(f, REASON_CSR_SUBJECT, "subject of %zu bytes is not that of the certificate presented",
				 csr->subject.len);
	if (!sans_same_set(csr->san, now->san))
		return fault_set(f, REASON_CSR_SAN, "subjectAltName is not that of the certificate presented");
	return REASON_OK;
}

static enum reason check_renewed_key(const struct profile *profile, const struct ask *ask, bool same, struct fault *f)
{
	if (same && !profile->reenrol.same_key)
		return fault_set(f, REASON_KEY_SAME, "label %s", profile->label);
	if (same)
		return REASON_OK;
	if (profile->reenrol.new_key == NEW_KEY_NO)
		return fault_set(f, REASON_KEY_NEW, "label %s", profile->label);
	if (profile->reenrol.new_key == NEW_KEY_EVIDENCE && ask->verdict == NULL)
		return fault_set(f, REASON_EVIDENCE_MISSING, "new key on label %s", profile->label);
	return REASON_OK;
}

static enum reason decide_reenrol(const struct profile *profile, const struct ask *ask, struct grant *grant,
				  struct fault *f)
{
	const struct cert *now = ask->who->cert;
	bool same;

	if (now == NULL || now->serial.len == 0 || now->serial.len > sizeof(grant->previous))
		return fault_set(f, REASON_CLIENT_KIND, "%s presents no certificate to renew", ask->who->id);
	same = pubkey_equal(&ask->csr->key, &now->key);
	TRY(check_renewed_key(profile, ask, same, f));
	TRY(check_same_names(ask->csr, now, f));
	grant->kind = GRANT_REENROL;
	memcpy(grant->previous, now->serial.ptr, now->serial.len);
	grant->previous_len = now->serial.len;
	grant->rekey_needs_evidence = profile->reenrol.new_key == NEW_KEY_EVIDENCE;
	return buf_copy(ask->csr->continuity, &grant->continuity, f);
}

/* --- the grant --- */

static bool same_key(const struct ask *ask)
{
	return ask->op == EST_SIMPLEREENROLL && pubkey_equal(&ask->csr->key, &ask->who->cert->key);
}

/*
 * Where the profile takes no evidence, what came beside the CSR counts for nothing: the certificate is of level none.
 * The same key keeps the level that the ledger has for it.
 */
static enum reason add_evidence(const struct profile *profile, const struct ask *ask, struct grant *grant,
				struct fault *f)
{
	const struct verdict *verdict = ask->verdict;

	if (verdict == NULL || !profile_takes_evidence(profile) || same_key(ask))
		return REASON_OK;
	if (verdict->level < profile->level)
		return fault_set(f, REASON_EVIDENCE_LEVEL, "%s, label %s takes %s and above",
				 level_name(verdict->level), profile->label, level_name(profile->level));
	grant->level = verdict->level;
	grant->device = verdict->device;
	snprintf(grant->evidence_format, sizeof(grant->evidence_format), "%s", verdict->format);
	memcpy(grant->batch_ca, verdict->batch_ca_hash, sizeof(grant->batch_ca));
	if (profile->nonce_lifetime_s != 0) {
		grant->nonce_len = verdict->nonce_len;
		memcpy(grant->nonce, verdict->nonce, verdict->nonce_len);
		grant->freshness = ask->freshness;
	}
	return buf_copy(ask->csr->evidence, &grant->evidence, f);
}

static enum reason fill(const struct policy *policy, const struct profile *profile, const struct ask *ask,
			struct grant *grant, struct fault *f)
{
	memcpy(grant->profile, profile->label, sizeof(profile->label));
	memcpy(grant->family, profile->family, sizeof(grant->family));
	memcpy(grant->issuer, profile->issuer, sizeof(grant->issuer));
	policy_hash(policy, grant->policy_hash);
	memcpy(grant->requester, ask->who->id, sizeof(grant->requester));
	grant->key = ask->csr->key;
	grant->level_needed = profile->level;
	grant->validity_s = profile->validity_s;
	grant->key_usage = profile->key_usage;
	grant->n_ekus = profile->n_ekus;
	memcpy(grant->eku, profile->eku, sizeof(grant->eku));
	grant->stamp_result = profile->stamp;
	grant->crl = profile->crl;
	return add_evidence(profile, ask, grant, f);
}

enum reason policy_decide(const struct policy *policy, const struct profile *profile, const struct ask *ask,
			  struct grant **ret_grant, struct fault *f)
{
	AUTO(grant_freep) struct grant *grant = grant_new();

	if (grant == NULL)
		return fault_set(f, REASON_NO_MEMORY, "grant");
	TRY(policy_may(profile, ask->op, ask->who, f));
	TRY(check_key(profile, &ask->csr->key, f));
	TRY(check_usage(profile, ask->csr, f));
	if (ask->op == EST_SIMPLEREENROLL)
		TRY(decide_reenrol(profile, ask, grant, f));
	else if (ask->op == EST_SIMPLEENROLL)
		TRY(decide_enrol(profile, ask, grant, f));
	else
		return fault_set(f, REASON_INTERNAL, "no decision for operation %d", (int)ask->op);
	TRY(fill(policy, profile, ask, grant, f));
	*ret_grant = TAKE(grant);
	return REASON_OK;
}
