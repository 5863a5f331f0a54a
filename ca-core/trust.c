/*
 * trust.c - see trust.h: the list of anchors and the short way to them. The search for new paths is trust_search.c.
 */
#include "trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "trust_search.h"

AUTO_FREE(BIO, bio_freep, BIO_free_all)

void trust_free(struct trust *trust)
{
	if (trust == NULL)
		return;
	for (size_t i = 0; i < trust->n; i++)
		buf_done(&trust->anchors[i].der);
	free(trust->anchors);
	trust_cache_free(trust->cache);
	trust_leaves_free(trust->leaves);
	free(trust->what);
	free(trust);
}

bool trust_is_anchor(const struct trust *trust, struct blob der)
{
	for (size_t i = 0; i < trust->n; i++) {
		if (blob_equal(buf_blob(&trust->anchors[i].der), der))
			return true;
	}
	return false;
}

/* An anchor heads a path of its own, of one certificate. */
static void anchor_state(struct anchor *anchor)
{
	const struct cert *cert = &anchor->cert;
	struct ca_state *state = &anchor->state;

	pubkey_hash(&cert->key, state->spki_hash);
	memcpy(state->root_spki_hash, state->spki_hash, sizeof(state->spki_hash));
	state->not_before_s = cert->not_before_s;
	state->not_after_s = cert->not_after_s;
	state->cas_below = cert->path_len < 0 ? LIMIT_CHAIN_DEPTH : cert->path_len;
	state->depth = 1;
	state->key = cert->key;
}

static enum reason add_anchor(struct trust *trust, struct blob der, const char *path, struct fault *f)
{
	AUTO(buf_done) struct buf copy = { 0 };
	struct anchor *grown, *anchor;
	struct fault why = { 0 };

