/* test_csr.c - csr.h: what a request may ask for is read, and every malformed one has its reason. */
#include "expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csr.h"
#include "der.h"
#include "make.h"

#define LITERAL(s) BLOB((s), sizeof(s) - 1)
#define ATTESTATION "1.2.840.113549.1.9.16.2.59"
#define CHALLENGE "1.2.840.113549.1.9.7"
#define EXT_REQUEST "1.2.840.113549.1.9.14"
#define CHANGE_NAME "1.3.6.1.5.5.7.7.36"
#define CONTINUITY "1.2.840.113556.1.8000.2554.41601.63272.62968.18038.45442.3653042.8531877.4.1"

static EVP_PKEY *p256, *rsa;

/* Parses an exact copy on the heap, so that AddressSanitizer sees one byte too many, and checks its claims. */
static enum reason judge(struct blob der, struct fault *f)
{
	uint8_t *copy = malloc(der.len > 0 ? der.len : 1);
	struct claims *claims = calloc(1, sizeof(*claims));
	struct csr *csr = calloc(1, sizeof(*csr));
	struct fault verdict = { 0 };
	enum reason reason;

	assert_true(copy != NULL && claims != NULL && csr != NULL);
	if (der.len > 0)
		memcpy(copy, der.ptr, der.len);
	reason = csr_parse(BLOB(copy, der.len), csr, claims, f);
	if (reason == REASON_OK) {
		assert_int_equal(claims->n, 1);
		claims_check(&claims, 1, &verdict);
		reason = verdict.reason;
	} else {
		assert_int_equal(claims->n, 0);
		assert_null(csr->der.ptr); /* untouched */
	}
	free(csr);
	free(claims);
	free(copy);
	return reason;
}

static enum reason judge_spec(const struct make_csr *spec)
{
	AUTO(buf_done) struct buf der = make_csr(spec);
	struct fault f = { 0 };
	enum reason reason = judge(buf_blob(&der), &f);

	if (reason != REASON_OK && reason != REASON_CSR_SIGNATURE)
		assert_reason(f.reason, reason);
	return reason;
}

/* The reason for a request whose only attribute has these values. */
static enum reason judge_attribute(const char *oid, const struct blob *values, size_t n)
{
	AUTO(buf_done) struct buf attribute = make_attribute(oid, values, n);
	struct make_csr spec = { .key = p256, .attributes = { buf_blob(&attribute) } };

	return judge_spec(&spec);
}

static void the_plainest_request_is_accepted(void **state)
{
	struct make_csr spec = { .key = p256 };
	AUTO(buf_done) struct buf der = make_csr(&spec);
	struct claims claims = { 0 };
	struct fault verdict;
	struct csr csr;

	(void)state;
	assert_ok(csr_parse(buf_blob(&der), &csr, &claims, NULL));
	assert_true(blob_equal(csr.der, buf_blob(&der)));
	assert_true(name_empty(csr.subject));
	assert_true(csr.subject.len == 2);
	assert_null(csr.san.ptr);
	assert_null(csr.evidence.ptr);
	assert_null(csr.challenge.ptr);
	assert_null(csr.continuity.ptr);
	assert_false(csr.asks_ca || csr.asks_change_name);
	assert_int_equal(csr.key_usage, 0);
	assert_int_equal(csr.n_ekus, 0);
	assert_ptr_equal(claims.item[0].key, &csr.key);
	claims_check(&(struct claims *){ &claims }, 1, &verdict);
	assert_ok(verdict.reason);
}

