/* test_ocsp.c - ocsp.h: requests and answers as OpenSSL writes and reads them. */
#include "openssl_x509v3.h"

#include "expect.h"

#include <openssl/ocsp.h>
#include <string.h>

#include "der.h"
#include "issuer_fixture.h"
#include "ocsp.h"

static const uint8_t SERIAL[] = { 0x01, 0, 0x51, 0x22, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0xff, 0x80 };

/* A request for `n` certificates of the CA in the fixture, as OpenSSL makes it. */
static struct buf request(const struct fixture *fixture, int n, const EVP_MD *md, int nonce_len)
{
	OCSP_REQUEST *r = OCSP_REQUEST_new();
	X509 *ca = fixture_x509(buf_blob(&fixture->ca_der));
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	BIGNUM *number = BN_bin2bn(SERIAL, sizeof(SERIAL), NULL);
	struct buf der = { 0 };
	uint8_t *out = NULL;
	int len;

	assert_non_null(BN_to_ASN1_INTEGER(number, serial));
	for (int i = 0; i < n; i++)
		assert_non_null(OCSP_request_add0_id(
			r, OCSP_cert_id_new(md, X509_get_subject_name(ca), X509_get0_pubkey_bitstr(ca), serial)));
	if (nonce_len > 0)
		assert_int_equal(OCSP_request_add1_nonce(r, NULL, nonce_len), 1);
	len = i2d_OCSP_REQUEST(r, &out);
	assert_true(len > 0);
	assert_ok(buf_copy(BLOB(out, (size_t)len), &der, NULL));
	OPENSSL_free(out);
	BN_free(number);
	ASN1_INTEGER_free(serial);
	X509_free(ca);
	OCSP_REQUEST_free(r);
	return der;
}

static void assert_asks(const struct fixture *fixture, const EVP_MD *md, enum ocsp_hash hash, int n, int nonce_len)
{
	AUTO(buf_done) struct buf der = request(fixture, n, md, nonce_len);
	struct ocsp_request r;
	struct ocsp_issuer issuer;

	ocsp_issuer_of(issuer_cert(fixture->issuer), &issuer);
	assert_ok(ocsp_parse(buf_blob(&der), &r, NULL));
	assert_int_equal(r.n, n);
	assert_int_equal(r.nonce.len, nonce_len);
	for (int i = 0; i < n; i++) {
		assert_int_equal(r.id[i].hash, hash);
		assert_true(ocsp_names(&r.id[i], &issuer));
		assert_true(blob_equal(r.id[i].serial, BLOB_OF(SERIAL)));
	}
	issuer.key[hash][0] ^= 1;
	assert_false(ocsp_names(&r.id[0], &issuer));
}

static void requests_of_openssl_are_read(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_open(&fixture);
	assert_asks(&fixture, EVP_sha1(), OCSP_SHA1, 1, 0);
	assert_asks(&fixture, EVP_sha256(), OCSP_SHA256, 1, 16);
	assert_asks(&fixture, EVP_sha1(), OCSP_SHA1, LIMIT_OCSP_IDS, 128);
	fixture_close(&fixture);
}

static void a_hash_that_is_not_known_names_nobody(void **state)
{
	struct fixture fixture;
	struct ocsp_request r;
	struct ocsp_issuer issuer;

	(void)state;
	fixture_open(&fixture);
	AUTO(buf_done) struct buf der = request(&fixture, 1, EVP_sha512(), 0);
	ocsp_issuer_of(issuer_cert(fixture.issuer), &issuer);
	assert_ok(ocsp_parse(buf_blob(&der), &r, NULL));
	assert_false(r.id[0].known_hash);
	assert_false(ocsp_names(&r.id[0], &issuer));
	fixture_close(&fixture);
}

