/*
 * token.h - what a key ceremony does to a token: initialise it, make keys in it, say what it is.
 *
 * PKCS#11 itself, for libp11 can neither make EC keys nor keep RSA keys to signing alone (hsm.h signs).
 *
 * Owns:     the module's initialisation: C_Initialize at token_open(), C_Finalize at token_close(). Only one struct
 *           token at a time, and no struct hsm beside it.
 * Threads:  one.
 * Spec:     PKCS#11 2.40; keys are sensitive, never extractable, and sign and do nothing else.
 */
#ifndef ASSAY_TOKEN_H
#define ASSAY_TOKEN_H

#include "pubkey.h"

struct token;

MUST_CHECK enum reason token_open(const char *module, struct token **ret_token, struct fault *f);
void token_close(struct token *token); /* accepts NULL */
AUTO_FREE(struct token, token_closep, token_close)

struct token_info {
	char label[33], manufacturer[33], model[17], serial[17]; /* without the padding */
};

/* Looks for the token among the slots; *ret_found is false if none has this label. */
MUST_CHECK enum reason token_find(struct token *token, const char *label, bool *ret_found, struct fault *f);
/* Takes the first slot without an initialised token and gives it label, SO PIN and user PIN. */
MUST_CHECK enum reason token_init(struct token *token, const char *label, const char *so_pin, const char *pin,
				  struct fault *f);
/* Logs in as user to the token that token_find() or token_init() met: REASON_TOKEN_PIN if the PIN is wrong. */
MUST_CHECK enum reason token_login(struct token *token, const char *pin, struct fault *f);
MUST_CHECK enum reason token_describe(struct token *token, struct token_info *ret_info, struct fault *f);

/* After login. How many private keys have this label? */
MUST_CHECK enum reason token_count_keys(struct token *token, const char *label, unsigned *ret_n, struct fault *f);
/* After login. KEY_EC_P256, KEY_EC_P384 or KEY_RSA (`rsa_bits` from 2048); refuses a label that is taken. */
MUST_CHECK enum reason token_generate(struct token *token, const char *label, uint8_t id, enum key_type type,
				      unsigned rsa_bits, struct fault *f);

#endif
