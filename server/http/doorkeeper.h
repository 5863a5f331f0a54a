/*
 * doorkeeper.h - how many connections one address may have open, and how many it may begin a second.
 *
 * A handshake costs us some 0.4 ms of CPU and its client almost nothing, so an address that begins too many is turned
 * away before its first byte is read. Addresses share a fixed table by a keyed hash: memory is bounded whoever comes,
 * and nobody outside can tell with whom he shares a slot. An IPv6 client counts as its /64, which is what one site has.
 *
 * Threads: any.
 */
#ifndef ASSAY_DOORKEEPER_H
#define ASSAY_DOORKEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct doorkeeper;

#define DOORKEEPER_SLOTS 16384 /* a power of two: 100 rigs share a slot with nobody in three of four plants */
#define DOORKEEPER_BURST_S 2   /* a rig that comes back with all its stations at once */

/* 0 means no limit. NULL when memory or randomness is short. */
struct doorkeeper *doorkeeper_new(unsigned connections, unsigned per_s);
void doorkeeper_free(struct doorkeeper *keeper); /* accepts NULL */

/* May a connection from there begin now? Counts the beginning. */
bool doorkeeper_admit(struct doorkeeper *keeper, const struct sockaddr *from, int64_t now_us);
/* It has begun; the slot goes to doorkeeper_left() when it ends. */
unsigned doorkeeper_entered(struct doorkeeper *keeper, const struct sockaddr *from);
void doorkeeper_left(struct doorkeeper *keeper, unsigned slot);

#endif
