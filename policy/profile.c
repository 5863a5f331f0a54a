/*
 * profile.c - reads one profile from JSON, key by key. See profile.h. Names are read in profile_names.c; rules between
 * keys are in profile_check.c.
 */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

#include "csrattrs.h"
#include "profile_read.h"

/* A list of names as bits: 1U << value each. */
static enum reason read_bits(const json_t *list, const struct named *names, size_t n, unsigned *ret_bits,
			     const struct where *where, struct fault *f)
{
	unsigned bits = 0, value;
	const json_t *entry;
	size_t i;

	if (!json_is_array(list))
		return json_refuse(where, "a list", list, f);
	json_array_foreach(list, i, entry) {
		if (!profile_name(names, n, entry, &value))
			return profile_refuse(names, n, entry, where, f);
		bits |= 1U << value;
	}
	*ret_bits = bits;
	return REASON_OK;
}

/* --- enrol, reenrol --- */

static const struct named enrol_kinds[] = {
	{ "rig", WHO_RIG }, { "ra", WHO_RA }, { "user", WHO_USER }, { "vendor", WHO_VENDOR }, { "device", WHO_DEVICE },
};
/* The certificate that is presented says what is renewed: a device's, or, on a label of its own, a rig's. */
static const struct named reenrol_kinds[] = { { "device", WHO_DEVICE }, { "rig", WHO_RIG } };
static const struct named new_keys[] = { { "evidence", NEW_KEY_EVIDENCE },
					 { "free", NEW_KEY_FREE },
					 { "no", NEW_KEY_NO } };

static enum reason read_enrol_who(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	return read_bits(value, enrol_kinds, N(enrol_kinds), &((struct profile *)object)->enrol.who, where, f);
}

static enum reason read_enrol_evidence(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	return json_read_bool(value, &((struct profile *)object)->enrol.evidence, where, f);
}

static enum reason read_enrol(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct json_key keys[] = { { "who", true, read_enrol_who },
						{ "evidence", true, read_enrol_evidence } };

	return json_keys_read(value, keys, N(keys), object, where, f);
}

static enum reason read_reenrol_who(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	return read_bits(value, reenrol_kinds, N(reenrol_kinds), &((struct profile *)object)->reenrol.who, where, f);
}

static enum reason read_new_key(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	unsigned found;

	if (!profile_name(new_keys, N(new_keys), value, &found))
		return profile_refuse(new_keys, N(new_keys), value, where, f);
	((struct profile *)object)->reenrol.new_key = (enum new_key)found;
	return REASON_OK;
}

static enum reason read_same_key(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	return json_read_bool(value, &((struct profile *)object)->reenrol.same_key, where, f);
}

static enum reason read_grace(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	uint64_t seconds;

	TRY(json_read_duration(value, &seconds, where, f));
	if (seconds > UINT32_MAX)
		return json_refuse(where, "\"0s\" to \"100y\"", value, f);
	((struct profile *)object)->reenrol.expired_grace_s = (unsigned)seconds;
	return REASON_OK;
}

static enum reason read_reenrol(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct json_key keys[] = { { "who", true, read_reenrol_who },
						{ "new_key", true, read_new_key },
						{ "same_key", true, read_same_key },
						{ "expired_grace", false, read_grace } };

	return json_keys_read(value, keys, N(keys), object, where, f);
}

/* --- what the certificate is for --- */

static enum reason read_family(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct profile *profile = object;

	return json_read_text(value, profile->family, sizeof(profile->family), where, f);
}

static enum reason read_issuer(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct profile *profile = object;

	return json_read_text(value, profile->issuer, sizeof(profile->issuer), where, f);
}

static enum reason read_level(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	const char *text = json_string_value(value);

	if (text == NULL || !level_by_name(text, &((struct profile *)object)->level))
		return json_refuse(where, "none vouched provisioned native", value, f);
	return REASON_OK;
}

enum { EC_P256, EC_P384, RSA_2048, RSA_3072 };
static const struct named key_names[] = {
	{ "ec-p256", EC_P256 }, { "ec-p384", EC_P384 }, { "rsa-2048", RSA_2048 }, { "rsa-3072", RSA_3072 }
};
static const struct key_rule key_rules[] = {
	[EC_P256] = { KEY_EC_P256, 256 },
	[EC_P384] = { KEY_EC_P384, 384 },
	[RSA_2048] = { KEY_RSA, 2048 },
	[RSA_3072] = { KEY_RSA, 3072 },
};

static enum reason read_keys(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct profile *profile = object;
	const json_t *entry;
	unsigned which;
	size_t i;

	if (json_array_size(value) == 0 || json_array_size(value) > PROFILE_KEYS)
		return json_refuse(where, "a list of ec-p256 ec-p384 rsa-2048 rsa-3072", value, f);
	json_array_foreach(value, i, entry) {
		if (!profile_name(key_names, N(key_names), entry, &which))
			return profile_refuse(key_names, N(key_names), entry, where, f);
		profile->key[profile->n_keys++] = key_rules[which];
	}
	return REASON_OK;
}

static enum reason read_validity(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct profile *profile = object;
	const char *text = json_string_value(value);

	if (text != NULL && strcmp(text, "none") == 0)
		return REASON_OK; /* 0 is no expiry */
	TRY(json_read_duration(value, &profile->validity_s, where, f));
	if (profile->validity_s == 0)
		return json_refuse(where, "a duration above zero, or \"none\" for no expiry", value, f);
	return REASON_OK;
}

/* Bit numbers of RFC 5280 section 4.2.1.3. keyCertSign and cRLSign are a CA's and have no name here. */
static const struct named usages[] = {
	{ "digitalSignature", 0 }, { "nonRepudiation", 1 }, { "keyEncipherment", 2 }, { "dataEncipherment", 3 },
	{ "keyAgreement", 4 },     { "encipherOnly", 7 },   { "decipherOnly", 8 },
};

