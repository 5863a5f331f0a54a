/*
 * openssl_x509v3.h - OpenSSL's header without its names for bits of keyUsage, which cert.h has too, in another order.
 * Before any header of ours.
 */
#ifndef ASSAY_TEST_OPENSSL_X509V3_H
#define ASSAY_TEST_OPENSSL_X509V3_H

#include <openssl/x509v3.h>

#undef KU_DIGITAL_SIGNATURE
#undef KU_NON_REPUDIATION
#undef KU_KEY_ENCIPHERMENT
#undef KU_DATA_ENCIPHERMENT
#undef KU_KEY_AGREEMENT
#undef KU_KEY_CERT_SIGN
#undef KU_CRL_SIGN
#undef KU_ENCIPHER_ONLY
#undef KU_DECIPHER_ONLY

#endif
