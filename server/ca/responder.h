/*
 * responder.h - the OCSP responder's certificates: found in the ledger, or made and recorded; see ca/ocsp.h.
 *
 * Threads: the ocsp station's.
 */
#ifndef ASSAY_RESPONDER_H
#define ASSAY_RESPONDER_H

#include "ca/ocsp.h"

/* An issue of kind ISSUE_RESPONDER: to be begun, or back from the sign station. */
void responder_step(struct ca *ca, struct issue *issue);
/* Gives the question the certificate to answer with; REASON_CA_AWAY while there is none. */
MUST_CHECK enum reason responder_for(struct ca *ca, struct ocsp_job *job, int64_t now_s, struct fault *f);

void certificate_unref(struct certificate *certificate); /* accepts NULL */

#endif
