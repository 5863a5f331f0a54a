/* blob.c - see blob.h. */
#include "base/blob.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

bool blob_equal(struct blob a, struct blob b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool blob_equal_secret(struct blob a, struct blob b)
{
	return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

enum reason buf_reserve(struct buf *b, size_t cap, struct fault *f)
{
	uint8_t *grown;

	if (cap <= b->cap)
		return REASON_OK;
	grown = realloc(b->ptr, cap);
	if (grown == NULL)
		return fault_set(f, REASON_NO_MEMORY, "%zu bytes", cap);
	b->ptr = grown;
	b->cap = cap;
	return REASON_OK;
}

enum reason buf_append(struct buf *b, struct blob bytes, struct fault *f)
{
	if (bytes.len == 0)
		return REASON_OK;
	if (b->len + bytes.len > b->cap)
		TRY(buf_reserve(b, (b->len + bytes.len) * 2, f));
	memcpy(b->ptr + b->len, bytes.ptr, bytes.len);
	b->len += bytes.len;
	return REASON_OK;
}

enum reason buf_copy(struct blob bytes, struct buf *ret_buf, struct fault *f)
{
	struct buf b = { 0 };

	if (bytes.len > 0) {
		TRY(buf_reserve(&b, bytes.len, f));
		memcpy(b.ptr, bytes.ptr, bytes.len);
		b.len = bytes.len;
	}
	*ret_buf = b;
	return REASON_OK;
}

void buf_done(struct buf *b)
{
	free(b->ptr);
	*b = (struct buf){ 0 };
}

void buf_wipe(struct buf *b)
{
	if (b->ptr != NULL)
		OPENSSL_cleanse(b->ptr, b->cap);
	buf_done(b);
}
