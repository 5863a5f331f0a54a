/*
 * fuzz_frame.c - bodies of frames: a grant (what a breached ra may send the ca) and a view (what roles get from it).
 * The first byte says which. A grant that is taken encodes to the same bytes again.
 */
#include <stdlib.h>

#include "again.h"
#include "channel/channel.h"
#include "channel/view.h"
#include "oid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_grant(struct blob body)
{
	struct buf again = { 0 };
	struct grant *grant;

	if (grant_decode(body, &grant, NULL) != REASON_OK)
		return;
	assert_same_again(grant_encode(grant, &again, NULL), &again, body);
	grant_free(grant);
}

static void try_view(struct blob body)
{
	struct view *view = view_new();
	bool taken;

	if (view == NULL)
		return;
	taken = view_apply(view, body, 1, NULL) == REASON_OK;
	if (!taken && view_fresh(view, 1, NULL) == REASON_OK)
		abort();
	(void)view_revoked(view, body);
	view_free(view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	oid_init();
	if (len == 0)
		return 0;
	if (data[0] % 2 == 0)
		try_grant(BLOB(data + 1, len - 1));
	else
		try_view(BLOB(data + 1, len - 1));
	return 0;
}
