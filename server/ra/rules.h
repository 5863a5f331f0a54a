/*
 * rules.h - everything by which the ra decides that may change while it runs: policy, labels, trust lists, vendors, the
 * nonces' key.
 *
 * A request takes a reference when it comes in and keeps to it until it is answered; a reload puts whole new rules in
 * the place of the old ones, which go when the last request that began with them has gone.
 *
 * Threads: read-only but for the count.
 */
#ifndef ASSAY_RULES_H
#define ASSAY_RULES_H

#include <stdatomic.h>

#include "nonce.h"
#include "policy.h"
#include "ra/labels.h"
#include "trust.h"

struct rules {
	atomic_uint refs;
	uint64_t number; /* 1 for those of the start, then counting: what was worked out under others is worked out anew
			  */
	struct policy *policy;
	struct labels *labels;
	struct vendors *vendors;
	struct nonce_key *nonce_key;
	struct trust *rigs, *devices, *vendor_clients; /* the three lists of TLS clients; the last may be NULL */
};

/* Reads and checks all of it, or nothing: the fault names file and key. */
MUST_CHECK enum reason rules_load(const struct config *config, uint64_t number, struct rules **ret_rules,
				  struct fault *f);
struct rules *rules_ref(struct rules *rules);
void rules_unref(struct rules *rules); /* accepts NULL */
AUTO_FREE(struct rules, rules_unrefp, rules_unref)

#endif
