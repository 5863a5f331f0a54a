/* fill_revocations.c - see api.h: what bodies say of plans, lists and revocations, and which CRLs are to be made. */
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "admin/fields.h"
#include "base/text.h"

/* Into call->ask; `name` is the field inside "select". */
static enum reason select_hex(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *text;

	TRY(field_text(name, value, &text, f));
	return value_hex(name, text, call->ask.value, sizeof(call->ask.value), f);
}

static enum reason select_text(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *text;

	TRY(field_text(name, value, &text, f));
	return value_plain(name, text, call->ask.value, sizeof(call->ask.value), f);
}

static enum reason select_batch_ca(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	TRY(select_hex(call, name, value, f));
	if (strlen(call->ask.value) == 64)
		return REASON_OK;
	return fault_set(f, REASON_API_FIELD, "%s: must be the SHA-256 of the CA's SubjectPublicKeyInfo, 64 hex digits",
			 name);
}

static enum reason select_list(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	TRY(select_hex(call, name, value, f));
	if (value_bytes(call->ask.value, call->ask.plan, sizeof(call->ask.plan)))
		return REASON_OK;
	return fault_set(f, REASON_API_FIELD, "%s: must be what POST lists gave", name);
}

static enum reason select_issued(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *from, *until;

	if (!json_is_object(value) || json_object_size(value) != 2)
		return fault_set(f, REASON_API_FIELD, "select.%s: must have from and until", name);
	TRY(field_text("select.issued.from", json_object_get(value, "from"), &from, f));
	TRY(field_text("select.issued.until", json_object_get(value, "until"), &until, f));
	TRY(value_time("select.issued.from", from, &call->ask.from_s, f));
	TRY(value_time("select.issued.until", until, &call->ask.until_s, f));
	if (call->ask.until_s <= call->ask.from_s)
		return fault_set(f, REASON_API_FIELD, "select.%s: until must be after from", name);
	return REASON_OK;
}

static const struct {
	const char *name;
	enum select_by by;
	enum reason (*take)(struct call *call, const char *name, const json_t *value, struct fault *f);
} selects[] = {
	{ "serial", SELECT_SERIAL, select_hex },    { "device", SELECT_DEVICE, select_hex },
	{ "order", SELECT_ORDER, select_text },     { "rig", SELECT_RIG, select_text },
	{ "profile", SELECT_PROFILE, select_text }, { "batch_ca", SELECT_BATCH_CA, select_batch_ca },
	{ "element", SELECT_ELEMENT, select_hex },  { "key_hash", SELECT_KEY, select_hex },
	{ "list", SELECT_LIST, select_list },       { "issued", SELECT_ISSUED, select_issued },
};

static enum reason take_select(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *key;

	if (!json_is_object(value) || json_object_size(value) != 1)
		return fault_set(f, REASON_API_FIELD, "%s: must be an object with one field", name);
	key = json_object_iter_key(json_object_iter((json_t *)(uintptr_t)value));
	for (size_t i = 0; i < sizeof(selects) / sizeof(selects[0]); i++) {
		if (strcmp(selects[i].name, key) != 0)
			continue;
		call->ask.by = selects[i].by;
		return selects[i].take(call, key, json_object_get(value, key), f);
	}
	return fault_set(f, REASON_API_FIELD,
			 "%s.%.32s: select by serial, device, order, rig, profile, batch_ca, element, key_hash, "
			 "issued or list",
			 name, key);
}

static enum reason new_plan(struct call *call, struct fault *f)
{
	return RAND_bytes(call->ask.plan, sizeof(call->ask.plan)) == 1 ? REASON_OK
								       : fault_set(f, REASON_NO_MEMORY, "random bytes");
}

enum reason fill_plan(struct call *call, struct fault *f)
{
	static const struct field fields[] = { FIELD("select", true, take_select), FIELD("reason", true, field_reason),
					       FIELD_TEXT("note", true, ask.note) };

	call->ask.op = OPERATE_PLAN;
	TRY(FIELDS_READ(call, fields, f));
	if (call->ask.note[0] == '\0')
		return fault_set(f, REASON_API_FIELD, "note: must say why");
	return call->ask.by == SELECT_LIST ? REASON_OK : new_plan(call, f);
}

static enum reason plan_in_path(struct call *call, struct fault *f)
{
	if (value_bytes(call->segment, call->ask.plan, sizeof(call->ask.plan)))
		return REASON_OK;
	return fault_set(f, REASON_PLAN_UNKNOWN, "%.64s", call->segment);
}

enum reason fill_revoke(struct call *call, struct fault *f)
{
	call->ask.op = OPERATE_REVOKE;
	TRY(fields_read(call, NULL, 0, f));
	return plan_in_path(call, f);
}

static enum reason add_serial(struct call *call, const json_t *value, size_t i, struct fault *f)
{
	char name[32], hex[2 * LIMIT_SERIAL_BYTES + 1];
	uint8_t bytes[1 + LIMIT_SERIAL_BYTES];
	const char *text;
	size_t len;

	snprintf(name, sizeof(name), "serials[%zu]", i);
	TRY(field_text(name, value, &text, f));
	TRY(value_hex(name, text, hex, sizeof(hex), f));
	if (!text_unhex(hex, strlen(hex), bytes + 1, LIMIT_SERIAL_BYTES, &len))
		return fault_set(f, REASON_API_FIELD, "%s", name);
	bytes[0] = (uint8_t)len;
	return buf_append(&call->ask.serials, BLOB(bytes, 1 + len), f);
}

static enum reason take_serials(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	if (!json_is_array(value) || json_array_size(value) == 0 || json_array_size(value) > OPERATE_LIST_SERIALS)
		return fault_set(f, REASON_API_FIELD, "%s: must be an array of 1 to %d", name, OPERATE_LIST_SERIALS);
	for (size_t i = 0; i < json_array_size(value); i++)
		TRY(add_serial(call, json_array_get(value, i), i, f));
	return REASON_OK;
}

enum reason fill_list(struct call *call, struct fault *f)
{
	static const struct field fields[] = { FIELD("serials", true, take_serials) };

	call->ask.op = OPERATE_LIST;
	TRY(FIELDS_READ(call, fields, f));
	if (call->segment[0] == '\0')
		return new_plan(call, f);
	call->ask.by = SELECT_LIST;
	return plan_in_path(call, f);
}

static enum reason take_issuer(struct call *call, const char *name, const json_t *value, struct fault *f)
{
	const char *text;

	TRY(field_text(name, value, &text, f));
	if (text[0] == '\0')
		return fault_set(f, REASON_API_FIELD, "%s: must be an issuer's name", name);
	return value_plain(name, text, call->ask.value, LIMIT_PROFILE_CHARS + 1, f);
}

enum reason fill_publish(struct call *call, struct fault *f)
{
	static const struct field fields[] = { FIELD("issuer", false, take_issuer) };

	call->ask.op = OPERATE_PUBLISH;
	TRY(FIELDS_READ(call, fields, f));
	snprintf(call->ask.note, sizeof(call->ask.note), "CRLs of %.64s",
		 call->ask.value[0] == '\0' ? "all issuers" : call->ask.value);
	return REASON_OK;
}
