/* trust_search.c - see trust_search.h. */
#include "trust_search.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CAS_MAX (LIMIT_CHAIN_DEPTH - 2) /* between leaf and anchor */
#define VERIFICATIONS_MAX 24            /* for one leaf; an honest chain of five takes three */
#define ISSUERS_MAX 16                  /* valid certificates that could all be the leaf's issuer by name */

/* How much a fault tells; of several, the one that tells most is reported. */
enum rank { RANK_NOTHING, RANK_FOREIGN, RANK_MALFORMED, RANK_SIGNATURE, RANK_PATH };

struct member {
	struct cert cert;
	bool on_path; /* of the path being tried: no certificate twice */
};

struct search {
	struct trust *trust;
	int64_t now_s;
	bool use_cache;
	unsigned budget;
	size_t n;
	struct member member[LIMIT_BUNDLE_CERTS];
	enum rank rank;
	struct fault fault;
};

__attribute__((format(printf, 4, 5))) static void note(struct search *s, enum rank rank, enum reason reason,
						       const char *fmt, ...)
{
	char detail[128];
	va_list ap;

	if (rank <= s->rank)
		return;
	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	s->rank = rank;
	fault_set(&s->fault, reason, "%s: %s", s->trust->what, detail);
}

bool cert_may_issue(const struct cert *cert)
{
	return cert->is_ca && !cert->unknown_critical &&
	       (!cert->has_key_usage || (cert->key_usage & KU_KEY_CERT_SIGN) != 0);
}

/* By name, and by key identifier where both have one (RFC 5280 section 4.2.1.1). */
static bool names_issuer(const struct cert *child, const struct cert *issuer)
{
	if (!blob_equal(child->issuer, issuer->subject))
		return false;
	return child->aki.len == 0 || issuer->ski.len == 0 || blob_equal(child->aki, issuer->ski);
}

static bool in_dates(struct search *s, const struct ca_state *state)
{
	if (s->now_s > state->not_after_s)
		note(s, RANK_PATH, REASON_CHAIN_EXPIRED, "a CA on the way to the anchor");
	else if (s->now_s < state->not_before_s)
		note(s, RANK_PATH, REASON_CHAIN_FUTURE, "a CA on the way to the anchor");
	else
		return true;
	return false;
}

static bool signed_by(struct search *s, const struct cert *child, const struct pubkey *key)
{
	struct claim claim = { .key = key, .alg = child->alg, .message = child->tbs, .signature = child->signature };

	if (s->budget == 0) {
		note(s, RANK_PATH, REASON_CHAIN_UNTRUSTED, "more than %d signatures to try", VERIFICATIONS_MAX);
		return false;
	}
	s->budget--;
	if (claim_holds(&claim))
		return true;
	if (!blob_equal(child->subject, child->issuer)) /* else another root of that name, no broken certificate */
		note(s, RANK_SIGNATURE, REASON_CHAIN_SIGNATURE, "a CA certificate's signature, or its algorithm");
	return false;
}

/* `ca`, signed by the head of a valid path, becomes the head: RFC 5280 section 6.1.4 (k) to (o). */
static bool extend(struct search *s, const struct cert *ca, const struct ca_state *parent, struct ca_state *ret_state)
{
	bool self_issued = blob_equal(ca->subject, ca->issuer);
	int below = self_issued ? parent->cas_below : parent->cas_below - 1;

	if (!signed_by(s, ca, &parent->key))
		return false;
	if (!cert_may_issue(ca)) {
		note(s, RANK_PATH, REASON_CHAIN_UNTRUSTED,
		     "an issuer is not a CA, may not sign certificates or has an unknown critical extension");
		return false;
	}
	if (below < 0) {
		note(s, RANK_PATH, REASON_CHAIN_PATHLEN, "a CA stands below a pathLenConstraint that ends above it");
		return false;
	}
	*ret_state = *parent; /* root_spki_hash stays */
	ret_state->not_before_s = ca->not_before_s > parent->not_before_s ? ca->not_before_s : parent->not_before_s;
	ret_state->not_after_s = ca->not_after_s < parent->not_after_s ? ca->not_after_s : parent->not_after_s;
	ret_state->cas_below = ca->path_len >= 0 && ca->path_len < below ? ca->path_len : below;
	ret_state->depth = parent->depth + 1;
	ret_state->key = ca->key;
	pubkey_hash(&ca->key, ret_state->spki_hash);
	if (ret_state->depth > CAS_MAX + 1) {
		note(s, RANK_PATH, REASON_CHAIN_UNTRUSTED, "more than %d CAs below the anchor", CAS_MAX);
		return false;
	}
	return in_dates(s, ret_state);
}

