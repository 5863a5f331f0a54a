/*
 * quorum.h - custodians' signatures over a transcript: given, gathered, and counted.
 *
 * A custodian signs the transcript's bytes as they lie in the file, SHA-256 with an EC or RSA key of their own:
 * `openssl dgst -sha256 -sign KEY -out NAME.sig ceremony.json` makes the same, so a smart card's tool can too. The
 * transcript itself names the custodians, their public keys and how many of them it takes. Sealed, it is one text:
 *
 *   { "what": "assay key ceremony, sealed", "version": 1, "transcript": "<the file's text>",
 *     "signatures": [ { "custodian": "alice", "signature": "<base64>" }, ... ] }
 *
 * Owns:    what quorum_read() returns; quorum_done() frees it.
 * Threads: pure.
 */
#ifndef ASSAY_CEREMONY_QUORUM_H
#define ASSAY_CEREMONY_QUORUM_H

#include <jansson.h>

#include "base/blob.h"

#define QUORUM_CUSTODIANS_MAX 16
#define QUORUM_SEALED "assay key ceremony, sealed"
#define QUORUM_NAME_CHARS 40
#define QUORUM_SIGNATURE_MAX 1024

struct quorum {
	json_t *transcript;  /* parsed */
	unsigned of, needed; /* custodians with keys; 0 of 0: none were asked for */
	unsigned signed_by;  /* valid signatures of different custodians */
	char names[QUORUM_CUSTODIANS_MAX *
		   (QUORUM_NAME_CHARS + 2)]; /* of those who signed; without keys: all who are named */
};

/* A transcript, sealed or not: REASON_CONFIG if it is neither, or if a signature that it brings does not verify. */
MUST_CHECK enum reason quorum_read(const char *text, struct quorum *ret_quorum, struct fault *f);
void quorum_done(struct quorum *quorum);

/* What is right for custodians with keys, in a spec and in a transcript: an array of objects of name and key (PEM), no
 * two with the same name or, however it is written, the same key. */
MUST_CHECK enum reason quorum_check_custodians(const json_t *list, struct fault *f);

/* One signature over a text, by one public key (PEM). */
bool quorum_verify(const char *key_pem, const char *text, struct blob signature);

#endif
