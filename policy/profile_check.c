/*
 * profile_check.c - what has to hold between the keys of a profile.
 *
 * Each rule is one function that says what is wrong, or NULL; the table names the key to put right.
 */
#include <string.h>

#include "profile.h"

#define N(table) (sizeof(table) / sizeof((table)[0]))

bool name_is_clean(const char *name)
{
	return name[0] != '\0' &&
	       name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.:-")] == '\0';
}

static unsigned placeholders_used(const struct profile *profile)
{
	unsigned uses = 0;

	for (size_t i = 0; i < profile->n_subject; i++)
		uses |= profile->subject[i].value.uses;
	for (size_t i = 0; i < profile->n_sans; i++)
		uses |= profile->san[i].value.uses;
	return uses;
}

static const struct template *attribute(const struct profile *profile, enum oid_id type)
{
	for (size_t i = 0; i < profile->n_subject; i++)
		if (profile->subject[i].type == type)
			return &profile->subject[i].value;
	return NULL;
}

static const char *check_somebody(const struct profile *p)
{
	if (p->enrol.who == 0 && p->reenrol.who == 0)
		return "neither enrol nor reenrol lets anybody in";
	return NULL;
}

static const char *check_enrol(const struct profile *p)
{
	if (!p->enrol.evidence && (p->enrol.who & (WHO(WHO_VENDOR) | WHO(WHO_DEVICE))) != 0)
		return "vendor and device take \"evidence\": true, for nothing else says which element asks";
	if (p->enrol.who == 0 && p->enrol.evidence)
		return "evidence is asked of nobody: \"who\" is empty";
	return NULL;
}

static const char *check_reenrol(const struct profile *p)
{
	if (p->reenrol.who != 0 && p->reenrol.new_key == NEW_KEY_NO && !p->reenrol.same_key)
		return "neither a new key nor the same one is allowed";
	return NULL;
}

/* A taken-over ra must not get a rig's certificate for a key of its own: so the ca takes the same key alone. */
static const char *check_rigs(const struct profile *p)
{
	if ((p->reenrol.who & WHO(WHO_RIG)) == 0)
		return NULL;
	if (p->reenrol.who != WHO(WHO_RIG) || p->enrol.who != 0)
		return "rigs renew on a label of their own, where nobody enrols";
	if (p->reenrol.new_key != NEW_KEY_NO || p->level != LEVEL_NONE)
		return "rigs renew with \"new_key\": \"no\" at level \"none\"";
	return NULL;
}

static const char *check_level(const struct profile *p)
{
	if (p->level == LEVEL_NONE && profile_takes_evidence(p))
		return "\"none\" with evidence asked for; allowed: vouched provisioned native";
	if (p->level != LEVEL_NONE && p->enrol.who != 0 && !p->enrol.evidence)
		return "must be \"none\" where enrol takes no evidence";
	if (p->level != LEVEL_NONE && p->reenrol.who != 0 && p->reenrol.new_key == NEW_KEY_FREE)
		return "must be \"none\" where reenrol.new_key is \"free\": a new key would lower it";
	return NULL;
}

/* The name that an operator and a relying party go by: never empty, never the same for two devices. */
static const char *check_cn(const struct template *cn)
{
	static const char *const sample[PLACE_COUNT] = { "x", "x", "x", "x" };
	char text[LIMIT_NAME_CHARS + 1];

	if ((cn->uses & (USES(PLACE_ELEMENT) | USES(PLACE_NAME) | USES(PLACE_UNIT_SERIAL))) == 0)
		return "CN needs {element}, {name} or {unit_serial}: else every device has the same name";
	if (!template_expand(cn, sample, text, sizeof(text)))
		return "CN is longer than 64 characters";
	return name_is_clean(text) ? NULL : "CN allows A-Z a-z 0-9 . : - besides placeholders";
}

static const char *check_subject(const struct profile *p)
{
	if (p->enrol.who == 0)
		return p->n_subject == 0 ? NULL : "names without enrol: a re-enrolment copies the old ones";
	/* A device known by its name alone needs none besides: its own CSR, sent again, is then the renewal's too. */
	if (attribute(p, OID_AT_CN) == NULL || (p->enrol.evidence && attribute(p, OID_AT_SERIAL_NUMBER) == NULL))
		return "CN and serialNumber are both needed (without evidence CN alone will do)";
	return check_cn(attribute(p, OID_AT_CN));
}

/* RFC 5280 appendix A: a country is two letters; every other attribute here holds 64 characters. */
static const char *check_attributes(const struct profile *p)
{
	for (size_t i = 0; i < p->n_subject; i++) {
		const struct template *value = &p->subject[i].value;

		if (value->literals > LIMIT_NAME_CHARS)
			return "an attribute is longer than 64 characters";
		if (p->subject[i].type == OID_AT_COUNTRY && (value->uses != 0 || value->literals != 2))
			return "C is two letters";
	}
	return NULL;
}

