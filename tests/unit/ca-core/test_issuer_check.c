/*
 * test_issuer_check.c - the ca's own rules, each met by a grant that a breached ra could send.
 *
 * Every case takes a grant that passes, breaks one thing, and must be refused for that thing: the detail is compared,
 * so that a case cannot pass because another rule refused it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "issuer_fixture.h"

#define YEAR_S UINT64_C(31536000)

static void ca_usage(struct grant *g)
{
	g->key_usage |= KU_KEY_CERT_SIGN;
}
static void crl_usage(struct grant *g)
{
	g->key_usage |= KU_CRL_SIGN;
}
static void no_usage(struct grant *g)
{
	g->key_usage = 0;
}
static void unknown_usage(struct grant *g)
{
	g->key_usage |= 1U << 9;
}
static void lone_encipher_only(struct grant *g)
{
	g->key_usage |= KU_ENCIPHER_ONLY;
}
static void ec_enciphers(struct grant *g)
{
	g->key_usage |= KU_KEY_ENCIPHERMENT;
}
static void eku_cmc_ra(struct grant *g)
{
	g->eku[0] = *oid_of(OID_KP_CMC_RA);
}
static void eku_cmc_ca(struct grant *g)
{
	g->eku[0] = *oid_of(OID_KP_CMC_CA);
}
static void eku_ocsp(struct grant *g)
{
	g->eku[0] = *oid_of(OID_KP_OCSP_SIGNING);
}
static void eku_time_stamping(struct grant *g)
{
	g->eku[0] = *oid_of(OID_KP_TIME_STAMPING);
}
static void eku_code_signing(struct grant *g)
{
	g->eku[0] = *oid_of(OID_KP_CODE_SIGNING);
}
static void eku_any(struct grant *g)
{
	g->eku[g->n_ekus++] = *oid_of(OID_KP_ANY);
}
static void eku_twice(struct grant *g)
{
	g->eku[g->n_ekus++] = g->eku[0];
}
static void eku_empty(struct grant *g)
{
	g->eku[0].len = 0;
}
static void eku_cut(struct grant *g)
{
	g->eku[0].bytes[g->eku[0].len - 1] |= 0x80;
}
static void eku_too_long(struct grant *g)
{
	g->eku[0].len = 255;
}
static void eku_big_arc(struct grant *g)
{
	g->eku[0] = (struct oid){ .len = 6, .bytes = { 0x2a, 0x81, 0x80, 0x80, 0x80, 0x00 } }; /* 1.2.2^28 */
}
static void too_many_ekus(struct grant *g)
{
	g->n_ekus = LIMIT_EKUS + 1;
}
static void validity_over_cap(struct grant *g)
{
	g->validity_s = 10 * YEAR_S + 1;
}
static void validity_wraps(struct grant *g)
{
	g->validity_s = UINT64_MAX - 5;
}
static void no_expiry(struct grant *g)
{
	g->validity_s = 0;
}
static void level_none(struct grant *g)
{
	g->level = g->level_needed = LEVEL_NONE;
}
static void level_below_needed(struct grant *g)
{
	g->level = LEVEL_PROVISIONED;
}
static void level_beyond(struct grant *g)
{
	g->level = (enum level)4;
}
static void level_negative(struct grant *g)
{
	g->level = (enum level) - 1;
	g->level_needed = (enum level) - 1;
}
static void level_without_evidence(struct grant *g)
{
	buf_done(&g->evidence);
}
static void level_without_format(struct grant *g)
{
	g->evidence_format[0] = '\0';
}
static void stamp_unknown_format(struct grant *g)
{
	g->stamp_result = true;
	strcpy(g->evidence_format, "no-such-format");
}
static void key_none(struct grant *g)
{
	g->key.type = KEY_NONE;
}
static void key_p521(struct grant *g)
{
	g->key = fixture_key("P-521");
}
static void key_off_curve(struct grant *g)
{
	g->key.raw[64] ^= 1;
}
static void key_beyond(struct grant *g)
{
	g->key.type = (enum key_type)99;
}
static void key_short(struct grant *g)
{
	g->key.len = 64;
}
static void key_even_modulus(struct grant *g)
{
	g->key = fixture_key("RSA");
	g->key.raw[g->key.len - 1] &= 0xfe;
}
static void key_weak(struct grant *g)
{
	g->key = fixture_key("RSA");
	g->key.bits = 1024;
	g->key.len = 128;
}
static void other_issuer(struct grant *g)
{
	strcpy(g->issuer, "unattested");
}
static void endless_issuer(struct grant *g)
{
	memset(g->issuer, 'a', sizeof(g->issuer));
}
static void no_profile(struct grant *g)
{
	g->profile[0] = '\0';
}
static void profile_with_control(struct grant *g)
{
	strcpy(g->profile, "li\nne");
}
static void no_requester(struct grant *g)
{
	g->requester[0] = '\0';
}
static void requester_with_quote(struct grant *g)
{
	strcpy(g->requester, "rig:a\"b");
}
static void unit_serial_with_blank(struct grant *g)
{
	strcpy(g->unit_serial, "A 1");
}
static void cn_missing(struct grant *g)
{
	g->subject[0].type = OID_AT_ORG;
}
static void serial_number_missing(struct grant *g)
{
	g->n_subject = 1;
}
static void subject_empty(struct grant *g)
{
	g->n_subject = 0;
}
static void cn_empty(struct grant *g)
{
	g->subject[0].value[0] = '\0';
}
static void cn_with_comma(struct grant *g)
{
	strcpy(g->subject[0].value, "a,O=b");
}
static void cn_with_star(struct grant *g)
{
	strcpy(g->subject[0].value, "*.example");
}
static void cn_endless(struct grant *g)
{
	memset(g->subject[0].value, 'a', sizeof(g->subject[0].value));
}
static void cn_twice(struct grant *g)
{
	g->subject[g->n_subject++] = g->subject[0];
}
static void serial_not_printable_string(struct grant *g)
{
	strcpy(g->subject[1].value, "a@b");
}
static void country_lower_case(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_COUNTRY, .value = "de" };
}
static void country_long(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_COUNTRY, .value = "DEU" };
}
static void org_not_ascii(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_ORG, .value = "M\xc3\xbcller" };
}
static void unknown_attribute(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_PKCS9_CHALLENGE, .value = "x" };
}
static void attribute_beyond(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = (enum oid_id)9999, .value = "x" };
}
static void too_many_attributes(struct grant *g)
{
	g->n_subject = LIMIT_NAME_ATTRS + 1;
}
static void one_san(struct grant *g, enum san_type type, const char *value)
{
	g->n_sans = 1;
	g->san[0].type = type;
	strcpy(g->san[0].value, value);
	g->san[0].hw_type = *oid_of(OID_ASSAY_HW_TYPE);
}
static void uri_relative(struct grant *g)
{
	one_san(g, SAN_URI, "path/only");
}
static void uri_empty_scheme(struct grant *g)
{
	one_san(g, SAN_URI, "://x");
}
static void uri_nothing_after(struct grant *g)
{
	one_san(g, SAN_URI, "urn:");
}
static void uri_with_blank(struct grant *g)
{
	one_san(g, SAN_URI, "urn:a b");
}
static void dns_blank(struct grant *g)
{
	one_san(g, SAN_DNS, " ");
}
static void dns_star(struct grant *g)
{
	one_san(g, SAN_DNS, "*.example");
}
static void dns_empty_label(struct grant *g)
{
	one_san(g, SAN_DNS, "a..b");
}
static void dns_dot_at_end(struct grant *g)
{
	one_san(g, SAN_DNS, "a.b.");
}
static void dns_hyphen(struct grant *g)
{
	one_san(g, SAN_DNS, "-a.b");
}
static void dns_label_of_64(struct grant *g)
{
	one_san(g, SAN_DNS, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}
static void hw_not_hex(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "0g");
}
static void hw_odd(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "0ab");
}
static void hw_empty(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "");
}
static void hw_no_type(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "0a");
	g->san[0].hw_type.len = 0;
}
static void san_endless(struct grant *g)
{
	one_san(g, SAN_URI, "urn:a");
	memset(g->san[0].value + 4, 'a', sizeof(g->san[0].value) - 4);
}
static void san_unknown_type(struct grant *g)
{
	one_san(g, (enum san_type)7, "x");
}
static void too_many_sans(struct grant *g)
{
	g->n_sans = LIMIT_SANS + 1;
}
static void kind_unknown(struct grant *g)
{
	g->kind = (enum grant_kind)3;
}
static void nonce_too_long(struct grant *g)
{
	g->nonce_len = LIMIT_NONCE_BYTES_MAX + 1;
}
static void element_too_long(struct grant *g)
{
	g->device.element_len = LIMIT_ELEMENT_BYTES + 1;
}
static void freshness_unknown(struct grant *g)
{
	g->freshness = (enum reason)REASON_COUNT;
}
static void enrol_without_device(struct grant *g)
{
	g->device.element_len = 0;
}
static void enrol_with_previous(struct grant *g)
{
	g->previous_len = 16;
}
static void reenrol_with_names(struct grant *g)
{
	g->kind = GRANT_REENROL;
	g->previous_len = 16;
}
static void reenrol_without_previous(struct grant *g)
{
	g->kind = GRANT_REENROL;
	g->n_subject = 0;
}
static void reenrol_previous_too_long(struct grant *g)
{
	g->kind = GRANT_REENROL;
	g->n_subject = 0;
	g->previous_len = LIMIT_SERIAL_BYTES + 1;
}

