/*
 * connection.h - one connection as server.c and client.c drive it; nobody else includes this.
 */
#ifndef ASSAY_CONNECTION_H
#define ASSAY_CONNECTION_H

#include "channel/channel.h"

/* On success the fd is the channel's and one reference the caller's; on failure the fd stays the caller's. */
MUST_CHECK enum reason channel_new(int fd, size_t frame_max, const struct channel_events *events, void *user,
				   struct channel **ret_channel, struct fault *f);
/* The reading thread's work: up, frames, down. Returns when the connection has ended. */
void channel_run(struct channel *channel);
/* Refuses further sends, writes what waits, then ends the connection. */
void channel_drain(struct channel *channel);

#endif