	if (trust_is_anchor(trust, der))
		return REASON_OK;
	TRY(buf_copy(der, &copy, f));
	grown = realloc(trust->anchors, (trust->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return fault_set(f, REASON_NO_MEMORY, "%s", trust->what);
	trust->anchors = grown;
	anchor = &grown[trust->n];
	*anchor = (struct anchor){ 0 };
	if (cert_parse(buf_blob(&copy), &anchor->cert, &why) != REASON_OK)
		return fault_set(f, REASON_CONFIG, "%s: %s: certificate %zu: %s", trust->what, path, trust->n + 1,
				 why.detail);
	if (!cert_may_issue(&anchor->cert))
		return fault_set(f, REASON_CONFIG,
				 "%s: %s: certificate %zu is no CA that Assay can use as an anchor: it needs CA:TRUE, "
				 "keyCertSign where it has a keyUsage, and no critical extension beside these",
				 trust->what, path, trust->n + 1);
	anchor->der = copy;
	copy = (struct buf){ 0 };
	anchor_state(anchor);
	trust->n++;
	return REASON_OK;
}

/* The next certificate of a PEM text: 1, 0 at its end, -1 when it is broken. Other PEM blocks are passed over. */
static int next_pem(BIO *bio, uint8_t **ret_der, long *ret_len)
{
	char *name = NULL, *header = NULL;
	bool wanted;

	for (;;) {
		if (PEM_read_bio(bio, &name, &header, ret_der, ret_len) != 1) {
			bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;

			ERR_clear_error();
			return end ? 0 : -1;
		}
		wanted = strcmp(name, PEM_STRING_X509) == 0;
		OPENSSL_free(name);
		OPENSSL_free(header);
		if (wanted)
			return 1;
		OPENSSL_free(*ret_der);
	}
}

static enum reason read_anchors(struct trust *trust, BIO *bio, const char *path, struct fault *f)
{
	uint8_t *der;
	long len;
	int more;

	while ((more = next_pem(bio, &der, &len)) == 1) {
		enum reason reason = add_anchor(trust, BLOB(der, (size_t)len), path, f);

		OPENSSL_free(der);
		TRY(reason);
	}
	if (more < 0)
		return fault_set(f, REASON_CONFIG, "%s: %s: certificate %zu is broken PEM", trust->what, path,
				 trust->n + 1);
	if (trust->n == 0)
		return fault_set(f, REASON_CONFIG, "%s: %s: no PEM certificate in it, at least one is needed",
				 trust->what, path);
	return REASON_OK;
}

static enum reason open_bio(const char *what, BIO *bio, const char *path, struct trust **ret_trust, struct fault *f)
{
	AUTO(trust_freep) struct trust *trust = calloc(1, sizeof(*trust));

	if (trust == NULL || (trust->what = strdup(what)) == NULL || (trust->cache = trust_cache_new()) == NULL ||
	    (trust->leaves = trust_leaves_new()) == NULL)
		return fault_set(f, REASON_NO_MEMORY, "%s", what);
	TRY(read_anchors(trust, bio, path, f));
	*ret_trust = TAKE(trust);
	return REASON_OK;
}

enum reason trust_open(const char *what, const char *pem_path, struct trust **ret_trust, struct fault *f)
{
	AUTO(bio_freep) BIO *bio = BIO_new_file(pem_path, "r");

	if (bio == NULL) {
		ERR_clear_error();
		return fault_set(f, REASON_CONFIG, "%s: %s: cannot be read: %m", what, pem_path);
	}
	return open_bio(what, bio, pem_path, ret_trust, f);
}

enum reason trust_open_pem(const char *what, struct blob pem, struct trust **ret_trust, struct fault *f)
{
	AUTO(bio_freep) BIO *bio = BIO_new_mem_buf(pem.len > 0 ? (const void *)pem.ptr : "", (int)pem.len);

	if (bio == NULL)
		return fault_set(f, REASON_NO_MEMORY, "%s", what);
	return open_bio(what, bio, "PEM", ret_trust, f);
}

static enum reason check_leaf(const struct trust *trust, const struct cert *leaf, struct fault *f)
{
	if (leaf->is_ca || trust_is_anchor(trust, leaf->der))
		return fault_set(f, REASON_CHAIN_LEAF, "%s: the end certificate is a CA or an anchor", trust->what);
	if (leaf->unknown_critical)
		return fault_set(f, REASON_CHAIN_LEAF,
				 "%s: the end certificate has a critical extension that is not known", trust->what);
	return REASON_OK;
}

bool trust_has_ca(const struct trust *trust, struct blob der)
{
	return trust_cache_has(trust->cache, der);
}

static bool within(const struct ca_state *state, int64_t now_s)
{
	return state->not_before_s <= now_s && now_s <= state->not_after_s;
}

/*
 * The short way: the issuer is an anchor or a CA that was validated before, and both sides' key identifiers say that
 * it is this one. All else, also an issuer out of its dates, takes the long way and gets its reason there.
 */
static bool known_issuer(struct trust *trust, const struct cert *leaf, const struct blob *untrusted, size_t n,
			 int64_t now_s, struct ca_state *ret_issuer)
{
	struct ca_wanted wanted = { leaf->issuer, leaf->aki };

	if (leaf->aki.len == 0)
		return false;
	for (size_t i = 0; i < trust->n; i++) {
		const struct anchor *anchor = &trust->anchors[i];

		if (blob_equal(anchor->cert.subject, leaf->issuer) && blob_equal(anchor->cert.ski, leaf->aki) &&
		    within(&anchor->state, now_s)) {
			*ret_issuer = anchor->state;
			return true;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (trust_cache_find(trust->cache, untrusted[i], &wanted, ret_issuer) == CACHE_KEY_ID &&
		    within(ret_issuer, now_s))
			return true;
	return false;
}

/* The leaf's signature becomes a claim; its issuer's key is copied, for the cache may give the issuer up meanwhile. */
static enum reason claim_leaf(const struct cert *leaf, const struct pubkey *issuer_key, struct claims *claims,
			      struct fault *f)
{
	struct claim claim = {
		.alg = leaf->alg,
		.often = true,
		.message = leaf->tbs,
		.signature = leaf->signature,
		.refusal = REASON_CHAIN_SIGNATURE,
		.what = "end certificate",
	};

	TRY(claims_keep_key(claims, issuer_key, &claim.key, f));
	return claims_add(claims, claim, f);
}

enum reason trust_path(struct trust *trust, const struct cert *leaf, const struct blob *untrusted, size_t n_untrusted,
		       int64_t now_s, struct claims *claims, struct trust_path *ret_path, struct fault *f)
{
	struct ca_state issuer;

	if (n_untrusted > LIMIT_BUNDLE_CERTS)
		return fault_set(f, REASON_CHAIN_DER, "%s: %zu certificates, at most %d", trust->what, n_untrusted,
				 LIMIT_BUNDLE_CERTS);
	TRY(check_leaf(trust, leaf, f));
	if (!known_issuer(trust, leaf, untrusted, n_untrusted, now_s, &issuer))
		TRY(trust_search(trust, leaf, untrusted, n_untrusted, now_s, &issuer, f));
	if (now_s > leaf->not_after_s)
		return fault_set(f, REASON_CHAIN_EXPIRED, "%s: the end certificate", trust->what);
	if (now_s < leaf->not_before_s)
		return fault_set(f, REASON_CHAIN_FUTURE, "%s: the end certificate", trust->what);
	TRY(claim_leaf(leaf, &issuer.key, claims, f));
	memcpy(ret_path->root_spki_hash, issuer.root_spki_hash, 32);
	memcpy(ret_path->issuer_hash, issuer.spki_hash, 32);
	return REASON_OK;
}

bool trust_leaf_known(struct trust *trust, const struct cert *leaf, const struct trust_path *path)
{
	return trust_leaves_has(trust->leaves, leaf->der, path->issuer_hash);
}

void trust_leaf_remember(struct trust *trust, const struct cert *leaf, const struct trust_path *path)
{
	trust_leaves_put(trust->leaves, leaf->der, path->issuer_hash);
}
