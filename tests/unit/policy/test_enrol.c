/* test_enrol.c - first certificates: who may have one, with which names, and what a CSR may not ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "decide_support.h"
#include "make.h"

#define ENROL EST_SIMPLEENROLL
#define refused(label, why) scene_refuses(s, label, ENROL, why)
#define granted(label) scene_grants(s, label, ENROL)

/* --- the identity that evidence gives --- */

static void names_an_attested_device_after_its_element(void **state)
{
	struct scene *s = *state;
	const struct grant *g;
	uint8_t hash[32];

	granted("line");
	g = s->grant;
	policy_hash(s->policy, hash);
	assert_int_equal(g->kind, GRANT_ENROL);
	assert_string_equal(g->profile, "line");
	assert_string_equal(g->family, "device");
	assert_string_equal(g->issuer, "attested");
	assert_string_equal(g->requester, "rig:test");
	assert_memory_equal(g->policy_hash, hash, 32);
	assert_false(g->once);
	assert_memory_equal(&g->device, &s->verdict.device, sizeof(g->device));
	assert_true(pubkey_equal(&g->key, &s->csr.key));
	assert_int_equal(g->level, LEVEL_NATIVE);
	assert_int_equal(g->level_needed, LEVEL_NATIVE);
	assert_int_equal(g->n_subject, 3);
	assert_int_equal(g->subject[0].type, OID_AT_CN);
	assert_string_equal(g->subject[0].value, ELEMENT_HEX);
	assert_int_equal(g->subject[1].type, OID_AT_SERIAL_NUMBER);
	assert_string_equal(g->subject[1].value, ELEMENT_HEX);
	assert_string_equal(g->subject[2].value, "Example");
	assert_int_equal(g->validity_s, 5LL * 365 * 86400);
	assert_int_equal(g->key_usage, KU_DIGITAL_SIGNATURE);
	assert_int_equal(g->n_ekus, 1);
	assert_true(oid_equal(&g->eku[0], oid_of(OID_KP_CLIENT_AUTH)));
	assert_true(g->stamp_result);
	assert_string_equal(g->evidence_format, "assay.1.1");
	assert_int_equal(g->nonce_len, 16);
	assert_memory_equal(g->nonce, s->verdict.nonce, 16);
	assert_int_equal(g->freshness, REASON_OK);
	assert_true(blob_equal(buf_blob(&g->evidence), s->csr.evidence));
	assert_int_equal(g->previous_len, 0);
}

static void gives_alternative_names_in_every_form(void **state)
{
	struct scene *s = *state;

	granted("names");
	assert_int_equal(s->grant->n_sans, 3);
	assert_int_equal(s->grant->san[0].type, SAN_URI);
	assert_string_equal(s->grant->san[0].value, "urn:e:assay.1.1:" ELEMENT_HEX);
	assert_int_equal(s->grant->san[1].type, SAN_DNS);
	assert_string_equal(s->grant->san[1].value, ELEMENT_HEX ".devices.example");
	assert_int_equal(s->grant->san[2].type, SAN_HW_MODULE);
	assert_string_equal(s->grant->san[2].value, ELEMENT_HEX); /* the element's octets, as hex */
	assert_true(oid_equal(&s->grant->san[2].hw_type, oid_of(OID_ASSAY_HW_TYPE)));
}

static void writes_a_long_element_id_in_base32(void **state)
{
	struct scene *s = *state;

	s->verdict.device.element_len = 33;
	granted("line");
	assert_int_equal(strlen(s->grant->subject[0].value), 53);
	assert_null(strpbrk(s->grant->subject[0].value, "0189="));
	s->verdict.device.element_len = 31;
	granted("line");
	assert_int_equal(strlen(s->grant->subject[0].value), 62);
}

static void refuses_an_element_id_that_fits_no_name(void **state)
{
	struct scene *s = *state;

	s->verdict.device.element_len = 41;
	refused("line", REASON_EVIDENCE_IDENTITY);
	s->verdict.device.element_len = 31; /* 62 digits, and "dev-" before them */
	refused("prefixed", REASON_EVIDENCE_IDENTITY);
}

