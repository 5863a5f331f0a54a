/*
 * fuzz_stream.c - what comes over a channel, cut into frames: whatever pieces it arrives in, the same frames come out
 * as when it arrives at once, and all of them lie inside it. The first byte chooses the bound, the next four the
 * pieces.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "channel/split.h"
#include "failing.h"

#define HEAD 5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
	size_t n, bytes;
	uint64_t sum; /* over types, ids and bodies, in order */
};

static void add(struct seen *seen, uint64_t v)
{
	seen->sum = (seen->sum ^ v) * 0x100000001b3U;
}

static void see(struct seen *seen, const struct frame *frame)
{
	seen->n++;
	seen->bytes += FRAME_LENGTH_BYTES + FRAME_HEAD_BYTES + frame->body.len;
	add(seen, (uint64_t)frame->type);
	add(seen, frame->id);
	for (size_t i = 0; i < frame->body.len; i++)
		add(seen, frame->body.ptr[i]);
}

/* Takes every whole frame off; what is left of the bytes lies behind them. */
static enum split take(struct blob *bytes, size_t frame_max, struct seen *seen)
{
	const uint8_t *start = bytes->ptr, *end = bytes->ptr + bytes->len;
	size_t before = seen->bytes;
	enum split split;
	struct frame frame;

	while ((split = frame_split(bytes, frame_max, &frame)) == SPLIT_FRAME) {
		assert(frame.body.ptr >= start && frame.body.ptr + frame.body.len == bytes->ptr);
		assert(frame.body.len + FRAME_HEAD_BYTES <= frame_max);
		see(seen, &frame);
	}
	assert(bytes->ptr + bytes->len == end && bytes->ptr == start + (seen->bytes - before));
	return split;
}

/* As channel.c does: what is not a whole frame yet stays in front of what comes next. */
static enum split in_pieces(const uint8_t size[4], struct blob all, size_t frame_max, struct seen *seen)
{
	uint8_t *in = malloc(all.len + 1);
	enum split split = SPLIT_WAIT;
	size_t kept = 0;

	for (size_t at = 0, i = 0; in != NULL && at < all.len && split == SPLIT_WAIT; i++) {
		size_t n = 1 + size[i % 4];
		struct blob left;

		if (n > all.len - at)
			n = all.len - at;
		memcpy(in + kept, all.ptr + at, n);
		at += n;
		left = BLOB(in, kept + n);
		split = take(&left, frame_max, seen);
		memmove(in, left.ptr, left.len);
		kept = left.len;
	}
	free(in);
	return in == NULL ? SPLIT_FRAME : split;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const size_t bounds[] = { FRAME_HEAD_BYTES, 64, LIMIT_FRAME_BYTES, LIMIT_FRAME_OWN_BYTES };
	struct seen once = { 0 }, pieces = { 0 };
	struct blob all, left;
	enum split split, again;
	size_t frame_max;

	if (len < HEAD)
		return 0;
	frame_max = bounds[data[0] % 4];
	left = all = BLOB(data + HEAD, len - HEAD);
	split = take(&left, frame_max, &once);
	again = in_pieces(data + 1, all, frame_max, &pieces);
	if (failing_happened())
		return 0;
	assert(split == again || all.len == 0);
	assert(once.n == pieces.n && once.bytes == pieces.bytes && once.sum == pieces.sum);
	return 0;
}
