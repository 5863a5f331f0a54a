/*
 * status_frames.h - what the va asks for OCSP and what it gets: FRAME_OCSP_ASK and FRAME_OCSP.
 *
 * The va reads what strangers send and passes on what it understood; states of certificates are the ca's alone to find.
 * Decoding takes what another process sent, perhaps one that was taken over: every range is checked, trailing bytes are
 * refused, and what is decoded encodes to the same bytes.
 *
 * Threads: pure.
 */
#ifndef ASSAY_STATUS_FRAMES_H
#define ASSAY_STATUS_FRAMES_H

#include "channel/channel.h"
#include "ocsp.h"

struct message_ocsp_ask {
	char issuer[LIMIT_PROFILE_CHARS + 1];
	uint8_t n; /* 1 to LIMIT_OCSP_IDS */
	struct {
		bool sha256, null_params;
		uint8_t serial_len, serial[LIMIT_SERIAL_BYTES];
	} item[LIMIT_OCSP_IDS];
	uint8_t nonce_len, nonce[LIMIT_OCSP_NONCE_BYTES]; /* 0: without */
};
MUST_CHECK enum reason message_ocsp_ask_encode(const struct message_ocsp_ask *message, struct buf *ret_body,
					       struct fault *f);
MUST_CHECK enum reason message_ocsp_ask_decode(struct blob body, struct message_ocsp_ask *ret_message, struct fault *f);

/* `status` is the first certificate's: what the va needs to keep an answer about one. */
struct message_ocsp {
	uint8_t status; /* enum ocsp_status */
	int64_t this_s, next_s;
	struct blob der; /* OCSPResponse */
};
MUST_CHECK enum reason message_ocsp_encode(const struct message_ocsp *message, struct buf *ret_body, struct fault *f);
MUST_CHECK enum reason message_ocsp_decode(struct blob body, struct message_ocsp *ret_message, struct fault *f);

#endif