static void refuses_a_rig_without_evidence(void **state)
{
	struct scene *s = *state;

	s->ask.verdict = NULL;
	refused("line", REASON_EVIDENCE_MISSING);
}

static void refuses_evidence_below_the_level(void **state)
{
	struct scene *s = *state;

	s->verdict.level = LEVEL_PROVISIONED;
	refused("line", REASON_EVIDENCE_LEVEL);
	s->verdict.level = LEVEL_VOUCHED;
	refused("line", REASON_EVIDENCE_LEVEL);
	refused("names", REASON_EVIDENCE_LEVEL); /* takes provisioned */
	s->verdict.level = LEVEL_PROVISIONED;
	granted("names");
	assert_int_equal(s->grant->level, LEVEL_PROVISIONED);
	assert_int_equal(s->grant->level_needed, LEVEL_PROVISIONED);
}

static void passes_the_nonces_verdict_on(void **state)
{
	struct scene *s = *state;

	s->ask.freshness = REASON_NONCE_STALE;
	granted("line"); /* a claim already met may be answered all the same */
	assert_int_equal(s->grant->freshness, REASON_NONCE_STALE);
}

static void leaves_the_nonce_alone_where_the_profile_asks_for_none(void **state)
{
	struct scene *s = *state;

	s->ask.freshness = REASON_NONCE_FOREIGN;
	granted("names");
	assert_int_equal(s->grant->freshness, REASON_OK);
	assert_int_equal(s->grant->nonce_len, 0);
}

/* --- what a CSR says of itself --- */

static void accepts_a_subject_that_says_the_same(void **state)
{
	struct scene *s = *state;

	s->csr.subject = scene_name(s, ELEMENT_HEX, NULL);
	granted("line");
	s->csr.subject = scene_name(s, NULL, ELEMENT_HEX);
	granted("line");
	s->csr.subject = scene_name(s, ELEMENT_HEX, ELEMENT_HEX);
	granted("line");
}

static void refuses_another_devices_name(void **state)
{
	struct scene *s = *state;

	s->csr.subject = scene_name(s, "ff02030405060708090a0b0c0d0e0f10", NULL);
	refused("line", REASON_CSR_SUBJECT);
	s->csr.subject = scene_name(s, ELEMENT_HEX, "ff02030405060708090a0b0c0d0e0f10");
	refused("line", REASON_CSR_SUBJECT);
	s->csr.subject = scene_name(s, "0102030405060708090A0B0C0D0E0F10", NULL);
	refused("line", REASON_CSR_SUBJECT);
}

static void refuses_further_attributes_in_the_subject(void **state)
{
	/* C=DE, after a CN that would do */
	static const uint8_t country[] = { 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06, 0x13, 0x02, 'D', 'E' };
	struct scene *s = *state;
	struct blob name = scene_name(s, ELEMENT_HEX, NULL);
	struct buf rdns = { 0 };

	assert_int_equal(buf_append(&rdns, BLOB(name.ptr + 2, name.len - 2), NULL), REASON_OK);
	assert_int_equal(buf_append(&rdns, BLOB_OF(country), NULL), REASON_OK);
	s->csr.subject = scene_keep(s, make_element(0x30, buf_blob(&rdns)));
	buf_done(&rdns);
	refused("line", REASON_CSR_SUBJECT);
}

static void refuses_a_subject_in_a_string_type_that_is_not_text(void **state)
{
	/* CN as BMPString */
	static const uint8_t bmp[] = { 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03,
				       0x55, 0x04, 0x03, 0x1e, 0x02, 0,    'a' };
	struct scene *s = *state;

	s->csr.subject = BLOB_OF(bmp);
	refused("line", REASON_CSR_SUBJECT);
}

