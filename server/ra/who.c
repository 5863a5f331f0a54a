/*
 * who.c - see who.h.
 */
#include "ra/who.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

enum { LIST_RIGS, LIST_DEVICES, LIST_VENDORS, LIST_COUNT };

/*
 * A device that comes too late is checked as of its last good second, so that the profile's grace can count; its issuer
 * was good then. notBefore is looked at in any case.
 */
static int64_t check_at(const struct peer *peer, int list, int64_t now_s)
{
	return list == LIST_DEVICES && now_s > peer->cert.not_after_s ? peer->cert.not_after_s : now_s;
}

/* Who it says it is, for the log: nobody has vouched for this name. */
static void name_untrusted(const struct peer *peer, struct fault *f)
{
	char cn[LIMIT_NAME_CHARS + 1];

	if (!name_get(peer->cert.subject, OID_AT_CN, cn))
		cn[0] = '\0';
	(void)fault_set(f, REASON_CHAIN_UNTRUSTED, "client certificate CN=\"%s\" leads to no rig, device or vendor CA",
			cn);
}

/* The first list that the chain leads to; if none, the most telling of the refusals. */
static void find_list(const struct rules *rules, struct peer *peer, int64_t now_s)
{
	struct trust *const lists[LIST_COUNT] = { rules->rigs, rules->devices, rules->vendor_clients };
	struct peer_path path = { .checked_s = now_s, .rules = rules->number, .list = -1 };
	struct fault f;

	name_untrusted(peer, &path.fault);
	for (int i = 0; i < LIST_COUNT && path.list < 0; i++) {
		if (lists[i] == NULL)
			continue;
		if (peer_verify(peer, lists[i], check_at(peer, i, now_s), &f) == REASON_OK)
			path.list = i;
		else if (f.reason != REASON_CHAIN_UNTRUSTED)
			path.fault = f;
	}
	peer->path = path;
}

static enum reason path_of(const struct rules *rules, struct peer *peer, int64_t now_s, struct fault *f)
{
	if (peer->malformed.reason != REASON_OK)
		return fault_set(f, REASON_CHAIN_DER, "client certificate: %.150s", peer->malformed.detail);
	if (peer->path.checked_s == 0 || peer->path.rules != rules->number ||
	    now_s - peer->path.checked_s >= PEER_PATH_LIFETIME_S || now_s < peer->path.checked_s)
		find_list(rules, peer, now_s);
	if (peer->path.list < 0) {
		*f = peer->path.fault;
		return f->reason;
	}
	return peer_usage(peer, f);
}

static enum reason dates(const struct cert *cert, int64_t grace_s, int64_t now_s, bool *ret_expired, struct fault *f)
{
	if (now_s < cert->not_before_s)
		return fault_set(f, REASON_CHAIN_FUTURE, "client certificate");
	*ret_expired = cert->not_after_s != TIME_NO_EXPIRY && now_s > cert->not_after_s;
	if (*ret_expired && now_s - cert->not_after_s > grace_s)
		return fault_set(f, REASON_CHAIN_EXPIRED, "client certificate, %lld s ago",
				 (long long)(now_s - cert->not_after_s));
	return REASON_OK;
}

/* Rigs and RAs: the registry says which, and an RA has the purpose besides (RFC 7030 section 3.7). */
static enum reason registered(const struct ra *ra, const struct peer *peer, struct requester *who, struct fault *f)
{
	struct requester_row row;

	if (!view_requester(ra->view, peer->spki_hash, &row) || !row.active)
		return fault_set(f, REASON_REQUESTER_UNKNOWN, "key of the client certificate is not in the registry");
	if (strcmp(row.kind, "rig") == 0)
		who->kind = WHO_RIG;
	else if (strcmp(row.kind, "ra") == 0 && cert_has_eku(&peer->cert, OID_KP_CMC_RA))
		who->kind = WHO_RA;
	else
		return fault_set(f, REASON_CLIENT_KIND, "\"%.64s\" is registered as \"%s\"%s", row.name, row.kind,
				 strcmp(row.kind, "ra") == 0 ? " but its certificate lacks cmcRA" : "");
	if ((size_t)snprintf(who->id, sizeof(who->id), "%s:%s", row.kind, row.name) >= sizeof(who->id))
		return fault_set(f, REASON_REQUESTER_UNKNOWN, "registered name \"%.64s...\" is too long", row.name);
	memcpy(who->names, row.names, sizeof(who->names));
	memcpy(who->labels, row.labels, sizeof(who->labels));
	return REASON_OK;
}

static enum reason device(const struct peer *peer, struct requester *who, struct fault *f)
{
	char serial[2 * LIMIT_SERIAL_BYTES + 1];

	if (peer->cert.serial.len > LIMIT_SERIAL_BYTES)
		return fault_set(f, REASON_CHAIN_DER, "client certificate: serial of %zu bytes", peer->cert.serial.len);
	text_hex(peer->cert.serial, serial, sizeof(serial));
	who->kind = WHO_DEVICE;
	snprintf(who->id, sizeof(who->id), "device:%s", serial);
	return REASON_OK;
}

static enum reason vendor(const struct peer *peer, const struct profile_facts *facts, struct requester *who,
			  struct fault *f)
{
	char hash[65];

	if (!facts->vendor_clients)
		return fault_set(f, REASON_CHAIN_UNTRUSTED, "label \"%s\" takes no vendors' certificates",
				 facts->label);
	text_hex(BLOB_OF(peer->spki_hash), hash, sizeof(hash));
	who->kind = WHO_VENDOR;
	snprintf(who->id, sizeof(who->id), "vendor:%s", hash);
	return REASON_OK;
}

enum reason who_certificate(const struct ra *ra, const struct rules *rules, struct peer *peer,
			    const struct profile_facts *facts, enum est_op op, struct requester *ret_who,
			    struct fault *f)
{
	struct requester who = { .kind = WHO_NOBODY };
	int64_t now_s = clock_wall_s();
	int64_t grace_s = 0;

	if (peer == NULL) {
		*ret_who = who;
		return REASON_OK;
	}
	TRY(view_fresh(ra->view, clock_mono_us(), f));
	TRY(path_of(rules, peer, now_s, f));
	/* a renewal with a new key may need evidence, and that a nonce */
	if (peer->path.list == LIST_DEVICES && (op == EST_SIMPLEREENROLL || op == EST_NONCE))
		grace_s = facts->expired_grace_s;
	TRY(dates(&peer->cert, grace_s, now_s, &who.cert_expired, f));
	who.cert = &peer->cert;
	if (peer->path.list != LIST_VENDORS && view_revoked(ra->view, peer->cert.serial))
		return fault_set(f, REASON_CLIENT_REVOKED, "client certificate");
	if (peer->path.list == LIST_RIGS)
		TRY(registered(ra, peer, &who, f));
	else if (peer->path.list == LIST_DEVICES)
		TRY(device(peer, &who, f));
	else
		TRY(vendor(peer, facts, &who, f));
	*ret_who = who;
	return REASON_OK;
}

enum ra_lane who_lane(const struct requester *who)
{
	switch (who->kind) {
	case WHO_RIG:
	case WHO_RA:
		return LANE_PRODUCTION;
	case WHO_DEVICE:
		return LANE_FIELD;
	default:
		return LANE_OTHER;
	}
}
