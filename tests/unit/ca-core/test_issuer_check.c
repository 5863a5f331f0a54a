/*
 * test_issuer_check.c - the ca's own rules, each met by a grant that a breached ra could send.
 *
 * Subjects and subjectAltNames: test_issuer_names.c. Bounds: test_issuer_limits.c.
 */
#include "expect.h"

#include <string.h>

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

static const struct hostile cases[] = {
	HOSTILE(ca_usage, "keyUsage"),
	HOSTILE(crl_usage, "keyUsage"),
	HOSTILE(no_usage, "keyUsage"),
	HOSTILE(unknown_usage, "keyUsage"),
	HOSTILE(lone_encipher_only, "need keyAgreement"),
	HOSTILE(ec_enciphers, "does not encipher"),
	HOSTILE(eku_cmc_ra, "never for a device"),
	HOSTILE(eku_cmc_ca, "never for a device"),
	HOSTILE(eku_ocsp, "never for a device"),
	HOSTILE(eku_time_stamping, "never for a device"),
	HOSTILE(eku_code_signing, "never for a device"),
	HOSTILE(eku_any, "never for a device"),
	HOSTILE(eku_twice, "extKeyUsage 1 is repeated"),
	HOSTILE(eku_empty, "not a clean OID"),
	HOSTILE(eku_cut, "not a clean OID"),
	HOSTILE(eku_too_long, "not a clean OID"),
	HOSTILE(eku_big_arc, "not a clean OID"),
	HOSTILE(too_many_ekus, "past its limit"),
	HOSTILE(validity_over_cap, "at most"),
	HOSTILE(validity_wraps, "at most"),
	HOSTILE(no_expiry, "no expiry"),
	HOSTILE(level_none, "level none: issuer attested signs vouched to native"),
	HOSTILE(level_below_needed, "profile needs native"),
	HOSTILE(level_beyond, "level invalid"),
	HOSTILE(level_negative, "level invalid"),
	HOSTILE(level_without_evidence, "without evidence"),
	HOSTILE(level_without_format, "without evidence"),
	HOSTILE(stamp_unknown_format, "not an OID"),
	HOSTILE(key_none, "key type 0"),
	HOSTILE(key_p521, "key type"),
	HOSTILE(key_off_curve, "not a valid ec-p256 key"),
	HOSTILE(key_beyond, "key type 99"),
	HOSTILE(key_short, "not a valid ec-p256 key"),
	HOSTILE(key_even_modulus, "not a valid rsa key"),
	HOSTILE(key_weak, "not a valid rsa key"),
	HOSTILE(other_issuer, "another issuer"),
	HOSTILE(endless_issuer, "another issuer"),
	HOSTILE(no_profile, "profile or family"),
	HOSTILE(profile_with_control, "profile or family"),
	HOSTILE(no_requester, "requester"),
	HOSTILE(requester_with_quote, "requester"),
	HOSTILE(unit_serial_with_blank, "unit serial"),
	HOSTILE(kind_unknown, "kind 3"),
	HOSTILE(nonce_too_long, "past its limit"),
	HOSTILE(element_too_long, "past its limit"),
	HOSTILE(freshness_unknown, "freshness"),
	HOSTILE(enrol_without_device, "without a device"),
	HOSTILE(enrol_with_previous, "with a previous serial"),
	HOSTILE(reenrol_with_names, "re-enrolment"),
	HOSTILE(reenrol_without_previous, "re-enrolment"),
	HOSTILE(reenrol_previous_too_long, "re-enrolment"),
};

static void refuses_each_hostile_grant_for_its_own_fault(void **state)
{
	(void)state;
	fixture_refuses(cases, N_OF(cases));
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
	void (*const changes[])(struct grant *) = { whole_cap, rsa_enciphers, stamped, renewal };

	(void)state;
	fixture_takes(changes, N_OF(changes));
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
