/* test_issuer.c - the bytes an issuer makes, as OpenSSL reads them. Rules: test_issuer_check.c. */
#include "openssl_x509v3.h"

#include "expect.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/clock.h"
#include "issuer_fixture.h"
#include "tbs.h"

#define YEAR_S INT64_C(31536000)

struct made {
	struct buf tbs, der;
	int64_t not_before_s, not_after_s;
	X509 *x;
};

static const uint8_t serial[SERIAL_BYTES] = { 1, 0, 0x51, 0x2a, 0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

static enum reason make(const struct fixture *fixture, const struct grant *grant, const struct copied_names *copied,
			int64_t now_s, struct made *ret_made)
{
	struct made made = { 0 };
	struct fault fault = { 0 };
	enum reason reason = issuer_build(fixture->issuer, grant, copied, serial, now_s, &made.tbs, &made.not_before_s,
					  &made.not_after_s, &fault);

	if (reason != REASON_OK)
		return reason;
	made.der = fixture_sign(fixture, buf_blob(&made.tbs));
	made.x = fixture_x509(buf_blob(&made.der));
	*ret_made = made;
	return REASON_OK;
}

static void made_done(struct made *made)
{
	buf_done(&made->tbs);
	buf_done(&made->der);
	X509_free(made->x);
	*made = (struct made){ 0 };
}

static int open_fixture(void **state)
{
	static struct fixture fixture;

	fixture_open(&fixture);
	*state = &fixture;
	return 0;
}

static int close_fixture(void **state)
{
	fixture_close(*state);
	return 0;
}

static ASN1_OCTET_STRING *extension(const X509 *x, int nid, int *ret_critical)
{
	int at = X509_get_ext_by_NID(x, nid, -1);
	X509_EXTENSION *found = at >= 0 ? X509_get_ext(x, at) : NULL;

	if (found == NULL)
		return NULL;
	assert_int_equal(X509_get_ext_by_NID(x, nid, at), -1); /* not repeated */
	*ret_critical = X509_EXTENSION_get_critical(found);
	return X509_EXTENSION_get_data(found);
}

static void assert_value(const X509 *x, int nid, bool critical, const void *value, size_t len)
{
	int is_critical = -1;
	const ASN1_OCTET_STRING *got = extension(x, nid, &is_critical);

	assert_non_null(got);
	assert_int_equal(is_critical, critical);
	assert_int_equal(ASN1_STRING_length(got), len);
	assert_memory_equal(ASN1_STRING_get0_data(got), value, len);
}

static void verifies_strictly_for_every_key_type(void **state)
{
	static const char *const types[] = { "P-256", "P-384", "RSA" };
	struct fixture *fixture = *state;

	for (size_t i = 0; i < 3; i++) {
		struct grant *grant = fixture_grant();
		struct made made;

		grant->key = fixture_key(types[i]);
		assert_int_equal(issuer_check(fixture->issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
		assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
		assert_int_equal(fixture_verify(fixture, made.x), X509_V_OK);
		assert_int_equal(X509_check_purpose(made.x, X509_PURPOSE_SSL_CLIENT, 0), 1);
		assert_int_equal(X509_check_purpose(made.x, X509_PURPOSE_SSL_SERVER, 0), 0);
		made_done(&made);
		grant_free(grant);
	}
}

/* RFC 5280 section 4.1: version, serial, algorithms, names; section 4.1.2.8: no unique identifiers. */
static void writes_the_fields_of_a_version_3_certificate(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	const ASN1_BIT_STRING *iuid, *suid;
	const X509_ALGOR *outer;
	uint8_t *again = NULL;
	struct made made;
	X509 *ca = fixture_x509(buf_blob(&fixture->ca_der));
	int len;

	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_int_equal(X509_get_version(made.x), X509_VERSION_3);
	assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(made.x)), SERIAL_BYTES);
	assert_memory_equal(ASN1_STRING_get0_data(X509_get0_serialNumber(made.x)), serial, SERIAL_BYTES);
	X509_get0_signature(NULL, &outer, made.x);
	assert_int_equal(X509_ALGOR_cmp(outer, X509_get0_tbs_sigalg(made.x)), 0);
	assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(made.x), X509_get_subject_name(ca)), 0);
	X509_get0_uids(made.x, &iuid, &suid);
	assert_null(iuid);
	assert_null(suid);
	len = i2d_re_X509_tbs(made.x, &again); /* what OpenSSL writes anew is what was signed: it is DER */
	assert_int_equal(len, made.tbs.len);
	assert_memory_equal(again, made.tbs.ptr, made.tbs.len);
	OPENSSL_free(again);
	X509_free(ca);
	made_done(&made);
	grant_free(grant);
}

