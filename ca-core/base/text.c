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

/* Each digit's value and one; 0: no digit. */
static const uint8_t base64_value[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
	['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
	['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
	['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
	['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
	['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
	['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

static int base64_digit(uint8_t c)
{
	return base64_value[c] - 1;
}

/* Four digits at once, as nearly all of a text comes; false: one of them is none. */
static bool unbase64_four(const uint8_t *in, uint8_t *out)
{
	uint32_t bits = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (base64_value[in[i]] == 0)
			return false;
		bits = bits << 6 | (uint32_t)(base64_value[in[i]] - 1);
	}
	out[0] = (uint8_t)(bits >> 16);
	out[1] = (uint8_t)(bits >> 8);
	out[2] = (uint8_t)bits;
	return true;
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
		if (u.digits == 0 && !ended && text.len - i >= 4 && unbase64_four(text.ptr + i, b.ptr + b.len)) {
			b.len += 3;
			i += 3;
			continue;
		}
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
