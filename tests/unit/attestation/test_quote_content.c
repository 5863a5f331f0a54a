/* test_quote_content.c - the bytes of a quote: each field as defined, one encoding, nothing besides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "quote.h"
#include "quote_make.h"

#define NATIVE (QUOTE_ON_CHIP | QUOTE_NO_EXPORT)

static const uint8_t ueid[] = { 1, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 7 };
static const uint8_t nonce[] = "0123456789abcdef";

static struct quote_make start(void)
{
	struct quote_make make;

	quote_start(&make, quote_device, BLOB_OF(ueid), BLOB(nonce, 16), NATIVE);
	return make;
}

static enum reason parse_cose(struct buf cose)
{
	AUTO(buf_done) struct buf stmt = make_element(0x04, buf_blob(&cose));
	struct quote quote;
	struct fault f = { 0 };

	buf_done(&cose);
	return quote_parse(buf_blob(&stmt), &quote, &f);
}

/* What the reader says of it; frees it. */
static enum reason verdict(struct quote_make *make)
{
	struct buf cose = quote_sign(make, NULL, NULL);

	quote_done(make);
	return parse_cose(cose);
}

/* One claim with another value. */
static enum reason with_claim(unsigned slot, int64_t key, struct buf value)
{
	struct quote_make make = start();

	quote_claim(&make, slot, key, &value);
	buf_done(&value);
	return verdict(&make);
}

static struct buf bytes_of(size_t len)
{
	static const uint8_t zeros[256];
	struct buf out = { 0 };

	put_bytes(&out, BLOB(zeros, len));
	return out;
}

static struct buf text_of(const char *text)
{
	struct buf out = { 0 };

	put_text(&out, text);
	return out;
}

static struct buf int_of(int64_t value)
{
	struct buf out = { 0 };

	put_int(&out, value);
	return out;
}

static struct buf raw_of(struct blob bytes)
{
	struct buf out = { 0 };

	put_raw(&out, bytes);
	return out;
}

static void reads_every_field(void **state)
{
	struct quote_make make = start();
	AUTO(buf_done)
	struct buf cose = quote_sign(&make, NULL, NULL), stmt = make_element(0x04, buf_blob(&cose)),
		   payload = quote_payload(&make);
	struct pubkey key = make_pubkey(quote_device);
	struct quote quote;
	struct fault f;

	(void)state;
	assert_int_equal(quote_parse(buf_blob(&stmt), &quote, &f), REASON_OK);
	assert_int_equal(quote.alg, SIG_ECDSA_SHA256);
	assert_int_equal(quote.signer, KEY_EC_P256);
	assert_true(blob_equal(quote.protected, buf_blob(&make.header)));
	assert_true(blob_equal(quote.payload, buf_blob(&payload)));
	assert_int_equal(quote.signature.len, 64);
	assert_true(blob_equal(quote.nonce, BLOB(nonce, 16)));
	assert_true(blob_equal(quote.ueid, BLOB_OF(ueid)));
	assert_true(pubkey_equal(&quote.key, &key));
	assert_int_equal(quote.flags, NATIVE);
	quote_done(&make);
}

static void reads_a_p384_key_and_es384(void **state)
{
	EVP_PKEY *key = make_key(KEY_EC_P384);
	struct quote_make make;

	(void)state;
	quote_start(&make, key, BLOB_OF(ueid), BLOB(nonce, 16), NATIVE);
	quote_header(&make, -35);
	assert_int_equal(verdict(&make), REASON_OK);
	EVP_PKEY_free(key);
}

static void takes_an_applet_version(void **state)
{
	char longest[66] = { 0 };

	(void)state;
	memset(longest, 'v', 64);
	assert_int_equal(with_claim(CLAIM_EXTRA, -80001, text_of("1.4.2")), REASON_OK);
	assert_int_equal(with_claim(CLAIM_EXTRA, -80001, text_of("\xc3\xa4")), REASON_OK);
	assert_int_equal(with_claim(CLAIM_EXTRA, -80001, text_of(longest)), REASON_OK);
	longest[64] = 'v';
	assert_int_equal(with_claim(CLAIM_EXTRA, -80001, text_of(longest)), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_EXTRA, -80001, text_of("\xff")), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_EXTRA, -80001, int_of(1)), REASON_EVIDENCE_CONTENT);
}

