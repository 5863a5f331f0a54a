/* test_bundle.c - the AttestationBundle's shape: exactly that of draft 29, bounded, and nothing beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "bundle.h"
#include "csr.h"
#include "quote_make.h"

static const uint8_t null_element[] = { 0x05, 0x00 };
static const uint8_t certificate[] = { 0x30, 0x03, 0x02, 0x01, 0x01 };
static const uint8_t other[] = { 0xa3, 0x02, 0x05, 0x00 };

static enum reason parse(struct buf der, struct bundle *ret_bundle)
{
	struct fault f = { 0 };

	return bundle_parse(buf_blob(&der), ret_bundle, &f);
}

/* Parses and frees. */
static enum reason verdict(struct buf der)
{
	struct bundle bundle;
	enum reason reason = parse(der, &bundle);

	buf_done(&der);
	return reason;
}

static struct buf concat(const struct blob *parts, size_t n)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < n; i++)
		put_raw(&out, parts[i]);
	return out;
}

static void reads_statements_and_certificates(void **state)
{
	AUTO(buf_done)
	struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element)), b = bundle_statement("1.2.4", BLOB_OF(other));
	AUTO(buf_done) struct buf der = { 0 };
	struct blob statements[] = { buf_blob(&a), buf_blob(&b) };
	struct blob certs[] = { BLOB_OF(certificate), BLOB_OF(other), BLOB_OF(certificate) };
	struct bundle bundle;

	(void)state;
	der = bundle_of(statements, 2, certs, 3);
	assert_int_equal(parse(der, &bundle), REASON_OK);
	assert_int_equal(bundle.n_statements, 2);
	assert_int_equal(bundle.statement[0].type.len, 2);
	assert_true(blob_equal(bundle.statement[0].stmt, BLOB_OF(null_element)));
	assert_true(blob_equal(bundle.statement[1].stmt, BLOB_OF(other)));
	assert_int_equal(bundle.n_certs, 2); /* `other` is no X.509 certificate */
	assert_true(blob_equal(bundle.certs[1], BLOB_OF(certificate)));
}

static void certificates_are_optional(void **state)
{
	AUTO(buf_done) struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element));
	struct blob one = buf_blob(&a);

	(void)state;
	assert_int_equal(verdict(bundle_of(&one, 1, NULL, 0)), REASON_OK);
}

static void refuses_empty_lists(void **state)
{
	static const uint8_t empty[] = { 0x30, 0x00 };
	AUTO(buf_done) struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element));
	AUTO(buf_done) struct buf list = make_element(0x30, buf_blob(&a));
	struct blob parts[] = { buf_blob(&list), BLOB_OF(empty) };
	AUTO(buf_done) struct buf content = concat(parts, 2);

	(void)state;
	assert_int_equal(verdict(bundle_of(NULL, 0, NULL, 0)), REASON_EVIDENCE_DER);
	assert_int_equal(verdict(make_element(0x30, buf_blob(&content))), REASON_EVIDENCE_DER);
	assert_int_equal(verdict(make_element(0x30, (struct blob){ 0 })), REASON_EVIDENCE_DER);
	assert_int_equal(verdict((struct buf){ 0 }), REASON_EVIDENCE_DER);
}

static void refuses_more_than_its_limits(void **state)
{
	static uint8_t big[LIMIT_CERT_BYTES];
	struct blob statements[LIMIT_STATEMENTS + 1], certs[LIMIT_BUNDLE_CERTS + 1];
	AUTO(buf_done)
	struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element)), huge = make_element(0x30, BLOB_OF(big));
	struct blob too_big = buf_blob(&huge);

	(void)state;
	for (size_t i = 0; i <= LIMIT_STATEMENTS; i++)
		statements[i] = buf_blob(&a);
	for (size_t i = 0; i <= LIMIT_BUNDLE_CERTS; i++)
		certs[i] = i == 3 ? BLOB_OF(other) : BLOB_OF(certificate);
	assert_int_equal(verdict(bundle_of(statements, LIMIT_STATEMENTS, certs, LIMIT_BUNDLE_CERTS)), REASON_OK);
	assert_int_equal(verdict(bundle_of(statements, LIMIT_STATEMENTS + 1, certs, 1)), REASON_EVIDENCE_DER);
	assert_int_equal(verdict(bundle_of(statements, 1, certs, LIMIT_BUNDLE_CERTS + 1)), REASON_EVIDENCE_DER);
	assert_int_equal(verdict(bundle_of(statements, 1, &too_big, 1)), REASON_EVIDENCE_DER);
}

static void refuses_a_bundle_beyond_its_bound(void **state)
{
	static uint8_t filler[LIMIT_BUNDLE_BYTES];
	AUTO(buf_done)
	struct buf stmt = make_element(0x04, BLOB_OF(filler)), a = bundle_statement("1.2.3", buf_blob(&stmt));
	struct blob one = buf_blob(&a);

	(void)state;
	assert_int_equal(verdict(bundle_of(&one, 1, NULL, 0)), REASON_EVIDENCE_DER);
}

static void refuses_the_other_choices_of_a_certificate(void **state)
{
	static const uint8_t choices[] = { 0xa0, 0xa1, 0xa2, 0xa4, 0x04, 0x31, 0x83 };
	AUTO(buf_done) struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element));
	struct blob one = buf_blob(&a);

	(void)state;
	for (size_t i = 0; i < sizeof(choices); i++) {
		AUTO(buf_done) struct buf choice = make_element(choices[i], BLOB_OF(null_element));
		struct blob cert = buf_blob(&choice);

		assert_int_equal(verdict(bundle_of(&one, 1, &cert, 1)), REASON_EVIDENCE_DER);
	}
}

