/* test_enrol_who.c - first certificates by who asks: for which devices, names and labels. */
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

static void lets_a_user_name_a_device_within_its_pattern(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_USER, "legacy-*");
	s->ask.verdict = NULL;
	s->csr.evidence = (struct blob){ 0 };
	s->csr.subject = scene_name(s, "legacy-17", NULL);
	granted("unattested");
	assert_true(s->grant->once);
	assert_int_equal(s->grant->level, LEVEL_NONE);
	assert_string_equal(s->grant->issuer, "unattested");
	assert_string_equal(s->grant->device.format, "name");
	assert_int_equal(s->grant->device.element_len, 9);
	assert_memory_equal(s->grant->device.element, "legacy-17", 9);
	assert_string_equal(s->grant->subject[0].value, "legacy-17");
	assert_string_equal(s->grant->subject[1].value, "legacy-17");
	assert_string_equal(s->grant->requester, "user:test");
	assert_string_equal(s->grant->evidence_format, "");
	assert_int_equal(s->grant->evidence.len, 0);
}

static void refuses_a_user_a_name_outside_its_pattern(void **state)
{
	static const char *const names[] = { "device-1",        "legacy",     "xlegacy-1",  "Legacy-1",
					     "legacy-\xc3\xa4", "legacy-a b", "legacy-a/b", "legacy-*" };
	struct scene *s = *state;

	scene_who(s, WHO_USER, "legacy-*");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		s->csr.subject = scene_name(s, names[i], NULL);
		if (i == 4)
			refused("unattested", REASON_CSR_SUBJECT); /* not printable: no name at all */
		else
			refused("unattested", REASON_AUTH_NAME);
	}
	s->csr.subject = scene_name(s, NULL, NULL);
	refused("unattested", REASON_CSR_SUBJECT);
	s->csr.subject = scene_name(s, "legacy-1", "other");
	refused("unattested", REASON_CSR_SUBJECT);
	scene_who(s, WHO_USER, "");
	s->csr.subject = scene_name(s, "legacy-1", NULL);
	refused("unattested", REASON_AUTH_NAME);
}

static void lets_an_ra_enrol_within_its_pattern_and_often(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_RA, "legacy-*");
	s->csr.subject = scene_name(s, "legacy-17", NULL);
	granted("unattested");
	assert_false(s->grant->once);
	s->csr.subject = scene_name(s, "other-17", NULL);
	refused("unattested", REASON_AUTH_NAME);
}

static void holds_a_rig_to_its_pattern_where_nothing_is_attested(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_RIG, "bench-*");
	s->csr.subject = scene_name(s, NULL, NULL);
	s->csr.san = scene_san(s, "uri:urn:u:0017", NULL);
	refused("bench", REASON_CSR_SUBJECT);
	s->csr.subject = scene_name(s, "0017", NULL);
	refused("bench", REASON_AUTH_NAME);
	scene_who(s, WHO_RIG, "00*");
	granted("bench");
	assert_false(s->grant->once);
	assert_string_equal(s->grant->subject[1].value, "0017");
	scene_who(s, WHO_RIG, "");
	refused("bench", REASON_AUTH_NAME);
}

static void refuses_an_unclean_name_also_where_it_is_not_the_cn(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_RIG, "*");
	s->csr.san = scene_san(s, "uri:urn:u:0017", NULL);
	s->csr.subject = scene_name(s, "00 17", NULL);
	refused("bench", REASON_AUTH_NAME);
}

static void holds_an_ra_to_its_pattern_for_attested_devices_too(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_RA, "0102*");
	granted("names");
	scene_who(s, WHO_RA, "0103*");
	refused("names", REASON_AUTH_NAME);
}

static void lets_a_device_enrol_for_its_own_element_only(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_DEVICE, "");
	granted("names");
	s->cert.subject = scene_name(s, "x", "ff02");
	refused("names", REASON_AUTH_NAME);
	s->cert.subject = scene_name(s, ELEMENT_HEX, NULL);
	refused("names", REASON_AUTH_NAME);
}

static void ignores_evidence_where_the_profile_takes_none(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_USER, "*");
	s->csr.subject = scene_name(s, "legacy-1", NULL);
	granted("unattested");
	assert_int_equal(s->grant->level, LEVEL_NONE);
	assert_int_equal(s->grant->evidence.len, 0);
	assert_int_equal(s->grant->nonce_len, 0);
	assert_string_equal(s->grant->device.format, "name");
}

