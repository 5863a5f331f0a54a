/*
 * trust_search.h - the long way from an end certificate to an anchor, for issuers not met before.
 *
 * Private to trust.c. Every CA on the path is checked in full: signature, CA bits, path lengths, dates, critical
 * extensions; what validated goes into the cache. Signatures are checked from the anchor downwards, so a stranger's
 * chain costs comparisons of names and nothing more; a budget bounds the rest.
 *
 * Threads: the anchors are only read.
 * Spec:    RFC 5280 sections 6.1 and 4.2.1.9.
 */
#ifndef ASSAY_TRUST_SEARCH_H
#define ASSAY_TRUST_SEARCH_H

#include "trust.h"
#include "trust_cache.h"
#include "trust_leaves.h"

struct anchor {
	struct buf der;
	struct cert cert; /* points into der */
	struct ca_state state;
};

struct trust {
	char *what;
	size_t n;
	struct anchor *anchors;
	struct trust_cache *cache;
	struct trust_leaves *leaves;
};

/* CA:TRUE, keyCertSign if it has a keyUsage, no critical extension that Assay does not process in a CA. */
bool cert_may_issue(const struct cert *cert);

bool trust_is_anchor(const struct trust *trust, struct blob der);

/* The leaf's issuer, as the head of a path that is valid at now_s; else the reason that tells most. */
MUST_CHECK enum reason trust_search(struct trust *trust, const struct cert *leaf, const struct blob *untrusted,
				    size_t n, int64_t now_s, struct ca_state *ret_issuer, struct fault *f);

#endif
