/*
 * transcript.h - ceremony.json: who made what, when, where, from which spec; hashes of every key and certificate.
 *
 * The ledger takes it as text (record_ceremony), so that an auditor can hold token, certificates and files against it.
 *
 * Owns:    a JSON object.
 * Threads: one.
 */
#ifndef ASSAY_CEREMONY_TRANSCRIPT_H
#define ASSAY_CEREMONY_TRANSCRIPT_H

#include "spec.h"
#include "token.h"

#define TRANSCRIPT_FILE "ceremony.json"
#define SEALED_FILE "ceremony-sealed.json" /* with the custodians' signatures: quorum.h */
#define SUPPLEMENT_FILE "ceremony-%s.json" /* of a key that was added later: its label, "ocsp" for OCSP's */

struct transcript;

/* Date, host and user are taken here. */
MUST_CHECK enum reason transcript_new(const struct spec *spec, struct transcript **ret_transcript, struct fault *f);
void transcript_free(struct transcript *transcript); /* accepts NULL */
AUTO_FREE(struct transcript, transcript_freep, transcript_free)

MUST_CHECK enum reason transcript_token(struct transcript *transcript, const struct token_info *info, struct fault *f);
/* `where` is "token", or the file of a key made in software. */
MUST_CHECK enum reason transcript_key(struct transcript *transcript, const char *label, const char *where,
				      const struct pubkey *key, struct fault *f);
MUST_CHECK enum reason transcript_cert(struct transcript *transcript, const char *file, struct blob der,
				       struct fault *f);
/* The text of the transcript of the ceremony at which the root certified: kept inside, beside its hash. */
MUST_CHECK enum reason transcript_root(struct transcript *transcript, const char *text, struct fault *f);
/* Into the home, as the last file of all: its presence says that the ceremony is complete. */
MUST_CHECK enum reason transcript_write(const struct transcript *transcript, const char *home, const char *file,
					struct fault *f);
/* Does the transcript in the home name a key with this label? */
MUST_CHECK enum reason transcript_names(const char *home, const char *label, bool *ret_named, struct fault *f);

#endif
