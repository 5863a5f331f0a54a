/*
 * operate_codec.c - see operate.h. Both structs are tables of fields: order, type and range stand here once, for both
 * directions.
 */
#include <stddef.h>
#include <string.h>

#include "channel/channel.h"
#include "channel/operate.h"

enum field_type { FIELD_ENUM, FIELD_BYTE, FIELD_NUMBER, FIELD_TIME, FIELD_TEXT, FIELD_FIXED, FIELD_BUF, FIELD_KEY };

struct field {
	enum field_type type;
	size_t at, size;
	uint64_t min, max; /* FIELD_ENUM, FIELD_BYTE; FIELD_BUF: longest */
};

#define FIELD(type, of, member, min, max)                                                                              \
	{                                                                                                              \
		type, offsetof(struct of, member), sizeof(((struct of *)0)->member), min, max                          \
	}

static const struct field operate_fields[] = {
	/* clang-format off */
	FIELD(FIELD_ENUM,   operate, op,        OPERATE_NOTE, OPERATE_OPS - 1),
	FIELD(FIELD_TEXT,   operate, who,       0, 0),
	FIELD(FIELD_TEXT,   operate, call,      0, 0),
	FIELD(FIELD_TEXT,   operate, request,   0, 0),
	FIELD(FIELD_ENUM,   operate, outcome,   0, REASON_COUNT - 1),
	FIELD(FIELD_TEXT,   operate, note,      0, 0),
	FIELD(FIELD_FIXED,  operate, plan,      0, 0),
	FIELD(FIELD_ENUM,   operate, by,        0, SELECT_COUNT - 1),
	FIELD(FIELD_TEXT,   operate, value,     0, 0),
	FIELD(FIELD_TIME,   operate, from_s,    0, 0),
	FIELD(FIELD_TIME,   operate, until_s,   0, 0),
	FIELD(FIELD_BYTE,   operate, reason,    0, 10),
	FIELD(FIELD_BUF,    operate, serials,   0, OPERATE_LIST_SERIALS * (1 + LIMIT_SERIAL_BYTES)),
	FIELD(FIELD_TEXT,   operate, kind,      0, 0),
	FIELD(FIELD_TEXT,   operate, name,      0, 0),
	FIELD(FIELD_TEXT,   operate, names,     0, 0),
	FIELD(FIELD_TEXT,   operate, labels,    0, 0),
	FIELD(FIELD_FIXED,  operate, spki_hash, 0, 0),
	FIELD(FIELD_KEY,    operate, key,       0, 0),
	/* clang-format on */
};

static const struct field operated_fields[] = {
	/* clang-format off */
	FIELD(FIELD_ENUM,   operated, reason,    0, REASON_COUNT - 1),
	FIELD(FIELD_TEXT,   operated, detail,    0, 0),
	FIELD(FIELD_NUMBER, operated, action,    0, 0),
	FIELD(FIELD_NUMBER, operated, n,         0, 0),
	FIELD(FIELD_NUMBER, operated, already,   0, 0),
	FIELD(FIELD_FIXED,  operated, plan,      0, 0),
	FIELD(FIELD_TIME,   operated, expires_s, 0, 0),
	FIELD(FIELD_BUF,    operated, certificate, 0, LIMIT_CERT_BYTES),
	FIELD(FIELD_BUF,    operated, sample,    0, LIMIT_FRAME_OWN_BYTES / 2),
	/* clang-format on */
};

#define N_OPERATE (sizeof(operate_fields) / sizeof(operate_fields[0]))
#define N_OPERATED (sizeof(operated_fields) / sizeof(operated_fields[0]))

/* Most operations have none. */
static enum reason put_key(struct buf *body, const struct pubkey *key, struct fault *f)
{
	TRY(pack_u8(body, key->type != KEY_NONE, f));
	return key->type == KEY_NONE ? REASON_OK : pack_key(body, key, f);
}

static void get_key(struct pack_reader *r, struct pubkey *key)
{
	uint8_t there = pack_get_u8(r);

	if (there > 1)
		r->failed = true;
	if (there == 1)
		pack_get_key(r, key);
}

static enum reason put(struct buf *body, const struct field *field, const uint8_t *from, struct fault *f)
{
	const struct buf *bytes = (const void *)from;
	uint64_t number = 0;
	unsigned choice = 0;

