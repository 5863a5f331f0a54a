/*
 * peer.h - the client certificate of one TLS connection, taken over once, and its path to a list of anchors.
 *
 * Owns:    a copy of the chain. Counted: the connection holds one reference, every enrolment on the line another, for
 *          a connection may end while its enrolment goes on.
 * Threads: read-only but for `path`, which only the connection's HTTP thread touches.
 * Does not: decide what the certificate is good for (ra/who.h).
 */
#ifndef ASSAY_PEER_H
#define ASSAY_PEER_H

#include <stdatomic.h>

#include "trust.h"

/* What the path check said, so that a kept-alive connection pays for it once a minute and not per request. */
struct peer_path {
	int64_t checked_s;  /* 0: never; else Unix time */
	uint64_t rules;     /* the caller's number of the trust lists: others are asked anew */
	int list;           /* the caller's number of the list that it leads to; -1: none */
	struct fault fault; /* why none */
};
#define PEER_PATH_LIFETIME_S 60 /* a CA in the path that expires is seen after this */

struct peer {
	atomic_uint refs;
	uint8_t *bytes; /* what the blobs point into */
	size_t n_chain;
	struct blob chain[LIMIT_CHAIN_DEPTH]; /* DER, leaf first */
	struct fault malformed;               /* REASON_OK, or what is wrong with the leaf */
	struct cert cert;                     /* the leaf, when not malformed */
	uint8_t spki_hash[32];
	struct peer_path path;
};

/* Copies the chain (leaf first; what is beyond LIMIT_CHAIN_DEPTH is left out). NULL when memory is short. */
struct peer *peer_new(const struct blob *chain, size_t n);
struct peer *peer_ref(struct peer *peer); /* accepts NULL */
void peer_unref(struct peer *peer);       /* accepts NULL */

/* Path to the anchors and every signature on it, checked as of `at_s`. The leaf's is remembered by the list of anchors.
 */
MUST_CHECK enum reason peer_verify(const struct peer *peer, struct trust *trust, int64_t at_s, struct fault *f);
/* Is the leaf one for TLS clients? keyUsage and extendedKeyUsage, where present, must say so. REASON_CHAIN_LEAF. */
MUST_CHECK enum reason peer_usage(const struct peer *peer, struct fault *f);

#endif