static void bounds_nonce_and_ueid(void **state)
{
	static const struct {
		unsigned slot;
		int64_t key;
		size_t len;
		enum reason reason;
	} cases[] = {
		{ CLAIM_NONCE, 10, 8, REASON_OK },
		{ CLAIM_NONCE, 10, 64, REASON_OK },
		{ CLAIM_NONCE, 10, 7, REASON_EVIDENCE_CONTENT },
		{ CLAIM_NONCE, 10, 65, REASON_EVIDENCE_CONTENT },
		{ CLAIM_NONCE, 10, 0, REASON_EVIDENCE_CONTENT },
		{ CLAIM_UEID, 256, 1, REASON_OK },
		{ CLAIM_UEID, 256, 64, REASON_OK },
		{ CLAIM_UEID, 256, 0, REASON_EVIDENCE_CONTENT },
		{ CLAIM_UEID, 256, 65, REASON_EVIDENCE_CONTENT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(with_claim(cases[i].slot, cases[i].key, bytes_of(cases[i].len)), cases[i].reason);
	assert_int_equal(with_claim(CLAIM_NONCE, 10, text_of("0123456789abcdef")), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_UEID, 256, text_of("abc")), REASON_EVIDENCE_CONTENT);
}

static void refuses_another_profile(void **state)
{
	(void)state;
	assert_int_equal(with_claim(CLAIM_PROFILE, 265, text_of("urn:uuid:a281f728-f5f8-4676-b182-37bdb2822fa6")),
			 REASON_EVIDENCE_PROFILE);
	assert_int_equal(with_claim(CLAIM_PROFILE, 265, text_of("URN:UUID:a281f728-f5f8-4676-b182-37bdb2822fa5")),
			 REASON_EVIDENCE_PROFILE);
	assert_int_equal(with_claim(CLAIM_PROFILE, 265, text_of("tag:psacertified.org,2023:psa#tfm")),
			 REASON_EVIDENCE_PROFILE);
	assert_int_equal(with_claim(CLAIM_PROFILE, 265, text_of("")), REASON_EVIDENCE_PROFILE);
	assert_int_equal(with_claim(CLAIM_PROFILE, 265, int_of(1)), REASON_EVIDENCE_CONTENT);
}

static void refuses_unknown_flags(void **state)
{
	(void)state;
	assert_int_equal(with_claim(CLAIM_FLAGS, -80000, int_of(15)), REASON_OK);
	assert_int_equal(with_claim(CLAIM_FLAGS, -80000, int_of(16 | 3)), REASON_EVIDENCE_FLAGS);
	assert_int_equal(with_claim(CLAIM_FLAGS, -80000, int_of(1LL << 40 | 3)), REASON_EVIDENCE_FLAGS);
	assert_int_equal(with_claim(CLAIM_FLAGS, -80000, int_of(-1)), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_FLAGS, -80000, text_of("3")), REASON_EVIDENCE_CONTENT);
}

static void refuses_a_missing_or_unknown_claim(void **state)
{
	(void)state;
	for (unsigned slot = 0; slot < CLAIM_EXTRA; slot++) {
		struct quote_make make = start();

		buf_done(&make.claim[slot]);
		assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	}
	assert_int_equal(with_claim(CLAIM_EXTRA, -80002, int_of(1)), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_FLAGS, -75000, int_of(3)), REASON_EVIDENCE_CONTENT);
}

static void refuses_claims_repeated_or_out_of_order(void **state)
{
	struct quote_make make = start();
	struct buf held = make.claim[CLAIM_CNF];

	(void)state;
	make.claim[CLAIM_CNF] = make.claim[CLAIM_NONCE];
	make.claim[CLAIM_NONCE] = held;
	assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	make = start();
	make.claim[CLAIM_EXTRA] = raw_of(buf_blob(&make.claim[CLAIM_FLAGS]));
	assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
}

static void refuses_a_map_that_says_more_or_fewer_claims(void **state)
{
	struct quote_make make = start();

	(void)state;
	make.count = 4;
	assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	make = start();
	make.count = 6;
	assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	make = start();
	make.count = SIZE_MAX;
	assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
}

/* Claim values in an encoding that is longer than it need be. */
static void refuses_other_encodings_of_the_same_values(void **state)
{
	static const uint8_t long_flags[] = { 0x18, 0x03 }, wide_flags[] = { 0x1a, 0, 0, 0, 3 };
	static const uint8_t long_nonce[] = { 0x58, 8, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint8_t chunked_nonce[] = { 0x5f, 0x48, 1, 2, 3, 4, 5, 6, 7, 8, 0xff };

	(void)state;
	assert_int_equal(with_claim(CLAIM_FLAGS, -80000, raw_of(BLOB_OF(long_flags))), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_FLAGS, -80000, raw_of(BLOB_OF(wide_flags))), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_NONCE, 10, raw_of(BLOB_OF(long_nonce))), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_NONCE, 10, raw_of(BLOB_OF(chunked_nonce))), REASON_EVIDENCE_CONTENT);
}

/* cnf { 1: key }, with the key's encoding given. */
static enum reason with_key(struct buf key)
{
	struct buf cnf = { 0 };

