/*
 * issuer_check.c - the ca's own rules, as issuer.h lists them.
 *
 * The ra reads hostile bytes and may one day be taken over; whatever grant it then sends, these rules hold. They are
 * a table, gone through in order; the count comes last, so that only grants that pass use it up.
 */
#include "issuer_own.h"

#include <string.h>

#include "base/clock.h"

#define YEAR_9999_S INT64_C(253402300799) /* 9999-12-31T23:59:59Z: later dates cannot be written */
#define LABEL_CHARS 63                    /* RFC 1035 section 2.3.4 */
#define DNS_CHARS 253

typedef enum reason rule(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f);

static bool in_set(char c, const char *more)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr(more, c) != NULL);
}

/* Ends within its array, from min to max characters, and every one is a letter, a digit or in `more`. */
static bool text_fits(const char *text, size_t array_len, size_t min, size_t max, const char *more)
{
	size_t len = strnlen(text, array_len);

	if (len == array_len || len < min || len > max)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!in_set(text[i], more))
			return false;
	}
	return true;
}
#define TEXT_FITS(array, min, more) text_fits(array, sizeof(array), min, sizeof(array) - 1, more)

static bool oid_fits(const struct oid *oid)
{
	size_t octets = 0; /* of the arc at hand */

	if (oid->len == 0 || oid->len > sizeof(oid->bytes) || oid->bytes[oid->len - 1] & 0x80)
		return false;
	for (size_t i = 0; i < oid->len; i++) {
		if (octets == 0 && oid->bytes[i] == 0x80)
			return false; /* padded */
		octets = oid->bytes[i] & 0x80 ? octets + 1 : 0;
		if (octets == 4)
			return false; /* an arc of 2^28 or more: Go and python-cryptography cannot parse the certificate
				       */
	}
	return true;
}

static enum reason rule_texts(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	const char *const punctuation = " '()+,-./:=?@_*";

	(void)now_s;
	if (!TEXT_FITS(grant->issuer, 1, "-_.") || strcmp(grant->issuer, issuer->name) != 0)
		return fault_set(f, REASON_GRANT_REFUSED, "grant is for another issuer than %s", issuer->name);
	if (!TEXT_FITS(grant->profile, 1, "-_.") || !TEXT_FITS(grant->family, 1, "-_."))
		return fault_set(f, REASON_GRANT_REFUSED, "profile or family is not a clean name");
	if (!TEXT_FITS(grant->requester, 1, punctuation))
		return fault_set(f, REASON_GRANT_REFUSED, "requester is not a clean text");
	if (!TEXT_FITS(grant->unit_serial, 0, "-._:/"))
		return fault_set(f, REASON_GRANT_REFUSED, "unit serial is not a clean text");
	if (!TEXT_FITS(grant->evidence_format, 0, ".-"))
		return fault_set(f, REASON_GRANT_REFUSED, "evidence format is not a clean text");
	return REASON_OK;
}

static enum reason rule_shape(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	(void)issuer, (void)now_s;
	if (grant->kind != GRANT_ENROL && grant->kind != GRANT_REENROL)
		return fault_set(f, REASON_GRANT_REFUSED, "grant of kind %d", (int)grant->kind);
	if (grant->n_subject > LIMIT_NAME_ATTRS || grant->n_sans > LIMIT_SANS || grant->n_ekus > LIMIT_EKUS ||
	    grant->nonce_len > LIMIT_NONCE_BYTES_MAX || grant->device.element_len > LIMIT_ELEMENT_BYTES)
		return fault_set(f, REASON_GRANT_REFUSED, "a count is past its limit");
	if ((unsigned)grant->freshness >= REASON_COUNT)
		return fault_set(f, REASON_GRANT_REFUSED, "freshness %d", (int)grant->freshness);
	if (grant->kind == GRANT_REENROL && (grant->n_subject > 0 || grant->n_sans > 0 || grant->previous_len == 0 ||
					     grant->previous_len > LIMIT_SERIAL_BYTES))
		return fault_set(f, REASON_GRANT_REFUSED,
				 "re-enrolment without a previous serial, or with names of its own");
	if (grant->kind == GRANT_ENROL && (grant->previous_len > 0 || grant->device.element_len == 0))
		return fault_set(f, REASON_GRANT_REFUSED, "enrolment with a previous serial, or without a device");
	return REASON_OK;
}