	switch (field->type) {
	case FIELD_ENUM:
		memcpy(&choice, from, sizeof(choice));
		return pack_u32(body, choice, f);
	case FIELD_BYTE:
		return pack_u8(body, *from, f);
	case FIELD_NUMBER:
	case FIELD_TIME:
		memcpy(&number, from, sizeof(number));
		return pack_u64(body, number, f);
	case FIELD_TEXT:
		return pack_text(body, (const char *)from, f);
	case FIELD_FIXED:
		return pack_bytes(body, BLOB(from, field->size), f);
	case FIELD_BUF:
		return pack_bytes(body, buf_blob(bytes), f);
	case FIELD_KEY:
		return put_key(body, (const struct pubkey *)(const void *)from, f);
	}
	return fault_set(f, REASON_INTERNAL, "field of type %d", (int)field->type);
}

static uint64_t in_range(struct pack_reader *r, const struct field *field, uint64_t value)
{
	if (value < field->min || value > field->max)
		r->failed = true;
	return r->failed ? field->min : value;
}

static enum reason get_buf(struct pack_reader *r, const struct field *field, struct buf *out, struct fault *f)
{
	struct blob bytes = pack_get_bytes(r);

	if (bytes.len > field->max)
		r->failed = true;
	return r->failed || bytes.len == 0 ? REASON_OK : buf_copy(bytes, out, f);
}

static enum reason get(struct pack_reader *r, const struct field *field, uint8_t *to, struct fault *f)
{
	struct blob bytes;
	uint64_t number;
	unsigned choice;

	switch (field->type) {
	case FIELD_ENUM:
		choice = (unsigned)in_range(r, field, pack_get_u32(r));
		memcpy(to, &choice, sizeof(choice));
		break;
	case FIELD_BYTE:
		*to = (uint8_t)in_range(r, field, pack_get_u8(r));
		break;
	case FIELD_NUMBER:
	case FIELD_TIME:
		number = pack_get_u64(r);
		memcpy(to, &number, sizeof(number));
		break;
	case FIELD_TEXT:
		pack_get_text(r, (char *)to, field->size);
		break;
	case FIELD_FIXED:
		bytes = pack_get_bytes(r);
		r->failed = r->failed || bytes.len != field->size;
		if (!r->failed)
			memcpy(to, bytes.ptr, field->size);
		break;
	case FIELD_BUF:
		return get_buf(r, field, (struct buf *)(void *)to, f);
	case FIELD_KEY:
		get_key(r, (struct pubkey *)(void *)to);
		break;
	}
	return REASON_OK;
}

static enum reason encode(const void *from, const struct field *fields, size_t n, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf body = { 0 };

	for (size_t i = 0; i < n; i++)
		TRY(put(&body, &fields[i], (const uint8_t *)from + fields[i].at, f));
	*ret_body = body;
	body = (struct buf){ 0 };
	return REASON_OK;
}

static enum reason decode(struct blob body, const struct field *fields, size_t n, void *to, struct fault *f)
{
	struct pack_reader r = { .left = body };

	for (size_t i = 0; i < n; i++)
		TRY(get(&r, &fields[i], (uint8_t *)to + fields[i].at, f));
	return pack_done(&r) ? REASON_OK : fault_set(f, REASON_CHANNEL_FRAME, "operation of %zu bytes", body.len);
}

void operate_done(struct operate *operate)
{
	buf_done(&operate->serials);
}

void operated_done(struct operated *operated)
{
	buf_done(&operated->sample);
	buf_done(&operated->certificate);
}

enum reason operate_encode(const struct operate *operate, struct buf *ret_body, struct fault *f)
{
	return encode(operate, operate_fields, N_OPERATE, ret_body, f);
}

enum reason operated_encode(const struct operated *operated, struct buf *ret_body, struct fault *f)
{
	return encode(operated, operated_fields, N_OPERATED, ret_body, f);
}

enum reason operate_decode(struct blob body, struct operate *ret_operate, struct fault *f)
{
	AUTO(operate_done) struct operate operate = { 0 };

	TRY(decode(body, operate_fields, N_OPERATE, &operate, f));
	*ret_operate = operate;
	operate = (struct operate){ 0 };
	return REASON_OK;
}

enum reason operated_decode(struct blob body, struct operated *ret_operated, struct fault *f)
{
	AUTO(operated_done) struct operated operated = { 0 };

	TRY(decode(body, operated_fields, N_OPERATED, &operated, f));
	*ret_operated = operated;
	operated = (struct operated){ 0 };
	return REASON_OK;
}