static const char *check_placeholders(const struct profile *p)
{
	unsigned uses = placeholders_used(p);

	if ((uses & USES(PLACE_NAME)) != 0 && p->enrol.evidence)
		return "{name} with evidence: names come from the attested element, use {element}";
	if ((uses & (USES(PLACE_ELEMENT) | USES(PLACE_FORMAT))) != 0 && !p->enrol.evidence)
		return "{element} and {format} need enrol.evidence; without it use {name}";
	if ((uses & USES(PLACE_UNIT_SERIAL)) != 0 && !p->has_unit)
		return "{unit_serial} needs the key unit_serial";
	return NULL;
}

static const char *check_san(const struct profile *p)
{
	if (p->enrol.who == 0 && p->n_sans > 0)
		return "names without enrol: a re-enrolment copies the old ones";
	for (size_t i = 0; i < p->n_sans; i++)
		if (p->san[i].type == SAN_URI && strchr(p->san[i].value.text, ':') == NULL)
			return "a URI needs a scheme, like urn:"; /* RFC 5280 section 4.2.1.6 */
	return NULL;
}

static bool has_ec_key(const struct profile *p)
{
	for (size_t i = 0; i < p->n_keys; i++)
		if (p->key[i].type != KEY_RSA)
			return true;
	return false;
}

static const char *check_key_usage(const struct profile *p)
{
	if (p->key_usage == 0)
		return "at least one usage is needed (RFC 5280 section 4.2.1.3)";
	if (has_ec_key(p) && (p->key_usage & (KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT)) != 0)
		return "keyEncipherment and dataEncipherment are not for EC keys (RFC 8813 section 3)";
	return NULL;
}

static const char *check_eku(const struct profile *p)
{
	static const enum oid_id refused[] = { OID_KP_CMC_RA,        OID_KP_CMC_CA,       OID_KP_OCSP_SIGNING,
					       OID_KP_TIME_STAMPING, OID_KP_CODE_SIGNING, OID_KP_ANY,
					       OID_ASSAY_KP_QUOTE };

	for (size_t i = 0; i < p->n_ekus; i++)
		for (size_t k = 0; k < N(refused); k++)
			if (oid_equal(&p->eku[i], oid_of(refused[k])))
				return "cmcRA cmcCA OCSPSigning timeStamping codeSigning anyExtendedKeyUsage assay.2.1 "
				       "are not for devices";
	return NULL;
}

static const char *check_nonce(const struct profile *p)
{
	if (p->nonce_lifetime_s != 0 && !profile_takes_evidence(p))
		return "a nonce stands in evidence, and none is asked for here";
	return NULL;
}

static const char *check_stamp(const struct profile *p)
{
	return p->stamp && p->level == LEVEL_NONE ? "there is no attestation result to stamp at level \"none\"" : NULL;
}

static const char *check_crl(const struct profile *p)
{
	if (p->crl == GRANT_CRL_NONE && (p->validity_s == 0 || p->validity_s > GRANT_UNREVOKED_MAX_S))
		return "\"none\" is for a validity of \"24h\" or less; allowed for longer ones: complete shard";
	return NULL;
}

static const struct rule {
	const char *key;
	const char *(*wrong)(const struct profile *profile);
} rules[] = {
	{ "enrol", check_somebody },
	{ "enrol", check_enrol },
	{ "reenrol", check_reenrol },
	{ "reenrol", check_rigs },
	{ "level", check_level },
	{ "subject", check_subject },
	{ "subject", check_attributes },
	{ "subject, san", check_placeholders },
	{ "san", check_san },
	{ "key_usage", check_key_usage },
	{ "eku", check_eku },
	{ "nonce", check_nonce },
	{ "stamp", check_stamp },
	{ "crl", check_crl },
};

static enum reason check_issuer(const struct profile *profile, const char *file, const char *const *issuers,
				struct fault *f)
{
	char allowed[96] = "";

	for (const char *const *issuer = issuers; *issuer != NULL; issuer++) {
		size_t len = strlen(allowed);

		if (strcmp(*issuer, profile->issuer) == 0)
			return REASON_OK;
		snprintf(allowed + len, sizeof(allowed) - len, " %s", *issuer);
	}
	return fault_set(f, REASON_CONFIG, "%s: issuer: allowed:%s; given: \"%s\"", file, allowed, profile->issuer);
}

enum reason profile_check(const struct profile *profile, const char *file, const char *const *issuers, struct fault *f)
{
	TRY(check_issuer(profile, file, issuers, f));
	for (size_t i = 0; i < N(rules); i++) {
		const char *wrong = rules[i].wrong(profile);

		if (wrong != NULL)
			return fault_set(f, REASON_CONFIG, "%s: %s: %s", file, rules[i].key, wrong);
	}
	return REASON_OK;
}