static bool attr_fits(const struct name_attr *attr)
{
	const char *const printable = " '()+,-./:=?"; /* X.680: PrintableString */

	switch (attr->type) {
	case OID_AT_CN:
		return TEXT_FITS(attr->value, 1, ".:-");
	case OID_AT_SERIAL_NUMBER:
		return TEXT_FITS(attr->value, 1, printable);
	case OID_AT_COUNTRY:
		return TEXT_FITS(attr->value, 2, "") && attr->value[2] == '\0' && attr->value[0] >= 'A' &&
		       attr->value[0] <= 'Z' && attr->value[1] >= 'A' && attr->value[1] <= 'Z';
	case OID_AT_ORG:
	case OID_AT_ORG_UNIT:
		return TEXT_FITS(attr->value, 1, " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~");
	default:
		return false;
	}
}

static enum reason rule_subject(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	bool has_cn = false, has_serial = false;

	(void)issuer, (void)now_s;
	if (grant->kind == GRANT_REENROL)
		return REASON_OK; /* the earlier certificate's bytes are copied */
	for (size_t i = 0; i < grant->n_subject; i++) {
		if (!attr_fits(&grant->subject[i]))
			return fault_set(f, REASON_GRANT_REFUSED, "subject attribute %zu is not clean", i);
		for (size_t j = 0; j < i; j++) {
			if (grant->subject[j].type == grant->subject[i].type)
				return fault_set(f, REASON_GRANT_REFUSED, "subject attribute %zu is repeated", i);
		}
		has_cn |= grant->subject[i].type == OID_AT_CN;
		has_serial |= grant->subject[i].type == OID_AT_SERIAL_NUMBER;
	}
	if (!has_cn || (!has_serial && grant->level > LEVEL_NONE))
		return fault_set(f, REASON_GRANT_REFUSED, "subject lacks CN or serialNumber");
	return REASON_OK;
}

/* RFC 3986 section 3.1: scheme ":" and something after it; characters of section 2 and no others. */
static bool uri_fits(const char *value, size_t array_len)
{
	size_t scheme = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

	return text_fits(value, array_len, 3, array_len - 1, "-._~:/?#[]@!$&'()*+,;=%") &&
	       ((value[0] | 0x20) >= 'a' && (value[0] | 0x20) <= 'z') && value[scheme] == ':' &&
	       value[scheme + 1] != '\0';
}

/* RFC 1123 section 2.1: letters, digits and hyphens in labels of 1 to 63, no hyphen at either end. */
static bool dns_fits(const char *value, size_t array_len)
{
	if (!text_fits(value, array_len, 1, DNS_CHARS, "-."))
		return false;
	for (const char *label = value; label != NULL;) {
		size_t len = strcspn(label, ".");

		if (len == 0 || len > LABEL_CHARS || label[0] == '-' || label[len - 1] == '-')
			return false;
		label = label[len] == '.' ? label + len + 1 : NULL;
	}
	return true;
}

static bool hw_fits(const struct san *san)
{
	size_t len = strnlen(san->value, sizeof(san->value));

	return len >= 2 && len < sizeof(san->value) && len % 2 == 0 && strspn(san->value, "0123456789abcdef") == len &&
	       oid_fits(&san->hw_type);
}

static enum reason rule_sans(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	(void)issuer, (void)now_s;
	for (size_t i = 0; i < grant->n_sans; i++) {
		const struct san *san = &grant->san[i];
		bool fits = san->type == SAN_URI         ? uri_fits(san->value, sizeof(san->value))
			    : san->type == SAN_DNS       ? dns_fits(san->value, sizeof(san->value))
			    : san->type == SAN_HW_MODULE ? hw_fits(san)
							 : false;

		if (!fits)
			return fault_set(f, REASON_GRANT_REFUSED, "subjectAltName %zu of type %d is not clean", i,
					 (int)san->type);
	}
	return REASON_OK;
}

