/*
 * claims.c - see claims.h.
 *
 * One verification is: a digest with an EVP_MD fetched once for the process, then the signature over that digest, so
 * that prehashed claims and plain ones go the same way. P-256 claims of many enrolments are gathered and go through
 * ecdsa_mb.h first, eight at once, where that engine is on, or through ecdsa_batch.h; what those do not confirm is
 * verified by OpenSSL like all the others.
 */
#include "claims.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdatomic.h>
#include <string.h>

#include "base/sha.h"
#include "der.h"
#include "derw.h"
#include "ecdsa.h"
#include "ecdsa_batch.h"
#include "ecdsa_mb.h"

AUTO_FREE(EVP_PKEY, pkey_freep, EVP_PKEY_free)
AUTO_FREE(EVP_PKEY_CTX, pkey_ctx_freep, EVP_PKEY_CTX_free)

#define ECDSA_DER_BYTES (2 * (66 + 1 + 2) + 4) /* two INTEGERs of P-521 and the SEQUENCE around them */

static const struct alg_info {
	const char *name;
	const char *md_name;
	bool rsa;
	bool pss;
} algs[SIG_ALG_COUNT] = {
	[SIG_NONE] = { "none", NULL, false, false },
	[SIG_ECDSA_SHA256] = { "ecdsa-sha256", "SHA2-256", false, false },
	[SIG_ECDSA_SHA384] = { "ecdsa-sha384", "SHA2-384", false, false },
	[SIG_ECDSA_SHA512] = { "ecdsa-sha512", "SHA2-512", false, false },
	[SIG_RSA_SHA256] = { "rsa-sha256", "SHA2-256", true, false },
	[SIG_RSA_SHA384] = { "rsa-sha384", "SHA2-384", true, false },
	[SIG_RSA_SHA512] = { "rsa-sha512", "SHA2-512", true, false },
	[SIG_RSA_PSS_SHA256] = { "rsa-pss-sha256", "SHA2-256", true, true },
};

/* Fetching a digest costs about as much as hashing a request with it: once for the process, never freed. */
static _Atomic(EVP_MD *) mds[SIG_ALG_COUNT];

/* NULL when memory is short: the next use tries again. */
static const EVP_MD *md_of(enum sig_alg alg)
{
	EVP_MD *md = atomic_load(&mds[alg]), *none = NULL;

	if (md != NULL || algs[alg].md_name == NULL)
		return md;
	md = EVP_MD_fetch(NULL, algs[alg].md_name, NULL);
	if (md == NULL || atomic_compare_exchange_strong(&mds[alg], &none, md))
		return md;
	EVP_MD_free(md);
	return none; /* another thread's */
}

bool sig_alg_fits(enum sig_alg alg, enum key_type type)
{
	if ((unsigned)alg >= SIG_ALG_COUNT || alg == SIG_NONE || type == KEY_NONE)
		return false;
	return algs[alg].rsa == (type == KEY_RSA);
}

enum reason claims_add(struct claims *claims, struct claim claim, struct fault *f)
{
	if (claims->n == LIMIT_CLAIMS)
		return fault_set(f, REASON_INTERNAL, "%s: more than %d signatures to check", claim.what, LIMIT_CLAIMS);
	if (!sig_alg_fits(claim.alg, claim.key->type))
		return fault_set(f, claim.refusal, "%s: signature algorithm %s is not accepted from a key of type %s",
				 claim.what, (unsigned)claim.alg < SIG_ALG_COUNT ? algs[claim.alg].name : "unknown",
				 key_type_name(claim.key->type));
	claims->item[claims->n++] = claim;
	return REASON_OK;
}

enum reason claims_keep_key(struct claims *claims, const struct pubkey *key, const struct pubkey **ret_key,
			    struct fault *f)
{
	if (claims->n_keys == LIMIT_CLAIM_KEYS)
		return fault_set(f, REASON_INTERNAL, "more than %d issuers' keys", LIMIT_CLAIM_KEYS);
	claims->keys[claims->n_keys] = *key;
	*ret_key = &claims->keys[claims->n_keys++];
	return REASON_OK;
}