static enum reason read_key_usage(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	return read_bits(value, usages, N(usages), &((struct profile *)object)->key_usage, where, f);
}

static enum reason read_eku(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct profile *profile = object;
	const json_t *entry;
	size_t i;

	if (!json_is_array(value) || json_array_size(value) > LIMIT_EKUS)
		return json_refuse(where, "a list of at most 8 purposes", value, f);
	json_array_foreach(value, i, entry) {
		if (!json_is_string(entry) || !oid_by_name(json_string_value(entry), &profile->eku[profile->n_ekus]))
			return json_refuse(where, "names like clientAuth, or dotted OIDs", entry, f);
		profile->n_ekus++;
	}
	return REASON_OK;
}

static enum reason read_nonce_lifetime(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	uint64_t seconds;

	TRY(json_read_duration(value, &seconds, where, f));
	if (seconds == 0 || seconds > 86400)
		return json_refuse(where, "\"1s\" to \"1d\"", value, f);
	((struct profile *)object)->nonce_lifetime_s = (unsigned)seconds;
	return REASON_OK;
}

static enum reason read_nonce(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct json_key keys[] = { { "lifetime", true, read_nonce_lifetime } };

	return json_keys_read(value, keys, N(keys), object, where, f);
}

static enum reason read_stamp(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	return json_read_bool(value, &((struct profile *)object)->stamp, where, f);
}

static enum reason read_crl(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct named choices[] = { { "complete", GRANT_CRL_COMPLETE },
						{ "shard", GRANT_CRL_SHARD },
						{ "none", GRANT_CRL_NONE } };
	unsigned found;

	if (!profile_name(choices, N(choices), value, &found))
		return profile_refuse(choices, N(choices), value, where, f);
	((struct profile *)object)->crl = (enum grant_crl)found;
	return REASON_OK;
}

static enum reason read_binding(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct named choices[] = { { "optional", false }, { "required", true } };
	unsigned found;

	if (!profile_name(choices, N(choices), value, &found))
		return profile_refuse(choices, N(choices), value, where, f);
	((struct profile *)object)->binding = found;
	return REASON_OK;
}

static const struct json_key profile_keys[] = {
	{ "family", false, read_family },      { "issuer", true, read_issuer },
	{ "enrol", false, read_enrol },        { "reenrol", false, read_reenrol },
	{ "level", true, read_level },         { "subject", false, profile_read_subject },
	{ "san", false, profile_read_san },    { "unit_serial", false, profile_read_unit },
	{ "keys", true, read_keys },           { "validity", true, read_validity },
	{ "key_usage", true, read_key_usage }, { "eku", true, read_eku },
	{ "nonce", false, read_nonce },        { "stamp", false, read_stamp },
	{ "binding", false, read_binding },    { "crl", false, read_crl },
};

/* --- the label: the file's name --- */

static bool is_operation(const char *label)
{
	/* RFC 7030 section 3.2.2: a label must not look like an operation; the others are ours and the drafts' */
	static const char *const operations[] = { "cacerts",      "simpleenroll", "simplereenroll", "fullcmc",
						  "serverkeygen", "csrattrs",     "nonce",          "renewal-info" };

	for (size_t i = 0; i < N(operations); i++)
		if (strcmp(operations[i], label) == 0)
			return true;
	return false;
}

static enum reason read_label(const char *file, char label[LIMIT_LABEL_CHARS + 1], struct fault *f)
{
	const char *dot = strrchr(file, '.');
	size_t len = dot != NULL && strcmp(dot, ".json") == 0 ? (size_t)(dot - file) : 0;

	if (len == 0 || len > LIMIT_LABEL_CHARS || strspn(file, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		return fault_set(f, REASON_CONFIG,
				 "%.80s: file name: allowed: 1 to %d of a-z 0-9 - before .json, it is the label", file,
				 LIMIT_LABEL_CHARS);
	memcpy(label, file, len);
	label[len] = '\0';
	if (is_operation(label))
		return fault_set(f, REASON_CONFIG, "%s: file name: \"%s\" is an EST operation and cannot be a label",
				 file, label);
	return REASON_OK;
}

enum reason profile_parse(const char *file, struct blob bytes, const char *const *issuers, struct profile **ret_profile,
			  struct fault *f)
{
	AUTO(profile_freep) struct profile *profile = calloc(1, sizeof(*profile));
	AUTO(json_decrefp) json_t *json = NULL;
	struct where where = { .file = file };

	if (profile == NULL)
		return fault_set(f, REASON_NO_MEMORY, "profile");
	TRY(read_label(file, profile->label, f));
	memcpy(profile->family, profile->label, sizeof(profile->label));
	TRY(json_file_parse(file, bytes, &json, f));
	TRY(json_keys_read(json, profile_keys, N(profile_keys), profile, &where, f));
	TRY(profile_check(profile, file, issuers, f));
	TRY(csrattrs_build(profile->key[0].type, profile->key[0].bits, profile_takes_evidence(profile),
			   profile->binding, &profile->csrattrs, f));
	*ret_profile = TAKE(profile);
	return REASON_OK;
}

void profile_free(struct profile *profile)
{
	if (profile == NULL)
		return;
	if (profile->has_unit)
		regfree(&profile->unit.format);
	buf_done(&profile->csrattrs);
	free(profile);
}

bool profile_takes_evidence(const struct profile *profile)
{
	return profile->enrol.evidence || (profile->reenrol.who != 0 && profile->reenrol.new_key == NEW_KEY_EVIDENCE);
}