static enum reason rule_key(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	(void)issuer, (void)now_s;
	if (grant->key.type != KEY_EC_P256 && grant->key.type != KEY_EC_P384 && grant->key.type != KEY_RSA)
		return fault_set(f, REASON_GRANT_REFUSED, "key type %d", (int)grant->key.type);
	if (pubkey_check(&grant->key, f) != REASON_OK)
		return fault_set(f, REASON_GRANT_REFUSED, "key is not a valid %s key", key_type_name(grant->key.type));
	return REASON_OK;
}

static enum reason rule_usage(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	const unsigned end_entity = KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION | KU_KEY_ENCIPHERMENT |
				    KU_DATA_ENCIPHERMENT | KU_KEY_AGREEMENT | KU_ENCIPHER_ONLY | KU_DECIPHER_ONLY;

	(void)issuer, (void)now_s;
	if (grant->key_usage == 0 || (grant->key_usage & ~end_entity) != 0)
		return fault_set(f, REASON_GRANT_REFUSED, "keyUsage 0x%x: at least one, none of a CA's",
				 grant->key_usage);
	if ((grant->key_usage & (KU_ENCIPHER_ONLY | KU_DECIPHER_ONLY)) != 0 &&
	    (grant->key_usage & KU_KEY_AGREEMENT) == 0)
		return fault_set(f, REASON_GRANT_REFUSED, "keyUsage 0x%x: encipherOnly, decipherOnly need keyAgreement",
				 grant->key_usage);
	/* RFC 8813 section 3 */
	if (grant->key.type != KEY_RSA && (grant->key_usage & (KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT)) != 0)
		return fault_set(f, REASON_GRANT_REFUSED, "keyUsage 0x%x: an EC key does not encipher",
				 grant->key_usage);
	return REASON_OK;
}

static enum reason rule_eku(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	static const enum oid_id never[] = { OID_KP_CMC_RA,        OID_KP_CMC_CA,       OID_KP_OCSP_SIGNING,
					     OID_KP_TIME_STAMPING, OID_KP_CODE_SIGNING, OID_KP_ANY };

	(void)issuer, (void)now_s;
	for (size_t i = 0; i < grant->n_ekus; i++) {
		if (!oid_fits(&grant->eku[i]))
			return fault_set(f, REASON_GRANT_REFUSED, "extKeyUsage %zu is not a clean OID", i);
		for (size_t j = 0; j < i; j++) {
			if (oid_equal(&grant->eku[i], &grant->eku[j]))
				return fault_set(f, REASON_GRANT_REFUSED, "extKeyUsage %zu is repeated", i);
		}
		for (size_t j = 0; j < sizeof(never) / sizeof(never[0]); j++) {
			if (oid_equal(&grant->eku[i], oid_of(never[j])))
				return fault_set(f, REASON_GRANT_REFUSED, "extKeyUsage %zu is never for a device", i);
		}
	}
	return REASON_OK;
}

static enum reason rule_level(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	(void)now_s;
	if (grant->level < issuer->level_min || grant->level > issuer->level_max)
		return fault_set(f, REASON_GRANT_REFUSED, "level %s: issuer %s signs %s to %s",
				 level_name(grant->level), issuer->name, level_name(issuer->level_min),
				 level_name(issuer->level_max));
	if (grant->level < grant->level_needed)
		return fault_set(f, REASON_GRANT_REFUSED, "level %s: profile needs %s", level_name(grant->level),
				 level_name(grant->level_needed));
	if (grant->kind == GRANT_ENROL && grant->level > LEVEL_NONE &&
	    (grant->evidence.len == 0 || grant->evidence_format[0] == '\0'))
		return fault_set(f, REASON_GRANT_REFUSED, "level %s without evidence", level_name(grant->level));
	return REASON_OK;
}

static enum reason rule_stamp(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	struct oid format;

	(void)issuer, (void)now_s;
	if (!grant->stamp_result || grant->evidence_format[0] == '\0')
		return REASON_OK;
	if (grant->evidence.len == 0 || !oid_by_name(grant->evidence_format, &format) || !oid_fits(&format))
		return fault_set(f, REASON_GRANT_REFUSED, "no evidence to stamp, or its format is not an OID");
	return REASON_OK;
}

