/* test_cert.c - cert.h: what a certificate says is read as OpenSSL reads it; what is not DER is refused. */
#include "expect.h"

#include <openssl/asn1.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cert.h"
#include "der.h"
#include "make.h"

static EVP_PKEY *key, *issuer_key;
static X509 *issuer;

static struct buf made(const struct make_cert *spec)
{
	AUTO(make_cert_freep) X509 *cert = make_cert(spec, issuer, issuer_key);

	return make_der(cert);
}

/* Of an exact copy on the heap, so that AddressSanitizer sees one byte too many. */
static enum reason parse_copy(struct blob der)
{
	uint8_t *copy = malloc(der.len > 0 ? der.len : 1);
	struct cert untouched = { .n_ekus = 99 };
	struct fault f = { 0 };
	enum reason reason;

	assert_non_null(copy);
	if (der.len > 0)
		memcpy(copy, der.ptr, der.len);
	reason = cert_parse(BLOB(copy, der.len), &untouched, &f);
	if (reason != REASON_OK) {
		assert_int_equal(untouched.n_ekus, 99);
		assert_reason(f.reason, reason);
	}
	free(copy);
	return reason;
}

static enum reason parse_spec(const struct make_cert *spec)
{
	AUTO(buf_done) struct buf der = made(spec);

	return parse_copy(buf_blob(&der));
}

static void a_rich_end_certificate_is_read(void **state)
{
	struct make_cert spec = {
		.key = key,
		.cn = "dev-17",
		.serial_number = "0a0b",
		.eku = "clientAuth,1.3.6.1.5.5.7.3.28",
		.san = "DNS:dev-17.example,URI:urn:dev:17",
		.not_before_s = 1700000000,
		.not_after_s = 1800000000,
	};
	AUTO(make_cert_freep) X509 *x = make_cert(&spec, issuer, issuer_key);
	AUTO(buf_done) struct buf der = make_der(x), issuer_der = make_der(issuer);
	struct pubkey pub = make_pubkey(key);
	struct cert cert, ca;
	char text[LIMIT_NAME_CHARS + 1];

	(void)state;
	assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
	assert_ok(cert_parse(buf_blob(&issuer_der), &ca, NULL));
	assert_true(blob_equal(cert.der, buf_blob(&der)));
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	assert_true(blob_equal(cert.serial, BLOB(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial))));
	assert_true(name_get(cert.subject, OID_AT_CN, text));
	assert_string_equal(text, "dev-17");
	assert_true(name_get(cert.subject, OID_AT_SERIAL_NUMBER, text));
	assert_string_equal(text, "0a0b");
	assert_true(blob_equal(cert.issuer, ca.subject));
	assert_true(pubkey_equal(&cert.key, &pub));
	assert_true(cert.not_before_s == 1700000000 && cert.not_after_s == 1800000000);
	assert_true(cert.has_basic && !cert.is_ca && cert.path_len == -1);
	assert_true(cert.has_key_usage);
	assert_int_equal(cert.key_usage, KU_DIGITAL_SIGNATURE);
	assert_int_equal(cert.n_ekus, 2);
	assert_true(cert_has_eku(&cert, OID_KP_CLIENT_AUTH) && cert_has_eku(&cert, OID_KP_CMC_RA));
	assert_false(cert_has_eku(&cert, OID_KP_SERVER_AUTH));
	assert_non_null(memmem(cert.san.ptr, cert.san.len, "dev-17.example", 14));
	assert_int_equal(cert.ski.len, 20);
	assert_true(blob_equal(cert.aki, ca.ski));
	assert_false(cert.unknown_critical);
	assert_int_equal(cert.alg, SIG_ECDSA_SHA256);
}

static void its_signature_and_tbs_make_a_true_claim(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x" };
	AUTO(buf_done) struct buf der = made(&spec);
	struct pubkey pub = make_pubkey(issuer_key);
	struct cert cert;

	(void)state;
	assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
	struct claim claim = { .key = &pub, .alg = cert.alg, .message = cert.tbs, .signature = cert.signature };
	assert_true(claim_holds(&claim));
}