static void refuses_who_may_not_enrol(void **state)
{
	static const struct {
		enum requester_kind kind;
		const char *label;
		enum reason reason;
	} cases[] = {
		{ WHO_NOBODY, "line", REASON_AUTH_REQUIRED },  { WHO_DEVICE, "line", REASON_CLIENT_KIND },
		{ WHO_USER, "line", REASON_CLIENT_KIND },      { WHO_VENDOR, "line", REASON_CLIENT_KIND },
		{ WHO_RA, "line", REASON_CLIENT_KIND },        { WHO_NOBODY, "unattested", REASON_AUTH_REQUIRED },
		{ WHO_RIG, "unattested", REASON_CLIENT_KIND }, { WHO_DEVICE, "unattested", REASON_CLIENT_KIND },
		{ WHO_RIG, "field", REASON_CLIENT_KIND },      { WHO_DEVICE, "field", REASON_CLIENT_KIND },
		{ WHO_NOBODY, "field", REASON_CLIENT_KIND },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scene_who(s, cases[i].kind, "*");
		refused(cases[i].label, cases[i].reason);
	}
}

static void holds_a_requester_to_its_labels(void **state)
{
	static const struct {
		const char *labels;
		bool may;
	} cases[] = { { "", true },       { "line", true },   { "names,line", true }, { "names,line,unit", true },
		      { "names", false }, { "lines", false }, { "lin", false },       { "names,lines,in", false } };
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strcpy(s->who.labels, cases[i].labels);
		if (cases[i].may)
			granted("line");
		else
			refused("line", REASON_CLIENT_KIND);
	}
}

static void anybody_may_read_and_who_may_enrol_may_have_a_nonce(void **state)
{
	struct scene *s = *state;
	const struct profile *line = policy_profile(s->policy, "line");

	assert_int_equal(policy_may(line, EST_NONCE, &s->who, &s->f), REASON_OK);
	scene_who(s, WHO_NOBODY, "");
	assert_int_equal(policy_may(line, EST_CACERTS, &s->who, &s->f), REASON_OK);
	assert_int_equal(policy_may(line, EST_CSRATTRS, &s->who, &s->f), REASON_OK);
	assert_int_equal(policy_may(line, EST_NONCE, &s->who, &s->f), REASON_AUTH_REQUIRED);
	scene_who(s, WHO_USER, "");
	assert_int_equal(policy_may(line, EST_NONCE, &s->who, &s->f), REASON_CLIENT_KIND);
	scene_who(s, WHO_DEVICE, "");
	assert_int_equal(policy_may(policy_profile(s->policy, "field"), EST_NONCE, &s->who, &s->f), REASON_OK);
}

static void an_expired_certificate_enrols_nothing_new(void **state)
{
	struct scene *s = *state;

	scene_who(s, WHO_DEVICE, "");
	s->who.cert_expired = true;
	refused("names", REASON_CHAIN_EXPIRED);
}

static void leaves_out_a_continuity_signature_that_nobody_verified(void **state)
{
	static const uint8_t signature[] = { 1, 2, 3 };
	struct scene *s = *state;

	s->csr.continuity = BLOB_OF(signature);
	granted("line");
	assert_int_equal(s->grant->continuity.len, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(lets_a_user_name_a_device_within_its_pattern),
		test(refuses_a_user_a_name_outside_its_pattern),
		test(lets_an_ra_enrol_within_its_pattern_and_often),
		test(holds_a_rig_to_its_pattern_where_nothing_is_attested),
		test(refuses_an_unclean_name_also_where_it_is_not_the_cn),
		test(holds_an_ra_to_its_pattern_for_attested_devices_too),
		test(lets_a_device_enrol_for_its_own_element_only),
		test(ignores_evidence_where_the_profile_takes_none),
		test(refuses_who_may_not_enrol),
		test(holds_a_requester_to_its_labels),
		test(anybody_may_read_and_who_may_enrol_may_have_a_nonce),
		test(an_expired_certificate_enrols_nothing_new),
		test(leaves_out_a_continuity_signature_that_nobody_verified),
	};

	oid_init();
	return cmocka_run_group_tests(tests, scene_enrol_profiles, scene_remove_profiles);
}