static void refuses_the_right_text_in_a_string_type_that_is_not_text(void **state)
{
	struct scene *s = *state;
	struct blob name = scene_name(s, ELEMENT_HEX, NULL);
	struct buf copy = { 0 };

	assert_int_equal(buf_copy(name, &copy, NULL), REASON_OK);
	assert_int_equal(copy.ptr[11], 0x0c); /* UTF8String */
	copy.ptr[11] = 0x14;                  /* TeletexString */
	s->csr.subject = scene_keep(s, copy);
	refused("line", REASON_CSR_SUBJECT);
}

static void refuses_more_attributes_than_there_are_in_the_profile(void **state)
{
	struct scene *s = *state;
	struct blob name = scene_name(s, ELEMENT_HEX, NULL);
	struct buf rdns = { 0 };

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(buf_append(&rdns, BLOB(name.ptr + 2, name.len - 2), NULL), REASON_OK);
	s->csr.subject = scene_keep(s, make_element(0x30, buf_blob(&rdns)));
	buf_done(&rdns);
	refused("line", REASON_CSR_SUBJECT);
}

static void accepts_alternative_names_that_it_would_give(void **state)
{
	struct scene *s = *state;

	s->csr.san = scene_san(s, "dns:" ELEMENT_HEX ".DEVICES.example", NULL);
	granted("names");
	s->csr.san = scene_san(s, "hw:" ELEMENT_HEX, "uri:urn:e:assay.1.1:" ELEMENT_HEX, NULL);
	granted("names");
	assert_int_equal(s->grant->n_sans, 3);
}

static void refuses_other_alternative_names(void **state)
{
	struct scene *s = *state;

	s->csr.san = scene_san(s, "dns:other.example", NULL);
	refused("names", REASON_CSR_SAN);
	s->csr.san = scene_san(s, "dns:" ELEMENT_HEX ".devices.example", "uri:urn:other", NULL);
	refused("names", REASON_CSR_SAN);
	s->csr.san = scene_san(s, "hw:ff", NULL);
	refused("names", REASON_CSR_SAN);
	s->csr.san = scene_san(s, "hwx:" ELEMENT_HEX, NULL);
	refused("names", REASON_CSR_SAN);
	s->csr.san = scene_san(s, "email:a@example.org", NULL);
	refused("names", REASON_CSR_SAN);
	s->csr.san = scene_san(s, "uri:urn:e", NULL);
	refused("line", REASON_CSR_SAN); /* a profile that gives none */
	s->csr.san = scene_san(s, NULL);
	refused("line", REASON_CSR_SAN); /* GeneralNames without a name */
}

static void refuses_a_ca_certificate(void **state)
{
	struct scene *s = *state;

	s->csr.asks_ca = true;
	refused("line", REASON_CSR_CA);
}

static void refuses_usages_and_purposes_outside_the_profile(void **state)
{
	static const enum oid_id purposes[] = { OID_KP_CMC_RA,       OID_KP_CMC_CA,        OID_KP_OCSP_SIGNING,
						OID_KP_CODE_SIGNING, OID_KP_TIME_STAMPING, OID_KP_ANY,
						OID_KP_SERVER_AUTH,  OID_ASSAY_KP_QUOTE };
	static const unsigned usages[] = { KU_KEY_CERT_SIGN, KU_CRL_SIGN, KU_KEY_AGREEMENT,
					   KU_DIGITAL_SIGNATURE | KU_KEY_CERT_SIGN };
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof(usages) / sizeof(usages[0]); i++) {
		s->csr.key_usage = usages[i];
		refused("line", REASON_CSR_USAGE);
	}
	s->csr.key_usage = KU_DIGITAL_SIGNATURE;
	s->csr.n_ekus = 2;
	s->csr.eku[0] = *oid_of(OID_KP_CLIENT_AUTH);
	for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++) {
		s->csr.eku[1] = *oid_of(purposes[i]);
		refused("line", REASON_CSR_USAGE);
	}
	s->csr.n_ekus = 1;
	granted("line");
}

static void says_which_purpose_it_does_not_give(void **state)
{
	struct scene *s = *state;

	s->csr.n_ekus = 1;
	s->csr.eku[0] = *oid_of(OID_KP_CMC_RA);
	refused("line", REASON_CSR_USAGE);
	assert_non_null(strstr(s->f.detail, "1.3.6.1.5.5.7.3.28"));
}