static void everything_asked_for_is_found(void **state)
{
	struct blob challenge = LITERAL("\x13\x06secret"), bundle = LITERAL("\x30\x03\x02\x01\x05"),
		    change = LITERAL("\x30\x00"), proof = LITERAL("\x04\x03sig");
	AUTO(buf_done)
	struct buf a1 = make_attribute(CHALLENGE, &challenge, 1), a2 = make_attribute(ATTESTATION, &bundle, 1),
		   a3 = make_attribute(CHANGE_NAME, &change, 1), a4 = make_attribute(CONTINUITY, &proof, 1);
	struct make_csr spec = {
		.key = p256,
		.cn = "dev-17",
		.serial_number = "0a0b",
		.ext = { { "basicConstraints", "critical,CA:TRUE,pathlen:3" },
			 { "keyUsage", "critical,digitalSignature,keyAgreement,decipherOnly" },
			 { "extendedKeyUsage", "clientAuth,1.2.3.4" },
			 { "subjectAltName", "DNS:dev-17.example,URI:urn:dev:17" } },
		.attributes = { buf_blob(&a1), buf_blob(&a2), buf_blob(&a3), buf_blob(&a4) },
	};
	AUTO(buf_done) struct buf der = make_csr(&spec);
	struct claims claims = { 0 };
	struct csr csr;
	char text[LIMIT_NAME_CHARS + 1];

	(void)state;
	assert_ok(csr_parse(buf_blob(&der), &csr, &claims, NULL));
	assert_true(name_get(csr.subject, OID_AT_CN, text));
	assert_string_equal(text, "dev-17");
	assert_true(name_get(csr.subject, OID_AT_SERIAL_NUMBER, text));
	assert_string_equal(text, "0a0b");
	assert_true(csr.asks_ca && csr.asks_change_name);
	assert_int_equal(csr.key_usage, KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT | KU_DECIPHER_ONLY);
	assert_int_equal(csr.n_ekus, 2);
	assert_true(oid_equal(&csr.eku[0], oid_of(OID_KP_CLIENT_AUTH)));
	assert_int_equal(csr.san.ptr[0], DER_SEQUENCE);
	assert_non_null(memmem(csr.san.ptr, csr.san.len, "dev-17.example", 14));
	assert_true(blob_equal(csr.challenge, LITERAL("secret")));
	assert_true(blob_equal(csr.evidence, bundle));
	assert_true(blob_equal(csr.continuity, LITERAL("sig")));
	assert_true(csr.evidence.ptr > der.ptr && csr.evidence.ptr < der.ptr + der.len);
}

static void all_keys_and_digests_that_go_together_hold(void **state)
{
	static const char *const digests[] = { "SHA256", "SHA384", "SHA512" };
	AUTO(make_key_freep) EVP_PKEY *p384 = make_key(KEY_EC_P384), *p521 = make_key(KEY_EC_P521);
	EVP_PKEY *keys[] = { p256, p384, p521, rsa };

	(void)state;
	for (size_t i = 0; i < N_OF(keys) * N_OF(digests); i++) {
		struct make_csr spec = { .key = keys[i / 3], .cn = "x", .md_name = digests[i % 3] };

		assert_ok(judge_spec(&spec));
	}
}

static void a_false_signature_is_for_the_claim_to_tell(void **state)
{
	struct make_csr spec = { .key = p256, .wrong_signature = true };

	(void)state;
	assert_reason(judge_spec(&spec), REASON_CSR_SIGNATURE);
}

static void weak_unknown_and_ill_parametrised_algorithms_are_refused(void **state)
{
	static const char *const algorithms[] = {
		"1.2.840.113549.1.1.4",  /* MD5 with RSA */
		"1.2.840.113549.1.1.5",  /* SHA-1 with RSA */
		"1.2.840.10045.4.1",     /* ECDSA with SHA-1 */
		"1.2.840.10045.4.3.1",   /* ECDSA with SHA-224 */
		"1.3.101.112",           /* Ed25519 */
		"1.2.840.113549.1.1.10", /* RSASSA-PSS, here without its parameters */
		"1.2.840.10045.4.3.2",   /* ECDSA with SHA-256: wrong for RSA, and NULL parameters for EC */
		"1.2.3.4",
	};
	struct make_csr spec;

	(void)state;
	for (size_t i = 0; i < 2 * N_OF(algorithms); i++) {
		spec = (struct make_csr){ .key = i % 2 ? p256 : rsa, .algorithm = algorithms[i / 2] };
		assert_reason(judge_spec(&spec), REASON_CSR_ALGORITHM);
	}
	spec = (struct make_csr){ .key = p256, .md_name = "SHA1" };
	assert_reason(judge_spec(&spec), REASON_CSR_ALGORITHM);
	spec = (struct make_csr){ .key = p256, .null_parameters = true }; /* NULL for ECDSA */
	assert_reason(judge_spec(&spec), REASON_CSR_ALGORITHM);
	spec = (struct make_csr){ .key = rsa, .null_parameters = true }; /* none for RSA */
	assert_reason(judge_spec(&spec), REASON_CSR_ALGORITHM);
	spec = (struct make_csr){ .key = p256, .algorithm = "1.2.840.113549.1.1.11" }; /* RSA's for an EC key */
	assert_reason(judge_spec(&spec), REASON_CSR_ALGORITHM);
}

