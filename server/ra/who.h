/*
 * who.h - who a client certificate stands for, asked anew with every request.
 *
 * Three lists, never mixed: rigs (and RAs), devices (our own issuing CAs), vendors where the profile lets them. The
 * path to a list is worked out once a minute and connection, and when the rules have changed; dates, revocation and registry are looked at each time. A
 * chain alone gives a rig no rights: the registry does.
 *
 * Threads: any, but the same peer on one thread at a time.
 * Spec:    RFC 7030 sections 3.3.2 and 3.7.
 */
#ifndef ASSAY_WHO_H
#define ASSAY_WHO_H

#include "ra/ra.h"

/*
 * Without a certificate: WHO_NOBODY. REASON_VIEW_STALE when it is not known who is revoked; CHAIN_, CLIENT_REVOKED,
 * REQUESTER_UNKNOWN. A device may be expired within the profile's grace, to re-enrol only.
 */
MUST_CHECK enum reason who_certificate(const struct ra *ra, const struct rules *rules, struct peer *peer, const struct profile_facts *facts,
				       enum est_op op, struct requester *ret_who, struct fault *f);

enum ra_lane who_lane(const struct requester *who);

#endif
