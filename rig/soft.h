/*
 * soft.h - the inside of the software element, shared by se_soft.c (what it does), soft_mint.c (how it is made) and
 * soft_store.c (how it is kept).
 */
#ifndef RIG_SOFT_H
#define RIG_SOFT_H

#include "se_soft.h"

#define SOFT_UEID_BYTES 17 /* EAT, RFC 9711 section 4.2.1.1: type RAND (01) and 16 random bytes */

struct soft_slot {
	EVP_PKEY *key;
	X509 *cert;
};

struct soft {
	struct element base;
	uint8_t ueid[SOFT_UEID_BYTES];
	EVP_PKEY *attestation_key; /* NULL: cannot attest */
	X509 *attestation_cert, *batch_ca;
	char *folder;             /* NULL: in memory only */
	struct soft_slot slot[2]; /* by enum element_slot */
};

struct soft *soft_new(void); /* an empty one with its table; NULL when memory is short */
void soft_free(struct soft *soft);
static inline void auto_soft(struct soft **soft)
{
	if (*soft != NULL)
		soft_free(*soft);
}

EVP_PKEY *soft_generate(enum element_key kind);
bool soft_key_is(const EVP_PKEY *key, enum element_key kind);

/* soft_store.c: each does nothing for an element in memory */
MUST_CHECK bool soft_store_element(struct soft *soft, const char *parent, struct trouble *t); /* makes the folder */
MUST_CHECK bool soft_store_key(const struct soft *soft, struct trouble *t);         /* NEXT's, as key-new.pem */
MUST_CHECK bool soft_store_certificate(const struct soft *soft, struct trouble *t); /* NEXT's, as cert-new.pem */
MUST_CHECK bool soft_store_activate(const struct soft *soft, bool new_key, struct trouble *t);

#endif