static void versions_other_than_0_are_refused(void **state)
{
	(void)state;
	for (unsigned version = 1; version < 4; version++) {
		struct make_csr spec = { .key = p256, .version = version };

		assert_reason(judge_spec(&spec), REASON_CSR_VERSION);
	}
}

static void keys_keep_their_reasons(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *k1 = make_ec("secp256k1"), *weak = make_rsa(1024);
	struct make_csr spec = { .key = k1 };

	(void)state;
	assert_reason(judge_spec(&spec), REASON_KEY_TYPE);
	spec.key = weak;
	assert_reason(judge_spec(&spec), REASON_KEY_WEAK);
}

static void a_point_off_the_curve_is_a_reason_of_its_own(void **state)
{
	struct make_csr spec = { .key = p256 };
	AUTO(buf_done) struct buf der = make_csr(&spec), spki = make_spki(p256);
	uint8_t *point = memmem(der.ptr, der.len, spki.ptr, spki.len);

	(void)state;
	assert_non_null(point);
	point[spki.len - 1] ^= 1;
	assert_reason(judge(buf_blob(&der), NULL), REASON_KEY_INVALID);
}

static void repeated_attributes_are_refused(void **state)
{
	struct blob challenge = LITERAL("\x13\x06secret"), unknown = LITERAL("\x05\x00"),
		    two[] = { challenge, challenge };
	AUTO(buf_done)
	struct buf a1 = make_attribute(CHALLENGE, &challenge, 1), a2 = make_attribute("1.2.3.4", &unknown, 1);
	AUTO(buf_done)
	struct buf extensions = make_extensions((struct make_ext[MAKE_EXTS]){ { "keyUsage", "digitalSignature" } });
	struct blob exts[] = { buf_blob(&extensions), buf_blob(&extensions) };
	AUTO(buf_done) struct buf a3 = make_attribute(EXT_REQUEST, exts, 1);
	struct make_csr spec = { .key = p256, .attributes = { buf_blob(&a1), buf_blob(&a1) } };

	(void)state;
	assert_reason(judge_spec(&spec), REASON_CSR_ATTRIBUTE);
	spec.attributes[0] = spec.attributes[1] = buf_blob(&a2);
	assert_reason(judge_spec(&spec), REASON_CSR_ATTRIBUTE);
	spec.attributes[0] = spec.attributes[1] = buf_blob(&a3);
	assert_reason(judge_spec(&spec), REASON_CSR_ATTRIBUTE);
	assert_reason(judge_attribute(CHALLENGE, two, 2), REASON_LINK_FAILED);
	assert_reason(judge_attribute(EXT_REQUEST, exts, 2), REASON_CSR_ATTRIBUTE);
}