static void writes_the_subject_in_the_grants_order_with_the_right_string_types(void **state)
{
	static const struct {
		enum oid_id type;
		const char *value;
		int nid, string;
	} attrs[] = {
		{ OID_AT_COUNTRY, "DE", NID_countryName, V_ASN1_PRINTABLESTRING },
		{ OID_AT_ORG, "Maker & Sons", NID_organizationName, V_ASN1_UTF8STRING },
		{ OID_AT_ORG_UNIT, "Meters", NID_organizationalUnitName, V_ASN1_UTF8STRING },
		{ OID_AT_SERIAL_NUMBER, "0a0b", NID_serialNumber, V_ASN1_PRINTABLESTRING },
		{ OID_AT_CN, "0a0b", NID_commonName, V_ASN1_UTF8STRING },
	};
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct made made;
	const X509_NAME *subject;

	grant->n_subject = 5;
	for (int i = 0; i < 5; i++) {
		grant->subject[i].type = attrs[i].type;
		strcpy(grant->subject[i].value, attrs[i].value);
	}
	assert_int_equal(issuer_check(fixture->issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	subject = X509_get_subject_name(made.x);
	assert_int_equal(X509_NAME_entry_count(subject), 5);
	for (int i = 0; i < 5; i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, i);
		const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);

		assert_int_equal(OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)), attrs[i].nid);
		assert_int_equal(ASN1_STRING_type(value), attrs[i].string);
		assert_string_equal((const char *)ASN1_STRING_get0_data(value), attrs[i].value);
	}
	made_done(&made);
	grant_free(grant);
}

static void marks_basic_constraints_and_key_usage_critical_and_nothing_else(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct made made;

	grant->key_usage = KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT;
	grant->n_sans = 1;
	grant->san[0] = (struct san){ .type = SAN_URI, .value = "urn:assay:element:0a" };
	grant->stamp_result = true;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_value(made.x, NID_basic_constraints, true, "\x30\x00", 2);
	assert_value(made.x, NID_key_usage, true, "\x03\x02\x03\x88", 4);
	for (int i = 0; i < X509_get_ext_count(made.x); i++) {
		X509_EXTENSION *e = X509_get_ext(made.x, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));

		assert_int_equal(X509_EXTENSION_get_critical(e), nid == NID_basic_constraints || nid == NID_key_usage);
	}
	assert_int_equal(X509_get_ext_count(made.x), 9);
	made_done(&made);
	grant_free(grant);
}

/* Bit 8 is the only one in the second octet: RFC 5280 section 4.2.1.3. */
static void writes_decipher_only_in_a_second_octet(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct made made;

	grant->key_usage = KU_KEY_AGREEMENT | KU_DECIPHER_ONLY;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_value(made.x, NID_key_usage, true, "\x03\x03\x07\x08\x80", 5);
	made_done(&made);
	grant_free(grant);
}

static void names_its_key_and_its_issuers(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	uint8_t key_id[20];
	unsigned len = sizeof(key_id);
	X509 *ca = fixture_x509(buf_blob(&fixture->ca_der));
	struct made made;

	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_int_equal(X509_pubkey_digest(made.x, EVP_sha1(), key_id, &len), 1);
	assert_memory_equal(ASN1_STRING_get0_data(X509_get0_subject_key_id(made.x)), key_id, 20);
	assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(made.x), X509_get0_subject_key_id(ca)), 0);
	assert_null(X509_get0_authority_issuer(made.x));
	X509_free(ca);
	made_done(&made);
	grant_free(grant);
}

