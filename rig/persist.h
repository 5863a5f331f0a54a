/*
 * persist.h - sends the same request until the server has answered it for good.
 *
 * This is safe because the server promises it: the same request, repeated through any connection, rig or node, and
 * after a crash at any point, gives the same certificate. A rig therefore never has to guess whether a lost reply
 * was a lost certificate; it asks again, with the same key.
 *
 * Threads: pure, but for the connection.
 * Blocks:  up to patience.
 */
#ifndef RIG_PERSIST_H
#define RIG_PERSIST_H

#include "est.h"

/*
 * As est_send(). EST_RETRY comes back only when patience_s is used up, when the server asks for a longer wait than
 * is left, or when a stop was asked for; text then says which of them. *retries grows by one for each further attempt.
 */
void est_persist(struct est *est, const char *label, enum est_operation operation, const struct bytes *der,
		 double patience_s, unsigned *retries, struct est_reply *ret_reply);

#endif