static void attestation_comes_once(void **state)
{
	struct blob bundle = LITERAL("\x30\x03\x02\x01\x05"), two[] = { bundle, LITERAL("\x30\x03\x02\x01\x06") };
	struct blob octets = LITERAL("\x04\x03\x02\x01\x05");
	AUTO(buf_done)
	struct buf a1 = make_attribute(ATTESTATION, &bundle, 1), a2 = make_attribute(ATTESTATION, two + 1, 1);
	struct make_csr spec = { .key = p256, .attributes = { buf_blob(&a1), buf_blob(&a2) } };

	(void)state;
	assert_ok(judge_attribute(ATTESTATION, &bundle, 1));
	assert_reason(judge_spec(&spec), REASON_EVIDENCE_DUPLICATE);
	spec.attributes[1] = buf_blob(&a1);
	assert_reason(judge_spec(&spec), REASON_EVIDENCE_DUPLICATE);
	assert_reason(judge_attribute(ATTESTATION, two, 2), REASON_EVIDENCE_DUPLICATE);
	assert_reason(judge_attribute(ATTESTATION, NULL, 0), REASON_CSR_ATTRIBUTE);
	assert_reason(judge_attribute(ATTESTATION, &octets, 1), REASON_EVIDENCE_DER);
}

static void a_bundle_has_a_limit(void **state)
{
	uint8_t *zeros = calloc(1, LIMIT_BUNDLE_BYTES);
	AUTO(buf_done)
	struct buf fits = make_element(DER_SEQUENCE, BLOB(zeros, LIMIT_BUNDLE_BYTES - 4)),
		   over = make_element(DER_SEQUENCE, BLOB(zeros, LIMIT_BUNDLE_BYTES - 3));
	struct blob value = buf_blob(&fits);

	(void)state;
	assert_int_equal(fits.len, LIMIT_BUNDLE_BYTES);
	assert_ok(judge_attribute(ATTESTATION, &value, 1));
	value = buf_blob(&over);
	assert_reason(judge_attribute(ATTESTATION, &value, 1), REASON_EVIDENCE_DER);
	free(zeros);
}

static void malformed_attributes_are_refused(void **state)
{
	static const struct {
		const char *oid;
		const char *value;
		size_t len;
	} bad[] = {
		{ CHANGE_NAME, "\x05\x00", 2 }, { CONTINUITY, "\x04\x00", 2 }, { CONTINUITY, "\x03\x01\x00", 3 },
		{ EXT_REQUEST, "\x31\x00", 2 }, { "1.2.3.4", "\x04\x02x", 3 }, { "1.2.3.4", "\x04\x81\x01x", 4 },
	};
	struct blob value;

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		value = BLOB(bad[i].value, bad[i].len);
		assert_reason(judge_attribute(bad[i].oid, &value, 1), REASON_CSR_ATTRIBUTE);
		assert_reason(judge_attribute(bad[i].oid, NULL, 0), REASON_CSR_ATTRIBUTE);
	}
}

/* RFC 7030 section 3.5: the attribute means the linking, so one that cannot hold it is a failed linking. */
static void a_malformed_challenge_is_a_failed_linking(void **state)
{
	struct blob bad[] = { LITERAL("\x13\x00"), LITERAL("\x04\x01x") };
	uint8_t text[256];

	(void)state;
	memset(text, 'A', sizeof(text));
	for (size_t i = 0; i < 2; i++)
		assert_reason(judge_attribute(CHALLENGE, &bad[i], 1), REASON_LINK_FAILED);
	AUTO(buf_done) struct buf longest = make_element(DER_PRINTABLE_STRING, BLOB(text, 255));
	AUTO(buf_done) struct buf over = make_element(DER_PRINTABLE_STRING, BLOB(text, 256));
	struct blob value = buf_blob(&longest);
	assert_ok(judge_attribute(CHALLENGE, &value, 1));
	value = buf_blob(&over);
	assert_reason(judge_attribute(CHALLENGE, &value, 1), REASON_LINK_FAILED);
}

/* strongSwan sends them unsorted. */
static void attributes_come_in_any_order_their_values_in_der_order(void **state)
{
	struct blob one = LITERAL("\x02\x01\x01"), two[] = { LITERAL("\x02\x01\x02"), one };
	AUTO(buf_done) struct buf a1 = make_attribute("1.2.3.1", &one, 1), a2 = make_attribute("1.2.3.2", &one, 1);
	struct make_csr spec = { .key = p256, .attributes = { buf_blob(&a2), buf_blob(&a1) } };

	(void)state;
	assert_ok(judge_spec(&spec)); /* make_csr() sorts */
	spec.unsorted = true;
	assert_ok(judge_spec(&spec));
	assert_reason(judge_attribute("1.2.3.1", two, 2), REASON_CSR_ATTRIBUTE); /* values out of order */
}

