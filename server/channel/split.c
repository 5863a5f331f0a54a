/* split.c - see split.h. */
#include "channel/split.h"

enum split frame_split(struct blob *bytes, size_t frame_max, struct frame *ret_frame)
{
	struct pack_reader r = { .left = *bytes };
	size_t len;

	if (bytes->len < FRAME_LENGTH_BYTES)
		return SPLIT_WAIT;
	len = pack_get_u32(&r);
	if (len < FRAME_HEAD_BYTES || len > frame_max)
		return SPLIT_MALFORMED;
	if (r.left.len < len)
		return SPLIT_WAIT;
	if (pack_get_u8(&r) != FRAME_VERSION)
		return SPLIT_MALFORMED;
	ret_frame->type = (enum frame_type)pack_get_u8(&r);
	ret_frame->id = pack_get_u64(&r);
	ret_frame->body = BLOB(r.left.ptr, len - FRAME_HEAD_BYTES);
	bytes->ptr += FRAME_LENGTH_BYTES + len;
	bytes->len -= FRAME_LENGTH_BYTES + len;
	return SPLIT_FRAME;
}
