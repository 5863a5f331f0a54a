/*
 * operator.c - who may look and act: a certificate of the operators' list, and a line in the registry.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "base/clock.h"

static const char *const kinds[] = { "operator", "auditor", "administrator" };

struct operators {
	atomic_uint refs;
	uint64_t number; /* counts the loads, see peer_path.rules */
	struct trust *list;
};

void operators_unref(struct operators *operators)
{
	if (operators == NULL || atomic_fetch_sub_explicit(&operators->refs, 1, memory_order_acq_rel) != 1)
		return;
	trust_free(operators->list);
	free(operators);
}

AUTO_FREE(struct operators, operators_unrefp, operators_unref)

enum reason operators_load(const char *path, uint64_t number, struct operators **ret_operators, struct fault *f)
{
	AUTO(operators_unrefp) struct operators *operators = calloc(1, sizeof(*operators));

	if (operators == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct operators");
	atomic_init(&operators->refs, 1);
	operators->number = number;
	TRY(trust_open("operators", path, &operators->list, f));
	*ret_operators = TAKE(operators);
	return REASON_OK;
}

void operators_use(struct admin *admin, struct operators *operators)
{
	struct operators *old;

	pthread_mutex_lock(&admin->operators_lock);
	old = admin->operators;
	admin->operators = operators;
	pthread_mutex_unlock(&admin->operators_lock);
	operators_unref(old);
}

static struct operators *operators_now(struct admin *admin)
{
	struct operators *operators;

	pthread_mutex_lock(&admin->operators_lock);
	operators = admin->operators;
	atomic_fetch_add_explicit(&operators->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&admin->operators_lock);
	return operators;
}

static bool is_operator(const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

static enum reason path_of(struct admin *admin, struct peer *peer, int64_t now_s, struct fault *f)
{
	AUTO(operators_unrefp) struct operators *operators = operators_now(admin);
	struct peer_path path = { .checked_s = now_s, .rules = operators->number, .list = -1 };

	if (peer->malformed.reason != REASON_OK)
		return fault_set(f, REASON_CHAIN_DER, "client certificate: %.150s", peer->malformed.detail);
	if (peer->path.checked_s == 0 || peer->path.rules != operators->number ||
	    now_s - peer->path.checked_s >= PEER_PATH_LIFETIME_S || now_s < peer->path.checked_s) {
		if (peer_verify(peer, operators->list, now_s, &path.fault) == REASON_OK)
			path.list = 0;
		peer->path = path;
	}
	if (peer->path.list < 0) {
		*f = peer->path.fault;
		return f->reason;
	}
	return peer_usage(peer, f);
}

enum reason operator_check(struct admin *admin, struct peer *peer, char ret_who[LIMIT_REQUESTER_CHARS + 1],
			   struct fault *f)
{
	int64_t now_s = clock_wall_s();
	struct requester_row row;
	char who[LIMIT_REQUESTER_CHARS + 1];

	if (peer == NULL)
		return fault_set(f, REASON_CERT_REQUIRED, "no client certificate");
	TRY(view_fresh(admin->view, clock_mono_us(), f));
	TRY(path_of(admin, peer, now_s, f));
	if (now_s < peer->cert.not_before_s)
		return fault_set(f, REASON_CHAIN_FUTURE, "client certificate");
	if (now_s > peer->cert.not_after_s)
		return fault_set(f, REASON_CHAIN_EXPIRED, "client certificate");
	if (view_revoked(admin->view, peer->cert.serial))
		return fault_set(f, REASON_CLIENT_REVOKED, "client certificate");
	if (!view_requester(admin->view, peer->spki_hash, &row) || !row.active)
		return fault_set(f, REASON_REQUESTER_UNKNOWN, "key of the client certificate is not in the registry");
	if (!is_operator(row.kind))
		return fault_set(f, REASON_CLIENT_KIND, "\"%.64s\" is registered as \"%s\"", row.name, row.kind);
	if ((size_t)snprintf(who, sizeof(who), "%s:%s", row.kind, row.name) >= sizeof(who))
		return fault_set(f, REASON_REQUESTER_UNKNOWN, "registered name \"%.64s...\" is too long", row.name);
	memcpy(ret_who, who, sizeof(who));
	return REASON_OK;
}