static void takes_only_the_profiles_key_types_and_sizes(void **state)
{
	struct scene *s = *state;

	s->csr.key = (struct pubkey){ .type = KEY_EC_P384, .bits = 384 };
	refused("line", REASON_KEY_TYPE);
	s->csr.key = (struct pubkey){ .type = KEY_EC_P521, .bits = 521 };
	refused("line", REASON_KEY_TYPE);
	s->csr.key = (struct pubkey){ .type = KEY_RSA, .bits = 2048 };
	refused("line", REASON_KEY_TYPE);
	granted("names"); /* rsa-2048 */
	s->csr.key.bits = 4096;
	refused("names", REASON_KEY_TYPE);
	s->csr.key.bits = 2047;
	refused("names", REASON_KEY_TYPE);
}

/* --- the product's serial --- */

static void takes_the_unit_serial_that_the_rig_asserts(void **state)
{
	struct scene *s = *state;

	s->csr.san = scene_san(s, "uri:urn:u:AB-0017", NULL);
	granted("unit");
	assert_string_equal(s->grant->unit_serial, "AB-0017");
	assert_string_equal(s->grant->subject[0].value, "AB-0017");
	assert_string_equal(s->grant->subject[1].value, ELEMENT_HEX);
	assert_int_equal(s->grant->n_sans, 1);
	assert_string_equal(s->grant->san[0].value, "urn:u:AB-0017");
}

static void refuses_a_unit_serial_that_is_missing_twice_or_malformed(void **state)
{
	struct scene *s = *state;

	refused("unit", REASON_UNIT_SERIAL);
	s->csr.san = scene_san(s, "uri:urn:other:AB-0017", NULL);
	refused("unit", REASON_UNIT_SERIAL);
	s->csr.san = scene_san(s, "uri:urn:u:AB-0017", "uri:urn:u:AB-0018", NULL);
	refused("unit", REASON_UNIT_SERIAL);
	s->csr.san = scene_san(s, "uri:urn:u:ab-0017", NULL);
	refused("unit", REASON_UNIT_SERIAL);
	s->csr.san = scene_san(s, "uri:urn:u:AB-00170000000", NULL);
	refused("unit", REASON_UNIT_SERIAL);
	s->csr.san = scene_san(s, "dns:AB-0017", NULL);
	refused("unit", REASON_UNIT_SERIAL);
	s->csr.san = scene_san(s, "uri:urn:u:AB-0017", "dns:other", NULL);
	refused("unit", REASON_CSR_SAN);
}

#define test(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(names_an_attested_device_after_its_element),
		test(gives_alternative_names_in_every_form),
		test(writes_a_long_element_id_in_base32),
		test(refuses_an_element_id_that_fits_no_name),
		test(refuses_a_rig_without_evidence),
		test(refuses_evidence_below_the_level),
		test(passes_the_nonces_verdict_on),
		test(leaves_the_nonce_alone_where_the_profile_asks_for_none),
		test(accepts_a_subject_that_says_the_same),
		test(refuses_another_devices_name),
		test(refuses_further_attributes_in_the_subject),
		test(refuses_a_subject_in_a_string_type_that_is_not_text),
		test(refuses_the_right_text_in_a_string_type_that_is_not_text),
		test(refuses_more_attributes_than_there_are_in_the_profile),
		test(accepts_alternative_names_that_it_would_give),
		test(refuses_other_alternative_names),
		test(refuses_a_ca_certificate),
		test(refuses_usages_and_purposes_outside_the_profile),
		test(says_which_purpose_it_does_not_give),
		test(takes_only_the_profiles_key_types_and_sizes),
		test(takes_the_unit_serial_that_the_rig_asserts),
		test(refuses_a_unit_serial_that_is_missing_twice_or_malformed),
	};

	oid_init();
	return cmocka_run_group_tests(tests, scene_enrol_profiles, scene_remove_profiles);
}
