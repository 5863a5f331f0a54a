/*
 * test_request.c - the PKCS#10 that the rig forwards, read again with OpenSSL.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/sha.h>
#include <string.h>

#include "fixture.h"
#include "make.h"
#include "request.h"
#include "soft_quote.h"

#define OID_ATTESTATION "1.2.840.113549.1.9.16.2.59"

static const uint8_t nonce[16] = "sixteen bytes!!!";

static void auto_object(ASN1_OBJECT **object)
{
	ASN1_OBJECT_free(*object);
}

/* Parses it whole: DER, nothing after it, the same bytes when encoded again. */
static X509_REQ *parse(const struct bytes *der)
{
	const uint8_t *p = der->ptr;
	X509_REQ *req = d2i_X509_REQ(NULL, &p, (long)der->len);
	uint8_t *again = NULL;

	assert_non_null(req);
	assert_ptr_equal(p, der->ptr + der->len);
	assert_int_equal(i2d_X509_REQ(req, &again), der->len);
	assert_memory_equal(again, der->ptr, der->len);
	OPENSSL_free(again);
	return req;
}

static X509_REQ *build(struct element *e, const struct request *request)
{
	AUTO(bytes_done) struct bytes der = { 0 };
	struct trouble t;

	if (!request_build(e, request, &der, &t))
		fail_msg("%s", t.text);
	return parse(&der);
}

static ASN1_TYPE *only_value(X509_REQ *req, const char *oid)
{
	AUTO(auto_object) ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	int at = X509_REQ_get_attr_by_OBJ(req, object, -1);
	X509_ATTRIBUTE *attribute = X509_REQ_get_attr(req, at);

	assert_true(at >= 0);
	assert_int_equal(X509_REQ_get_attr_by_OBJ(req, object, at), -1);
	assert_int_equal(X509_ATTRIBUTE_count(attribute), 1);
	return X509_ATTRIBUTE_get0_type(attribute, 0);
}

/* RFC 5758 section 3.2: ECDSA without parameters; RFC 8017 appendix A.2.4: RSA with NULL. */
static int parameters_of(const X509_REQ *req)
{
	const X509_ALGOR *algorithm;
	int type;

	X509_REQ_get0_signature(req, NULL, &algorithm);
	X509_ALGOR_get0(NULL, &type, NULL, algorithm);
	return type;
}

static void signs_with_every_kind_of_key(void **state)
{
	static const int algorithms[ELEMENT_KEY_COUNT] = { NID_ecdsa_with_SHA256, NID_ecdsa_with_SHA384,
							   NID_sha256WithRSAEncryption, NID_sha256WithRSAEncryption };
	AUTO(auto_element) struct element *e = fixture_element(*state, NULL, ELEMENT_EC_P256);

	for (int kind = 0; kind < ELEMENT_KEY_COUNT; kind++) {
		struct request request = { .common_name = "legacy-1" };
		struct trouble t;

		assert_true(e->ops->generate_keypair(e, (enum element_key)kind, &t));
		X509_REQ *req = build(e, &request);
		assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
		assert_int_equal(X509_REQ_get_signature_nid(req), algorithms[kind]);
		assert_int_equal(parameters_of(req), kind < ELEMENT_RSA_2048 ? V_ASN1_UNDEF : V_ASN1_NULL);
		assert_int_equal(X509_REQ_get_version(req), 0);
		assert_int_equal(X509_REQ_get_attr_count(req), 0);
		assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 1);
		X509_REQ_free(req);
	}
}

static void leaves_the_subject_to_the_server(void **state)
{
	AUTO(auto_element) struct element *e = fixture_element(*state, NULL, ELEMENT_EC_P256);
	struct request request = { 0 };
	struct trouble t;

	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	X509_REQ *req = build(e, &request);
	assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(req)), 0);
	X509_REQ_free(req);
}

