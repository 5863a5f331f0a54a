/* test_reenrol.c - can a re-enrolment never end up weaker, or somebody else? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "ca/ca.h"

/* One re-enrolment: what is presented, what is asked, what comes out. */
struct trial {
	const char *what;
	bool unknown, revoked;
	enum level old_level;
	bool old_is_name; /* the old certificate names no element */
	bool other_family;
	enum issuer_use use; /* of the issuer */
	bool new_key, evidence, needs_evidence, other_element;
	enum level level;              /* of the evidence */
	enum level issuer_min, needed; /* lowest level of the issuer, of the profile */
	enum level below;              /* how far the issuer\'s highest level is below the highest there is */
	enum reason reason;
	enum level out;
};

static const struct trial trials[] = {
	{ .what = "unknown serial", .unknown = true, .reason = REASON_PREVIOUS_UNKNOWN },
	{ .what = "revoked certificate", .revoked = true, .reason = REASON_CLIENT_REVOKED },
	{ .what = "a profile of another family", .other_family = true, .reason = REASON_CLIENT_KIND },
	{ .what = "an operator who has become an administrator", .other_family = true, .use = ISSUER_SERVICES },
	{ .what = "same key, no evidence", .old_level = LEVEL_NATIVE, .needs_evidence = true, .out = LEVEL_NATIVE },
	{ .what = "same key with stronger evidence keeps what is recorded",
	  .old_level = LEVEL_VOUCHED,
	  .evidence = true,
	  .level = LEVEL_NATIVE,
	  .out = LEVEL_VOUCHED },
	{ .what = "new key, no evidence",
	  .old_level = LEVEL_NATIVE,
	  .new_key = true,
	  .needs_evidence = true,
	  .reason = REASON_EVIDENCE_MISSING },
	{ .what = "new key, no evidence, a profile that does not ask",
	  .old_level = LEVEL_VOUCHED,
	  .new_key = true,
	  .reason = REASON_EVIDENCE_MISSING },
	{ .what = "new key, weaker evidence",
	  .old_level = LEVEL_NATIVE,
	  .new_key = true,
	  .needs_evidence = true,
	  .evidence = true,
	  .level = LEVEL_PROVISIONED,
	  .reason = REASON_EVIDENCE_LEVEL },
	{ .what = "new key, equal evidence",
	  .old_level = LEVEL_NATIVE,
	  .new_key = true,
	  .needs_evidence = true,
	  .evidence = true,
	  .level = LEVEL_NATIVE,
	  .out = LEVEL_NATIVE },
	{ .what = "new key, stronger evidence",
	  .old_level = LEVEL_VOUCHED,
	  .new_key = true,
	  .needs_evidence = true,
	  .evidence = true,
	  .level = LEVEL_NATIVE,
	  .out = LEVEL_NATIVE },
	{ .what = "new key, evidence of another element",
	  .old_level = LEVEL_NATIVE,
	  .new_key = true,
	  .needs_evidence = true,
	  .evidence = true,
	  .level = LEVEL_NATIVE,
	  .other_element = true,
	  .reason = REASON_EVIDENCE_IDENTITY },
	{ .what = "unattested under an attested issuer",
	  .old_is_name = true,
	  .issuer_min = LEVEL_VOUCHED,
	  .reason = REASON_EVIDENCE_LEVEL },
	{ .what = "vouched where the profile needs native",
	  .old_level = LEVEL_VOUCHED,
	  .needed = LEVEL_NATIVE,
	  .reason = REASON_EVIDENCE_LEVEL },
	{ .what = "attested under an unattested issuer",
	  .old_level = LEVEL_VOUCHED,
	  .below = LEVEL_NATIVE,
	  .reason = REASON_CLIENT_KIND },
	{ .what = "unattested, new key", .old_is_name = true, .new_key = true, .out = LEVEL_NONE },
	{ .what = "unattested, new key where evidence is needed",
	  .old_is_name = true,
	  .new_key = true,
	  .needs_evidence = true,
	  .reason = REASON_EVIDENCE_MISSING },
	{ .what = "unattested, evidence lifts nothing",
	  .old_is_name = true,
	  .new_key = true,
	  .evidence = true,
	  .level = LEVEL_NATIVE,
	  .other_element = true,
	  .out = LEVEL_NONE },
};

static void set_device(struct device_id *device, bool name, uint8_t element)
{
	*device = (struct device_id){ .element_len = 8 };
	strcpy(device->format, name ? "name" : "assay.1.1");
	memset(device->vendor_root, name ? 0 : 4, sizeof(device->vendor_root));
	memset(device->element, element, device->element_len);
}

static void set_key(struct pubkey *key, uint8_t fill)
{
	*key = (struct pubkey){ .type = KEY_EC_P256, .bits = 256, .len = 65 };
	memset(key->raw, fill, key->len);
	key->raw[0] = 4;
}

static void try_one(const struct trial *t)
{
	const struct issuer_options issuer = {
		.name = "x", .use = t->use, .level_min = t->issuer_min, .level_max = LEVEL_NATIVE - t->below
	};
	struct previous previous = { .found = !t->unknown, .revoked = t->revoked, .level = t->old_level };
	struct grant *grant = grant_new();
	struct pubkey old;
	struct fault f = { 0 };
	enum reason reason;

	set_key(&old, 1);
	pubkey_hash(&old, previous.key_hash);
	set_device(&previous.device, t->old_is_name, 1);
	strcpy(previous.family, "device");
	grant->kind = GRANT_REENROL;
	set_key(&grant->key, t->new_key ? 2 : 1);
	grant->rekey_needs_evidence = t->needs_evidence;
	grant->level = t->level;
	grant->level_needed = t->needed;
	strcpy(grant->family, t->other_family ? "other" : "device");
	if (t->evidence) {
		set_device(&grant->device, false, t->other_element ? 2 : 1);
		assert_int_equal(buf_copy(BLOB_STR("bundle"), &grant->evidence, NULL), REASON_OK);
	}
	reason = reenrol_complete(grant, &previous, &issuer, &f);
	if (reason != t->reason)
		fail_msg("%s: %s (%s)", t->what, reason_info(reason)->name, f.detail);
	if (reason == REASON_OK) {
		if (grant->level != t->out)
			fail_msg("%s: level %s", t->what, level_name(grant->level));
		assert_string_equal(grant->family, "device"); /* an identity goes on, it is not made */
		assert_memory_equal(&grant->device, &previous.device, sizeof(grant->device));
	}
	grant_free(grant);
}

static void a_renewal_never_lowers_the_level_nor_changes_who_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
		try_one(&trials[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_renewal_never_lowers_the_level_nor_changes_who_it_is),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
