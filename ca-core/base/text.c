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

/* The most significant bits first, so many a digit; zeros fill the last one. */
static void put_digits(struct blob bytes, const char *digits, unsigned bits_each, char *out)
{
	uint32_t bits = 0;
	unsigned held = 0;

	for (size_t i = 0; i < bytes.len; i++) {
		bits = bits << 8 | bytes.ptr[i];
		for (held += 8; held >= bits_each; held -= bits_each)
			*out++ = digits[bits >> (held - bits_each) & ((1U << bits_each) - 1)];
	}
	if (held > 0)
		*out++ = digits[bits << (bits_each - held) & ((1U << bits_each) - 1)];
	*out = '\0';
}

void text_base32(struct blob bytes, char *out, size_t out_len)
{
	assert(out_len >= (bytes.len * 8 + 4) / 5 + 1);
	put_digits(bytes, "abcdefghijklmnopqrstuvwxyz234567", 5, out);
}

enum reason text_base64(struct blob bytes, struct buf *ret_text, struct fault *f)
{
	struct buf b = { 0 };

	TRY(buf_reserve(&b, (bytes.len + 2) / 3 * 4 + 1, f));
	b.len = (size_t)EVP_EncodeBlock(b.ptr, bytes.ptr, (int)bytes.len);
	*ret_text = b;
	return REASON_OK;
}

/* Each digit's value and DIGIT, a bit that no value has; 0: no digit. */
#define DIGIT 64
static const uint8_t base64_value[256] = {
	['A'] = 64,  ['B'] = 65,  ['C'] = 66,  ['D'] = 67,  ['E'] = 68,  ['F'] = 69,  ['G'] = 70,  ['H'] = 71,
	['I'] = 72,  ['J'] = 73,  ['K'] = 74,  ['L'] = 75,  ['M'] = 76,  ['N'] = 77,  ['O'] = 78,  ['P'] = 79,
	['Q'] = 80,  ['R'] = 81,  ['S'] = 82,  ['T'] = 83,  ['U'] = 84,  ['V'] = 85,  ['W'] = 86,  ['X'] = 87,
	['Y'] = 88,  ['Z'] = 89,  ['a'] = 90,  ['b'] = 91,  ['c'] = 92,  ['d'] = 93,  ['e'] = 94,  ['f'] = 95,
	['g'] = 96,  ['h'] = 97,  ['i'] = 98,  ['j'] = 99,  ['k'] = 100, ['l'] = 101, ['m'] = 102, ['n'] = 103,
	['o'] = 104, ['p'] = 105, ['q'] = 106, ['r'] = 107, ['s'] = 108, ['t'] = 109, ['u'] = 110, ['v'] = 111,
	['w'] = 112, ['x'] = 113, ['y'] = 114, ['z'] = 115, ['0'] = 116, ['1'] = 117, ['2'] = 118, ['3'] = 119,
	['4'] = 120, ['5'] = 121, ['6'] = 122, ['7'] = 123, ['8'] = 124, ['9'] = 125, ['+'] = 126, ['/'] = 127,
};

/* Groups of four digits, as nearly all of a text comes: three bytes each, to `out`. How many digits it took. */
static size_t unbase64_groups(struct blob text, uint8_t *out)
{
	size_t i = 0;

	for (; text.len - i >= 4; i += 4, out += 3) {
		uint32_t a = base64_value[text.ptr[i]], b = base64_value[text.ptr[i + 1]];
		uint32_t c = base64_value[text.ptr[i + 2]], d = base64_value[text.ptr[i + 3]];
		uint32_t bits = a << 18 ^ b << 12 ^ c << 6 ^ d ^ (DIGIT << 18 ^ DIGIT << 12 ^ DIGIT << 6 ^ DIGIT);

		if ((a & b & c & d & DIGIT) == 0)
			break;
		out[0] = (uint8_t)(bits >> 16);
		out[1] = (uint8_t)(bits >> 8);
		out[2] = (uint8_t)bits;
	}
	return i;
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
	uint8_t value = base64_value[c];

	if (c == '=' ? (u->digits < 2 || u->pad == 2) : (value == 0 || u->pad > 0))
		return false;
	u->pad += c == '=';
	u->bits = u->bits << 6 | value % DIGIT; /* of '=' 0 */
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
		if (u.digits == 0 && !ended) {
			size_t taken = unbase64_groups(BLOB(text.ptr + i, text.len - i), b.ptr + b.len);

			b.len += taken / 4 * 3;
			i += taken;
			if (i == text.len)
				break;
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
	assert(out_len >= (bytes.len * 4 + 2) / 3 + 1);
	put_digits(bytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 6, out);
}
