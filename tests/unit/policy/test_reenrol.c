/* test_reenrol.c - successors: the same names, a key the profile allows, the level never by the back door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "decide_support.h"
#include "make.h"

#define refused(label, why) scene_refuses(s, label, EST_SIMPLEREENROLL, why)
#define granted(label) scene_grants(s, label, EST_SIMPLEREENROLL)

/* A device that renews: same key, no evidence, no names in the CSR. */
static int open_scene(void **state)
{
	struct scene *s = scene_open();

	scene_who(s, WHO_DEVICE, "");
	s->csr.key = s->cert.key;
	s->csr.evidence = (struct blob){ 0 };
	s->ask.verdict = NULL;
	*state = s;
	return 0;
}

static void with_new_key(struct scene *s)
{
	EVP_PKEY *key = make_key(KEY_EC_P256);

	s->csr.key = make_pubkey(key);
	EVP_PKEY_free(key);
}

static void with_evidence(struct scene *s)
{
	static const uint8_t bundle[] = { 0x30, 0x00 };

	s->csr.evidence = BLOB_OF(bundle);
	s->ask.verdict = &s->verdict;
}

static void renews_with_the_same_key_and_leaves_names_and_level_to_the_ca(void **state)
{
	struct scene *s = *state;
	const struct grant *g;

	granted("field");
	g = s->grant;
	assert_int_equal(g->kind, GRANT_REENROL);
	assert_int_equal(g->n_subject, 0);
	assert_int_equal(g->n_sans, 0);
	assert_int_equal(g->level, LEVEL_NONE);
	assert_int_equal(g->level_needed, LEVEL_NATIVE);
	assert_true(g->rekey_needs_evidence);
	assert_true(blob_equal(BLOB(g->previous, g->previous_len), s->cert.serial));
	assert_int_equal(g->device.element_len, 0);
	assert_int_equal(g->evidence.len, 0);
	assert_int_equal(g->validity_s, 5LL * 365 * 86400);
	assert_string_equal(g->family, "device");
}

static void refuses_a_new_key_without_evidence(void **state)
{
	struct scene *s = *state;

	with_new_key(s);
	refused("field", REASON_EVIDENCE_MISSING);
}

static void takes_a_new_key_with_evidence_at_its_level(void **state)
{
	struct scene *s = *state;

	with_new_key(s);
	with_evidence(s);
	s->ask.freshness = REASON_NONCE_STALE;
	granted("field");
	assert_int_equal(s->grant->level, LEVEL_NATIVE);
	assert_memory_equal(&s->grant->device, &s->verdict.device, sizeof(s->verdict.device));
	assert_int_equal(s->grant->nonce_len, 16);
	assert_int_equal(s->grant->freshness, REASON_NONCE_STALE);
	assert_string_equal(s->grant->evidence_format, "assay.1.1");
	assert_int_equal(s->grant->evidence.len, 2);
}

static void refuses_a_new_key_with_weaker_evidence(void **state)
{
	struct scene *s = *state;

	with_new_key(s);
	with_evidence(s);
	s->verdict.level = LEVEL_PROVISIONED;
	refused("field", REASON_EVIDENCE_LEVEL);
}

static void keeps_the_level_of_the_same_key_whatever_comes_beside_it(void **state)
{
	struct scene *s = *state;

	with_evidence(s);
	s->verdict.level = LEVEL_VOUCHED;
	granted("field");
	assert_int_equal(s->grant->level, LEVEL_NONE); /* the ledger's is copied */
	assert_int_equal(s->grant->nonce_len, 0);
}

static void a_free_profile_takes_a_new_key_as_it_is(void **state)
{
	struct scene *s = *state;

	with_new_key(s);
	granted("free");
	assert_false(s->grant->rekey_needs_evidence);
	assert_int_equal(s->grant->level, LEVEL_NONE);
	assert_int_equal(s->grant->level_needed, LEVEL_NONE);
}

static void a_profile_may_refuse_new_keys_or_old_ones(void **state)
{
	struct scene *s = *state;

	granted("renew");
	refused("rekey", REASON_KEY_SAME);
	with_new_key(s);
	refused("renew", REASON_KEY_NEW);
	granted("rekey");
}

static void takes_the_same_names_again(void **state)
{
	struct scene *s = *state;

	s->csr.subject = s->cert.subject;
	s->csr.san = s->cert.san;
	granted("field");
	s->csr.san = scene_san(s, "dns:a.example", "uri:urn:e:" ELEMENT_HEX, NULL);
	granted("field"); /* in another order */
}