static void attributes_have_a_limit(void **state)
{
	struct blob null = LITERAL("\x05\x00");
	AUTO(buf_done) struct buf all = { 0 };
	struct make_csr spec = { .key = p256 };
	char oid[16];

	(void)state;
	for (unsigned i = 0; i <= LIMIT_CSR_ATTRIBUTES; i++) {
		snprintf(oid, sizeof(oid), "1.2.3.%u", i);
		AUTO(buf_done) struct buf attribute = make_attribute(oid, &null, 1);
		assert_ok(buf_append(&all, buf_blob(&attribute), NULL));
		spec.attributes[0] = buf_blob(&all);
		assert_reason(judge_spec(&spec), i < LIMIT_CSR_ATTRIBUTES ? REASON_OK : REASON_CSR_ATTRIBUTE);
	}
}

static void repeated_and_malformed_extensions_are_refused(void **state)
{
	static const struct make_ext bad[][MAKE_EXTS] = {
		{ { "keyUsage", "digitalSignature" }, { "keyUsage", "digitalSignature" } },
		{ { "1.2.3.4", "DER:0500" }, { "1.2.3.4", "DER:0500" } },
		{ { "2.5.29.15", "DER:03020680" } },   /* keyUsage with a trailing zero bit */
		{ { "2.5.29.15", "DER:030100" } },     /* no bit at all */
		{ { "2.5.29.15", "DER:0302078000" } }, /* something after it */
		{ { "2.5.29.19", "DER:3003010100" } }, /* cA FALSE, written out */
		{ { "2.5.29.19", "DER:30030101FE" } },
		{ { "2.5.29.19", "DER:3003020100" } },       /* a path length without cA */
		{ { "2.5.29.19", "DER:30060101FF0201FF" } }, /* a negative one */
		{ { "2.5.29.19", "DER:0500" } },
		{ { "2.5.29.37", "DER:3000" } },
		{ { "2.5.29.37", "DER:30020600" } },
		{ { "2.5.29.17", "DER:3000" } },
		{ { "2.5.29.17", "DER:30028200" } },       /* an empty dNSName */
		{ { "2.5.29.17", "DER:3003820120" } },     /* a dNSName of one space */
		{ { "2.5.29.17", "DER:30058703010203" } }, /* an IP address of three bytes */
		{ { "2.5.29.17", "DER:30058603612F62" } }, /* a relative URI */
		{ { "2.5.29.17", "DER:30048602613A" } },   /* a scheme alone */
		{ { "2.5.29.17", "DER:3003890161" } },     /* no such name form */
		{ { "2.5.29.17", "DER:3003820180" } },     /* not IA5 */
		{ { "2.5.29.17", "DER:3005A003060100" } }, /* an otherName without value */
	};

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct make_csr spec = { .key = p256 };

		memcpy(spec.ext, bad[i], sizeof(spec.ext));
		assert_reason(judge_spec(&spec), REASON_CSR_EXTENSION);
	}
}

static void an_empty_extension_list_is_refused(void **state)
{
	struct blob empty = LITERAL("\x30\x00"), open = LITERAL("\x30\x02\x30\x00");

	(void)state;
	assert_reason(judge_attribute(EXT_REQUEST, &empty, 1), REASON_CSR_EXTENSION);
	assert_reason(judge_attribute(EXT_REQUEST, &open, 1), REASON_CSR_EXTENSION);
}

