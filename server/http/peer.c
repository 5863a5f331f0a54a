/*
 * peer.c - see peer.h.
 */
#include "http/peer.h"

#include <stdlib.h>
#include <string.h>

struct peer *peer_new(const struct blob *chain, size_t n)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	size_t total = 0, at = 0;

	if (n > LIMIT_CHAIN_DEPTH)
		n = LIMIT_CHAIN_DEPTH;
	for (size_t i = 0; i < n; i++)
		total += chain[i].len;
	if (peer == NULL || n == 0 || (peer->bytes = malloc(total + 1)) == NULL) {
		free(peer);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		memcpy(peer->bytes + at, chain[i].ptr, chain[i].len);
		peer->chain[i] = BLOB(peer->bytes + at, chain[i].len);
		at += chain[i].len;
	}
	peer->n_chain = n;
	peer->path.list = -1;
	atomic_init(&peer->refs, 1);
	if (cert_parse(peer->chain[0], &peer->cert, &peer->malformed) == REASON_OK) {
		peer->malformed.reason = REASON_OK;
		pubkey_hash(&peer->cert.key, peer->spki_hash);
	}
	return peer;
}

struct peer *peer_ref(struct peer *peer)
{
	if (peer != NULL)
		atomic_fetch_add_explicit(&peer->refs, 1, memory_order_relaxed);
	return peer;
}

void peer_unref(struct peer *peer)
{
	if (peer == NULL || atomic_fetch_sub_explicit(&peer->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(peer->bytes);
	free(peer);
}

/* The leaf's own signature, once its path is known to be good; a rig's that has come before costs no verification. */
static enum reason leaf_signature(const struct peer *peer, struct trust *trust, const struct trust_path *path,
				  struct claims *claims, struct fault *f)
{
	struct fault verdict = { 0 };

	if (trust_leaf_known(trust, &peer->cert, path))
		return REASON_OK;
	claims_check(&claims, 1, &verdict);
	if (verdict.reason == REASON_OK)
		trust_leaf_remember(trust, &peer->cert, path);
	else
		*f = verdict;
	return verdict.reason;
}

enum reason peer_verify(const struct peer *peer, struct trust *trust, int64_t at_s, struct fault *f)
{
	struct claims *claims = calloc(1, sizeof(*claims));
	struct trust_path path;
	enum reason reason;

	if (claims == NULL)
		return fault_set(f, REASON_NO_MEMORY, "client certificate path");
	reason = trust_path(trust, &peer->cert, peer->chain + 1, peer->n_chain - 1, at_s, claims, &path, f);
	if (reason == REASON_OK)
		reason = leaf_signature(peer, trust, &path, claims, f);
	free(claims);
	return reason;
}

enum reason peer_usage(const struct peer *peer, struct fault *f)
{
	const struct cert *cert = &peer->cert;

	if (cert->has_key_usage && (cert->key_usage & KU_DIGITAL_SIGNATURE) == 0)
		return fault_set(f, REASON_CHAIN_LEAF, "client certificate: keyUsage without digitalSignature");
	if (cert->n_ekus > 0 && !cert_has_eku(cert, OID_KP_CLIENT_AUTH) && !cert_has_eku(cert, OID_KP_ANY))
		return fault_set(f, REASON_CHAIN_LEAF, "client certificate: extendedKeyUsage without clientAuth");
	return REASON_OK;
}
