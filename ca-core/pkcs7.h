/*
 * pkcs7.h - certs-only PKCS#7 (degenerate SignedData), what EST answers with.
 *
 * Threads: pure.
 * Spec:    RFC 5272 section 4.1, RFC 7030 sections 4.1.3 and 4.2.3: no content, no signerInfos.
 */
#ifndef ASSAY_PKCS7_H
#define ASSAY_PKCS7_H

#include "base/blob.h"

/* The certificates in the order given, each whole DER, copied as they are. */
MUST_CHECK enum reason pkcs7_certs_only(const struct blob *certs, size_t n, struct buf *ret_der, struct fault *f);

#endif
