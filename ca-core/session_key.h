/*
 * session_key.h - copies of a token's private keys that live in a session, for software tokens.
 *
 * SoftHSM opens, locks and reads a key's file for each C_SignInit, a third of what a signature costs; an object of a
 * session has no file. C_CopyObject makes it inside the module, as sensitive and as little extractable as the key
 * itself, and it ends with the session. That the key is still in its token nobody would notice then, so whoever signs
 * asks for it, every SESSION_KEY_LOOK_US.
 *
 * Owns:     a session, in which the copies live. The module is the caller's: initialised, logged in, there for longer.
 * Threads:  session_key_there() any, beside the others too; the others one.
 * Errors:   REASON_CONFIG: the token does not copy this key. REASON_TOKEN_AWAY: anything else.
 * Spec:     PKCS#11 2.40: C_CopyObject; session objects.
 */
#ifndef ASSAY_SESSION_KEY_H
#define ASSAY_SESSION_KEY_H

#include <stdbool.h>

#include "base/blob.h"
#include "base/reason.h"

/* A key that is gone signs no longer than this and a look. SoftHSM takes 15 us for a look: 0.3 % of a processor at most. */
#define SESSION_KEY_LOOK_US 5000

struct session_keys;
struct session_key;

MUST_CHECK enum reason session_keys_open(const char *module, unsigned long slot, struct session_keys **ret_keys,
					 struct fault *f);
void session_keys_close(struct session_keys *keys); /* with all copies; accepts NULL */

/* Of the only private key with this label. Borrowed. */
MUST_CHECK enum reason session_key_copy(struct session_keys *keys, const char *label, struct session_key **ret_key,
					struct fault *f);
const char *session_key_label(const struct session_key *key); /* the copy's own: no other object has it */
/* Has the token still what this is a copy of? */
bool session_key_there(struct session_key *key);

#endif
