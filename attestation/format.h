/*
 * format.h - what one evidence format has to provide. A further format is one file and one line in formats.c.
 *
 * Threads: every function is pure; `scratch` belongs to one enrolment.
 */
#ifndef ASSAY_FORMAT_H
#define ASSAY_FORMAT_H

#include "evidence.h"

/* What a format gets to read. All blobs are borrowed from the bundle. */
struct statement {
	struct blob stmt; /* the AttestationStatement's stmt, whole DER element */
	const struct blob *certs; /* the bundle's certificates, whole DER */
	size_t n_certs;
	const struct pubkey *csr_key;
	struct trust *roots; /* of this format */
	int64_t now_s;
};

/* Memory that claims may point to until they are checked: see evidence.c for what it holds. */
struct scratch;
struct cert *scratch_cert(struct scratch *scratch); /* one more parsed certificate; NULL past LIMIT_BUNDLE_CERTS */
/* A copy of bytes that lives as long; NULL when memory is short. */
const uint8_t *scratch_bytes(struct scratch *scratch, struct blob bytes);

struct format {
	const char *name; /* "assay.1.1" */
	enum oid_id oid;
	enum reason (*assess)(const struct statement *statement, struct scratch *scratch, struct claims *claims,
	                      struct verdict *ret_verdict, struct fault *f);
};

extern const struct format *const formats[]; /* formats.c */
extern const size_t n_formats;

/* quote.c: assay.1.1, COSE_Sign1 by an identity applet */
extern const struct format format_quote;

#endif
