/*
 * home.h - the files that a ceremony leaves behind: certificates readable by all, secrets by their owner alone.
 *
 * Every file is made new (O_EXCL) and is on the disk before the next step: nothing is ever overwritten, and a
 * ceremony that was cut off leaves no file half written under its name.
 *
 * Threads: one.
 */
#ifndef ASSAY_CEREMONY_HOME_H
#define ASSAY_CEREMONY_HOME_H

#include <openssl/evp.h>

#include "base/blob.h"

#define HOME_PATH_BYTES 4096
#define HOME_PIN_BYTES 128

AUTO_FREE(EVP_PKEY, evp_pkey_freep, EVP_PKEY_free)

/* <home>/<file>; REASON_CONFIG when too long. */
MUST_CHECK enum reason home_path(const char *home, const char *file, char out[HOME_PATH_BYTES], struct fault *f);
MUST_CHECK bool home_has(const char *home, const char *file);

MUST_CHECK enum reason home_write_public(const char *home, const char *file, struct blob bytes, struct fault *f);
MUST_CHECK enum reason home_write_secret(const char *home, const char *file, struct blob bytes, struct fault *f);
/* Certificates as PEM, in the order given. */
MUST_CHECK enum reason home_write_certs(const char *home, const char *file, const struct blob *ders, size_t n,
					struct fault *f);
/* The first certificate of a PEM file, as DER. */
MUST_CHECK enum reason home_read_cert(const char *home, const char *file, struct buf *ret_der, struct fault *f);
/* PKCS#8 PEM. */
MUST_CHECK enum reason home_write_key(const char *home, const char *file, EVP_PKEY *key, struct fault *f);
/* The first line of a secret, or 24 random digits written there first. The caller wipes it. */
MUST_CHECK enum reason home_pin(const char *home, const char *file, char out[HOME_PIN_BYTES], bool *ret_made,
				struct fault *f);

#endif
