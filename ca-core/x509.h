/*
 * x509.h - the pieces that certificates and requests share: names, algorithms, extensions.
 *
 * Private to ca-core's readers (cert.c, csr.c). False means malformed; the caller knows the reason for it.
 *
 * Owns:     nothing: blobs point into the input.
 * Threads:  pure.
 * Spec:     RFC 5280 sections 4.1 and 4.2.
 */
#ifndef ASSAY_X509_H
#define ASSAY_X509_H

#include "cert.h"
#include "der.h"

/* A Name is a SEQUENCE of non-empty, ordered SETs of { type, value }, at most LIMIT_NAME_BYTES. */
MUST_CHECK bool x509_name(struct blob *in, struct blob *ret_whole);

/*
 * Takes an AlgorithmIdentifier off the cursor. Well-formed but unknown, weak (MD5, SHA-1) or with other parameters
 * than its RFC asks for (absent for ECDSA, or NULL if lax; NULL for RSA) is SIG_NONE.
 */
MUST_CHECK bool x509_algorithm(struct blob *in, bool lax, struct blob *ret_whole, enum sig_alg *ret_alg);

struct extension {
	struct blob oid;
	bool critical;
	struct blob value; /* content of the OCTET STRING */
};
struct extensions {
	size_t n;
	struct extension item[LIMIT_EXTENSIONS];
};
/* SEQUENCE OF Extension, content given: at least one, none twice, at most LIMIT_EXTENSIONS. */
MUST_CHECK bool x509_extensions(struct blob content, struct extensions *ret_list);

/* The values of those that Assay processes. */
MUST_CHECK bool x509_basic(struct blob value, bool *ret_is_ca, int *ret_path_len); /* -1: none */
MUST_CHECK bool x509_key_usage(struct blob value, bool lax, unsigned *ret_usage);  /* at least one bit */
MUST_CHECK bool x509_ekus(struct blob value, struct oid eku[LIMIT_EKUS], size_t *ret_n);
/* Shape of every GeneralName: known tag, not empty, text as IA5, IP of 4 or 16, at most `max` of them. */
MUST_CHECK bool x509_general_names(struct blob value, size_t max);

#endif
