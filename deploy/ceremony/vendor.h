/*
 * vendor.h - a vendor of software secure elements: a root, a batch CA and the batch CA's key, all in files.
 *
 * For trying Assay out and for tests; a server takes this vendor in a quickstart home only.
 *
 * Threads: one.
 */
#ifndef ASSAY_CEREMONY_VENDOR_H
#define ASSAY_CEREMONY_VENDOR_H

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "transcript.h"


/* Writes vendor/root.pem, vendor/batch-ca.pem (pathLen 0) and vendor/batch-ca.key; the root's key is forgotten. */
MUST_CHECK enum reason vendor_make(struct transcript *transcript, const char *home, int64_t now_s, struct fault *f);

#endif