/* r || s, each as long as the curve's order, becomes SEQUENCE { r, s }. */
static bool raw_to_der(const struct claim *claim, struct derw *w)
{
	size_t half = (claim->key->bits + 7) / 8;

	if (claim->signature.len != 2 * half)
		return false;
	derw_uint_bytes(w, BLOB(claim->signature.ptr + half, half));
	derw_uint_bytes(w, BLOB(claim->signature.ptr, half));
	derw_wrap(w, DER_SEQUENCE, w->end);
	return !w->full;
}

static bool set_padding(EVP_PKEY_CTX *ctx, const struct alg_info *alg, const EVP_MD *md)
{
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, alg->pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(ctx, md) != 1)
		return false;
	return !alg->pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static enum verified rsa_verify(const struct claim *claim, struct blob digest)
{
	AUTO(pkey_freep) EVP_PKEY *pkey = pubkey_evp(claim->key);
	AUTO(pkey_ctx_freep) EVP_PKEY_CTX *ctx = pkey == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

	if (ctx == NULL || EVP_PKEY_verify_init(ctx) != 1 || !set_padding(ctx, &algs[claim->alg], md_of(claim->alg)))
		return VERIFIED_NO_MEMORY;
	return EVP_PKEY_verify(ctx, claim->signature.ptr, claim->signature.len, digest.ptr, digest.len) == 1
		       ? VERIFIED_TRUE
		       : VERIFIED_FALSE;
}

static enum verified verify_digest(const struct claim *claim, struct blob digest)
{
	uint8_t room[ECDSA_DER_BYTES];
	struct derw w = derw_over(room, sizeof(room));

	if (algs[claim->alg].rsa)
		return rsa_verify(claim, digest);
	if (claim->form == SIG_FORM_DER)
		return ecdsa_verify(claim->key, digest, claim->signature);
	return raw_to_der(claim, &w) ? ecdsa_verify(claim->key, digest, derw_blob(&w)) : VERIFIED_FALSE;
}

/* What was signed: VERIFIED_TRUE when *ret_digest is there, VERIFIED_FALSE when nobody can have signed it. */
static enum verified digest_of(const struct claim *claim, uint8_t room[EVP_MAX_MD_SIZE], struct blob *ret_digest)
{
	const EVP_MD *md = md_of(claim->alg);
	unsigned len = 0;

	if (md == NULL)
		return VERIFIED_NO_MEMORY;
	*ret_digest = claim->message;
	if (claim->prehashed)
		return claim->message.len == (size_t)EVP_MD_get_size(md) ? VERIFIED_TRUE : VERIFIED_FALSE;
	if (claim->alg == SIG_ECDSA_SHA256) {
		sha256(claim->message, room); /* a quarter of what EVP_Digest() takes for a request */
		*ret_digest = BLOB(room, 32);
		return VERIFIED_TRUE;
	}
	if (EVP_Digest(claim->message.ptr, claim->message.len, room, &len, md, NULL) != 1)
		return VERIFIED_NO_MEMORY;
	*ret_digest = BLOB(room, len);
	return VERIFIED_TRUE;
}

static bool numbers_of(const struct claim *claim, struct blob *ret_r, struct blob *ret_s)
{
	struct blob in;

	if (claim->form == SIG_FORM_DER)
		return der_only(claim->signature, DER_SEQUENCE, &in) && der_unsigned(&in, ret_r) &&
		       der_unsigned(&in, ret_s) && in.len == 0;
	if (claim->signature.len != 64)
		return false;
	*ret_r = BLOB(claim->signature.ptr, 32);
	*ret_s = BLOB(claim->signature.ptr + 32, 32);
	return true;
}

static bool is_p256_sha256(const struct claim *claim)
{
	return claim->alg == SIG_ECDSA_SHA256 && claim->key->type == KEY_EC_P256;
}

static enum verified verify(const struct claim *claim)
{
	uint8_t room[EVP_MAX_MD_SIZE];
	struct blob digest;
	enum verified there = digest_of(claim, room, &digest);

	return there == VERIFIED_TRUE ? verify_digest(claim, digest) : there;
}

/* P-256 claims of however many enrolments, and where each one's answer goes. */
struct gathered {
	size_t n;
	struct ecdsa_item item[ECDSA_BATCH_MAX];
	bool *holds[ECDSA_BATCH_MAX];
};

static unsigned otherwise_us(const struct ecdsa_item *item, size_t n)
{
	unsigned us = 0;

	for (size_t i = 0; i < n; i++)
		us += item[i].often ? ECDSA_TABLE_US : ECDSA_BATCH_US;
	return us;
}

