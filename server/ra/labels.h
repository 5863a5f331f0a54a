/*
 * labels.h - what is said about each EST label to anybody who asks: /cacerts and /csrattrs, as bytes made at start.
 *
 * Threads: read-only after open.
 * Spec:    RFC 7030 section 4.1.3: the root and every certificate that an issued one needs to lead to it. While the
 * root changes its file holds up to four: the new one and the old, and each signed by the other (RFC 4210 section 4.4),
 * so that who trusts either one trusts every certificate.
 */
#ifndef ASSAY_LABELS_H
#define ASSAY_LABELS_H

#include "config.h"
#include "policy.h"

struct label {
	const struct profile *profile;
	struct profile_facts facts;
	struct buf cacerts;  /* base64: this label's issuer, the root's file, the other labels' issuers */
	struct buf csrattrs; /* base64; empty: nothing to say */
};

struct labels;

/* REASON_CONFIG when a label's issuer is not configured, or default_label names no profile. */
MUST_CHECK enum reason labels_open(const struct config *config, const struct policy *policy, struct labels **ret_labels,
				   struct fault *f);
void labels_free(struct labels *labels); /* accepts NULL */

/* NULL if unknown; an empty name is the default label. */
const struct label *label_find(const struct labels *labels, const char *name);

/* PEM of the certificates of every configured issuer for devices: the anchors of devices' certificates. */
MUST_CHECK enum reason labels_issuers_pem(const struct config *config, struct buf *ret_pem, struct fault *f);

#endif
