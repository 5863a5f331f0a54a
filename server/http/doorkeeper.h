/*
 * doorkeeper.h - who may begin a connection now: so many open and so many a second, of one address and of all.
 *
 * A handshake costs us some 0.4 ms of CPU and its client almost nothing, so an address that begins too many is turned
 * away before its first byte is read, and so are all strangers together when there are too many of them. A stranger is
 * an address from which no rig has shown itself (doorkeeper_vouch()) lately: rigs find room while strangers storm.
 *
 * Addresses share a fixed table by a keyed hash: memory is bounded whoever comes, and nobody outside can tell with whom
 * he shares a slot. An IPv6 client counts as its /64, which is what one site has.
 *
 * Threads: any.
 */
#ifndef ASSAY_DOORKEEPER_H
#define ASSAY_DOORKEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct doorkeeper;

#define DOORKEEPER_SLOTS 16384   /* a power of two: 100 rigs share a slot with nobody in three of four plants */
#define DOORKEEPER_BURST_S 2     /* a rig that comes back with all its stations at once */
#define DOORKEEPER_VOUCHED_S 600 /* an address is no stranger for so long after its last rig's connection */

/* 0 means no limit. */
struct doorkeeper_limits {
	unsigned per_address, per_address_s; /* open connections; beginnings a second */
	unsigned all;                        /* open connections of everybody */
	unsigned reserve;                    /* of `all`, those that strangers do not get; at most half of them */
	unsigned strangers_s;                /* beginnings a second of all strangers together */
};

enum door { DOOR_OPEN, DOOR_ADDRESS, DOOR_STRANGERS, DOOR_FULL };

/* NULL when memory or randomness is short. */
struct doorkeeper *doorkeeper_new(const struct doorkeeper_limits *limits);
void doorkeeper_free(struct doorkeeper *keeper); /* accepts NULL */

/* May a connection from there begin now? Counts it if so. */
enum door doorkeeper_admit(struct doorkeeper *keeper, const struct sockaddr *from, int64_t now_us);
/* Has a rig shown itself from there lately? */
bool doorkeeper_knows(struct doorkeeper *keeper, const struct sockaddr *from, int64_t now_us);
/* It was admitted and came to nothing. */
void doorkeeper_failed(struct doorkeeper *keeper, const struct sockaddr *from);
/* It has begun; the slot goes to doorkeeper_left() when it ends. */
unsigned doorkeeper_entered(struct doorkeeper *keeper, const struct sockaddr *from);
/* A rig has shown itself on it: at most once a connection, which doorkeeper_left() then has to say. */
void doorkeeper_vouch(struct doorkeeper *keeper, unsigned slot);
void doorkeeper_left(struct doorkeeper *keeper, unsigned slot, bool vouched, int64_t now_us);

#endif
