/*
 * operate.h - the ca's desk for operators, see operate.c.
 *
 * Threads: operate_take() from the channel's reading thread; the work on a thread of its own.
 */
#ifndef ASSAY_CA_OPERATE_H
#define ASSAY_CA_OPERATE_H

#include "channel/channel.h"

struct ca;
struct operations;

/* After the news and before the desk; goes on with plans that an earlier process began. */
MUST_CHECK enum reason operate_open(struct ca *ca, struct operations **ret_operations, struct fault *f);
void operate_close(struct operations *operations); /* accepts NULL; what is in hand is answered */
/* A frame of the admin role; REASON_CHANNEL_FRAME if it is malformed. */
MUST_CHECK enum reason operate_take(struct operations *operations, struct channel *channel, const struct frame *frame,
				    struct fault *f);

/* Lets the desk look for keys of requesters whose overlap with those that followed them is over. */
void operate_lapse(struct operations *operations);

#endif
