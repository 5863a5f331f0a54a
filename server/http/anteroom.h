/*
 * anteroom.h - where newcomers wait until the machine has a moment for their handshakes.
 *
 * A handshake is the most that a stranger can make us do: with the enrolment behind it about 2 ms of this machine and
 * of PostgreSQL. After a power cut thousands of devices come back within a second; taken as they come they would share
 * the processors with the production line, which then waits for them. So accepted connections wait here, unread and at
 * the price of a descriptor, and one after the other is taken, at a pace (pace.h) that gives them a bounded share of a
 * busy machine. What is decided is when a handshake begins, not how many are under way: clients that stop in the middle
 * of theirs hold up nobody.
 *
 * Newcomers from where a rig has shown itself go first, but each fourth turn is a stranger's: neither starves. Who has
 * hung up meanwhile costs no handshake; who has waited ANTEROOM_PATIENCE_S is sent away, for TLS clients give up then.
 *
 * Owns:    the descriptors of those who wait.
 * Threads: one: the acceptor's.
 * Does not: bound how many wait (doorkeeper.h does, which counts them as connections).
 */
#ifndef ASSAY_ANTEROOM_H
#define ASSAY_ANTEROOM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define ANTEROOM_TURNS 4       /* of so many newcomers one is a stranger, if there is one */
#define ANTEROOM_PATIENCE_S 20 /* half of what TLS clients commonly wait */

struct anteroom;

struct newcomer {
	struct newcomer *next;
	int fd;
	int64_t came_us;
	socklen_t len;
	struct sockaddr_storage from;
};

/* What becomes of newcomers. */
struct anteroom_ways {
	void (*take)(void *user, const struct newcomer *newcomer);  /* its turn has come; consumes fd */
	void (*leave)(void *user, const struct newcomer *newcomer); /* it has hung up or waited too long; consumes fd */
	void (*rest)(void *user); /* after each take: returns when the next may begin */
	void *user;
};

/* Copies the ways. NULL when memory is short. */
struct anteroom *anteroom_new(const struct anteroom_ways *ways);
/* Whoever still waits is reset. Accepts NULL. */
void anteroom_free(struct anteroom *room);
/* Consumes fd; false, and fd stays the caller's, when memory is short. */
bool anteroom_enter(struct anteroom *room, int fd, const struct sockaddr *from, socklen_t len, bool known,
		    int64_t now_us);
/* One turn, if somebody waits. True: somebody still does. */
bool anteroom_turn(struct anteroom *room, int64_t now_us);

#endif