static void refuses_changed_names(void **state)
{
	struct scene *s = *state;

	s->csr.subject = scene_name(s, "other", ELEMENT_HEX);
	s->csr.san = s->cert.san;
	refused("field", REASON_CSR_SUBJECT);
	s->csr.subject = scene_name(s, ELEMENT_HEX, NULL);
	refused("field", REASON_CSR_SUBJECT);
	s->csr.subject = scene_name(s, NULL, NULL);
	refused("field", REASON_CSR_SUBJECT); /* a SAN without the subject */
}

static void takes_the_same_subject_as_printable_or_utf8_string_and_no_other(void **state)
{
	static const uint8_t printable[] = { 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03,
					     0x55, 0x04, 0x03, 0x13, 0x02, 'a',  'b' };
	static const uint8_t utf8[] = { 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03,
					0x55, 0x04, 0x03, 0x0c, 0x02, 'a',  'b' };
	static const uint8_t teletex[] = { 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03,
					   0x55, 0x04, 0x03, 0x14, 0x02, 'a',  'b' };
	static const uint8_t longer[] = { 0x30, 0x0e, 0x31, 0x0c, 0x30, 0x0a, 0x06, 0x03,
					  0x55, 0x04, 0x03, 0x0c, 0x03, 'a',  'b',  'c' };
	struct scene *s = *state;

	s->cert.subject = BLOB_OF(utf8);
	s->csr.san = s->cert.san;
	s->csr.subject = BLOB_OF(utf8);
	granted("field");
	s->csr.subject = BLOB_OF(printable);
	granted("field");
	s->csr.subject = BLOB_OF(teletex);
	refused("field", REASON_CSR_SUBJECT);
	s->csr.subject = BLOB_OF(longer);
	refused("field", REASON_CSR_SUBJECT);
}

static void refuses_a_subject_with_more_or_fewer_attributes_or_in_capitals(void **state)
{
	static const uint8_t one[] = { 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03,
				       0x55, 0x04, 0x03, 0x0c, 0x02, 'a',  'b' };
	static const uint8_t capital[] = { 0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03,
					   0x55, 0x04, 0x03, 0x0c, 0x02, 'A',  'b' };
	static const uint8_t two[] = { 0x30, 0x1a, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04,
				       0x03, 0x0c, 0x02, 'a',  'b',  0x31, 0x0b, 0x30, 0x09, 0x06,
				       0x03, 0x55, 0x04, 0x03, 0x0c, 0x02, 'a',  'b' };
	struct scene *s = *state;

	s->csr.san = s->cert.san;
	s->cert.subject = BLOB_OF(one);
	s->csr.subject = BLOB_OF(capital);
	refused("field", REASON_CSR_SUBJECT);
	s->csr.subject = BLOB_OF(two);
	refused("field", REASON_CSR_SUBJECT);
	s->cert.subject = BLOB_OF(two);
	granted("field");
	s->csr.subject = BLOB_OF(one);
	refused("field", REASON_CSR_SUBJECT);
}

static void refuses_added_dropped_or_doubled_alternative_names(void **state)
{
	struct scene *s = *state;

	s->csr.subject = s->cert.subject;
	refused("field", REASON_CSR_SAN); /* dropped altogether */
	s->csr.san = scene_san(s, "uri:urn:e:" ELEMENT_HEX, NULL);
	refused("field", REASON_CSR_SAN);
	s->csr.san = scene_san(s, "uri:urn:e:" ELEMENT_HEX, "dns:a.example", "dns:b.example", NULL);
	refused("field", REASON_CSR_SAN);
	s->csr.san = scene_san(s, "uri:urn:e:" ELEMENT_HEX, "dns:b.example", NULL);
	refused("field", REASON_CSR_SAN);
	s->cert.san = scene_san(s, "dns:aa", "dns:aa", "dns:bb", NULL);
	s->csr.san = scene_san(s, "dns:aa", "dns:bb", "dns:bb", NULL);
	refused("field", REASON_CSR_SAN);
	s->cert.san = (struct blob){ 0 };
	refused("field", REASON_CSR_SAN);
	s->csr.san = (struct blob){ 0 };
	granted("field");
}

static void refuses_to_change_a_name(void **state)
{
	struct scene *s = *state;

	s->csr.asks_change_name = true;
	refused("field", REASON_CSR_SUBJECT);
}

