/*
 * requesters.c - of the operate station: a requester is registered, or renews itself; the certificate follows. See
 * services.h.
 *
 * Rights come first and are durable before the certificate is asked for: a certificate without them is worth nothing,
 * and the same call again, after whatever went wrong between the two, finds the rights there and gives the certificate.
 */
#include <stdio.h>
#include <string.h>

#include "ca/services.h"
#include "channel/operate.h"
#include "operators.h"

static enum reason check_key(const struct pubkey *key, struct fault *f)
{
	if (key->type != KEY_EC_P256 && key->type != KEY_EC_P384 && key->type != KEY_RSA)
		return fault_set(f, REASON_KEY_TYPE, "%s", key_type_name(key->type));
	return pubkey_check(key, f);
}

enum reason requesters_enrol(struct ca *ca, struct ledger *ledger, const struct operate *ask, uint64_t *ret_action,
			     struct grant **ret_grant, struct fault *f)
{
	AUTO(grant_freep) struct grant *grant = grant_new();
	uint8_t device[32], key[32];
	struct registration r = { .who = ask->who,
				  .call = ask->call,
				  .request = ask->request,
				  .note = ask->note,
				  .kind = ask->kind,
				  .name = ask->name,
				  .names = ask->names,
				  .labels = ask->labels,
				  .spki_hash = key,
				  .active = true,
				  .device = device };

	if (grant == NULL)
		return fault_set(f, REASON_NO_MEMORY, "grant");
	TRY(check_key(&ask->key, f));
	grant->kind = GRANT_ENROL;
	grant->key = ask->key;
	TRY(services_fill(ca, ask->kind, ask->name, ask->who, grant, f));
	pubkey_hash(&ask->key, key);
	device_hash(&grant->device, device);
	TRY(ledger_register(ledger, &r, f));
	*ret_action = r.action;
	*ret_grant = TAKE(grant);
	return REASON_OK;
}

enum reason requesters_renew(struct ca *ca, struct ledger *ledger, const struct operate *ask, uint64_t *ret_action,
			     struct grant **ret_grant, struct fault *f)
{
	AUTO(grant_freep) struct grant *grant = grant_new();
	const char *name = strchr(ask->who, ':');
	char kind[sizeof(ask->kind)];
	uint8_t key[32];
	struct renewal r = { .who = ask->who,
			     .call = ask->call,
			     .request = ask->request,
			     .old_key = ask->spki_hash,
			     .new_key = key,
			     .until_s = ask->until_s };

	if (grant == NULL)
		return fault_set(f, REASON_NO_MEMORY, "grant");
	if (name == NULL || (size_t)(name - ask->who) >= sizeof(kind) || ask->serials.len == 0 ||
	    ask->serials.len > sizeof(grant->previous))
		return fault_set(f, REASON_CHANNEL_FRAME, "renewal of \"%.32s\"", ask->who);
	TRY(check_key(&ask->key, f));
	snprintf(kind, sizeof(kind), "%.*s", (int)(name - ask->who), ask->who);
	grant->kind = GRANT_REENROL;
	grant->key = ask->key;
	memcpy(grant->previous, ask->serials.ptr, ask->serials.len);
	grant->previous_len = ask->serials.len;
	TRY(services_fill(ca, kind, name + 1, ask->who, grant, f));
	pubkey_hash(&ask->key, key);
	TRY(ledger_renew(ledger, &r, f));
	*ret_action = r.action;
	*ret_grant = TAKE(grant);
	return REASON_OK;
}
