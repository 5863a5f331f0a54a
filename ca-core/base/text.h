/*
 * text.h - bytes as text and back: hex, base64, base64url, base32.
 *
 * Threads: pure.
 * Spec:    RFC 4648; RFC 8951 section 3.1 for white space in base64.
 */
#ifndef ASSAY_TEXT_H
#define ASSAY_TEXT_H

#include "base/blob.h"

/* Lower-case hex with NUL; out_len must be at least 2 * len + 1. */
void text_hex(struct blob bytes, char *out, size_t out_len);
/* Reads exactly len hex digits (either case, no separators); false if it is anything else or does not fit. */
MUST_CHECK bool text_unhex(const char *text, size_t text_len, uint8_t *out, size_t out_cap, size_t *ret_len);

/* Lower-case base32 without padding, with NUL; out_len must be at least (len * 8 + 4) / 5 + 1. */
void text_base32(struct blob bytes, char *out, size_t out_len);

/* Base64 on one line without newline. */
MUST_CHECK enum reason text_base64(struct blob bytes, struct buf *ret_text, struct fault *f);
/* Strict but for CR, LF, space and tab, which are skipped; padding required; anything else is REASON_BASE64. */
MUST_CHECK enum reason text_unbase64(struct blob text, struct buf *ret_bytes, struct fault *f);

/* base64url without padding, with NUL; out_len at least (len * 4 + 2) / 3 + 1. */
void text_base64url(struct blob bytes, char *out, size_t out_len);

#endif
