/*
 * requesters.c - of the operate station: a requester is registered, retired, or renews itself; the certificate follows.
 * See operation.h and services.h.
 *
 * Rights come first and are durable before the certificate is asked for: a certificate without them is worth nothing,
 * and the same call again, after whatever went wrong between the two, finds the rights there and gives the certificate.
 */
#include <stdio.h>
#include <string.h>

#include "ca/operation.h"
#include "ca/services.h"
#include "observe/log.h"
#include "operators.h"

enum reason requesters_register(struct operations *all, struct operation *op, struct operated *done, struct fault *f)
{
	struct registration r = { .who = op->ask.who,
				  .call = op->ask.call,
				  .request = op->ask.request,
				  .note = op->ask.note,
				  .kind = op->ask.kind,
				  .name = op->ask.name,
				  .names = op->ask.names,
				  .labels = op->ask.labels,
				  .spki_hash = op->ask.spki_hash,
				  .active = op->ask.op == OPERATE_REGISTER,
				  .reason = op->ask.reason };

	TRY(ledger_register(all->ledger, &r, f));
	done->action = r.action;
	news_poke(all->ca->news);
	return REASON_OK;
}

static enum reason check_key(const struct pubkey *key, struct fault *f)
{
	if (key->type != KEY_EC_P256 && key->type != KEY_EC_P384 && key->type != KEY_RSA)
		return fault_set(f, REASON_KEY_TYPE, "%s", key_type_name(key->type));
	return pubkey_check(key, f);
}

static enum reason add(struct ca *ca, struct ledger *ledger, const struct operate *ask, uint64_t *ret_action,
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

static enum reason renew(struct ca *ca, struct ledger *ledger, const struct operate *ask, uint64_t *ret_action,
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

/* What the line has made of it; whoever asked may be gone. */
static void enrolled(void *user, struct blob certificate, const struct fault *fault)
{
	struct operation *op = user;
	AUTO(operated_done) struct operated done = { .action = op->action };
	struct fault f;

	if (fault != NULL && reason_info(fault->reason)->class == REASON_CLASS_RETRY) {
		operation_tell_fault(
			op, fault->reason,
			"the key has its rights, its certificate could not be made: the same call again gives it");
		operation_free(op);
	} else if (fault != NULL) {
		operation_refuse(op, fault);
	} else if (buf_copy(certificate, &done.certificate, &f) != REASON_OK) {
		operation_refuse(op, &f);
	} else {
		operation_answer(op, &done);
	}
}

/* Rights first, then the certificate: the operation is the line's from services_put() on. */
void requesters_enrol(struct operations *all, struct operation *op)
{
	struct service service = { .told = enrolled, .user = op };
	struct fault f = { 0 };
	enum reason reason = op->ask.op == OPERATE_ENROL
				     ? add(all->ca, all->ledger, &op->ask, &op->action, &service.grant, &f)
				     : renew(all->ca, all->ledger, &op->ask, &op->action, &service.grant, &f);

	if (reason != REASON_OK) {
		operation_refuse(op, &f);
		return;
	}
	news_poke(all->ca->news);
	if (services_put(all->ca, &service, &f) != REASON_OK)
		enrolled(op, (struct blob){ 0 }, &f);
}

void requesters_lapse(struct operations *all, struct operation *op)
{
	struct fault f = { 0 };
	uint64_t n = 0;

	if (ledger_lapse(all->ledger, &n, &f) != REASON_OK) {
		log_fault(LOG_WARN, "keys_not_retired", &f);
	} else if (n > 0) {
		news_poke(all->ca->news);
		log_event(LOG_INFO, "keys_retired", "n", LOG_INT, (int64_t)n, NULL);
	}
	operation_free(op);
}