static void holds_a_renewal_to_the_profile_too(void **state)
{
	struct scene *s = *state;

	s->csr.asks_ca = true;
	refused("field", REASON_CSR_CA);
	s->csr.asks_ca = false;
	s->csr.key_usage = KU_KEY_CERT_SIGN;
	refused("field", REASON_CSR_USAGE);
	s->csr.key_usage = 0;
	s->csr.key = s->cert.key = (struct pubkey){ .type = KEY_RSA, .bits = 2048 };
	refused("field", REASON_KEY_TYPE);
}

static void refuses_who_has_no_certificate_of_ours(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_NOBODY, "");
	refused("field", REASON_AUTH_REQUIRED);
	scene_who(s, WHO_USER, "*");
	refused("field", REASON_CLIENT_KIND);
	scene_who(s, WHO_RIG, "*");
	refused("field", REASON_CLIENT_KIND);
	scene_who(s, WHO_VENDOR, "*");
	refused("field", REASON_CLIENT_KIND);
	scene_who(s, WHO_DEVICE, "");
	s->who.cert = NULL;
	refused("field", REASON_CLIENT_KIND);
}

static void refuses_a_device_where_there_is_only_enrolment(void **state)
{
	struct scene *s = *state;

	refused("line", REASON_CLIENT_KIND);
}

static void an_expired_certificate_within_its_grace_may_be_renewed(void **state)
{
	struct scene *s = *state;
	struct profile_facts facts;

	profile_facts(policy_profile(s->policy, "field"), &facts);
	assert_int_equal(facts.expired_grace_s, 30 * 86400);
	s->who.cert_expired = true;
	granted("field");
}

static void carries_the_continuity_signature_along(void **state)
{
	static const uint8_t signature[] = { 1, 2, 3 };
	struct scene *s = *state;

	s->csr.continuity = BLOB_OF(signature);
	granted("field");
	assert_true(blob_equal(buf_blob(&s->grant->continuity), BLOB_OF(signature)));
}

static int make_profiles(void **state)
{
#define COMMON                                                                                                         \
	"'issuer': 'attested', 'keys': ['ec-p256'], 'validity': '5y', 'key_usage': ['digitalSignature'], 'eku': []"
	(void)state;
	scene_profile("field", "{ 'family': 'device', 'level': 'native', 'nonce': { 'lifetime': '10m' }, " COMMON
			       ", 'reenrol': { 'who': ['device'], 'new_key': 'evidence', 'same_key': true, "
			       "'expired_grace': '30d' } }");
	scene_profile("free", "{ 'level': 'none', " COMMON
			      ", 'reenrol': { 'who': ['device'], 'new_key': 'free', 'same_key': true } }");
	scene_profile("renew", "{ 'level': 'native', " COMMON
			       ", 'reenrol': { 'who': ['device'], 'new_key': 'no', 'same_key': true } }");
	scene_profile("rekey", "{ 'level': 'none', " COMMON
			       ", 'reenrol': { 'who': ['device'], 'new_key': 'free', 'same_key': false } }");
	scene_profile("line", "{ 'level': 'native', " COMMON ", 'enrol': { 'who': ['rig'], 'evidence': true },"
			      " 'subject': { 'CN': '{element}', 'serialNumber': '{element}' } }");
	return 0;
}

#define test(name) cmocka_unit_test_setup_teardown(name, open_scene, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(renews_with_the_same_key_and_leaves_names_and_level_to_the_ca),
		test(refuses_a_new_key_without_evidence),
		test(takes_a_new_key_with_evidence_at_its_level),
		test(refuses_a_new_key_with_weaker_evidence),
		test(keeps_the_level_of_the_same_key_whatever_comes_beside_it),
		test(a_free_profile_takes_a_new_key_as_it_is),
		test(a_profile_may_refuse_new_keys_or_old_ones),
		test(takes_the_same_names_again),
		test(refuses_changed_names),
		test(takes_the_same_subject_as_printable_or_utf8_string_and_no_other),
		test(refuses_a_subject_with_more_or_fewer_attributes_or_in_capitals),
		test(refuses_added_dropped_or_doubled_alternative_names),
		test(refuses_to_change_a_name),
		test(holds_a_renewal_to_the_profile_too),
		test(refuses_who_has_no_certificate_of_ours),
		test(refuses_a_device_where_there_is_only_enrolment),
		test(carries_the_continuity_signature_along),
		test(an_expired_certificate_within_its_grace_may_be_renewed),
	};

	oid_init();
	return cmocka_run_group_tests(tests, make_profiles, scene_remove_profiles);
}