static void a_ca_is_read(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *p384 = make_key(KEY_EC_P384);
	struct make_cert spec = {
		.key = p384, .cn = "CA", .ca = true, .has_path_len = true, .path_len = 3, .md_name = "SHA384"
	};
	AUTO(make_cert_freep) X509 *x = make_cert(&spec, NULL, NULL);
	AUTO(buf_done) struct buf der = make_der(x);
	struct cert cert;

	(void)state;
	assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
	assert_true(cert.has_basic && cert.is_ca && cert.path_len == 3);
	assert_int_equal(cert.key_usage, KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_int_equal(cert.alg, SIG_ECDSA_SHA384);
	assert_int_equal(cert.ski.len, 20);
}

static void a_certificate_without_extensions_is_read(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x", .bare = true };
	AUTO(buf_done) struct buf der = made(&spec);
	struct cert cert;

	(void)state;
	assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
	assert_false(cert.has_basic || cert.is_ca || cert.has_key_usage || cert.unknown_critical);
	assert_null(cert.san.ptr);
	assert_null(cert.ski.ptr);
	assert_null(cert.aki.ptr);
	assert_int_equal(cert.n_ekus, 0);
}

static void dates_are_read_on_both_sides_of_2050(void **state)
{
	static const int64_t times[] = { -631152000, 0,          951782400,    2524607999,
					 2524608000, 4107542400, 253402300798, TIME_NO_EXPIRY };

	(void)state;
	for (size_t i = 0; i < N_OF(times); i++) {
		struct make_cert spec = { .key = key, .cn = "x", .not_before_s = -631152000, .not_after_s = times[i] };
		AUTO(buf_done) struct buf der = { 0 };
		struct cert cert;

		if (times[i] == 0)
			continue; /* make_cert() takes it for the default */
		der = made(&spec);
		assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
		assert_true(cert.not_before_s == -631152000);
		assert_true(cert.not_after_s == times[i]);
	}
}

static void an_end_before_the_start_is_refused(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x", .not_before_s = 1800000000, .not_after_s = 1700000000 };

	(void)state;
	assert_reason(parse_spec(&spec), REASON_CHAIN_DER);
}

static void critical_extensions_are_known_or_noted(void **state)
{
	static const struct {
		struct make_ext ext;
		bool ca, unknown;
	} cases[] = {
		{ { "2.5.29.37", "critical,DER:300a06082b06010505070302" }, false, false },
		{ { "2.5.29.37", "critical,DER:300a06082b06010505070302" }, true, true },
		{ { "2.5.29.17", "critical,DER:3003820161" }, false, false },
		{ { "2.5.29.17", "critical,DER:3003820161" }, true, true },
		{ { "2.5.29.30", "critical,DER:3000" }, true, true },  /* name constraints */
		{ { "2.5.29.32", "critical,DER:3000" }, false, true }, /* certificate policies */
		{ { "1.2.3.4", "critical,DER:0500" }, false, true },
		{ { "1.2.3.4", "DER:0500" }, false, false },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct make_cert spec = { .key = key, .cn = "x", .ca = cases[i].ca, .ext = { cases[i].ext } };
		AUTO(buf_done) struct buf der = made(&spec);
		struct cert cert;

		assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
		assert_int_equal(cert.unknown_critical, cases[i].unknown);
	}
}

static void malformed_extensions_are_refused(void **state)
{
	static const struct make_ext bad[] = {
		{ "2.5.29.19", "DER:3003010100" }, /* cA FALSE, written out */
		{ "2.5.29.19", "DER:30030101ff00" }, { "2.5.29.19", "DER:3003020100" },
		{ "2.5.29.15", "DER:030205b0" },     { "2.5.29.15", "DER:030100" },
		{ "2.5.29.37", "DER:3000" },         { "2.5.29.37", "DER:0500" },
		{ "2.5.29.17", "DER:3000" },         { "2.5.29.17", "DER:30028200" },
		{ "2.5.29.14", "DER:0400" },         { "2.5.29.14", "DER:040101ff" },
		{ "2.5.29.35", "DER:30028000" },     { "2.5.29.35", "DER:30038101ff" },
		{ "2.5.29.35", "DER:0401ff" },
	};

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct make_cert spec = { .key = key, .cn = "x", .bare = true, .ext = { bad[i] } };

		assert_reason(parse_spec(&spec), REASON_CHAIN_DER);
	}
}

static void repeated_and_too_many_extensions_are_refused(void **state)
{
	struct make_cert spec = { .key = key,
				  .cn = "x",
				  .ext = { { "1.2.3.4", "DER:0500" }, { "1.2.3.4", "DER:0500" } } };

	(void)state;
	assert_reason(parse_spec(&spec), REASON_CHAIN_DER);
	spec.ext[1] = (struct make_ext){ "2.5.29.15", "DER:03020780" };
	assert_reason(parse_spec(&spec), REASON_CHAIN_DER); /* a second keyUsage */
	spec.ext[1] = (struct make_ext){ "1.2.3.5", "DER:0500" };
	assert_ok(parse_spec(&spec));
}

