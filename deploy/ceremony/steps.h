/*
 * steps.h - the steps that ceremonies are made of: one that makes everything in one token (ceremony.c), and one whose
 * root stays in a token that never meets the server (split.c).
 *
 * Owns:    struct ceremony: ceremony_done() frees it; spec, home and module are borrowed.
 * Threads: one.
 */
#ifndef ASSAY_CEREMONY_STEPS_H
#define ASSAY_CEREMONY_STEPS_H

#include "ca_cert.h"
#include "spec.h"
#include "transcript.h"

struct ca {
	struct buf der;
	struct cert cert; /* points into der */
	const struct hsm_key *key;
	char file[LIMIT_PROFILE_CHARS + 16];
};

struct ceremony {
	const struct spec *spec;
	const struct spec_token *token;
	size_t first, end; /* of spec->ca[]: those whose keys are in this token */
	const char *home, *module;
	int64_t now_s;
	struct transcript *transcript;
	struct hsm *hsm;
	struct ca ca[1 + SPEC_ISSUERS_MAX];
};

void ceremony_done(struct ceremony *c);

/* Refuses a home with certificates or keys but without a transcript: what an attempt left that was cut short. */
MUST_CHECK enum reason ceremony_check_blank(const struct ceremony *c, struct fault *f);
/* Initialises the token and makes the keys in it. */
MUST_CHECK enum reason ceremony_fill_token(struct ceremony *c, struct fault *f);
/* Opens the token and notes its keys in the transcript. */
MUST_CHECK enum reason ceremony_open_keys(struct ceremony *c, struct fault *f);

void ceremony_ca_file(const struct spec_ca *ca, char *out, size_t out_len); /* ca/<name>.pem */
/* What the certificate of CA i is to say, for this key. */
void ceremony_ask(const struct ceremony *c, size_t i, const struct pubkey *key, struct ca_cert_ask *ret_ask);
/* Writes the certificate of CA i that is in ca[i].der into the home, and notes it. */
MUST_CHECK enum reason ceremony_keep_ca(struct ceremony *c, size_t i, struct fault *f);
/* The root, ca[0], certifies this key as CA i. */
MUST_CHECK enum reason ceremony_make_ca(struct ceremony *c, size_t i, const struct pubkey *key, struct fault *f);
/* End certificates, trust lists, the nonce key, the software vendor; the transcript last. */
MUST_CHECK enum reason ceremony_finish(struct ceremony *c, struct fault *f);

#endif
