/* test_pkcs7.c - certs-only answers, read back with OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pkcs7.h>

#include "issuer_fixture.h"
#include "pkcs7.h"

static PKCS7 *read_back(struct blob der)
{
	const uint8_t *p = der.ptr;
	PKCS7 *p7 = d2i_PKCS7(NULL, &p, (long)der.len);

	assert_non_null(p7);
	assert_ptr_equal(p, der.ptr + der.len);
	return p7;
}

static void assert_cert_is(const X509 *x, struct blob der)
{
	uint8_t *out = NULL;
	int len = i2d_X509(x, &out);

	assert_int_equal(len, der.len);
	assert_memory_equal(out, der.ptr, der.len);
	OPENSSL_free(out);
}

static void holds_the_certificates_in_order_and_nothing_else(void **state)
{
	struct fixture one, two, three;
	AUTO(buf_done) struct buf der = { 0 };
	PKCS7 *p7;

	(void)state;
	fixture_open(&one);
	fixture_open(&two);
	fixture_open(&three);
	struct blob certs[] = { buf_blob(&one.ca_der), buf_blob(&two.ca_der), buf_blob(&three.ca_der) };
	assert_int_equal(pkcs7_certs_only(certs, 3, &der, NULL), REASON_OK);
	p7 = read_back(buf_blob(&der));
	assert_true(PKCS7_type_is_signed(p7));
	assert_int_equal(ASN1_INTEGER_get(p7->d.sign->version), 1);
	assert_int_equal(sk_X509_num(p7->d.sign->cert), 3);
	for (int i = 0; i < 3; i++)
		assert_cert_is(sk_X509_value(p7->d.sign->cert, i), certs[i]);
	assert_int_equal(sk_PKCS7_SIGNER_INFO_num(p7->d.sign->signer_info), 0);
	assert_int_equal(sk_X509_ALGOR_num(p7->d.sign->md_algs), 0);
	assert_null(p7->d.sign->crl);
	assert_int_equal(OBJ_obj2nid(p7->d.sign->contents->type), NID_pkcs7_data);
	assert_null(p7->d.sign->contents->d.ptr);
	PKCS7_free(p7);
	fixture_close(&one);
	fixture_close(&two);
	fixture_close(&three);
}

/* OpenSSL writes the same bytes for one certificate, where a SET has no order to differ in. */
static void is_the_der_that_openssl_writes(void **state)
{
	struct fixture fixture;
	AUTO(buf_done) struct buf der = { 0 };
	uint8_t *again = NULL;
	PKCS7 *p7;
	int len;

	(void)state;
	fixture_open(&fixture);
	assert_int_equal(pkcs7_certs_only(&(struct blob){ fixture.ca_der.ptr, fixture.ca_der.len }, 1, &der, NULL),
			 REASON_OK);
	p7 = read_back(buf_blob(&der));
	len = i2d_PKCS7(p7, &again);
	assert_int_equal(len, der.len);
	assert_memory_equal(again, der.ptr, der.len);
	OPENSSL_free(again);
	PKCS7_free(p7);
	fixture_close(&fixture);
}

static void refuses_an_answer_without_certificates(void **state)
{
	struct buf der = { 0 };
	struct fault fault;

	(void)state;
	assert_int_equal(pkcs7_certs_only(NULL, 0, &der, &fault), REASON_INTERNAL);
	assert_null(der.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_the_certificates_in_order_and_nothing_else),
		cmocka_unit_test(is_the_der_that_openssl_writes),
		cmocka_unit_test(refuses_an_answer_without_certificates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