	put_head(&cnf, 5, 1);
	put_int(&cnf, 1);
	put_raw(&cnf, buf_blob(&key));
	buf_done(&key);
	return with_claim(CLAIM_CNF, 8, cnf);
}

static void refuses_a_key_that_is_not_just_an_ec_point(void **state)
{
	static const struct {
		size_t at; /* octet of the COSE_Key: map head, 1, kty, -1, crv, -2, x... */
		uint8_t value;
		enum reason reason;
	} cases[] = {
		{ 0, 0xa5, REASON_EVIDENCE_CONTENT }, /* one pair more than there is */
		{ 2, 0x01, REASON_EVIDENCE_CONTENT }, /* OKP */
		{ 2, 0x03, REASON_EVIDENCE_CONTENT }, /* RSA */
		{ 4, 0x02, REASON_EVIDENCE_CONTENT }, /* P-384 with coordinates of 32 */
		{ 4, 0x03, REASON_KEY_TYPE },         /* P-521 */
		{ 4, 0x08, REASON_KEY_TYPE },         /* secp256k1 */
		{ 4, 0x41, REASON_EVIDENCE_CONTENT }, /* no integer */
		{ 5, 0x22, REASON_EVIDENCE_CONTENT }, /* -3 where -2 stands */
		{ 5, 0x01, REASON_EVIDENCE_CONTENT }, /* alg, unknown here */
	};
	struct pubkey key = make_pubkey(quote_device);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf cose = cose_key(&key);

		cose.ptr[cases[i].at] = cases[i].value;
		assert_int_equal(with_key(cose), cases[i].reason);
	}
}

static void refuses_a_point_off_the_curve(void **state)
{
	struct pubkey key = make_pubkey(quote_device);

	(void)state;
	key.raw[40] ^= 1;
	assert_int_equal(with_key(cose_key(&key)), REASON_KEY_INVALID);
}

static void refuses_a_key_with_more_in_it(void **state)
{
	struct pubkey key = make_pubkey(quote_device);
	struct buf cose = cose_key(&key);

	(void)state;
	cose.ptr[0] = 0xa5;
	put_int(&cose, -4); /* d: the private key itself */
	put_bytes(&cose, BLOB_OF(ueid));
	assert_int_equal(with_key(cose), REASON_EVIDENCE_CONTENT);
}

static void refuses_a_cnf_that_is_not_one_cose_key(void **state)
{
	static const uint8_t kid[] = { 0xa1, 0x03, 0x41, 0x01 }, empty[] = { 0xa0 };

	(void)state;
	assert_int_equal(with_claim(CLAIM_CNF, 8, raw_of(BLOB_OF(kid))), REASON_EVIDENCE_CONTENT);
	assert_int_equal(with_claim(CLAIM_CNF, 8, raw_of(BLOB_OF(empty))), REASON_EVIDENCE_CONTENT);
}

static void refuses_other_algorithms_and_headers(void **state)
{
	static const int64_t algs[] = { -36, -37, -8, -257, 5, 0, -47 };
	static const uint8_t extra[] = { 0xa2, 0x01, 0x26, 0x04, 0x41, 0x01 }, empty[] = { 0xa0 },
			     text[] = { 0xa1, 0x01, 0x61, 'x' }, after[] = { 0xa1, 0x01, 0x26, 0x00 };
	const struct blob headers[] = { BLOB_OF(extra), BLOB_OF(empty), BLOB_OF(text), BLOB_OF(after), { 0 } };
	struct quote_make make;

	(void)state;
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		make = start();
		quote_header(&make, algs[i]);
		assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	}
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		make = start();
		buf_done(&make.header);
		put_raw(&make.header, headers[i]);
		assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	}
}

