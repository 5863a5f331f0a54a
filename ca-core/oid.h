/*
 * oid.h - object identifiers as content octets, and the ones Assay knows.
 *
 * Threads: pure, constants.
 * Spec:    X.690 section 8.19; the Assay arc: README of attestation/.
 */
#ifndef ASSAY_OID_H
#define ASSAY_OID_H

#include "base/blob.h"
#include "base/limits.h"

struct oid {
	uint8_t len;
	uint8_t bytes[LIMIT_OID_BYTES]; /* content octets, without tag and length */
};

/* "1.2.840.113549.1.9.14" and back; false when malformed or longer than LIMIT_OID_BYTES. */
MUST_CHECK bool oid_parse(const char *dotted, struct oid *ret_oid);
void oid_text(const struct oid *oid, char *out, size_t out_len);
bool oid_is(struct blob content, const struct oid *oid);
bool oid_equal(const struct oid *a, const struct oid *b);

enum oid_id {
#define OID(id, name, dotted) OID_##id,
#include "oid.def"
#undef OID
	OID_COUNT
};

/* The table, parsed once by oid_init(), which every program calls first. */
void oid_init(void);
const struct oid *oid_of(enum oid_id id);
/* A name from the table ("clientAuth"), or a dotted OID. */
MUST_CHECK bool oid_by_name(const char *name, struct oid *ret_oid);

#endif
