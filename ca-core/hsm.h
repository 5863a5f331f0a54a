/*
 * hsm.h - the token: keys by label, sessions from a pool, one-shot signatures.
 *
 * Owns:     sessions and key handles; hsm_close() ends them.
 * Threads:  hsm_sign() may be called by as many threads as there are sessions.
 * Blocks:   hsm_sign() for as long as the token takes.
 * Errors:   REASON_TOKEN_PIN: the PIN is wrong; never try again in this process nor in the next (the caller stays
 *           down). REASON_TOKEN_AWAY: anything else; PKCS#11 modules do not recover in place, so the caller ends
 *           the process and lets it be started again. REASON_CONFIG: no PIN in the PIN file, sessions out of range,
 *           a key of a type that Assay does not sign with, a token that does not copy keys.
 * Spec:     PKCS#11 2.40 through libp11; sessions are 16 per slot list at most, hence several lists.
 */
#ifndef ASSAY_HSM_H
#define ASSAY_HSM_H

#include "claims.h"

struct hsm;
struct hsm_key;

struct hsm_options {
	const char *module; /* path of the PKCS#11 module */
	const char *token_label;
	const char *pin_file; /* read once, wiped after login */
	unsigned sessions; /* signatures at once, 1 to 64 */
	bool session_keys; /* sign with copies of the keys that live in a session (session_key.h) */
};

MUST_CHECK enum reason hsm_open(const struct hsm_options *options, struct hsm **ret_hsm, struct fault *f);
void hsm_close(struct hsm *hsm); /* accepts NULL */

/* Borrowed; lives as long as the hsm. The public half is read from the token too. */
MUST_CHECK enum reason hsm_key(struct hsm *hsm, const char *key_label, const struct hsm_key **ret_key, struct fault *f);
const struct pubkey *hsm_key_public(const struct hsm_key *key);
/* What this key signs with: SHA-256 for P-256 and RSA, SHA-384 for P-384. */
enum sig_alg hsm_key_alg(const struct hsm_key *key);

/* Signs message; `slot` (0 to sessions-1) is the caller's own session; ECDSA comes as DER. */
MUST_CHECK enum reason hsm_sign(const struct hsm_key *key, unsigned slot, struct blob message,
                                uint8_t sig[LIMIT_SIGNATURE_BYTES], size_t *ret_len, struct fault *f);

#endif
