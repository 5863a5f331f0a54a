/* policy.c - loads profiles and users as one policy with one hash. See policy.h. */
#include "policy.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_keys.h"
#include "profile.h"
#include "users.h"

#define PROFILES_MAX 256

struct policy {
	size_t n;
	struct profile *profile[PROFILES_MAX]; /* by label */
	struct users *users;                   /* NULL without a users file */
	uint8_t hash[32];
};

AUTO_FREE(EVP_MD_CTX, md_ctx_freep, EVP_MD_CTX_free)

/* Name and length go before the bytes, so that no two policies read alike. */
static enum reason hash_file(EVP_MD_CTX *ctx, const char *name, struct blob bytes, struct fault *f)
{
	char head[300];
	int n = snprintf(head, sizeof(head), "%s %zu\n", name, bytes.len);

	if (EVP_DigestUpdate(ctx, head, (size_t)n) != 1 || EVP_DigestUpdate(ctx, bytes.ptr, bytes.len) != 1)
		return fault_set(f, REASON_INTERNAL, "SHA-256");
	return REASON_OK;
}

static enum reason load_profile(struct policy *policy, const char *dir, const char *file, const char *const *issuers,
				EVP_MD_CTX *ctx, struct fault *f)
{
	AUTO(buf_done) struct buf bytes = { 0 };
	char path[4096];

	if (policy->n == PROFILES_MAX)
		return fault_set(f, REASON_CONFIG, "%s: more than %d profiles", dir, PROFILES_MAX);
	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return fault_set(f, REASON_CONFIG, "%.100s: path too long", dir);
	TRY(json_file_read(path, &bytes, f));
	TRY(profile_parse(file, buf_blob(&bytes), issuers, &policy->profile[policy->n], f));
	policy->n++;
	return hash_file(ctx, file, buf_blob(&bytes), f);
}

static int is_profile(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".json") == 0;
}

/* By octets, not by locale: the hash must be the same everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static enum reason load_profiles(struct policy *policy, const char *dir, const char *const *issuers, EVP_MD_CTX *ctx,
				 struct fault *f)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, is_profile, by_name);
	enum reason reason = REASON_OK;

	if (n < 0)
		return fault_set(f, REASON_CONFIG, "profiles: %s: %s", dir, strerror(errno));
	if (n == 0)
		reason = fault_set(f, REASON_CONFIG, "profiles: %s: no .json file in it", dir);
	for (int i = 0; i < n; i++) {
		if (reason == REASON_OK)
			reason = load_profile(policy, dir, entries[i]->d_name, issuers, ctx, f);
		free(entries[i]);
	}
	free(entries);
	return reason;
}

static enum reason load_users(struct policy *policy, const char *path, EVP_MD_CTX *ctx, struct fault *f)
{
	AUTO(buf_wipe) struct buf bytes = { 0 };
	const char *slash = strrchr(path, '/');
	const char *file = slash == NULL ? path : slash + 1;

	TRY(json_file_read(path, &bytes, f));
	TRY(users_parse(file, buf_blob(&bytes), &policy->users, f));
	TRY(users_check_labels(policy->users, file, policy, f));
	return hash_file(ctx, "/users", buf_blob(&bytes), f);
}

enum reason policy_load(const char *profiles_dir, const char *users_path, const char *const *issuers,
			struct policy **ret_policy, struct fault *f)
{
	AUTO(policy_freep) struct policy *policy = calloc(1, sizeof(*policy));
	AUTO(md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (policy == NULL || ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		return fault_set(f, REASON_NO_MEMORY, "policy");
	TRY(load_profiles(policy, profiles_dir, issuers, ctx, f));
	if (users_path != NULL)
		TRY(load_users(policy, users_path, ctx, f));
	if (EVP_DigestFinal_ex(ctx, policy->hash, NULL) != 1)
		return fault_set(f, REASON_INTERNAL, "SHA-256");
	*ret_policy = TAKE(policy);
	return REASON_OK;
}

void policy_free(struct policy *policy)
{
	if (policy == NULL)
		return;
	for (size_t i = 0; i < policy->n; i++)
		profile_free(policy->profile[i]);
	users_free(policy->users);
	free(policy);
}

void policy_hash(const struct policy *policy, uint8_t out[32])
{
	memcpy(out, policy->hash, sizeof(policy->hash));
}

const struct profile *policy_profile(const struct policy *policy, const char *label)
{
	for (size_t i = 0; i < policy->n; i++)
		if (strcmp(policy->profile[i]->label, label) == 0)
			return policy->profile[i];
	return NULL;
}

size_t policy_profiles(const struct policy *policy, const struct profile **out, size_t cap)
{
	size_t n = policy->n < cap ? policy->n : cap;

	for (size_t i = 0; i < n; i++)
		out[i] = policy->profile[i];
	return n;
}

void profile_facts(const struct profile *profile, struct profile_facts *ret_facts)
{
	*ret_facts = (struct profile_facts){
		.label = profile->label,
		.family = profile->family,
		.issuer = profile->issuer,
		.basic = (profile->enrol.who & WHO(WHO_USER)) != 0,
		.vendor_clients = (profile->enrol.who & WHO(WHO_VENDOR)) != 0,
		.evidence = profile->enrol.evidence,
		.rigs = (profile->reenrol.who & WHO(WHO_RIG)) != 0,
		.binding = profile->binding,
		.crl = profile->crl,
		.nonce_lifetime_s = profile->nonce_lifetime_s,
		.expired_grace_s = profile->reenrol.expired_grace_s,
		.csrattrs = buf_blob(&profile->csrattrs),
	};
}

enum reason policy_user(const struct policy *policy, const char *user, const char *password, struct requester *ret_who,
			struct fault *f)
{
	return users_verify(policy->users, user, password, ret_who, f);
}