static void explicit_false_for_critical_is_refused(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x", .ext = { { "1.2.3.4", "critical,DER:0500" } } };
	AUTO(buf_done) struct buf der = made(&spec);
	uint8_t *at = memmem(der.ptr, der.len, "\x06\x03\x2a\x03\x04\x01\x01\xff", 8);

	(void)state;
	assert_non_null(at);
	at[7] = 0x00;
	assert_reason(parse_copy(buf_blob(&der)), REASON_CHAIN_DER);
	at[7] = 0x01;
	assert_reason(parse_copy(buf_blob(&der)), REASON_CHAIN_DER);
	at[7] = 0xff;
	assert_ok(parse_copy(buf_blob(&der)));
}

static void inner_and_outer_algorithm_must_agree(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x" };
	AUTO(buf_done) struct buf der = made(&spec);
	uint8_t *at = memmem(der.ptr, der.len, "\x2a\x86\x48\xce\x3d\x04\x03\x02", 8);

	(void)state;
	assert_non_null(at);
	at[7] = 0x03;
	assert_reason(parse_copy(buf_blob(&der)), REASON_CHAIN_DER);
}

static void weak_and_unknown_algorithms_fit_no_key(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *rsa = make_key(KEY_RSA);
	struct make_cert spec = { .key = rsa, .cn = "x", .ca = true, .md_name = "SHA1" };
	AUTO(make_cert_freep) X509 *x = make_cert(&spec, NULL, NULL);
	AUTO(buf_done) struct buf der = make_der(x);
	struct cert cert;

	(void)state;
	assert_ok(
		cert_parse(buf_blob(&der), &cert, NULL)); /* as a root it may stand; its signature counts for nothing */
	assert_int_equal(cert.alg, SIG_NONE);
	spec.md_name = "SHA512";
	AUTO(make_cert_freep) X509 *strong = make_cert(&spec, NULL, NULL);
	AUTO(buf_done) struct buf strong_der = make_der(strong);
	assert_ok(cert_parse(buf_blob(&strong_der), &cert, NULL));
	assert_int_equal(cert.alg, SIG_RSA_SHA512);
}

static void rsa_pss_with_sha256_is_read(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *rsa = make_key(KEY_RSA);
	struct make_cert spec = { .key = rsa, .cn = "x", .ca = true };
	AUTO(make_cert_freep) X509 *x = make_cert(&spec, NULL, NULL);
	struct pubkey pub = make_pubkey(rsa);

	(void)state;
	for (int salt = 20; salt <= 32; salt += 12) {
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY_CTX *pkey_ctx;
		struct cert cert;

		assert_int_equal(EVP_DigestSignInit(ctx, &pkey_ctx, EVP_sha256(), NULL, rsa), 1);
		assert_int_equal(EVP_PKEY_CTX_ctrl_str(pkey_ctx, "rsa_padding_mode", "pss"), 1);
		assert_int_equal(EVP_PKEY_CTX_ctrl_str(pkey_ctx, "rsa_pss_saltlen", salt == 20 ? "20" : "32"), 1);
		assert_true(X509_sign_ctx(x, ctx) > 0);
		EVP_MD_CTX_free(ctx);
		AUTO(buf_done) struct buf der = make_der(x);
		assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
		assert_int_equal(cert.alg, salt == 32 ? SIG_RSA_PSS_SHA256 : SIG_NONE);
		struct claim claim = { .key = &pub, .alg = cert.alg, .message = cert.tbs, .signature = cert.signature };
		assert_int_equal(claim_holds(&claim), salt == 32);
	}
}

static void keys_keep_their_reasons(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *k1 = make_ec("secp256k1"), *weak = make_rsa(1024);
	struct make_cert spec = { .key = k1, .cn = "x" };

	(void)state;
	assert_reason(parse_spec(&spec), REASON_KEY_TYPE);
	spec.key = weak;
	assert_reason(parse_spec(&spec), REASON_KEY_WEAK);
}

