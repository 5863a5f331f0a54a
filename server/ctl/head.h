/*
 * head.h - a signed head of a ledger, read from its line and checked; server/ca/heads.h describes the line.
 *
 * A line of syslog, or of whatever put something before it, is taken from where the head begins.
 *
 * Owns:    struct head its parts; head_done() frees them. `text` points into the line.
 * Threads: pure.
 */
#ifndef ASSAY_CTL_HEAD_H
#define ASSAY_CTL_HEAD_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_HASH 32
#define HEAD_SIGNATURE_MAX 512
#define HEAD_POSITIONS_MAX 4096

struct head {
	const char *text; /* exactly what is signed */
	size_t len;
	json_t *json; /* the same, read */
	const char *node;
	int64_t number;
	const char *previous;    /* hex */
	const json_t *positions; /* [[node, stream, seq, hash], ...]: each of these types */
	uint8_t hash[HEAD_HASH]; /* of the text: what the next head names as the one before */
	uint8_t signature[HEAD_SIGNATURE_MAX];
	size_t signature_len;
};

bool head_is_line(const char *line, size_t len); /* it wants to be one */
/* Of one line, with or without its end; false: it is none, and *out is as it was. */
bool head_parse(const char *line, size_t len, struct head *out);
/* HEAD alone, without signature, as the ledger has it. */
bool head_parse_text(const char *text, size_t len, struct head *out);
void head_done(struct head *head);

/* The intents of this kind that the head counts; -1: it does not say. */
int64_t head_intents(const struct head *head, const char *kind);

/* The public key of a PEM file, a certificate or a key alone; NULL if it has none. The certificate's SHA-256 in hex
 * goes to ret_sha256 (empty for a key). */
EVP_PKEY *head_key(const char *path, char ret_sha256[2 * HEAD_HASH + 1]);
bool head_verify(const struct head *head, EVP_PKEY *key);

#endif