static void so_many_names_and_purposes_and_no_more(void **state)
{
	struct make_csr spec = { .key = p256, .ext = { { "subjectAltName", NULL } } };
	char names[256] = "DNS:n", purposes[256] = "1.2.3.0";

	(void)state;
	for (unsigned i = 1; i <= LIMIT_SANS; i++) {
		spec.ext[0] = (struct make_ext){ "subjectAltName", names };
		assert_ok(judge_spec(&spec));
		snprintf(names + strlen(names), sizeof(names) - strlen(names), ",DNS:n%u", i);
	}
	assert_reason(judge_spec(&spec), REASON_CSR_EXTENSION);
	for (unsigned i = 1; i <= LIMIT_EKUS; i++) {
		spec.ext[0] = (struct make_ext){ "extendedKeyUsage", purposes };
		assert_ok(judge_spec(&spec));
		snprintf(purposes + strlen(purposes), sizeof(purposes) - strlen(purposes), ",1.2.3.%u", i);
	}
	assert_reason(judge_spec(&spec), REASON_CSR_EXTENSION);
}

/* libest repeats these in re-enrolments: not an error, and not for the CSR to say. */
static void extensions_that_assay_writes_itself_are_left_alone(void **state)
{
	struct make_csr spec = {
		.key = p256,
		.ext = { { "2.5.29.14", "DER:0401AA" },
			 { "2.5.29.35", "DER:3003800101" },
			 { "2.5.29.31", "DER:0500" },
			 { "1.2.3.4.5", "critical,DER:0500" } },
	};

	(void)state;
	assert_ok(judge_spec(&spec));
}

static void subjects_must_be_names(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\x31\x00", 2 },         /* a SET */
		{ "\x30\x02\x31\x00", 4 }, /* an RDN without attribute */
		{ "\x30\x05\x31\x03\x30\x01\x06", 7 },
		{ "\x30\x09\x31\x07\x30\x05\x06\x03\x55\x04\x03", 11 }, /* a type without value */
		{ "\x30\x02\x30\x00", 4 },
	};
	uint8_t zeros[LIMIT_NAME_BYTES] = { 0 };

	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct make_csr spec = { .key = p256, .subject = BLOB(bad[i].bytes, bad[i].len) };

		assert_reason(judge_spec(&spec), REASON_CSR_DER);
	}
	AUTO(buf_done) struct buf wide = make_element(DER_SEQUENCE, BLOB_OF(zeros));
	struct make_csr spec = { .key = p256, .subject = buf_blob(&wide) };
	assert_reason(judge_spec(&spec), REASON_CSR_DER);
}

static struct buf rich_csr(void)
{
	struct blob bundle = LITERAL("\x30\x03\x02\x01\x05"), challenge = LITERAL("\x13\x06secret");
	AUTO(buf_done)
	struct buf a1 = make_attribute(ATTESTATION, &bundle, 1), a2 = make_attribute(CHALLENGE, &challenge, 1);
	struct make_csr spec = {
		.key = p256,
		.cn = "dev-17",
		.ext = { { "keyUsage", "digitalSignature" }, { "subjectAltName", "DNS:dev-17.example" } },
		.attributes = { buf_blob(&a1), buf_blob(&a2) },
	};

	return make_csr(&spec);
}

static void every_prefix_and_trailing_byte_is_refused(void **state)
{
	AUTO(buf_done) struct buf der = rich_csr();

	(void)state;
	assert_ok(judge(buf_blob(&der), NULL));
	for (size_t len = 0; len < der.len; len++)
		assert_reason(judge(BLOB(der.ptr, len), NULL), REASON_CSR_DER);
	assert_ok(buf_append(&der, BLOB("\0", 1), NULL));
	assert_reason(judge(buf_blob(&der), NULL), REASON_CSR_DER);
}

