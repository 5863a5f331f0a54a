/*
 * view.h - what a role knows of the ledger without asking it: who is revoked, who is registered.
 *
 * The ca pushes FRAME_VIEW at least every 200 ms; a view older than a second refuses (REASON_VIEW_STALE) rather than
 * guesses. On each new connection the ca starts again with everything.
 *
 * Frame body: u8 first (1: forget what you had), u32 n revocations { serial, u8 reason, issuer }, u32 n requesters { name,
 * kind, names, labels, spki hash, u8 active }, u8 more (1: not complete yet, not fresh).
 *
 * Threads: any number of readers, one writer.
 */
#ifndef ASSAY_VIEW_H
#define ASSAY_VIEW_H

#include "base/blob.h"
#include "ledger.h"

struct view;
struct view *view_new(void);
void view_free(struct view *view); /* accepts NULL */

/* The ra, va, admin side: applies a frame's body; REASON_CHANNEL_FRAME if malformed. */
MUST_CHECK enum reason view_apply(struct view *view, struct blob body, int64_t now_mono_us, struct fault *f);
/* What the frame in hand says of revocations, for who keeps lists of them: called once for each. False if malformed. */
MUST_CHECK bool view_revocations(struct blob body, void (*each)(void *user, const char *issuer, struct blob serial), void *user,
				 bool *ret_more);
/* The ca side. */
MUST_CHECK enum reason view_encode(const struct ledger_news *news, bool first, struct buf *ret_body, struct fault *f);
void view_mark_first(struct buf *body, bool first); /* of an encoded one */

MUST_CHECK enum reason view_fresh(const struct view *view, int64_t now_mono_us,
				  struct fault *f); /* REASON_OK or REASON_VIEW_STALE */
int64_t view_age_us(const struct view *view, int64_t now_mono_us);
bool view_revoked(const struct view *view, struct blob serial);
MUST_CHECK bool view_requester(const struct view *view, const uint8_t spki_hash[32], struct requester_row *ret_row);

#endif