static void malformed_requests_are_refused(void **state)
{
	struct fixture fixture;
	struct ocsp_request r;

	(void)state;
	fixture_open(&fixture);
	AUTO(buf_done) struct buf good = request(&fixture, 1, EVP_sha1(), 16);
	AUTO(buf_done) struct buf many = request(&fixture, LIMIT_OCSP_IDS + 1, EVP_sha1(), 0);
	AUTO(buf_done) struct buf none = request(&fixture, 0, EVP_sha1(), 0);
	AUTO(buf_done) struct buf long_nonce = request(&fixture, 1, EVP_sha1(), LIMIT_OCSP_NONCE_BYTES + 1);
	assert_reason(ocsp_parse(buf_blob(&many), &r, NULL), REASON_OCSP_REQUEST);
	assert_reason(ocsp_parse(buf_blob(&none), &r, NULL), REASON_OCSP_REQUEST);
	assert_reason(ocsp_parse(buf_blob(&long_nonce), &r, NULL), REASON_OCSP_REQUEST);
	for (size_t len = 0; len < good.len; len++)
		assert_reason(ocsp_parse(BLOB(good.ptr, len), &r, NULL), REASON_OCSP_REQUEST);
	assert_ok(buf_append(&good, BLOB("", 1), NULL));
	assert_reason(ocsp_parse(buf_blob(&good), &r, NULL), REASON_OCSP_REQUEST);
	fixture_close(&fixture);
}

/* The whole answer, signed with the CA's own key. */
static OCSP_BASICRESP *answer(const struct fixture *fixture, const struct ocsp_single *single, size_t n,
			      struct blob nonce)
{
	AUTO(buf_done) struct buf tbs = { 0 }, der = { 0 };
	const struct pubkey *key = &issuer_cert(fixture->issuer)->key;
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic;
	const uint8_t *p;

	assert_ok(ocsp_build(key, single, n, nonce, FIXTURE_NOW_S, &tbs, NULL));
	AUTO(buf_done) struct buf whole = fixture_sign(fixture, buf_blob(&tbs));
	struct blob content, tail = { 0 }, item;
	assert_true(der_only(buf_blob(&whole), DER_SEQUENCE, &content));
	assert_true(der_take(&content, DER_SEQUENCE, &item));
	tail = content;
	assert_ok(ocsp_assemble(buf_blob(&tbs), tail, buf_blob(&fixture->ca_der), &der, NULL));
	p = der.ptr;
	response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
	assert_non_null(response);
	assert_ptr_equal(p, der.ptr + der.len);
	assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_SUCCESSFUL);
	basic = OCSP_response_get1_basic(response);
	assert_non_null(basic);
	OCSP_RESPONSE_free(response);
	return basic;
}

static struct ocsp_single single_of(const struct ocsp_issuer *issuer, enum ocsp_hash hash, enum ocsp_status status)
{
	struct ocsp_single s = { .hash = hash,
				 .null_params = true,
				 .issuer = issuer,
				 .serial_len = sizeof(SERIAL),
				 .status = status,
				 .reason = 1,
				 .revoked_s = FIXTURE_NOW_S - 60,
				 .this_s = FIXTURE_NOW_S,
				 .next_s = FIXTURE_NOW_S + 3600 };

	memcpy(s.serial, SERIAL, sizeof(SERIAL));
	return s;
}

static void assert_status(OCSP_BASICRESP *basic, OCSP_REQUEST *asked, int want, int want_reason)
{
	int status = -1, reason = -1;
	ASN1_GENERALIZEDTIME *revoked, *this_update, *next_update;
	OCSP_CERTID *id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(asked, 0));

	assert_int_equal(OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &this_update, &next_update), 1);
	assert_int_equal(status, want);
	assert_int_equal(reason, want_reason);
	assert_non_null(next_update);
}

