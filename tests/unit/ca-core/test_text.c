/* test_text.c - base/text.h: the encodings of RFC 4648, with its own test vectors, and what they refuse. */
#include "expect.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* RFC 4648 section 10 */
static const struct {
	const char *plain, *base64, *base32;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg==", "my" },
	{ "fo", "Zm8=", "mzxq" },
	{ "foo", "Zm9v", "mzxw6" },
	{ "foob", "Zm9vYg==", "mzxw6yq" },
	{ "fooba", "Zm9vYmE=", "mzxw6ytb" },
	{ "foobar", "Zm9vYmFy", "mzxw6ytboi" },
};

static void encodes_the_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(vectors); i++) {
		AUTO(buf_done) struct buf base64 = { 0 };
		char base32[32];

		assert_ok(text_base64(BLOB_STR(vectors[i].plain), &base64, NULL));
		assert_int_equal(base64.len, strlen(vectors[i].base64));
		assert_memory_equal(base64.ptr, vectors[i].base64, base64.len);
		text_base32(BLOB_STR(vectors[i].plain), base32, sizeof(base32));
		assert_string_equal(base32, vectors[i].base32);
	}
}

static void decodes_the_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(vectors); i++) {
		AUTO(buf_done) struct buf plain = { 0 };

		assert_ok(text_unbase64(BLOB_STR(vectors[i].base64), &plain, NULL));
		assert_int_equal(plain.len, strlen(vectors[i].plain));
		if (plain.len > 0)
			assert_memory_equal(plain.ptr, vectors[i].plain, plain.len);
	}
}

static void skips_white_space_only(void **state)
{
	AUTO(buf_done) struct buf plain = { 0 };

	(void)state;
	assert_ok(text_unbase64(BLOB_STR("Zm9v\r\n Ym\tFy\n\n"), &plain, NULL));
	assert_int_equal(plain.len, 6);
	assert_memory_equal(plain.ptr, "foobar", 6);
}

static void refuses_what_is_not_base64(void **state)
{
	static const char *const bad[] = {
		"Z",        "Zg",         "Zg=",
		"Zm9",      "=",          "====",
		"Zg==Zg==", "Zg=a",       "Zg=A",
		"Zg==Zm9v", "Zg==\nZm9v", "Zm9vZg==Zm9v",
		"Zg===",    "Zm9v=",      "Zm9v-",
		"Zm9_",     "Zm\v9v",     "Zm9vZ",
		"Zh==",     "Zm9=",       "-----BEGIN CERTIFICATE REQUEST-----",
		"Zg==\nx",
	};

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct buf untouched = { (uint8_t *)1, 2, 3 };

		assert_reason(text_unbase64(BLOB_STR(bad[i]), &untouched, NULL), REASON_BASE64);
		assert_ptr_equal(untouched.ptr, (uint8_t *)1);
	}
	struct buf none = { 0 };
	assert_reason(text_unbase64(BLOB("Zm9v\0", 5), &none, NULL), REASON_BASE64);
}

/* Whole groups are read in another way than what stands between them. */
static void every_byte_at_every_place_is_a_digit_or_not(void **state)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	(void)state;
	for (unsigned place = 0; place < 12; place++) {
		for (unsigned c = 0; c < 256; c++) {
			AUTO(buf_done) struct buf bytes = { 0 };
			const char *digit = c == 0 ? NULL : strchr(digits, (int)c);
			char text[] = "Zm9vZm9vZm9v";
			enum reason reason;

			text[place] = (char)c;
			reason = text_unbase64(BLOB((const uint8_t *)text, 12), &bytes, NULL);
			if (digit == NULL && !(c == '=' && place == 11)) {
				assert_reason(reason, REASON_BASE64);
				continue;
			}
			assert_reason(reason, c == '=' ? REASON_BASE64 : REASON_OK); /* bits are left over */
			if (digit == NULL)
				continue;
			uint8_t *group = bytes.ptr + place / 4 * 3;
			uint32_t bits = (uint32_t)group[0] << 16 | (uint32_t)group[1] << 8 | group[2];

			assert_int_equal(bytes.len, 9);
			assert_int_equal(bits >> (18 - 6 * (place % 4)) & 63, digit - digits);
		}
	}
}

static void may_be_broken_at_every_place(void **state)
{
	static const char whole[] = "Zm9vYmFyZm9vYmE=";

	(void)state;
	for (size_t first = 0; first < sizeof(whole); first++) {
		for (size_t second = first; second < sizeof(whole); second++) {
			AUTO(buf_done) struct buf bytes = { 0 };
			char text[64];

			snprintf(text, sizeof(text), "%.*s\n%.*s\r\n%s", (int)first, whole, (int)(second - first),
				 whole + first, whole + second);
			assert_ok(text_unbase64(BLOB_STR(text), &bytes, NULL));
			assert_int_equal(bytes.len, 11);
			assert_memory_equal(bytes.ptr, "foobarfooba", 11);
		}
	}
}

static void comes_back_the_same_at_every_length(void **state)
{
	uint8_t bytes[200];

	(void)state;
	assert_int_equal(RAND_bytes(bytes, sizeof(bytes)), 1);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		AUTO(buf_done) struct buf text = { 0 }, back = { 0 };

		assert_ok(text_base64(BLOB(bytes, len), &text, NULL));
		assert_ok(text_unbase64(buf_blob(&text), &back, NULL));
		assert_true(blob_equal(buf_blob(&back), BLOB(bytes, len)));
	}
}

static void hex_goes_both_ways_and_is_strict(void **state)
{
	uint8_t out[4];
	char text[9];
	size_t len = 99;

	(void)state;
	text_hex(BLOB("\x00\xff\x1a\xB2", 4), text, sizeof(text));
	assert_string_equal(text, "00ff1ab2");
	assert_true(text_unhex("00Ff1aB2", 8, out, sizeof(out), &len));
	assert_int_equal(len, 4);
	assert_memory_equal(out, "\x00\xff\x1a\xB2", 4);
	assert_false(text_unhex("0", 1, out, sizeof(out), &len));
	assert_false(text_unhex("0g", 2, out, sizeof(out), &len));
	assert_false(text_unhex("00:1", 4, out, sizeof(out), &len));
	assert_false(text_unhex("0011223344", 10, out, sizeof(out), &len)); /* does not fit */
	assert_true(text_unhex("", 0, out, sizeof(out), &len));
	assert_int_equal(len, 0);
}

static void base64url_has_its_own_two_digits(void **state)
{
	char text[8];

	(void)state;
	text_base64url(BLOB("\xfb\xff\xbf", 3), text, sizeof(text));
	assert_string_equal(text, "-_-_");
	text_base64url(BLOB("\xff", 1), text, sizeof(text));
	assert_string_equal(text, "_w");
	text_base64url(BLOB(NULL, 0), text, sizeof(text));
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_the_vectors),
		cmocka_unit_test(decodes_the_vectors),
		cmocka_unit_test(skips_white_space_only),
		cmocka_unit_test(refuses_what_is_not_base64),
		cmocka_unit_test(every_byte_at_every_place_is_a_digit_or_not),
		cmocka_unit_test(may_be_broken_at_every_place),
		cmocka_unit_test(comes_back_the_same_at_every_length),
		cmocka_unit_test(hex_goes_both_ways_and_is_strict),
		cmocka_unit_test(base64url_has_its_own_two_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
