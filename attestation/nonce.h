/*
 * nonce.h - stateless nonces for evidence: 4 bytes of time, the rest HMAC over time, requester and label.
 *
 * The time part is a tick of 1/16384 s that never repeats within a process, so that two nonces for one requester
 * differ; its part in the nonce wraps after three days, the whole of it is in the MAC. Nodes share the key, so a rig may go on over another
 * connection or node. That a nonce serves one claim only is the ledger's promise, not this file's.
 *
 * The key file holds one to three secrets of 32 bytes, one after the other: the first makes nonces, every one of them
 * is good to check. So a key is changed under way: the new one goes to the end of every node's file, then to the front,
 * and when the nonces of the old one have gone stale that one goes.
 *
 * Owns:     struct nonce_key holds the secrets; nonce_key_free() wipes them.
 * Threads:  any; the tick is atomic.
 * Spec:     draft-ietf-lamps-attestation-freshness-08; its tie to the TLS session is replaced by the requester.
 */
#ifndef ASSAY_NONCE_H
#define ASSAY_NONCE_H

#include "base/blob.h"
#include "base/limits.h"

struct nonce_key;

#define NONCE_SECRET_BYTES 32
#define NONCE_SECRETS_MAX 3 /* next, present and previous */

/* REASON_CONFIG unless it is a file of 32, 64 or 96 bytes that is not open to every user. */
MUST_CHECK enum reason nonce_key_open(const char *path, struct nonce_key **ret_key, struct fault *f);
void nonce_key_free(struct nonce_key *key); /* accepts NULL */

/* len is LIMIT_NONCE_OWN_BYTES to LIMIT_NONCE_BYTES_MAX. REASON_OVERLOADED above 16,384 nonces a second for long. */
MUST_CHECK enum reason nonce_make(const struct nonce_key *key, const char *requester, const char *label, size_t len,
                                  uint8_t *out, struct fault *f);

/* REASON_OK, REASON_NONCE_MISSING (empty), REASON_NONCE_FOREIGN or REASON_NONCE_STALE. */
MUST_CHECK enum reason nonce_check(const struct nonce_key *key, const char *requester, const char *label,
                                   struct blob nonce, unsigned lifetime_s, struct fault *f);
/* The same at a given wall time, microseconds: what nonce_check() calls, and what tests of ageing call. */
MUST_CHECK enum reason nonce_check_at(const struct nonce_key *key, const char *requester, const char *label,
                                      struct blob nonce, unsigned lifetime_s, int64_t now_us, struct fault *f);

#endif