static void every_bit_flip_is_refused_or_breaks_the_signature(void **state)
{
	AUTO(buf_done) struct buf der = rich_csr();

	(void)state;
	for (size_t bit = 0; bit < der.len * 8; bit++) {
		der.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_true(judge(buf_blob(&der), NULL) != REASON_OK);
		der.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

/* Every length in the request once in the long form that DER does not allow there. */
static void lengths_that_are_not_minimal_are_refused(void **state)
{
	AUTO(buf_done) struct buf der = rich_csr();
	uint8_t *longer = malloc(der.len + 1);
	size_t tried = 0;

	(void)state;
	/* outer SEQUENCE has a two-byte length: 30 82 hh ll; it becomes 30 83 00 hh ll */
	assert_int_equal(der.ptr[1], 0x82);
	memcpy(longer + 1, der.ptr, der.len);
	longer[0] = 0x30;
	longer[1] = 0x83;
	longer[2] = 0x00;
	assert_reason(judge(BLOB(longer, der.len + 1), NULL), REASON_CSR_DER);
	/* the version: 02 01 00 becomes 02 81 01 00, with the lengths around it one more */
	for (size_t i = 4; i + 3 < 16; i++) {
		if (memcmp(der.ptr + i, "\x02\x01\x00", 3) != 0)
			continue;
		memcpy(longer, der.ptr, i + 1);
		longer[i + 1] = 0x81;
		memcpy(longer + i + 2, der.ptr + i + 1, der.len - i - 1);
		longer[3]++;
		longer[i - 1]++;
		assert_reason(judge(BLOB(longer, der.len + 1), NULL), REASON_CSR_DER);
		tried++;
	}
	assert_int_equal(tried, 1);
	free(longer);
}

static void a_request_has_a_limit(void **state)
{
	uint8_t *big = calloc(1, LIMIT_CSR_BYTES);
	AUTO(buf_done) struct buf value = make_element(DER_OCTET_STRING, BLOB(big, LIMIT_CSR_BYTES - 300));
	AUTO(buf_done) struct buf over = make_element(DER_OCTET_STRING, BLOB(big, LIMIT_CSR_BYTES));
	struct blob values = buf_blob(&value);

	(void)state;
	assert_ok(judge_attribute("1.2.3.4", &values, 1));
	values = buf_blob(&over);
	assert_reason(judge_attribute("1.2.3.4", &values, 1), REASON_CSR_DER);
	free(big);
}

static void something_else_altogether_is_refused(void **state)
{
	AUTO(buf_done) struct buf spki = make_spki(p256);

	(void)state;
	assert_reason(judge(buf_blob(&spki), NULL), REASON_CSR_DER);
	assert_reason(judge(BLOB(NULL, 0), NULL), REASON_CSR_DER);
	assert_reason(judge(LITERAL("-----BEGIN CERTIFICATE REQUEST-----\n"), NULL), REASON_CSR_DER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plainest_request_is_accepted),
		cmocka_unit_test(everything_asked_for_is_found),
		cmocka_unit_test(all_keys_and_digests_that_go_together_hold),
		cmocka_unit_test(a_false_signature_is_for_the_claim_to_tell),
		cmocka_unit_test(weak_unknown_and_ill_parametrised_algorithms_are_refused),
		cmocka_unit_test(versions_other_than_0_are_refused),
		cmocka_unit_test(keys_keep_their_reasons),
		cmocka_unit_test(a_point_off_the_curve_is_a_reason_of_its_own),
		cmocka_unit_test(repeated_attributes_are_refused),
		cmocka_unit_test(attestation_comes_once),
		cmocka_unit_test(a_bundle_has_a_limit),
		cmocka_unit_test(malformed_attributes_are_refused),
		cmocka_unit_test(a_malformed_challenge_is_a_failed_linking),
		cmocka_unit_test(attributes_come_in_any_order_their_values_in_der_order),
		cmocka_unit_test(attributes_have_a_limit),
		cmocka_unit_test(repeated_and_malformed_extensions_are_refused),
		cmocka_unit_test(an_empty_extension_list_is_refused),
		cmocka_unit_test(so_many_names_and_purposes_and_no_more),
		cmocka_unit_test(extensions_that_assay_writes_itself_are_left_alone),
		cmocka_unit_test(subjects_must_be_names),
		cmocka_unit_test(every_prefix_and_trailing_byte_is_refused),
		cmocka_unit_test(every_bit_flip_is_refused_or_breaks_the_signature),
		cmocka_unit_test(lengths_that_are_not_minimal_are_refused),
		cmocka_unit_test(a_request_has_a_limit),
		cmocka_unit_test(something_else_altogether_is_refused),
	};
	int failed;

	oid_init();
	p256 = make_key(KEY_EC_P256);
	rsa = make_key(KEY_RSA);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(rsa);
	return failed;
}