#define CASE(change, detail)                                                                                           \
	{                                                                                                              \
#change, change, detail                                                                                \
	}

static const struct {
	const char *name;
	void (*change)(struct grant *g);
	const char *detail; /* part of it */
} cases[] = {
	CASE(ca_usage, "keyUsage"),
	CASE(crl_usage, "keyUsage"),
	CASE(no_usage, "keyUsage"),
	CASE(unknown_usage, "keyUsage"),
	CASE(lone_encipher_only, "need keyAgreement"),
	CASE(ec_enciphers, "does not encipher"),
	CASE(eku_cmc_ra, "never for a device"),
	CASE(eku_cmc_ca, "never for a device"),
	CASE(eku_ocsp, "never for a device"),
	CASE(eku_time_stamping, "never for a device"),
	CASE(eku_code_signing, "never for a device"),
	CASE(eku_any, "never for a device"),
	CASE(eku_twice, "extKeyUsage 1 is repeated"),
	CASE(eku_empty, "not a clean OID"),
	CASE(eku_cut, "not a clean OID"),
	CASE(eku_too_long, "not a clean OID"),
	CASE(eku_big_arc, "not a clean OID"),
	CASE(too_many_ekus, "past its limit"),
	CASE(validity_over_cap, "at most"),
	CASE(validity_wraps, "at most"),
	CASE(no_expiry, "no expiry"),
	CASE(level_none, "level none: issuer attested signs vouched to native"),
	CASE(level_below_needed, "profile needs native"),
	CASE(level_beyond, "level invalid"),
	CASE(level_negative, "level invalid"),
	CASE(level_without_evidence, "without evidence"),
	CASE(level_without_format, "without evidence"),
	CASE(stamp_unknown_format, "not an OID"),
	CASE(key_none, "key type 0"),
	CASE(key_p521, "key type"),
	CASE(key_off_curve, "not a valid ec-p256 key"),
	CASE(key_beyond, "key type 99"),
	CASE(key_short, "not a valid ec-p256 key"),
	CASE(key_even_modulus, "not a valid rsa key"),
	CASE(key_weak, "not a valid rsa key"),
	CASE(other_issuer, "another issuer"),
	CASE(endless_issuer, "another issuer"),
	CASE(no_profile, "profile or family"),
	CASE(profile_with_control, "profile or family"),
	CASE(no_requester, "requester"),
	CASE(requester_with_quote, "requester"),
	CASE(unit_serial_with_blank, "unit serial"),
	CASE(cn_missing, "lacks CN"),
	CASE(serial_number_missing, "lacks CN or serialNumber"),
	CASE(subject_empty, "lacks CN"),
	CASE(cn_empty, "attribute 0 is not clean"),
	CASE(cn_with_comma, "attribute 0 is not clean"),
	CASE(cn_with_star, "attribute 0 is not clean"),
	CASE(cn_endless, "attribute 0 is not clean"),
	CASE(cn_twice, "attribute 2 is repeated"),
	CASE(serial_not_printable_string, "attribute 1 is not clean"),
	CASE(country_lower_case, "attribute 2 is not clean"),
	CASE(country_long, "attribute 2 is not clean"),
	CASE(org_not_ascii, "attribute 2 is not clean"),
	CASE(unknown_attribute, "attribute 2 is not clean"),
	CASE(attribute_beyond, "attribute 2 is not clean"),
	CASE(too_many_attributes, "past its limit"),
	CASE(uri_relative, "subjectAltName 0"),
	CASE(uri_empty_scheme, "subjectAltName 0"),
	CASE(uri_nothing_after, "subjectAltName 0"),
	CASE(uri_with_blank, "subjectAltName 0"),
	CASE(dns_blank, "subjectAltName 0"),
	CASE(dns_star, "subjectAltName 0"),
	CASE(dns_empty_label, "subjectAltName 0"),
	CASE(dns_dot_at_end, "subjectAltName 0"),
	CASE(dns_hyphen, "subjectAltName 0"),
	CASE(dns_label_of_64, "subjectAltName 0"),
	CASE(hw_not_hex, "subjectAltName 0"),
	CASE(hw_odd, "subjectAltName 0"),
	CASE(hw_empty, "subjectAltName 0"),
	CASE(hw_no_type, "subjectAltName 0"),
	CASE(san_endless, "subjectAltName 0"),
	CASE(san_unknown_type, "subjectAltName 0"),
	CASE(too_many_sans, "past its limit"),
	CASE(kind_unknown, "kind 3"),
	CASE(nonce_too_long, "past its limit"),
	CASE(element_too_long, "past its limit"),
	CASE(freshness_unknown, "freshness"),
	CASE(enrol_without_device, "without a device"),
	CASE(enrol_with_previous, "with a previous serial"),
	CASE(reenrol_with_names, "re-enrolment"),
	CASE(reenrol_without_previous, "re-enrolment"),
	CASE(reenrol_previous_too_long, "re-enrolment"),
};

