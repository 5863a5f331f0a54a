/*
 * vendors.h - inside attestation/: the roots of one format.
 *
 * Owns:    vendors_open() (evidence.h) makes it.
 * Threads: read-only after open.
 */
#ifndef ASSAY_VENDORS_H
#define ASSAY_VENDORS_H

#include "format.h"

/* NULL when the configuration names no vendor for this format: then nobody is believed in it. */
struct trust *vendors_roots(const struct vendors *vendors, const struct format *format);

#endif
