/*
 * reenrol.c - what a re-enrolment may become, given what the ledger knows of the certificate presented.
 *
 * The same key keeps the level recorded for it. A new key must bring evidence at least as strong as that behind the
 * certificate it replaces, for the same element. Device and family are the previous certificate's in any case: a
 * renewal goes on with an identity, it never makes one. Who certified the element stays on record with it. Lifetime,
 * purposes and what else a profile gives are its family's: no device picks another family's by the label it asks at.
 */
#include <stdio.h>
#include <string.h>

#include "ca/ca.h"

static bool same_device(const struct device_id *a, const struct device_id *b)
{
	uint8_t hash_a[32], hash_b[32];

	device_hash(a, hash_a);
	device_hash(b, hash_b);
	return memcmp(hash_a, hash_b, sizeof(hash_a)) == 0;
}

static bool has_evidence(const struct grant *grant)
{
	return grant->evidence.len > 0;
}

static bool has_element(const struct device_id *device)
{
	return strcmp(device->format, "name") != 0;
}

/* Is the evidence for the new key good enough to take over from the old one? */
static enum reason check_rekey(const struct grant *grant, const struct previous *previous, struct fault *f)
{
	bool needed = grant->rekey_needs_evidence || previous->level > LEVEL_NONE;

	if (needed && !has_evidence(grant))
		return fault_set(f, REASON_EVIDENCE_MISSING, "new key without evidence; the previous one has level %s",
				 level_name(previous->level));
	if (grant->level < previous->level)
		return fault_set(f, REASON_EVIDENCE_LEVEL, "new key with level %s, the previous one has %s",
				 level_name(grant->level), level_name(previous->level));
	if (needed && !same_device(&grant->device, &previous->device))
		return fault_set(f, REASON_EVIDENCE_IDENTITY,
				 "evidence of another element than the previous certificate's");
	return REASON_OK;
}

/* Where the previous certificate names no element, evidence cannot be tied to it and lifts nothing. */
static enum level rekey_level(const struct grant *grant, const struct previous *previous)
{
	return has_element(&previous->device) ? grant->level : previous->level;
}

/* The client chose the label, so these are its mistakes, and not grants that the ra should never have made. */
static enum reason check_family(const struct grant *grant, const struct previous *previous,
				const struct issuer_options *issuer, struct fault *f)
{
	if (issuer->use != ISSUER_DEVICES || strcmp(grant->family, previous->family) == 0)
		return REASON_OK;
	return fault_set(f, REASON_CLIENT_KIND, "certificate of family %s; profile %s renews those of family %s",
			 previous->family, grant->profile, grant->family);
}

static enum reason check_class(const struct grant *grant, const struct issuer_options *issuer, struct fault *f)
{
	if (grant->level < issuer->level_min || grant->level < grant->level_needed)
		return fault_set(f, REASON_EVIDENCE_LEVEL, "level %s; profile %s needs %s, issuer %s %s",
				 level_name(grant->level), grant->profile, level_name(grant->level_needed),
				 issuer->name, level_name(issuer->level_min));
	if (grant->level > issuer->level_max)
		return fault_set(f, REASON_CLIENT_KIND, "level %s does not go on under issuer %s, which signs up to %s",
				 level_name(grant->level), issuer->name, level_name(issuer->level_max));
	return REASON_OK;
}

enum reason reenrol_complete(struct grant *grant, const struct previous *previous, const struct issuer_options *issuer,
			     struct fault *f)
{
	uint8_t key_hash[32];
	bool same_key;

	if (!previous->found)
		return fault_set(f, REASON_PREVIOUS_UNKNOWN, "serial of %zu bytes", grant->previous_len);
	if (previous->revoked)
		return fault_set(f, REASON_CLIENT_REVOKED, "the certificate presented is revoked, held or void");
	TRY(check_family(grant, previous, issuer, f));
	pubkey_hash(&grant->key, key_hash);
	same_key = memcmp(key_hash, previous->key_hash, sizeof(key_hash)) == 0;
	if (!same_key)
		TRY(check_rekey(grant, previous, f));
	if (same_key || !has_evidence(grant) || !has_element(&previous->device))
		memcpy(grant->batch_ca, previous->batch_ca, sizeof(grant->batch_ca));
	grant->level = same_key ? previous->level : rekey_level(grant, previous);
	grant->device = previous->device;
	snprintf(grant->family, sizeof(grant->family), "%s", previous->family);
	return check_class(grant, issuer, f);
}