static void points_to_its_issuer_and_its_crl(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct made made;
	AUTHORITY_INFO_ACCESS *aia;
	STACK_OF(DIST_POINT) * points;
	const GENERAL_NAME *name;

	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	aia = X509_get_ext_d2i(made.x, NID_info_access, NULL, NULL);
	assert_int_equal(sk_ACCESS_DESCRIPTION_num(aia), 1);
	assert_int_equal(OBJ_obj2nid(sk_ACCESS_DESCRIPTION_value(aia, 0)->method), NID_ad_ca_issuers);
	name = sk_ACCESS_DESCRIPTION_value(aia, 0)->location;
	assert_int_equal(name->type, GEN_URI);
	assert_string_equal((const char *)ASN1_STRING_get0_data(name->d.ia5), "http://127.0.0.1:8445/ca/attested.cer");
	points = X509_get_ext_d2i(made.x, NID_crl_distribution_points, NULL, NULL);
	assert_int_equal(sk_DIST_POINT_num(points), 1);
	assert_null(sk_DIST_POINT_value(points, 0)->CRLissuer);
	assert_int_equal(sk_DIST_POINT_value(points, 0)->distpoint->type, 0);
	name = sk_GENERAL_NAME_value(sk_DIST_POINT_value(points, 0)->distpoint->name.fullname, 0);
	assert_int_equal(name->type, GEN_URI);
	assert_string_equal((const char *)ASN1_STRING_get0_data(name->d.ia5), "http://127.0.0.1:8445/crl/attested.crl");
	AUTHORITY_INFO_ACCESS_free(aia);
	CRL_DIST_POINTS_free(points);
	made_done(&made);
	grant_free(grant);
}

