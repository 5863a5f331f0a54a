/*
 * ceremony.h - everything that a spec asks for, in one go, or nothing that could be taken for it.
 *
 * Order: checks, PINs, token, keys, CA certificates, end certificates, trust lists, transcript. The transcript comes
 * last; a home that has one is complete and is left alone (but for an ocsp_key that it lacks), a home that has a part is
 * refused.
 *
 * Threads: one. Writes a line on standard output for each thing made.
 */
#ifndef ASSAY_CEREMONY_H
#define ASSAY_CEREMONY_H

#include "spec.h"

/* `module` overrides the spec's PKCS#11 module when not NULL. */
MUST_CHECK enum reason ceremony_hold(const struct spec *spec, const char *home, const char *module, struct fault *f);

#endif