static void refuses_bytes_after_any_part(void **state)
{
	AUTO(buf_done)
	struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element)), content = { 0 }, longer = { 0 }, der = { 0 };
	struct blob one = buf_blob(&a), cert = BLOB_OF(certificate);

	(void)state;
	der = bundle_of(&one, 1, &cert, 1);
	put_raw(&der, BLOB_OF(null_element));
	longer = der, der = (struct buf){ 0 };
	assert_int_equal(verdict(longer), REASON_EVIDENCE_DER); /* after the bundle */
	longer = (struct buf){ 0 };

	der = bundle_of(&one, 1, &cert, 1);
	put_raw(&content, BLOB(der.ptr + 2, der.len - 2));
	put_raw(&content, BLOB_OF(null_element));
	assert_int_equal(verdict(make_element(0x30, buf_blob(&content))), REASON_EVIDENCE_DER); /* after certs */
}

static void refuses_the_hint_of_earlier_drafts(void **state)
{
	static const uint8_t hint[] = { 0x0c, 0x01, 'h' };
	AUTO(buf_done)
	struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element)), fields = { 0 }, statement = { 0 };
	struct blob one;

	(void)state;
	put_raw(&fields, BLOB(a.ptr + 2, a.len - 2));
	put_raw(&fields, BLOB_OF(hint));
	statement = make_element(0x30, buf_blob(&fields));
	one = buf_blob(&statement);
	assert_int_equal(verdict(bundle_of(&one, 1, NULL, 0)), REASON_EVIDENCE_DER);
}

static void refuses_the_evidence_bundles_of_earlier_drafts(void **state)
{
	AUTO(buf_done) struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element)), der = { 0 };
	struct blob one = buf_blob(&a);

	(void)state;
	der = bundle_of(&one, 1, NULL, 0);
	assert_int_equal(verdict(make_element(0x30, buf_blob(&der))), REASON_EVIDENCE_DER);
}

static void refuses_a_statement_without_type_or_stmt(void **state)
{
	AUTO(buf_done) struct buf only_type = make_element(0x30, BLOB("\x06\x02\x2a\x03", 4));
	AUTO(buf_done) struct buf no_type = make_element(0x30, BLOB_OF(null_element));
	AUTO(buf_done) struct buf empty_oid = make_element(0x30, BLOB("\x06\x00\x05\x00", 4));
	AUTO(buf_done) struct buf long_length = make_element(0x30, BLOB("\x06\x02\x2a\x03\x04\x81\x01\x00", 8));
	struct blob cases[] = { buf_blob(&only_type), buf_blob(&no_type), buf_blob(&empty_oid),
				buf_blob(&long_length) };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(verdict(bundle_of(&cases[i], 1, NULL, 0)), REASON_EVIDENCE_DER);
}

static void refuses_a_bundle_cut_anywhere(void **state)
{
	AUTO(buf_done) struct buf a = bundle_statement("1.2.3", BLOB_OF(null_element)), der = { 0 };
	struct blob one = buf_blob(&a), cert = BLOB_OF(certificate);
	struct bundle bundle;
	struct fault f;

	(void)state;
	der = bundle_of(&one, 1, &cert, 1);
	assert_int_equal(bundle_parse(buf_blob(&der), &bundle, &f), REASON_OK);
	for (size_t len = 0; len < der.len; len++)
		assert_int_equal(bundle_parse(BLOB(der.ptr, len), &bundle, &f), REASON_EVIDENCE_DER);
}

/* tests/vectors/csr-attestation: the working group's own sample, in an earlier draft's shape. */
static void refuses_the_working_groups_old_sample(void **state)
{
	FILE *file = fopen("tests/vectors/csr-attestation/lamps-wg_tcgAttestTpmCertify.csr.pem", "r");
	X509_REQ *req = file == NULL ? NULL : PEM_read_X509_REQ(file, NULL, NULL, NULL);
	ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113549.1.9.16.2.59", 1);
	int at = req == NULL ? -1 : X509_REQ_get_attr_by_OBJ(req, oid, -1);
	AUTO(buf_done) struct buf der = { 0 };
	struct bundle bundle;
	struct fault f;
	ASN1_TYPE *value;

	(void)state;
	assert_true(at >= 0);
	value = X509_ATTRIBUTE_get0_type(X509_REQ_get_attr(req, at), 0);
	assert_int_equal(value->type, V_ASN1_SEQUENCE);
	put_raw(&der, BLOB(value->value.sequence->data, (size_t)value->value.sequence->length));
	assert_int_equal(bundle_parse(buf_blob(&der), &bundle, &f), REASON_EVIDENCE_DER);
	ASN1_OBJECT_free(oid);
	X509_REQ_free(req);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_statements_and_certificates),
		cmocka_unit_test(certificates_are_optional),
		cmocka_unit_test(refuses_empty_lists),
		cmocka_unit_test(refuses_more_than_its_limits),
		cmocka_unit_test(refuses_a_bundle_beyond_its_bound),
		cmocka_unit_test(refuses_the_other_choices_of_a_certificate),
		cmocka_unit_test(refuses_bytes_after_any_part),
		cmocka_unit_test(refuses_the_hint_of_earlier_drafts),
		cmocka_unit_test(refuses_the_evidence_bundles_of_earlier_drafts),
		cmocka_unit_test(refuses_a_statement_without_type_or_stmt),
		cmocka_unit_test(refuses_a_bundle_cut_anywhere),
		cmocka_unit_test(refuses_the_working_groups_old_sample),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