static void lanes_run(struct ecdsa_item *item, size_t n)
{
	struct ecdsa_lane lane[ECDSA_MB_LANES];
	struct ecdsa_item *of[ECDSA_MB_LANES];
	unsigned n_lanes = 0, held;

	for (size_t i = 0; i < n; i++) {
		item[i].holds = false;
		of[n_lanes] = &item[i];
		n_lanes += ecdsa_lane_fill(&lane[n_lanes], item[i].key, item[i].digest, item[i].r, item[i].s);
	}
	held = n_lanes > 0 ? ecdsa_mb_verify(lane, n_lanes) : 0;
	for (unsigned i = 0; i < n_lanes; i++)
		of[i]->holds = (held >> i & 1) != 0;
}

/* Eight at once as long as that is the quicker; how many have been through. */
static size_t check_in_lanes(struct ecdsa_item *item, size_t n)
{
	size_t done = 0, some;

	while (ecdsa_mb_on() && done < n) {
		some = n - done < ECDSA_MB_LANES ? n - done : ECDSA_MB_LANES;
		if (otherwise_us(item + done, some) < ECDSA_MB_US)
			break;
		lanes_run(item + done, some);
		done += some;
	}
	return done;
}

static void gathered_check(struct gathered *g)
{
	size_t done = check_in_lanes(g->item, g->n);

	ecdsa_batch_verify(g->item + done, g->n - done);
	for (size_t i = 0; i < g->n; i++)
		*g->holds[i] = g->item[i].holds;
	g->n = 0;
}

static void gather(struct gathered *g, const struct claim *claim, bool *holds)
{
	struct ecdsa_item *item = &g->item[g->n];
	uint8_t room[EVP_MAX_MD_SIZE];
	struct blob digest;

	if (!is_p256_sha256(claim) || !numbers_of(claim, &item->r, &item->s) ||
	    digest_of(claim, room, &digest) != VERIFIED_TRUE)
		return;
	item->key = claim->key;
	item->often = claim->often;
	memcpy(item->digest, digest.ptr, sizeof(item->digest));
	g->holds[g->n++] = holds;
	if (g->n == ECDSA_BATCH_MAX)
		gathered_check(g);
}

#define GROUP 32 /* entries looked at together */

/* Which claims hold for sure; of the others it says nothing. */
static void check_together(struct claims *const *group, size_t n, bool holds[GROUP][LIMIT_CLAIMS])
{
	struct gathered g;

	g.n = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < group[i]->n; j++)
			gather(&g, &group[i]->item[j], &holds[i][j]);
	gathered_check(&g);
}

static enum reason check_one(const struct claims *claims, const bool holds[LIMIT_CLAIMS], struct fault *verdict)
{
	for (size_t i = 0; i < claims->n; i++) {
		const struct claim *claim = &claims->item[i];

		switch (holds[i] ? VERIFIED_TRUE : verify(claim)) {
		case VERIFIED_TRUE:
			break;
		case VERIFIED_FALSE:
			return fault_set(verdict, claim->refusal, "%s: %s signature does not verify", claim->what,
					 algs[claim->alg].name);
		case VERIFIED_NO_MEMORY:
			return fault_set(verdict, REASON_NO_MEMORY, "%s: verification", claim->what);
		}
	}
	verdict->reason = REASON_OK;
	verdict->detail[0] = '\0';
	return REASON_OK;
}

bool claim_holds(const struct claim *claim)
{
	bool holds;

	holds = sig_alg_fits(claim->alg, claim->key->type) && verify(claim) == VERIFIED_TRUE;
	if (!holds)
		ERR_clear_error();
	return holds;
}

static void check_group(struct claims *const *group, size_t n, struct fault *verdict)
{
	bool holds[GROUP][LIMIT_CLAIMS] = { { false } };

	check_together(group, n, holds);
	for (size_t i = 0; i < n; i++)
		if (check_one(group[i], holds[i], &verdict[i]) != REASON_OK)
			ERR_clear_error(); /* what OpenSSL noted about a false signature is of no more use */
}

void claims_check(struct claims *const *batch, size_t n, struct fault *verdict)
{
	for (size_t i = 0; i < n; i += GROUP)
		check_group(batch + i, n - i < GROUP ? n - i : GROUP, verdict + i);
}
