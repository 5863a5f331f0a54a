/* again.h - what decodes encodes to the same bytes. */
#ifndef ASSAY_FUZZ_AGAIN_H
#define ASSAY_FUZZ_AGAIN_H

#include <assert.h>

#include "base/blob.h"
#include "base/reason.h"
#include "failing.h"

/* `reason` is what encoding it again gave; frees `again`. */
static inline void assert_same_again(enum reason reason, struct buf *again, struct blob body)
{
	if (reason == REASON_OK)
		assert(blob_equal(buf_blob(again), body));
	else
		assert(failing_happened());
	buf_done(again);
}

#endif
