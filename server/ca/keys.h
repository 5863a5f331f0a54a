/*
 * keys.h - the token's comings and goings: opens it, gives its keys to issuers and responder, opens it again when it
 * was lost.
 *
 * A ca without its token still records what operators do, tells the others of it, and answers 503 where a signature is
 * needed; so the token is opened on a thread of its own, at the start and whenever it failed, with back-off, until it
 * is there. PKCS#11 modules do not recover in place: sessions, keys and the module itself are given up first
 * (C_Finalize) and made anew. A wrong PIN ends the role, which stays down: it is never tried twice.
 *
 * Threads:  keys_use() and keys_used() by any signer; keys_lost() by anybody; the rest by the role's thread.
 * Blocks:   keys_open() until the first attempt is over, for at most token.sign_timeout_ms.
 */
#ifndef ASSAY_CA_KEYS_H
#define ASSAY_CA_KEYS_H

#include "base/reason.h"

struct ca;
struct keys;

/* After issuers and OCSP, before the line. A token that is away is no fault: ca->token_away says so. */
MUST_CHECK enum reason keys_open(struct ca *ca, struct keys **ret_keys, struct fault *f);
void keys_close(struct keys *keys); /* accepts NULL; after the line */
/* The token failed: nothing is signed until it has been opened again. */
void keys_lost(struct keys *keys, const struct fault *fault);
/* Around every use of a key. REASON_TOKEN_AWAY: there is none now, and no end to call. */
MUST_CHECK enum reason keys_use(struct ca *ca, struct fault *f);
void keys_used(struct ca *ca);

#endif
