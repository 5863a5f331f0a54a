/* rules.c - see rules.h. */
#include "ra/rules.h"

#include <stdlib.h>

static enum reason load_policy(const struct config *config, struct rules *rules, struct fault *f)
{
	const char *issuers[LIMIT_ISSUERS + 1] = { NULL };

	for (size_t i = 0; i < config->n_issuers; i++)
		issuers[i] = config->issuer[i].name;
	TRY(policy_load(config->profiles, config->users, issuers, &rules->policy, f));
	return labels_open(config, rules->policy, &rules->labels, f);
}

static enum reason load_trust(const struct config *config, struct rules *rules, struct fault *f)
{
	AUTO(buf_done) struct buf issuers = { 0 };

	TRY(trust_open("rigs", config->trust.rigs, &rules->rigs, f));
	TRY(labels_issuers_pem(config, &issuers, f));
	TRY(trust_open_pem("own issuing CAs", buf_blob(&issuers), &rules->devices, f));
	if (config->trust.vendors != NULL)
		TRY(trust_open("vendors", config->trust.vendors, &rules->vendor_clients, f));
	return vendors_open(config->evidence, config->n_evidence, &rules->vendors, f);
}

enum reason rules_load(const struct config *config, uint64_t number, struct rules **ret_rules, struct fault *f)
{
	AUTO(rules_unrefp) struct rules *rules = calloc(1, sizeof(*rules));

	if (rules == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct rules");
	atomic_init(&rules->refs, 1);
	rules->number = number;
	TRY(load_policy(config, rules, f));
	TRY(load_trust(config, rules, f));
	TRY(nonce_key_open(config->est.nonce_key, &rules->nonce_key, f));
	*ret_rules = TAKE(rules);
	return REASON_OK;
}

struct rules *rules_ref(struct rules *rules)
{
	atomic_fetch_add_explicit(&rules->refs, 1, memory_order_relaxed);
	return rules;
}

void rules_unref(struct rules *rules)
{
	if (rules == NULL || atomic_fetch_sub_explicit(&rules->refs, 1, memory_order_acq_rel) != 1)
		return;
	nonce_key_free(rules->nonce_key);
	vendors_free(rules->vendors);
	trust_free(rules->vendor_clients);
	trust_free(rules->devices);
	trust_free(rules->rigs);
	labels_free(rules->labels);
	policy_free(rules->policy);
	free(rules);
}