static enum reason rule_validity(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	const int64_t end_s = issuer->cert.not_after_s;
	int64_t not_after_s;

	if (now_s < issuer->cert.not_before_s || now_s > end_s)
		return fault_set(f, REASON_GRANT_REFUSED, "issuer %s is not valid now", issuer->name);
	if (grant->validity_s == 0) {
		if (end_s != TIME_NO_EXPIRY || issuer->validity_max_s != 0)
			return fault_set(f, REASON_GRANT_REFUSED, "no expiry: issuer %s expires or caps validity",
					 issuer->name);
		return REASON_OK;
	}
	if (issuer->validity_max_s != 0 && grant->validity_s > issuer->validity_max_s)
		return fault_set(f, REASON_GRANT_REFUSED, "validity %llu s: issuer %s gives at most %llu",
				 (unsigned long long)grant->validity_s, issuer->name,
				 (unsigned long long)issuer->validity_max_s);
	if (__builtin_add_overflow(now_s, grant->validity_s, &not_after_s) || not_after_s > YEAR_9999_S ||
	    not_after_s > end_s)
		return fault_set(f, REASON_GRANT_REFUSED, "validity %llu s goes beyond issuer %s",
				 (unsigned long long)grant->validity_s, issuer->name);
	return REASON_OK;
}

/* RFC 9608 section 4: who says that nothing can be learnt of a revocation must end before that matters. */
static enum reason rule_crl(const struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	(void)now_s;
	if (grant->crl == GRANT_CRL_SHARD && (issuer->crl_shards == 0 || issuer->crl_base_url == NULL))
		return fault_set(f, REASON_GRANT_REFUSED, "issuer %s has no CRL shards", issuer->name);
	if (grant->crl == GRANT_CRL_NONE && (grant->validity_s == 0 || grant->validity_s > GRANT_UNREVOKED_MAX_S))
		return fault_set(f, REASON_GRANT_REFUSED, "validity %llu s without a CRL; allowed: up to %d",
				 (unsigned long long)grant->validity_s, GRANT_UNREVOKED_MAX_S);
	return REASON_OK;
}

static rule *const rules[] = {
	rule_texts, rule_shape, rule_subject, rule_sans,     rule_key, rule_usage,
	rule_eku,   rule_level, rule_stamp,   rule_validity, rule_crl,
};

/* One word holds hour and count, so that threads can count without a lock; a new hour starts again from one. */
static uint64_t in_hour(uint64_t word, uint64_t hour)
{
	return word >> 32 == hour >> 32 ? word & UINT32_MAX : 0;
}

static enum reason count_one(struct issuer *issuer, int64_t now_s, struct fault *f)
{
	const uint64_t hour = (uint64_t)(now_s / 3600) << 32;
	const uint64_t elsewhere = in_hour(atomic_load(&issuer->elsewhere), hour);
	uint64_t seen = atomic_load(&issuer->counted), next;

	do {
		next = hour + in_hour(seen, hour) + 1;
		if ((next & UINT32_MAX) + elsewhere > issuer->hourly_max)
			return fault_set(f, REASON_ISSUER_LIMIT, "issuer %s: %u certificates in this hour",
					 issuer->name, issuer->hourly_max);
	} while (!atomic_compare_exchange_weak(&issuer->counted, &seen, next));
	return REASON_OK;
}

void issuer_counted(struct issuer *issuer, int64_t hour, uint32_t own, uint32_t others)
{
	const uint64_t upper = (uint64_t)hour << 32, known = upper + own;
	uint64_t seen = atomic_load(&issuer->counted);

	atomic_store(&issuer->elsewhere, upper + others);
	while (seen < known && !atomic_compare_exchange_weak(&issuer->counted, &seen, known))
		;
}

enum reason issuer_check(struct issuer *issuer, const struct grant *grant, int64_t now_s, struct fault *f)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		TRY(rules[i](issuer, grant, now_s, f));
	return count_one(issuer, now_s, f);
}

void issuer_uncount(struct issuer *issuer)
{
	uint64_t seen = atomic_load(&issuer->counted);

	while ((seen & UINT32_MAX) > 0 && !atomic_compare_exchange_weak(&issuer->counted, &seen, seen - 1))
		;
}