static bool cached(struct search *s, const struct member *m, struct ca_state *ret_state)
{
	struct ca_wanted self = { m->cert.subject, m->cert.ski };

	return s->use_cache && trust_cache_find(s->trust->cache, m->cert.der, &self, ret_state) != CACHE_NONE &&
	       s->now_s >= ret_state->not_before_s && s->now_s <= ret_state->not_after_s;
}

static bool under_anchor(struct search *s, const struct cert *ca, struct ca_state *ret_state)
{
	for (size_t i = 0; i < s->trust->n; i++) {
		const struct anchor *anchor = &s->trust->anchors[i];

		if (names_issuer(ca, &anchor->cert) && extend(s, ca, &anchor->state, ret_state))
			return true;
	}
	return false;
}

/* Is there a valid path from this certificate to an anchor? Depth first, at most CAS_MAX deep. */
static bool reach(struct search *s, struct member *m, int depth, struct ca_state *ret_state)
{
	struct ca_state parent;
	bool found = false;

	if (m->on_path || depth > CAS_MAX)
		return false;
	if (cached(s, m, ret_state))
		return true;
	m->on_path = true;
	found = under_anchor(s, &m->cert, ret_state);
	for (size_t i = 0; i < s->n && !found; i++)
		found = names_issuer(&m->cert, &s->member[i].cert) && reach(s, &s->member[i], depth + 1, &parent) &&
			extend(s, &m->cert, &parent, ret_state);
	m->on_path = false;
	if (found)
		trust_cache_put(s->trust->cache, &m->cert, ret_state);
	return found;
}

/* Parses what came along, anchors apart, which are known; a broken or unusable one does no harm unless nothing else
 * leads to an anchor. */
static void gather(struct search *s, const struct blob *untrusted, size_t n)
{
	struct fault why;

	for (size_t i = 0; i < n; i++) {
		struct member *m = &s->member[s->n];

		if (cert_parse(untrusted[i], &m->cert, &why) != REASON_OK) {
			note(s, RANK_MALFORMED, why.reason, "certificate %zu: %s", i + 1, why.detail);
			continue;
		}
		m->on_path = false;
		s->n += !trust_is_anchor(s->trust, m->cert.der);
	}
}

/* All valid issuers that the leaf's issuer name fits. */
static size_t issuers(struct search *s, const struct cert *leaf, struct ca_state found[ISSUERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < s->trust->n && n < ISSUERS_MAX; i++) {
		const struct anchor *anchor = &s->trust->anchors[i];

		if (names_issuer(leaf, &anchor->cert) && in_dates(s, &anchor->state))
			found[n++] = anchor->state;
	}
	for (size_t i = 0; i < s->n && n < ISSUERS_MAX; i++) {
		if (names_issuer(leaf, &s->member[i].cert) && reach(s, &s->member[i], 1, &found[n]))
			n++;
	}
	return n;
}

/* Several valid issuers of one name and different keys: only the signature tells which it was. */
static const struct ca_state *choose(struct search *s, const struct cert *leaf, const struct ca_state *found, size_t n)
{
	bool same = true;

	for (size_t i = 1; i < n; i++)
		same = same && pubkey_equal(&found[0].key, &found[i].key);
	if (same)
		return n > 0 ? &found[0] : NULL; /* the claim will tell */
	for (size_t i = 0; i < n; i++) {
		if (signed_by(s, leaf, &found[i].key))
			return &found[i];
	}
	return NULL;
}

enum reason trust_search(struct trust *trust, const struct cert *leaf, const struct blob *untrusted, size_t n,
			 int64_t now_s, struct ca_state *ret_issuer, struct fault *f)
{
	struct search s = { .trust = trust, .now_s = now_s, .budget = VERIFICATIONS_MAX };
	struct ca_state found[ISSUERS_MAX];
	const struct ca_state *issuer = NULL;

	note(&s, RANK_FOREIGN, REASON_CHAIN_UNTRUSTED, "no certificate leads from the end certificate to an anchor");
	gather(&s, untrusted, n);
	/* a remembered path may be the stricter one of two: before refusing, look at all of them afresh */
	for (int afresh = 0; afresh < 2 && issuer == NULL; afresh++) {
		s.use_cache = afresh == 0;
		issuer = choose(&s, leaf, found, issuers(&s, leaf, found));
	}
	if (issuer == NULL) {
		if (f != NULL)
			*f = s.fault;
		return s.fault.reason;
	}
	*ret_issuer = *issuer;
	return REASON_OK;
}