static void refuses_anything_unprotected(void **state)
{
	static const uint8_t kid[] = { 0xa1, 0x04, 0x41, 0x01 }, list[] = { 0x80 }, indefinite[] = { 0xbf, 0xff };
	const struct blob cases[] = { BLOB_OF(kid), BLOB_OF(list), BLOB_OF(indefinite), { 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quote_make make = start();

		buf_done(&make.unprotected);
		put_raw(&make.unprotected, cases[i]);
		assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	}
}

static void refuses_another_tag_none_or_two(void **state)
{
	struct quote_make make = start();
	struct buf cose, twice = { 0 };

	(void)state;
	make.tag = 98; /* COSE_Sign */
	assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
	make = start();
	cose = quote_sign(&make, NULL, NULL);
	assert_int_equal(parse_cose(raw_of(BLOB(cose.ptr + 1, cose.len - 1))), REASON_EVIDENCE_CONTENT);
	put_head(&twice, 6, 61); /* CWT */
	put_raw(&twice, buf_blob(&cose));
	assert_int_equal(parse_cose(twice), REASON_EVIDENCE_CONTENT);
	buf_done(&cose);
	quote_done(&make);
}

static void refuses_bytes_after_the_quote(void **state)
{
	static const uint8_t zero[] = { 0 };
	struct quote_make make = start();

	(void)state;
	put_raw(&make.after, BLOB_OF(zero));
	assert_int_equal(verdict(&make), REASON_EVIDENCE_CONTENT);
}

static void refuses_a_quote_cut_anywhere(void **state)
{
	struct quote_make make = start();
	AUTO(buf_done) struct buf cose = quote_sign(&make, NULL, NULL);

	(void)state;
	for (size_t len = 0; len < cose.len; len++)
		assert_int_equal(parse_cose(raw_of(BLOB(cose.ptr, len))), REASON_EVIDENCE_CONTENT);
	quote_done(&make);
}

/* Everything in it is bounded but the signature's length, which the algorithm decides later. */
static void refuses_a_quote_beyond_its_bound(void **state)
{
	static const uint8_t zeros[LIMIT_QUOTE_BYTES];
	struct quote_make make = start();
	AUTO(buf_done) struct buf cose = quote_sign(&make, NULL, NULL);
	struct buf longer = { 0 };

	(void)state;
	put_raw(&longer, BLOB(cose.ptr, cose.len - 66));
	put_bytes(&longer, BLOB(zeros, sizeof(zeros) - longer.len - 3));
	assert_int_equal(longer.len, LIMIT_QUOTE_BYTES);
	assert_int_equal(parse_cose(longer), REASON_OK);
	longer = (struct buf){ 0 };
	put_raw(&longer, BLOB(cose.ptr, cose.len - 66));
	put_bytes(&longer, BLOB(zeros, sizeof(zeros) - longer.len - 2));
	assert_int_equal(parse_cose(longer), REASON_EVIDENCE_CONTENT);
	quote_done(&make);
}

static void refuses_a_stmt_that_is_not_one_octet_string(void **state)
{
	static uint8_t big[LIMIT_QUOTE_BYTES + 1];
	struct quote_make make = start();
	AUTO(buf_done)
	struct buf cose = quote_sign(&make, NULL, NULL), utf8 = make_element(0x0c, buf_blob(&cose)),
		   twice = make_element(0x04, buf_blob(&cose)), huge = make_element(0x04, BLOB_OF(big));
	struct quote quote;
	struct fault f;

	(void)state;
	put_raw(&twice, BLOB("\x05\x00", 2));
	assert_int_equal(quote_parse(buf_blob(&utf8), &quote, &f), REASON_EVIDENCE_CONTENT);
	assert_int_equal(quote_parse(buf_blob(&twice), &quote, &f), REASON_EVIDENCE_CONTENT);
	assert_int_equal(quote_parse(buf_blob(&cose), &quote, &f), REASON_EVIDENCE_CONTENT);
	assert_int_equal(quote_parse(buf_blob(&huge), &quote, &f), REASON_EVIDENCE_CONTENT);
	assert_int_equal(quote_parse((struct blob){ 0 }, &quote, &f), REASON_EVIDENCE_CONTENT);
	quote_done(&make);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_field),
		cmocka_unit_test(reads_a_p384_key_and_es384),
		cmocka_unit_test(takes_an_applet_version),
		cmocka_unit_test(bounds_nonce_and_ueid),
		cmocka_unit_test(refuses_another_profile),
		cmocka_unit_test(refuses_unknown_flags),
		cmocka_unit_test(refuses_a_missing_or_unknown_claim),
		cmocka_unit_test(refuses_claims_repeated_or_out_of_order),
		cmocka_unit_test(refuses_a_map_that_says_more_or_fewer_claims),
		cmocka_unit_test(refuses_other_encodings_of_the_same_values),
		cmocka_unit_test(refuses_a_key_that_is_not_just_an_ec_point),
		cmocka_unit_test(refuses_a_point_off_the_curve),
		cmocka_unit_test(refuses_a_key_with_more_in_it),
		cmocka_unit_test(refuses_a_cnf_that_is_not_one_cose_key),
		cmocka_unit_test(refuses_other_algorithms_and_headers),
		cmocka_unit_test(refuses_anything_unprotected),
		cmocka_unit_test(refuses_another_tag_none_or_two),
		cmocka_unit_test(refuses_bytes_after_the_quote),
		cmocka_unit_test(refuses_a_quote_cut_anywhere),
		cmocka_unit_test(refuses_a_quote_beyond_its_bound),
		cmocka_unit_test(refuses_a_stmt_that_is_not_one_octet_string),
	};

	oid_init();
	return cmocka_run_group_tests(tests, quote_device_make, quote_device_free);
}