static void leaves_urls_out_where_there_are_none(void **state)
{
	struct issuer_options options = fixture_options();
	struct fixture fixture;
	struct grant *grant = fixture_grant();
	struct made made;

	(void)state;
	options.ca_issuers_url = options.crl_url = NULL;
	fixture_open_with(&fixture, FIXTURE_NOW_S + 15 * YEAR_S, &options);
	assert_int_equal(make(&fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_int_equal(X509_get_ext_by_NID(made.x, NID_info_access, -1), -1);
	assert_int_equal(X509_get_ext_by_NID(made.x, NID_crl_distribution_points, -1), -1);
	assert_int_equal(fixture_verify(&fixture, made.x), X509_V_OK);
	made_done(&made);
	grant_free(grant);
	fixture_close(&fixture);
}

static void writes_uri_dns_and_hardware_module_names(void **state)
{
	/* SEQUENCE { [6] "urn:x:1", [2] "a.example", [0] { 1.3.6.1.5.5.7.8.4, [0] { SEQ { 1.3.6.1.4.1.4128, 0a0b0c } }
	 * } } */
	static const uint8_t expected[] =
		"\x30\x35"
		"\x86\x07urn:x:1"
		"\x82\x09"
		"a.example"
		"\xa0\x1f\x06\x08\x2b\x06\x01\x05\x05\x07\x08\x04"
		"\xa0\x13\x30\x11\x06\x0a\x2b\x06\x01\x04\x01\xa0\x20\x01\x02\x03\x04\x03\x0a\x0b\x0c";
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct made made;

	grant->n_sans = 3;
	grant->san[0] = (struct san){ .type = SAN_URI, .value = "urn:x:1" };
	grant->san[1] = (struct san){ .type = SAN_DNS, .value = "a.example" };
	grant->san[2] = (struct san){ .type = SAN_HW_MODULE, .value = "0a0b0c" };
	assert_true(oid_parse("1.3.6.1.4.1.4128.1.2.3", &grant->san[2].hw_type));
	assert_int_equal(issuer_check(fixture->issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_value(made.x, NID_subject_alt_name, false, expected, sizeof(expected) - 1);
	assert_int_equal(fixture_verify(fixture, made.x), X509_V_OK);
	made_done(&made);
	grant_free(grant);
}

static void assert_not_after(const X509 *x, int type, const char *text)
{
	const ASN1_TIME *t = X509_get0_notAfter(x);

	assert_int_equal(ASN1_STRING_type(t), type);
	assert_string_equal((const char *)ASN1_STRING_get0_data(t), text);
}

/* RFC 5280 section 4.1.2.5 */
static void writes_utc_time_through_2049_and_generalized_time_after(void **state)
{
	struct issuer_options options = fixture_options();
	const int64_t end_of_2049_s = INT64_C(2524607999);
	struct fixture fixture;
	struct grant *grant = fixture_grant();
	struct made made;

	(void)state;
	options.validity_max_s = 0;
	fixture_open_with(&fixture, TIME_NO_EXPIRY, &options);
	grant->validity_s = (uint64_t)(end_of_2049_s - FIXTURE_NOW_S);
	assert_int_equal(make(&fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_not_after(made.x, V_ASN1_UTCTIME, "491231235959Z");
	assert_int_equal(made.not_after_s, end_of_2049_s);
	assert_int_equal(made.not_before_s, FIXTURE_NOW_S - 3600);
	assert_string_equal((const char *)ASN1_STRING_get0_data(X509_get0_notBefore(made.x)), "261120230000Z");
	made_done(&made);
	grant->validity_s++;
	assert_int_equal(make(&fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_not_after(made.x, V_ASN1_GENERALIZEDTIME, "20500101000000Z");
	assert_int_equal(fixture_verify(&fixture, made.x), X509_V_OK);
	made_done(&made);
	grant->validity_s = 0;
	assert_int_equal(issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	assert_int_equal(make(&fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_not_after(made.x, V_ASN1_GENERALIZEDTIME, "99991231235959Z");
	assert_int_equal(made.not_after_s, TIME_NO_EXPIRY);
	assert_int_equal(fixture_verify(&fixture, made.x), X509_V_OK);
	made_done(&made);
	grant_free(grant);
	fixture_close(&fixture);
}

static void never_outlives_its_issuer_even_unchecked(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct made made;

	grant->validity_s = 0;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_int_equal(made.not_after_s, FIXTURE_NOW_S + 15 * YEAR_S);
	made_done(&made);
	grant->validity_s = 15 * YEAR_S + 1;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_int_equal(made.not_after_s, FIXTURE_NOW_S + 15 * YEAR_S);
	made_done(&made);
	grant->validity_s = UINT64_MAX;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_int_equal(made.not_after_s, FIXTURE_NOW_S + 15 * YEAR_S);
	made_done(&made);
	grant_free(grant);
}

static struct blob stamp_of(const struct made *made)
{
	struct copied_names names;

	assert_int_equal(tbs_names(buf_blob(&made->tbs), &names, NULL), REASON_OK);
	return names.result;
}

static void stamps_format_level_and_the_hash_of_the_evidence(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	const struct oid *format = oid_of(OID_ASSAY_QUOTE);
	uint8_t expected[128], hash[32];
	size_t n = 0;
	struct made made;

	grant->stamp_result = true;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	SHA256((const uint8_t *)"evidence", 8, hash);
	expected[n++] = 0x30;
	expected[n++] = (uint8_t)(2 + format->len + 3 + 34);
	expected[n++] = 0x06;
	expected[n++] = format->len;
	memcpy(expected + n, format->bytes, format->len);
	n += format->len;
	memcpy(expected + n, "\x0a\x01\x03\x04\x20", 5);
	n += 5;
	memcpy(expected + n, hash, 32);
	n += 32;
	assert_int_equal(stamp_of(&made).len, n);
	assert_memory_equal(stamp_of(&made).ptr, expected, n);
	made_done(&made);
	grant->stamp_result = false;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	assert_int_equal(stamp_of(&made).len, 0);
	made_done(&made);
	grant_free(grant);
}

/* A renewal: names as they were, byte for byte; the stamp only for the same key. */
static void copies_names_and_the_same_keys_stamp_from_the_earlier_tbs(void **state)
{
	struct fixture *fixture = *state;
	struct grant *first = fixture_grant(), *next = fixture_grant();
	struct copied_names old_names, new_names;
	struct made old, renewed, rekeyed;

	first->stamp_result = next->stamp_result = true;
	first->n_sans = 1;
	first->san[0] = (struct san){ .type = SAN_URI, .value = "urn:x:1" };
	assert_int_equal(make(fixture, first, NULL, FIXTURE_NOW_S, &old), REASON_OK);
	assert_int_equal(tbs_names(buf_blob(&old.tbs), &old_names, NULL), REASON_OK);
	next->kind = GRANT_REENROL;
	next->n_subject = 0;
	next->previous_len = SERIAL_BYTES;
	next->evidence_format[0] = '\0';
	buf_done(&next->evidence);
	assert_int_equal(issuer_check(fixture->issuer, next, FIXTURE_NOW_S, NULL), REASON_OK);
	assert_int_equal(make(fixture, next, &old_names, FIXTURE_NOW_S, &rekeyed), REASON_OK);
	assert_int_equal(stamp_of(&rekeyed).len, 0);
	next->key = first->key;
	assert_int_equal(make(fixture, next, &old_names, FIXTURE_NOW_S, &renewed), REASON_OK);
	assert_int_equal(tbs_names(buf_blob(&renewed.tbs), &new_names, NULL), REASON_OK);
	assert_true(blob_equal(new_names.subject, old_names.subject));
	assert_true(old_names.san.len > 0 && blob_equal(new_names.san, old_names.san));
	assert_true(old_names.result.len > 0 && blob_equal(new_names.result, old_names.result));
	assert_int_equal(fixture_verify(fixture, renewed.x), X509_V_OK);
	assert_int_equal(fixture_verify(fixture, rekeyed.x), X509_V_OK);
	made_done(&old);
	made_done(&renewed);
	made_done(&rekeyed);
	grant_free(first);
	grant_free(next);
}

static void reads_no_names_out_of_a_damaged_tbs(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct copied_names names = { 0 };
	struct made made;

	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_OK);
	for (size_t len = 0; len < made.tbs.len; len++)
		assert_int_equal(tbs_names(BLOB(made.tbs.ptr, len), &names, NULL), REASON_INTERNAL);
	assert_int_equal(buf_append(&made.tbs, BLOB("\x05\x00", 2), NULL), REASON_OK); /* after it */
	assert_int_equal(tbs_names(buf_blob(&made.tbs), &names, NULL), REASON_INTERNAL);
	assert_int_equal(made.tbs.ptr[1], 0x82);
	made.tbs.ptr[3] = (uint8_t)(made.tbs.ptr[3] + 2); /* in it */
	assert_true(made.tbs.ptr[3] >= 2);
	assert_int_equal(tbs_names(buf_blob(&made.tbs), &names, NULL), REASON_INTERNAL);
	assert_null(names.subject.ptr);
	made_done(&made);
	grant_free(grant);
}

static void refuses_an_empty_subject(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	struct copied_names empty = { .subject = BLOB("\x30\x00", 2) };
	struct made made;

	grant->n_subject = 0;
	assert_int_equal(make(fixture, grant, NULL, FIXTURE_NOW_S, &made), REASON_GRANT_REFUSED);
	assert_int_equal(make(fixture, grant, &empty, FIXTURE_NOW_S, &made), REASON_GRANT_REFUSED);
	grant_free(grant);
}

static void refuses_a_certificate_larger_than_its_room(void **state)
{
	struct fixture *fixture = *state;
	struct grant *grant = fixture_grant();
	uint8_t big[TBS_BYTES] = { 0x30, 0x82, 0x1f, 0xfc };
	struct copied_names copied = { .subject = BLOB("\x30\x02\x31\x00", 4), .san = BLOB_OF(big) };
	struct made made;

	assert_int_equal(make(fixture, grant, &copied, FIXTURE_NOW_S, &made), REASON_GRANT_REFUSED);
	grant_free(grant);
}

static void signs_nothing_without_a_token(void **state)
{
	struct fixture *fixture = *state;
	struct buf tail = { 0 };

	assert_int_equal(issuer_sign(fixture->issuer, 0, BLOB("tbs", 3), &tail, NULL), REASON_TOKEN_AWAY);
	assert_null(tail.ptr);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(verifies_strictly_for_every_key_type),
		WITH_FIXTURE(writes_the_fields_of_a_version_3_certificate),
		WITH_FIXTURE(writes_the_subject_in_the_grants_order_with_the_right_string_types),
		WITH_FIXTURE(marks_basic_constraints_and_key_usage_critical_and_nothing_else),
		WITH_FIXTURE(writes_decipher_only_in_a_second_octet),
		WITH_FIXTURE(names_its_key_and_its_issuers),
		WITH_FIXTURE(points_to_its_issuer_and_its_crl),
		cmocka_unit_test(leaves_urls_out_where_there_are_none),
		WITH_FIXTURE(writes_uri_dns_and_hardware_module_names),
		cmocka_unit_test(writes_utc_time_through_2049_and_generalized_time_after),
		WITH_FIXTURE(never_outlives_its_issuer_even_unchecked),
		WITH_FIXTURE(stamps_format_level_and_the_hash_of_the_evidence),
		WITH_FIXTURE(copies_names_and_the_same_keys_stamp_from_the_earlier_tbs),
		WITH_FIXTURE(reads_no_names_out_of_a_damaged_tbs),
		WITH_FIXTURE(refuses_an_empty_subject),
		WITH_FIXTURE(refuses_a_certificate_larger_than_its_room),
		WITH_FIXTURE(signs_nothing_without_a_token),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