static void versions_other_than_3_are_refused(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x" };
	AUTO(buf_done) struct buf der = made(&spec);
	uint8_t *version = memmem(der.ptr, der.len, "\xa0\x03\x02\x01\x02", 5);

	(void)state;
	assert_non_null(version);
	for (uint8_t v = 0; v < 6; v++) {
		version[4] = v;
		assert_reason(parse_copy(buf_blob(&der)), v == 2 ? REASON_OK : REASON_CHAIN_DER);
	}
	AUTO(make_cert_freep)
	X509 *x = make_cert(&(struct make_cert){ .key = key, .cn = "x", .bare = true }, issuer, issuer_key);
	assert_int_equal(X509_set_version(x, X509_VERSION_1), 1);
	assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	AUTO(buf_done) struct buf v1 = make_der(x);
	assert_reason(parse_copy(buf_blob(&v1)), REASON_CHAIN_DER);
}

static enum reason with_serial(const char *hex)
{
	AUTO(make_cert_freep) X509 *x = make_cert(&(struct make_cert){ .key = key, .cn = "x" }, issuer, issuer_key);
	BIGNUM *bn = NULL;

	assert_true(BN_hex2bn(&bn, hex) > 0);
	assert_non_null(BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(x)));
	BN_free(bn);
	assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	AUTO(buf_done) struct buf der = make_der(x);
	return parse_copy(buf_blob(&der));
}

static void serials_are_positive_and_at_most_20_octets(void **state)
{
	(void)state;
	assert_ok(with_serial("01"));
	assert_ok(with_serial("00"));
	assert_ok(with_serial("7fffffffffffffffffffffffffffffffffffffff"));
	assert_reason(with_serial("80ffffffffffffffffffffffffffffffffffffff"), REASON_CHAIN_DER);
	assert_reason(with_serial("01ffffffffffffffffffffffffffffffffffffffff"), REASON_CHAIN_DER);
	assert_reason(with_serial("-01"), REASON_CHAIN_DER);
}

static void unique_identifiers_are_refused(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x" };
	AUTO(buf_done) struct buf der = made(&spec), spki = make_spki(key), longer = { 0 };
	const uint8_t *found = memmem(der.ptr, der.len, spki.ptr, spki.len);
	size_t at;

	(void)state;
	assert_non_null(found);
	at = (size_t)(found - der.ptr) + spki.len; /* where the identifiers stand: between key and extensions */
	assert_ok(buf_append(&longer, BLOB(der.ptr, at), NULL));
	assert_ok(buf_append(&longer, BLOB("\x81\x02\x00\x01", 4), NULL));
	assert_ok(buf_append(&longer, BLOB(der.ptr + at, der.len - at), NULL));
	assert_int_equal(longer.ptr[1], 0x82);
	assert_int_equal(longer.ptr[5], 0x82);
	for (size_t i = 2; i <= 6; i += 4) { /* both lengths grow by four */
		unsigned len = (unsigned)(longer.ptr[i] << 8 | longer.ptr[i + 1]) + 4;

		longer.ptr[i] = (uint8_t)(len >> 8);
		longer.ptr[i + 1] = (uint8_t)len;
	}
	assert_reason(parse_copy(buf_blob(&longer)), REASON_CHAIN_DER);
}

static void names_give_their_attributes_once_and_printable(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool good;
	} cases[] = {
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x", 14, true },      /* UTF8String */
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x13\x01x", 14, true },      /* PrintableString */
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x16\x01x", 14, true },      /* IA5String */
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x14\x01x", 14, false },     /* TeletexString */
		{ "\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x03\x1e\x02\x00x", 15, false }, /* BMPString */
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01\x1f", 14, false },  /* control character */
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01\x80", 14, false },
		{ "\x30\x0b\x31\x09\x30\x07\x06\x03\x55\x04\x03\x0c\x00", 13, false },  /* empty */
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x05\x0c\x01x", 14, false }, /* another attribute */
		{ "\x30\x18\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x",
		  26, false },
		{ "\x30\x16\x31\x14\x30\x08\x06\x03\x55\x04\x03\x0c\x01x\x30\x08\x06\x03\x55\x04\x03\x0c\x01y", 24,
		  false },
		{ "\x30\x00", 2, false },
		{ "", 0, false },
		{ "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x02x", 14, false }, /* overrun */
	};
	char text[LIMIT_NAME_CHARS + 1] = "before", wide[LIMIT_NAME_CHARS + 1];

	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		bool good = name_get(BLOB(cases[i].bytes, cases[i].len), OID_AT_CN, text);

		assert_int_equal(good, cases[i].good);
		assert_string_equal(text, i < 1 && !good ? "before" : "x");
	}
	memset(wide, 'w', LIMIT_NAME_CHARS);
	wide[LIMIT_NAME_CHARS] = '\0';
	AUTO(buf_done) struct buf fits = make_name(wide, NULL);
	assert_true(name_get(buf_blob(&fits), OID_AT_CN, text));
	assert_string_equal(text, wide);
	assert_true(name_empty(BLOB("\x30\x00", 2)));
	assert_true(name_empty(BLOB(NULL, 0)));
	assert_false(name_empty(buf_blob(&fits)));
}

