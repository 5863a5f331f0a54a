/*
 * message.h - the small bodies: what the ra says of its policy, what the va asks for and what it gets. Both directions
 * of each stand here, so that one cannot change without the other. Grants: channel.h; operators' calls: operate.h.
 *
 * Decoding takes what another process sent, perhaps one that was taken over: every range is checked, trailing bytes
 * are refused, and what is decoded encodes to the same bytes. Blobs point into the body.
 *
 * Threads: pure.
 */
#ifndef ASSAY_MESSAGE_H
#define ASSAY_MESSAGE_H

#include "channel/channel.h"
#include "issuer.h"

#define POLICY_WHAT_CHARS 255 /* where the policy came from, for the ledger's readers */

/* FRAME_POLICY: printable ASCII, for it goes into the ledger as text, and what PostgreSQL would not take must not wait
 * there in front of every intent */
struct message_policy {
	uint8_t hash[32];
	char what[POLICY_WHAT_CHARS + 1];
};
MUST_CHECK enum reason message_policy_encode(const struct message_policy *message, struct buf *ret_body,
					     struct fault *f);
MUST_CHECK enum reason message_policy_decode(struct blob body, struct message_policy *ret_message, struct fault *f);

/* FRAME_CRL_ASK: a list's name as crl_name() makes it, whether one of ours or not */
MUST_CHECK enum reason message_crl_ask_encode(const char *list, struct buf *ret_body, struct fault *f);
MUST_CHECK enum reason message_crl_ask_decode(struct blob body, char ret_list[CRL_NAME_CHARS + 1], struct fault *f);

/* FRAME_CRL */
struct message_crl {
	char list[CRL_NAME_CHARS + 1];
	uint64_t number;
	struct blob der;
};
MUST_CHECK enum reason message_crl_encode(const struct message_crl *message, struct buf *ret_body, struct fault *f);
MUST_CHECK enum reason message_crl_decode(struct blob body, struct message_crl *ret_message, struct fault *f);

#endif