static void refuses_each_hostile_grant_for_its_own_fault(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_open(&fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct grant *grant = fixture_grant();
		struct fault fault = { 0 };
		enum reason reason;

		cases[i].change(grant);
		reason = issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, &fault);
		if (reason != REASON_GRANT_REFUSED || strstr(fault.detail, cases[i].detail) == NULL)
			fail_msg("%s: %s, \"%s\"; expected \"%s\"", cases[i].name, reason_info(reason)->name,
				 fault.detail, cases[i].detail);
		grant_free(grant);
	}
	fixture_close(&fixture);
}

static void rich_sans(struct grant *g)
{
	g->n_sans = 3;
	g->san[0] = (struct san){ .type = SAN_URI, .value = "urn:assay:element:01a5" };
	g->san[1] = (struct san){ .type = SAN_DNS, .value = "d-1.devices.example" };
	g->san[2] = (struct san){ .type = SAN_HW_MODULE, .value = "01a5", .hw_type = *oid_of(OID_ASSAY_HW_TYPE) };
}
static void rich_subject(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_COUNTRY, .value = "DE" };
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_ORG, .value = "Maker & Sons" };
	memset(g->subject[0].value, 'a', LIMIT_NAME_CHARS);
}
static void whole_cap(struct grant *g)
{
	g->validity_s = 10 * YEAR_S;
}
static void rsa_enciphers(struct grant *g)
{
	g->key = fixture_key("RSA");
	g->key_usage |= KU_KEY_ENCIPHERMENT;
}
static void stamped(struct grant *g)
{
	g->stamp_result = true;
}
static void renewal(struct grant *g)
{
	g->kind = GRANT_REENROL;
	g->n_subject = 0;
	g->previous_len = SERIAL_BYTES;
	g->evidence_format[0] = '\0';
	buf_done(&g->evidence);
}

static void takes_what_a_profile_may_give(void **state)
{
	void (*const changes[])(
		struct grant *) = { rich_sans, rich_subject, whole_cap, rsa_enciphers, stamped, renewal };
	struct fixture fixture;

	(void)state;
	fixture_open(&fixture);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct grant *grant = fixture_grant();
		struct fault fault = { 0 };

		changes[i](grant);
		if (issuer_check(fixture.issuer, grant, FIXTURE_NOW_S, &fault) != REASON_OK)
			fail_msg("change %zu: %s", i, fault.detail);
		grant_free(grant);
	}
	fixture_close(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_each_hostile_grant_for_its_own_fault),
		cmocka_unit_test(takes_what_a_profile_may_give),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