/* AttestationBundle: { { { assay.1.1, OCTET STRING } }, { leaf, batch CA } }. */
static void carries_one_bundle_in_one_attribute(void **state)
{
	struct fixture *fixture = *state;
	AUTO(auto_element) struct element *e = fixture_element(fixture, NULL, ELEMENT_EC_P256);
	AUTO(element_evidence_done) struct element_evidence evidence = { 0 };
	struct request request = { .evidence = &evidence };
	struct trouble t;
	long len;
	int tag, class;

	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	assert_true(e->ops->attest(e, nonce, sizeof(nonce), &evidence, &t));
	X509_REQ *req = build(e, &request);
	assert_int_equal(X509_REQ_verify(req, X509_REQ_get0_pubkey(req)), 1);
	assert_int_equal(X509_REQ_get_attr_count(req), 1);
	ASN1_TYPE *bundle = only_value(req, OID_ATTESTATION);
	assert_int_equal(bundle->type, V_ASN1_SEQUENCE);

	/* Its value's content: the expected DER, built from the parts. */
	struct buf parts = { 0 }, certs = { 0 };
	AUTO(auto_object) ASN1_OBJECT *type = OBJ_txt2obj(ASSAY_OID_QUOTE, 1);
	uint8_t oid[64], *p = oid;
	int oid_len = i2d_ASN1_OBJECT(type, &p);
	assert_int_equal(buf_append(&parts, BLOB(oid, (size_t)oid_len), NULL), REASON_OK);
	assert_int_equal(buf_append(&parts, BLOB(evidence.stmt.ptr, evidence.stmt.len), NULL), REASON_OK);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(buf_append(&certs, BLOB(evidence.cert[i].ptr, evidence.cert[i].len), NULL), REASON_OK);
	struct buf statement = make_element(0x30, buf_blob(&parts)),
		   statements = make_element(0x30, buf_blob(&statement));
	struct buf certificates = make_element(0x30, buf_blob(&certs));
	assert_int_equal(buf_append(&statements, buf_blob(&certificates), NULL), REASON_OK);
	struct buf expected = make_element(0x30, buf_blob(&statements));
	assert_int_equal(bundle->value.sequence->length, expected.len);
	assert_memory_equal(bundle->value.sequence->data, expected.ptr, expected.len);

	const uint8_t *stmt = evidence.stmt.ptr;
	assert_int_equal(ASN1_get_object(&stmt, &len, &tag, &class, (long)evidence.stmt.len), 0);
	assert_int_equal(tag, V_ASN1_OCTET_STRING);
	assert_int_equal(stmt[0], 0xd2); /* COSE_Sign1 */
	buf_done(&parts);
	buf_done(&certs);
	buf_done(&statement);
	buf_done(&statements);
	buf_done(&certificates);
	buf_done(&expected);
	X509_REQ_free(req);
}

/* assay.4.1 over "assay-continuity-v1", the previous serial, SHA-256 of the new key's SubjectPublicKeyInfo. */
static void the_old_key_vouches_for_the_new_one(void **state)
{
	struct fixture *fixture = *state;
	static const enum element_key kinds[] = { ELEMENT_EC_P256, ELEMENT_EC_P384, ELEMENT_RSA_2048 };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		AUTO(auto_element) struct element *e = fixture_element(fixture, NULL, ELEMENT_EC_P256);
		struct trouble t;
		uint8_t message[19 + 20 + 32];

		assert_true(e->ops->generate_keypair(e, kinds[i], &t));
		AUTO(auto_x509) X509 *old = fixture_certify(fixture, e);
		struct buf der = make_der(old);
		assert_true(e->ops->import_certificate(e, der.ptr, der.len, &t) && e->ops->activate(e, &t));
		buf_done(&der);
		assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
		struct request request = { .previous = old };
		X509_REQ *req = build(e, &request);
		ASN1_TYPE *proof = only_value(req, ASSAY_OID_CONTINUITY);
		assert_int_equal(proof->type, V_ASN1_OCTET_STRING);

		AUTO(bytes_done) struct bytes spki = { 0 };
		assert_true(e->ops->public_key(e, ELEMENT_NEXT, &spki, &t));
		const ASN1_INTEGER *serial = X509_get0_serialNumber(old);
		uint8_t content[40], *p = content;
		size_t serial_len = (size_t)i2d_ASN1_INTEGER(serial, &p) - 2;
		memcpy(message, "assay-continuity-v1", 19);
		memcpy(message + 19, content + 2, serial_len);
		(void)SHA256(spki.ptr, spki.len, message + 19 + serial_len);
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		assert_int_equal(EVP_DigestVerifyInit_ex(ctx, NULL, kinds[i] == ELEMENT_EC_P384 ? "SHA384" : "SHA256",
							 NULL, NULL, X509_get0_pubkey(old), NULL),
				 1);
		assert_int_equal(EVP_DigestVerify(ctx, proof->value.octet_string->data,
						  (size_t)proof->value.octet_string->length, message,
						  19 + serial_len + 32),
				 1);
		EVP_MD_CTX_free(ctx);
		X509_REQ_free(req);
	}
}

static void needs_a_key(void **state)
{
	AUTO(auto_element) struct element *e = fixture_element(*state, NULL, ELEMENT_EC_P256);
	struct request request = { 0 };
	struct bytes none = { 0 };
	struct trouble t;

	assert_false(request_build(e, &request, &none, &t));
	assert_null(none.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signs_with_every_kind_of_key),
		cmocka_unit_test(leaves_the_subject_to_the_server),
		cmocka_unit_test(carries_one_bundle_in_one_attribute),
		cmocka_unit_test(the_old_key_vouches_for_the_new_one),
		cmocka_unit_test(needs_a_key),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
