/* text.c - see text.h. */
#include "base/text.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

void text_hex(struct blob bytes, char *out, size_t out_len)
{
	static const char digits[] = "0123456789abcdef";

	assert(out_len >= 2 * bytes.len + 1);
	for (size_t i = 0; i < bytes.len; i++) {
		out[2 * i] = digits[bytes.ptr[i] >> 4];
		out[2 * i + 1] = digits[bytes.ptr[i] & 15];
	}
	out[2 * bytes.len] = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool text_unhex(const char *text, size_t text_len, uint8_t *out, size_t out_cap, size_t *ret_len)
{
	if (text_len % 2 != 0 || text_len / 2 > out_cap)
		return false;
	for (size_t i = 0; i < text_len; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	*ret_len = text_len / 2;
	return true;
}

void text_base32(struct blob bytes, char *out, size_t out_len)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	assert(out_len >= (bytes.len * 8 + 4) / 5 + 1);
	for (size_t i = 0; i < bytes.len; i++) {
		bits = bits << 8 | bytes.ptr[i];
		for (held += 8; held >= 5; held -= 5)
			out[n++] = digits[bits >> (held - 5) & 31];
	}
	if (held > 0)
		out[n++] = digits[bits << (5 - held) & 31];
	out[n] = '\0';
}

enum reason text_base64(struct blob bytes, struct buf *ret_text, struct fault *f)
{
	struct buf b = { 0 };

	TRY(buf_reserve(&b, (bytes.len + 2) / 3 * 4 + 1, f));
	b.len = (size_t)EVP_EncodeBlock(b.ptr, bytes.ptr, (int)bytes.len);
	*ret_text = b;
	return REASON_OK;
}

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The digits of one text, four at a time; `pad` counts '=' seen. */
struct unbase64 {
	uint32_t bits;
	unsigned digits, pad;
};

static bool unbase64_push(struct unbase64 *u, uint8_t c, struct buf *out)
{
	int digit = base64_digit(c);

	if (c == '=' ? (u->digits < 2 || u->pad == 2) : (digit < 0 || u->pad > 0))
		return false;
	u->pad += c == '=';
	u->bits = u->bits << 6 | (c == '=' ? 0U : (uint32_t)digit);
	if (++u->digits < 4)
		return true;
	for (unsigned i = 0; i < 3 - u->pad; i++)
		out->ptr[out->len++] = (uint8_t)(u->bits >> (16 - 8 * i));
	u->digits = 0;
	/* bits that padding throws away must be zero: one text for one value */
	return u->pad == 0 || (u->bits & (u->pad == 1 ? 0xffU : 0xffffU)) == 0;
}

enum reason text_unbase64(struct blob text, struct buf *ret_bytes, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };
	struct unbase64 u = { 0 };
	bool ended = false;

	TRY(buf_reserve(&b, text.len / 4 * 3 + 4, f));
	for (size_t i = 0; i < text.len; i++) {
		if (is_space(text.ptr[i]))
			continue;
		if (ended || !unbase64_push(&u, text.ptr[i], &b))
			return fault_set(f, REASON_BASE64, "byte 0x%02x at offset %zu", text.ptr[i], i);
		ended = u.pad > 0 && u.digits == 0;
	}
	if (u.digits != 0)
		return fault_set(f, REASON_BASE64, "truncated: %u digits over", u.digits);
	*ret_bytes = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

void text_base64url(struct blob bytes, char *out, size_t out_len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	assert(out_len >= (bytes.len * 4 + 2) / 3 + 1);
	for (size_t i = 0; i < bytes.len; i++) {
		bits = bits << 8 | bytes.ptr[i];
		for (held += 8; held >= 6; held -= 6)
			out[n++] = digits[bits >> (held - 6) & 63];
	}
	if (held > 0)
		out[n++] = digits[bits << (6 - held) & 63];
	out[n] = '\0';
}
