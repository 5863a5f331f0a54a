/*
 * se_soft.h - a secure element in software, for tests, demonstrations and load: it has the interface and the
 * statements of a real one and protects nothing.
 *
 * Its attestation key and certificate are minted from a software vendor's batch CA, which no server takes for real
 * hardware outside a quickstart home.
 *
 * Owns:     soft_vendor_free() frees the vendor; elements are closed through their table.
 * Threads:  a vendor is read-only after open and may serve many threads; an element belongs to one.
 */
#ifndef RIG_SE_SOFT_H
#define RIG_SE_SOFT_H

#include "element.h"

struct soft_vendor;
/* Reads batch-ca.pem and batch-ca.key of that folder. */
MUST_CHECK bool soft_vendor_open(const char *folder, struct soft_vendor **ret_vendor, struct trouble *t);
void soft_vendor_free(struct soft_vendor *vendor); /* accepts NULL */

struct soft_options {
	const struct soft_vendor *vendor; /* NULL: an element without attestation, as made in older days */
	const char *folder;               /* NULL: in memory only; else the element keeps itself in <folder>/<ueid>/ */
	enum element_key attestation_key; /* ELEMENT_EC_P256 or ELEMENT_EC_P384 */
};
/* A new element from the factory: it has an identity and an attestation key, and no key of its own yet. */
MUST_CHECK bool soft_mint(const struct soft_options *options, struct element **ret_element, struct trouble *t);

/* The element that an earlier soft_mint left in that folder, with what it had got so far. */
MUST_CHECK bool soft_load(const char *folder, struct element **ret_element, struct trouble *t);

#endif
