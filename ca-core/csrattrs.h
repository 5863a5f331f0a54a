/*
 * csrattrs.h - the CSR attributes response: what a client should put into its CSR for one label.
 *
 * Threads: pure.
 * Spec:    RFC 8951 section 4, RFC 9908 section 3 (id-ExtensionReq not used; one attribute for the key type).
 */
#ifndef ASSAY_CSRATTRS_H
#define ASSAY_CSRATTRS_H

#include "cert.h"

/*
 * SEQUENCE OF AttrOrOID for the first accepted key: the key type as an attribute (ecPublicKey with its curve, or
 * rsaEncryption with its size), the signature algorithm's OID, and 1.2.840.113549.1.9.16.2.59 where evidence is
 * asked for. `rsa_bits` counts for KEY_RSA only.
 */
MUST_CHECK enum reason csrattrs_build(enum key_type type, unsigned rsa_bits, bool evidence, bool challenge,
                                      struct buf *ret_der, struct fault *f);

#endif