static void answers_are_what_openssl_reads(void **state)
{
	static const struct {
		enum ocsp_status status;
		int want, reason;
	} rows[] = { { OCSP_GOOD, V_OCSP_CERTSTATUS_GOOD, -1 },
		     { OCSP_REVOKED, V_OCSP_CERTSTATUS_REVOKED, 1 },
		     { OCSP_UNKNOWN, V_OCSP_CERTSTATUS_UNKNOWN, -1 } };
	struct fixture fixture;
	struct ocsp_issuer issuer;
	X509_STORE *store = X509_STORE_new();
	X509 *ca;

	(void)state;
	fixture_open(&fixture);
	ca = fixture_x509(buf_blob(&fixture.ca_der));
	X509_STORE_add_cert(store, ca);
	X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), FIXTURE_NOW_S);
	ocsp_issuer_of(issuer_cert(fixture.issuer), &issuer);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		AUTO(buf_done) struct buf der = request(&fixture, 1, i == 0 ? EVP_sha1() : EVP_sha256(), 32);
		struct ocsp_single s = single_of(&issuer, i == 0 ? OCSP_SHA1 : OCSP_SHA256, rows[i].status);
		const uint8_t *p = der.ptr;
		OCSP_REQUEST *asked = d2i_OCSP_REQUEST(NULL, &p, (long)der.len);
		struct ocsp_request r;
		OCSP_BASICRESP *basic;

		assert_ok(ocsp_parse(buf_blob(&der), &r, NULL));
		basic = answer(&fixture, &s, 1, r.nonce);
		assert_status(basic, asked, rows[i].want, rows[i].reason);
		assert_int_equal(OCSP_check_nonce(asked, basic), 1);
		assert_int_equal(OCSP_basic_verify(basic, NULL, store, 0), 1);
		OCSP_BASICRESP_free(basic);
		OCSP_REQUEST_free(asked);
	}
	X509_free(ca);
	X509_STORE_free(store);
	fixture_close(&fixture);
}

static void what_cannot_be_said_is_not_built(void **state)
{
	struct fixture fixture;
	struct ocsp_issuer issuer;
	struct ocsp_single s;
	struct buf tbs = { 0 };
	const struct pubkey *key;

	(void)state;
	fixture_open(&fixture);
	key = &issuer_cert(fixture.issuer)->key;
	ocsp_issuer_of(issuer_cert(fixture.issuer), &issuer);
	s = single_of(&issuer, OCSP_SHA1, OCSP_REVOKED);
	s.reason = 7;
	assert_reason(ocsp_build(key, &s, 1, (struct blob){ 0 }, FIXTURE_NOW_S, &tbs, NULL), REASON_INTERNAL);
	s = single_of(&issuer, OCSP_SHA1, OCSP_GOOD);
	s.next_s = s.this_s;
	assert_reason(ocsp_build(key, &s, 1, (struct blob){ 0 }, FIXTURE_NOW_S, &tbs, NULL), REASON_INTERNAL);
	s = single_of(&issuer, OCSP_SHA1, OCSP_GOOD);
	assert_reason(ocsp_build(key, &s, 0, (struct blob){ 0 }, FIXTURE_NOW_S, &tbs, NULL), REASON_INTERNAL);
	assert_null(tbs.ptr);
	fixture_close(&fixture);
}

static void errors_are_what_openssl_reads(void **state)
{
	static const enum ocsp_error errors[] = { OCSP_MALFORMED, OCSP_INTERNAL, OCSP_TRY_LATER, OCSP_UNAUTHORIZED };

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct blob der = ocsp_error(errors[i]);
		const uint8_t *p = der.ptr;
		OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);

		assert_non_null(response);
		assert_int_equal(OCSP_response_status(response), errors[i]);
		OCSP_RESPONSE_free(response);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_of_openssl_are_read),
		cmocka_unit_test(a_hash_that_is_not_known_names_nobody),
		cmocka_unit_test(malformed_requests_are_refused),
		cmocka_unit_test(answers_are_what_openssl_reads),
		cmocka_unit_test(what_cannot_be_said_is_not_built),
		cmocka_unit_test(errors_are_what_openssl_reads),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
