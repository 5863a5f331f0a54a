/*
 * body.h - the DER inside an EST request's body: base64 as the RFC has it, PEM armour and raw DER as people send it.
 *
 * Threads: pure.
 * Spec:    RFC 8951 section 3: base64 of DER whatever Content-Transfer-Encoding says; white space is tolerated.
 */
#ifndef ASSAY_BODY_H
#define ASSAY_BODY_H

#include "base/blob.h"

/* REASON_HTTP_BODY when empty, REASON_BASE64 when it is none of the three forms. */
MUST_CHECK enum reason body_der(struct blob body, struct buf *ret_der, struct fault *f);

/* Base64 on one line and a line feed: what strongSwan, which refuses inner ones, takes, and RFC 8951 asks for. */
MUST_CHECK enum reason body_base64(struct blob der, struct buf *ret_text, struct fault *f);

/* The same text in lines of 64. */
MUST_CHECK enum reason body_lines(struct blob line, struct buf *ret_text, struct fault *f);

#endif
