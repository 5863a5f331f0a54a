/*
 * own.h - the rig's own certificate, renewed by itself.
 *
 * Threads: one; before the stations start.
 * Blocks:  one request, up to its timeout.
 * Spec:    RFC 7030 section 4.2.2, on a label of its own.
 */
#ifndef RIG_OWN_H
#define RIG_OWN_H

#include "est.h"

#define OWN_LABEL "rigs"

/*
 * When the last third of the certificate's life has begun: the next one, for the same key, takes the file's place.
 * Says in one line on standard error what came of it, and stops nothing: the present certificate is good until it ends.
 */
void own_renew(const struct est_options *who);

#endif
