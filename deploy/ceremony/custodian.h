/*
 * custodian.h - what custodians do with a transcript in a home: sign it, seal it, see who signed one; see quorum.h.
 *
 * Threads: one.
 */
#ifndef ASSAY_CEREMONY_CUSTODIAN_H
#define ASSAY_CEREMONY_CUSTODIAN_H

#include "base/blob.h"

/* HOME/custodians/NAME.sig: by the key in this file (PEM), which has to be the custodian's in the transcript. */
MUST_CHECK enum reason custodian_sign(const char *home, const char *name, const char *key_file, struct fault *f);
/* HOME/ceremony-sealed.json from the transcript and custodians/; refuses below the quorum. */
MUST_CHECK enum reason custodian_seal(const char *home, struct fault *f);
/* Prints who signed a transcript, sealed or not; a fault if the quorum that it asks for is not there. */
MUST_CHECK enum reason custodian_check(const char *file, struct fault *f);

#endif
