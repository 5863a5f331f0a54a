/*
 * split.h - where one frame ends and the next begins, in whatever pieces the bytes have come.
 *
 * Threads: pure.
 */
#ifndef ASSAY_SPLIT_H
#define ASSAY_SPLIT_H

#include "channel/channel.h"

#define FRAME_VERSION 1
#define FRAME_LENGTH_BYTES 4
#define FRAME_HEAD_BYTES 10 /* behind the length: version, type, id */

enum split {
	SPLIT_FRAME,     /* one was taken off */
	SPLIT_WAIT,      /* what is left is the beginning of one, or nothing */
	SPLIT_MALFORMED, /* nothing behind it can be made out: the connection ends */
};

/* Takes the first frame off `bytes`; its body points into them. Other answers leave both as they are. */
enum split frame_split(struct blob *bytes, size_t frame_max, struct frame *ret_frame);

#endif
