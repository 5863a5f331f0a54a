/*
 * answer.h - inside ra/: what the bodies of the ca's answers to an enrolment mean.
 *
 * Threads: pure.
 */
#ifndef ASSAY_RA_ANSWER_H
#define ASSAY_RA_ANSWER_H

#include "http/reply.h"

/* FRAME_ENROLLED: the certificate as the reply to its client. REASON_CHANNEL_FRAME if malformed. */
MUST_CHECK enum reason answer_enrolled(struct blob body, struct reply *ret_reply, struct fault *f);
/* FRAME_REFUSED: why; REASON_CHANNEL_FRAME if malformed, never REASON_OK. */
struct fault answer_refused(struct blob body);

#endif
