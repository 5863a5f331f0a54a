/* profile_names.c - reads a profile's names from JSON: subject, san, unit_serial. See profile_read.h. */
#include "profile_read.h"

#include <stdlib.h>
#include <string.h>

bool profile_name(const struct named *names, size_t n, const json_t *value, unsigned *ret_value)
{
	const char *text = json_string_value(value);

	for (size_t i = 0; text != NULL && i < n; i++)
		if (strcmp(names[i].name, text) == 0) {
			*ret_value = names[i].value;
			return true;
		}
	return false;
}

enum reason profile_refuse(const struct named *names, size_t n, const json_t *given, const struct where *where,
			   struct fault *f)
{
	char allowed[128];
	size_t len = 0;

	for (size_t i = 0; i < n && len < sizeof(allowed); i++)
		len += (size_t)snprintf(allowed + len, sizeof(allowed) - len, "%s%s", i == 0 ? "" : " ", names[i].name);
	return json_refuse(where, allowed, given, f);
}

static enum reason read_template(const json_t *value, struct template *ret_template, const struct where *where,
				 struct fault *f)
{
	char text[LIMIT_SAN_CHARS + 1];

	TRY(json_read_text(value, text, sizeof(text), where, f));
	if (!template_parse(text, ret_template))
		return json_refuse(where, "text with {element} {format} {unit_serial} {name}", value, f);
	return REASON_OK;
}

static const struct named attributes[] = {
	{ "CN", OID_AT_CN },       { "serialNumber", OID_AT_SERIAL_NUMBER },
	{ "C", OID_AT_COUNTRY },   { "O", OID_AT_ORG },
	{ "OU", OID_AT_ORG_UNIT },
};

/* In the order of the file, which is the order in the certificate. */
enum reason profile_read_subject(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct profile *profile = object;
	void *at = json_object_iter((json_t *)value);

	if (!json_is_object(value) || at == NULL || json_object_size(value) > LIMIT_NAME_ATTRS)
		return json_refuse(where, "an object of 1 to 8 attributes", value, f);
	for (; at != NULL; at = json_object_iter_next((json_t *)value, at)) {
		AUTO(json_decrefp) json_t *name = json_string(json_object_iter_key(at));
		unsigned type;

		if (!profile_name(attributes, N(attributes), name, &type))
			return profile_refuse(attributes, N(attributes), name, where, f);
		TRY(read_template(json_object_iter_value(at), &profile->subject[profile->n_subject].value, where, f));
		profile->subject[profile->n_subject++].type = (enum oid_id)type;
	}
	return REASON_OK;
}

static enum reason read_uri(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct san_rule *rule = object;

	rule->type = SAN_URI;
	return read_template(value, &rule->value, where, f);
}

static enum reason read_dns(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct san_rule *rule = object;

	rule->type = SAN_DNS;
	return read_template(value, &rule->value, where, f);
}

static enum reason read_hw_type(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	const char *text = json_string_value(value);

	if (text == NULL || !oid_by_name(text, &((struct san_rule *)object)->hw_type))
		return json_refuse(where, "an OID like \"1.3.6.1.4.1.99999.1\", or \"assay.5.1\"", value, f);
	return REASON_OK;
}

static enum reason read_hw_serial(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	return read_template(value, &((struct san_rule *)object)->value, where, f);
}

static enum reason read_hw_module(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct json_key keys[] = { { "hwType", true, read_hw_type }, { "serial", true, read_hw_serial } };

	((struct san_rule *)object)->type = SAN_HW_MODULE;
	return json_keys_read(value, keys, N(keys), object, where, f);
}

enum reason profile_read_san(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct json_key keys[] = { { "uri", false, read_uri },
						{ "dns", false, read_dns },
						{ "hardwareModuleName", false, read_hw_module } };
	struct profile *profile = object;
	const json_t *entry;
	size_t i;

	if (!json_is_array(value) || json_array_size(value) >= LIMIT_SANS)
		return json_refuse(where, "a list of at most 7 names", value, f);
	json_array_foreach(value, i, entry) {
		if (json_object_size(entry) != 1)
			return json_refuse(where, "objects with one of: uri dns hardwareModuleName", entry, f);
		TRY(json_keys_read(entry, keys, N(keys), &profile->san[profile->n_sans], where, f));
		profile->n_sans++;
	}
	return REASON_OK;
}

static enum reason read_unit_pattern(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct template *pattern = &((struct profile *)object)->unit.pattern;

	TRY(read_template(value, pattern, where, f));
	if (pattern->uses != USES(PLACE_UNIT_SERIAL) ||
	    pattern->literals + strlen("{unit_serial}") != strlen(pattern->text))
		return json_refuse(where, "a URI with {unit_serial} once and no other placeholder", value, f);
	return REASON_OK;
}

/*
 * A regular expression without groups, alternatives or open repetition, and with counts up to 64: what regcomp()
 * makes of it then stays small, whatever somebody writes.
 */
static bool is_simple(const char *text)
{
	if (strpbrk(text, "()|*+?\\^$") != NULL || strstr(text, "}{") != NULL)
		return false;
	for (const char *at = strpbrk(text, "{,"); at != NULL; at = strpbrk(at + 1, "{,"))
		if (strtoul(at + 1, NULL, 10) > LIMIT_NAME_CHARS)
			return false;
	return true;
}

static enum reason read_unit_format(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	struct profile *profile = object;
	char text[128], anchored[sizeof(text) + 4];

	TRY(json_read_text(value, text, sizeof(text), where, f));
	snprintf(anchored, sizeof(anchored), "^(%s)$", text);
	if (!is_simple(text) || regcomp(&profile->unit.format, anchored, REG_EXTENDED | REG_NOSUB) != 0)
		return json_refuse(where, "characters, [classes] and {counts} up to 64, like \"[A-Z0-9-]{4,32}\"",
				   value, f);
	profile->has_unit = true; /* from here on the expression has to be freed */
	return REASON_OK;
}

enum reason profile_read_unit(const json_t *value, void *object, const struct where *where, struct fault *f)
{
	static const struct json_key keys[] = { { "pattern", true, read_unit_pattern },
						{ "format", true, read_unit_format } };
	struct profile *profile = object;

	TRY(json_keys_read(value, keys, N(keys), object, where, f));
	profile->san[profile->n_sans++] = (struct san_rule){ .type = SAN_URI, .value = profile->unit.pattern };
	return REASON_OK;
}
