/*
 * operator.c - who may look and act: a certificate of the operators' list, and a line in the registry.
 */
#include <stdio.h>
#include <string.h>

#include "admin/admin.h"
#include "base/clock.h"

static const char *const kinds[] = { "operator", "auditor", "administrator" };

static bool is_operator(const char *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

static enum reason path_of(const struct admin *admin, struct peer *peer, int64_t now_s, struct fault *f)
{
	struct peer_path path = { .checked_s = now_s, .list = -1 };

	if (peer->malformed.reason != REASON_OK)
		return fault_set(f, REASON_CHAIN_DER, "client certificate: %.150s", peer->malformed.detail);
	if (peer->path.checked_s == 0 || now_s - peer->path.checked_s >= PEER_PATH_LIFETIME_S ||
	    now_s < peer->path.checked_s) {
		if (peer_verify(peer, admin->operators, now_s, &path.fault) == REASON_OK)
			path.list = 0;
		peer->path = path;
	}
	if (peer->path.list < 0) {
		*f = peer->path.fault;
		return f->reason;
	}
	return peer_usage(peer, f);
}

enum reason operator_check(const struct admin *admin, struct peer *peer, char ret_who[LIMIT_REQUESTER_CHARS + 1],
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
