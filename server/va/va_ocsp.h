/*
 * va_ocsp.h - OCSP as the va answers it: requests over HTTP, answers kept, questions at the ca.
 *
 * A request for one certificate without a nonce is answered from memory until half of the answer's life is over, and
 * for as long as the view agrees with it: a certificate that is revoked (or released) meanwhile is asked for anew. All
 * else is asked at the ca, which looks the state up in the ledger and signs. When the ca has no signature to spare for
 * a nonce, the request is answered as if it had none (RFC 9654 section 2.1 lets a responder leave it out). A view older
 * than a second, or a ca that is away: tryLater, rather than an answer that may be wrong.
 *
 * Owns:     what is kept, and exchanges between question and answer.
 * Threads:  any; each part has its own lock.
 * Spec:     RFC 6960 appendix A (HTTP), RFC 5019 section 6 (caches), RFC 9654 (nonces).
 */
#ifndef ASSAY_VA_OCSP_H
#define ASSAY_VA_OCSP_H

#include "channel/status_frames.h"
#include "va/va.h"

/* ocsp_cache.c: answers about one certificate without a nonce */
struct ocsp_cache;
struct ocsp_kept {
	enum ocsp_status status;
	int64_t this_s, next_s;
	struct buf der; /* the caller's */
};
struct ocsp_cache *ocsp_cache_new(void);        /* NULL: no memory */
void ocsp_cache_free(struct ocsp_cache *cache); /* accepts NULL */
/* False when there is none, it is past its half, or it is not what `revoked` (the view's word) says. */
MUST_CHECK bool ocsp_cache_get(struct ocsp_cache *cache, const struct message_ocsp_ask *ask, bool revoked,
			       int64_t now_s, struct ocsp_kept *ret_kept);
/* Keeps a copy; short of memory it does not. */
void ocsp_cache_put(struct ocsp_cache *cache, const struct message_ocsp_ask *ask, const struct message_ocsp *answer);
void ocsp_cache_drop(struct ocsp_cache *cache, struct blob serial);

/* ocsp.c */
struct va_ocsp;
MUST_CHECK enum reason va_ocsp_open(struct va *va, struct va_ocsp **ret_ocsp, struct fault *f);
void va_ocsp_close(struct va_ocsp *ocsp); /* accepts NULL */
/* Answers from memory, or suspends and asks; as http_app.run. */
bool va_ocsp_answer(struct va *va, struct exchange *x, const struct message_ocsp_ask *ask);
bool va_ocsp_is_mine(uint64_t frame_id);
void va_ocsp_frame(struct va *va, const struct frame *frame); /* FRAME_OCSP, or FRAME_REFUSED with an id of ours */
void va_ocsp_view(struct va *va, struct blob body);           /* FRAME_VIEW, applied: forgets what it is about */
void va_ocsp_tick(struct va *va, int64_t now_us);             /* gives up what takes too long; INT64_MAX: everything */

/* ocsp_http.c */
bool ocsp_path(const char *path);
/* RFC 6960 appendix A.1: the URL-encoding of the base64 of the DER, behind a path that ocsp_path() takes; the slash before
 * it may have been doubled. Pure. */
MUST_CHECK enum reason ocsp_path_parse(const char *path, struct buf *ret_der, struct fault *f);
void ocsp_begin(struct va *va, struct exchange *x); /* as http_app.begin */
bool ocsp_run(struct va *va, struct exchange *x);   /* as http_app.run */
/* The bytes of a finished answer, with the headers that caches want. */
void ocsp_reply(struct exchange *x, struct ocsp_kept *kept, bool nonce, struct reply *ret_reply);
/* OCSPResponse without an answer; HTTP has nothing to complain of. */
struct reply ocsp_reply_error(enum ocsp_error error, const struct fault *fault);

#endif
