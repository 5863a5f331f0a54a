/* pack.c - bodies of frames: see channel.h. */
#include <string.h>

#include "channel/channel.h"

/* The next n bytes, or NULL once anything has failed. */
static const uint8_t *take(struct pack_reader *r, size_t n)
{
	const uint8_t *p = r->left.ptr;

	if (r->failed || r->left.len < n) {
		r->failed = true;
		return NULL;
	}
	r->left.ptr += n;
	r->left.len -= n;
	return p;
}

static uint64_t get_number(struct pack_reader *r, size_t n)
{
	const uint8_t *p = take(r, n);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t pack_get_u8(struct pack_reader *r)
{
	return (uint8_t)get_number(r, 1);
}

uint32_t pack_get_u32(struct pack_reader *r)
{
	return (uint32_t)get_number(r, 4);
}

uint64_t pack_get_u64(struct pack_reader *r)
{
	return get_number(r, 8);
}

struct blob pack_get_bytes(struct pack_reader *r)
{
	size_t len = pack_get_u32(r);
	const uint8_t *p = take(r, len);

	return p == NULL ? (struct blob){ 0 } : BLOB(p, len);
}

void pack_get_text(struct pack_reader *r, char *out, size_t out_len)
{
	struct blob text = pack_get_bytes(r);

	out[0] = '\0';
	if (r->failed)
		return;
	if (text.len >= out_len || (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)) {
		r->failed = true;
		return;
	}
	if (text.len > 0)
		memcpy(out, text.ptr, text.len);
	out[text.len] = '\0';
}

bool pack_done(const struct pack_reader *r)
{
	return !r->failed && r->left.len == 0;
}

static enum reason put_number(struct buf *b, uint64_t v, size_t n, struct fault *f)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	return buf_append(b, BLOB(bytes, n), f);
}

enum reason pack_u8(struct buf *b, uint8_t v, struct fault *f)
{
	return put_number(b, v, 1, f);
}

enum reason pack_u32(struct buf *b, uint32_t v, struct fault *f)
{
	return put_number(b, v, 4, f);
}

enum reason pack_u64(struct buf *b, uint64_t v, struct fault *f)
{
	return put_number(b, v, 8, f);
}

enum reason pack_bytes(struct buf *b, struct blob v, struct fault *f)
{
	if (v.len > UINT32_MAX)
		return fault_set(f, REASON_INTERNAL, "%zu bytes in one field", v.len);
	TRY(pack_u32(b, (uint32_t)v.len, f));
	return buf_append(b, v, f);
}

enum reason pack_text(struct buf *b, const char *v, struct fault *f)
{
	return pack_bytes(b, BLOB_STR(v), f);
}
