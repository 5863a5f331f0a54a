/* detcbor.c - see detcbor.h. */
#include "detcbor.h"

#include <assert.h>
#include <cbor.h>
#include <inttypes.h>
#include <openssl/asn1.h>
#include <string.h>

enum kind { NOTHING, UINT, NEGINT, BYTES, TEXT, ARRAY, MAP };

struct item {
	enum kind kind;
	uint64_t value;      /* the number in the head: a value, a length, a count */
	struct blob content; /* BYTES, TEXT */
};

static void take(void *item, enum kind kind, uint64_t value)
{
	*(struct item *)item = (struct item){ .kind = kind, .value = value };
}

/* libcbor calls one of these for the head it has read; kinds without one leave NOTHING. */
#define TAKES(name, type, kind)                                                                                        \
	static void name(void *item, type value)                                                                       \
	{                                                                                                              \
		take(item, kind, value);                                                                               \
	}
TAKES(take_uint8, uint8_t, UINT)
TAKES(take_uint16, uint16_t, UINT)
TAKES(take_uint32, uint32_t, UINT)
TAKES(take_uint64, uint64_t, UINT)
TAKES(take_negint8, uint8_t, NEGINT)
TAKES(take_negint16, uint16_t, NEGINT)
TAKES(take_negint32, uint32_t, NEGINT)
TAKES(take_negint64, uint64_t, NEGINT)
TAKES(take_array, size_t, ARRAY)
TAKES(take_map, size_t, MAP)

static void take_bytes(void *item, cbor_data data, size_t len)
{
	*(struct item *)item = (struct item){ BYTES, len, BLOB(data, len) };
}

static void take_text(void *item, cbor_data data, size_t len)
{
	*(struct item *)item = (struct item){ TEXT, len, BLOB(data, len) };
}

/* RFC 8949 section 4.2.1: what the shortest head for this number takes. */
static size_t head_len(uint64_t value)
{
	if (value < 24)
		return 1;
	if (value <= UINT8_MAX)
		return 2;
	if (value <= UINT16_MAX)
		return 3;
	return value <= UINT32_MAX ? 5 : 9;
}

static bool next(struct blob *in, enum kind kind, struct item *ret_item)
{
	struct cbor_callbacks callbacks = cbor_empty_callbacks;
	struct item item = { 0 };
	struct cbor_decoder_result result;

	callbacks.uint8 = take_uint8, callbacks.uint16 = take_uint16;
	callbacks.uint32 = take_uint32, callbacks.uint64 = take_uint64;
	callbacks.negint8 = take_negint8, callbacks.negint16 = take_negint16;
	callbacks.negint32 = take_negint32, callbacks.negint64 = take_negint64;
	callbacks.byte_string = take_bytes, callbacks.string = take_text;
	callbacks.array_start = take_array, callbacks.map_start = take_map;
	if (in->len == 0)
		return false;
	result = cbor_stream_decode(in->ptr, in->len, &callbacks, &item);
	if (result.status != CBOR_DECODER_FINISHED || item.kind != kind ||
	    result.read != head_len(item.value) + item.content.len)
		return false;
	*in = BLOB(in->ptr + result.read, in->len - result.read);
	*ret_item = item;
	return true;
}

bool detcbor_uint(struct blob *in, uint64_t *ret_value)
{
	struct item item;

	if (!next(in, UINT, &item))
		return false;
	*ret_value = item.value;
	return true;
}

bool detcbor_int(struct blob *in, int64_t *ret_value)
{
	bool negative = in->len > 0 && in->ptr[0] >> 5 == 1; /* major type 1, RFC 8949 section 3.1 */
	struct item item;

	if (!next(in, negative ? NEGINT : UINT, &item) || item.value > INT64_MAX)
		return false;
	*ret_value = negative ? -1 - (int64_t)item.value : (int64_t)item.value;
	return true;
}

bool detcbor_bytes(struct blob *in, struct blob *ret_bytes)
{
	struct item item;

	if (!next(in, BYTES, &item))
		return false;
	*ret_bytes = item.content;
	return true;
}

static bool is_utf8(struct blob text)
{
	unsigned long code;

	while (text.len > 0) {
		int used = UTF8_getc(text.ptr, (int)text.len, &code);

		if (used <= 0)
			return false;
		text = BLOB(text.ptr + used, text.len - (size_t)used);
	}
	return true;
}

bool detcbor_text(struct blob *in, struct blob *ret_text)
{
	struct item item;

	if (!next(in, TEXT, &item) || !is_utf8(item.content))
		return false;
	*ret_text = item.content;
	return true;
}

/* By hand: libcbor 0.8 encodes tags 6 to 20 in one byte, as RFC 8949 demands, but refuses to decode them. */
bool detcbor_tag(struct blob *in, uint64_t tag)
{
	assert(tag < 24); /* RFC 8949 section 3: then the head is one byte, major type 6 */
	if (in->len == 0 || in->ptr[0] != (6U << 5 | tag))
		return false;
	*in = BLOB(in->ptr + 1, in->len - 1);
	return true;
}

bool detcbor_array(struct blob *in, size_t items)
{
	struct item item;

	return next(in, ARRAY, &item) && item.value == items;
}

bool detcbor_map(struct blob *in, size_t *ret_pairs)
{
	struct item item;

	if (!next(in, MAP, &item))
		return false;
	*ret_pairs = item.value;
	return true;
}

/* Bytewise lexicographic order of two keys' encodings, of which neither begins the other. */
static bool key_after(struct blob key, struct blob previous)
{
	size_t shorter = key.len < previous.len ? key.len : previous.len;

	return previous.len == 0 || memcmp(key.ptr, previous.ptr, shorter) > 0;
}

static const struct detcbor_field *field_of(const struct detcbor_field *fields, size_t n, int64_t key)
{
	for (size_t i = 0; i < n; i++)
		if (fields[i].key == key)
			return &fields[i];
	return NULL;
}

enum reason detcbor_fields(struct blob *in, const struct detcbor_field *fields, size_t n, const char *what,
			   enum reason refusal, void *object, struct fault *f)
{
	struct blob previous = { 0 };
	uint32_t seen = 0;
	size_t pairs;

	assert(n <= 32);
	if (!detcbor_map(in, &pairs))
		return fault_set(f, refusal, "%s: not a map in deterministic encoding", what);
	for (size_t i = 0; i < pairs; i++) {
		const struct detcbor_field *field;
		struct blob key = *in;
		int64_t label;

		if (!detcbor_int(in, &label))
			return fault_set(f, refusal, "%s: key %zu is not an integer in shortest form", what, i);
		key.len -= in->len;
		if (!key_after(key, previous))
			return fault_set(f, refusal, "%s: key %" PRId64 " repeated or out of order", what, label);
		field = field_of(fields, n, label);
		if (field == NULL)
			return fault_set(f, refusal, "%s: unknown key %" PRId64, what, label);
		TRY(field->read(in, object, f));
		seen |= 1U << (field - fields);
		previous = key;
	}
	for (size_t i = 0; i < n; i++)
		if (fields[i].required && (seen & 1U << i) == 0)
			return fault_set(f, refusal, "%s: no %s (key %" PRId64 ")", what, fields[i].name,
					 fields[i].key);
	return REASON_OK;
}