static void every_prefix_and_trailing_byte_is_refused(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x", .eku = "clientAuth", .san = "DNS:a" };
	AUTO(buf_done) struct buf der = made(&spec);

	(void)state;
	assert_ok(parse_copy(buf_blob(&der)));
	for (size_t len = 0; len < der.len; len++)
		assert_reason(parse_copy(BLOB(der.ptr, len)), REASON_CHAIN_DER);
	assert_ok(buf_append(&der, BLOB("\0", 1), NULL));
	assert_reason(parse_copy(buf_blob(&der)), REASON_CHAIN_DER);
}

static void every_bit_flip_is_refused_or_breaks_the_signature(void **state)
{
	struct make_cert spec = { .key = key, .cn = "x", .eku = "clientAuth", .san = "DNS:a" };
	AUTO(buf_done) struct buf der = made(&spec);
	struct pubkey pub = make_pubkey(issuer_key);

	(void)state;
	for (size_t bit = 0; bit < der.len * 8; bit++) {
		struct cert cert;

		der.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
		if (parse_copy(buf_blob(&der)) == REASON_OK) {
			assert_ok(cert_parse(buf_blob(&der), &cert, NULL));
			struct claim claim = {
				.key = &pub, .alg = cert.alg, .message = cert.tbs, .signature = cert.signature
			};
			assert_false(claim_holds(&claim));
		}
		der.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

static void a_certificate_has_a_limit(void **state)
{
	char *value = malloc(2 * LIMIT_CERT_BYTES + 16);
	struct make_cert spec = { .key = key, .cn = "x", .ext = { { "1.2.3.4", value } } };

	(void)state;
	strcpy(value, "DER:");
	memset(value + 4, '0', 2 * 7000);
	value[4 + 2 * 7000] = '\0';
	assert_ok(parse_spec(&spec));
	memset(value + 4, '0', 2 * LIMIT_CERT_BYTES);
	value[4 + 2 * LIMIT_CERT_BYTES] = '\0';
	assert_reason(parse_spec(&spec), REASON_CHAIN_DER);
	free(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rich_end_certificate_is_read),
		cmocka_unit_test(its_signature_and_tbs_make_a_true_claim),
		cmocka_unit_test(a_ca_is_read),
		cmocka_unit_test(a_certificate_without_extensions_is_read),
		cmocka_unit_test(dates_are_read_on_both_sides_of_2050),
		cmocka_unit_test(an_end_before_the_start_is_refused),
		cmocka_unit_test(critical_extensions_are_known_or_noted),
		cmocka_unit_test(malformed_extensions_are_refused),
		cmocka_unit_test(repeated_and_too_many_extensions_are_refused),
		cmocka_unit_test(explicit_false_for_critical_is_refused),
		cmocka_unit_test(inner_and_outer_algorithm_must_agree),
		cmocka_unit_test(weak_and_unknown_algorithms_fit_no_key),
		cmocka_unit_test(rsa_pss_with_sha256_is_read),
		cmocka_unit_test(keys_keep_their_reasons),
		cmocka_unit_test(versions_other_than_3_are_refused),
		cmocka_unit_test(serials_are_positive_and_at_most_20_octets),
		cmocka_unit_test(unique_identifiers_are_refused),
		cmocka_unit_test(names_give_their_attributes_once_and_printable),
		cmocka_unit_test(every_prefix_and_trailing_byte_is_refused),
		cmocka_unit_test(every_bit_flip_is_refused_or_breaks_the_signature),
		cmocka_unit_test(a_certificate_has_a_limit),
	};
	int failed;

	oid_init();
	key = make_key(KEY_EC_P256);
	issuer_key = make_key(KEY_EC_P256);
	issuer = make_cert(&(struct make_cert){ .key = issuer_key, .cn = "issuer", .ca = true }, NULL, NULL);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	X509_free(issuer);
	EVP_PKEY_free(issuer_key);
	EVP_PKEY_free(key);
	return failed;
}
