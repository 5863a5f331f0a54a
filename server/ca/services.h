/*
 * services.h - certificates of issuers that are not for devices: of requesters (operators, auditors, administrators,
 * rigs) and of the listeners' own TLS.
 *
 * They go along the line like every other: rules, intent, signature, record. What is in them the ca says by itself:
 * names from the registry, or from the certificate that is renewed; purposes and lifetime from its own table and
 * configuration. Of the ra's grants under such an issuer it takes renewals of rigs alone, and of them key and previous
 * serial: the key has to be registered as a rig's now and, where the ledger knows the previous certificate, the same as
 * before, so that a taken-over ra gets nothing for a key of its own.
 *
 * A device of format "requester" stands for one key of one requester: repeated, a request gives the same certificate,
 * and a key that served one requester, or a device, serves no other.
 */
#ifndef ASSAY_SERVICES_H
#define ASSAY_SERVICES_H

#include "ca/ca.h"

#define SERVICES_TLS "tls" /* the kind of the listeners' certificates, beside the registry's kinds */

/*
 * All of the grant but key, kind and previous serial. REASON_NO_ISSUER when none is configured for this kind,
 * REASON_API_FIELD for a kind that gets no certificate here, or a name that no certificate can carry. `key` is in the
 * grant already, for the device's identity is made of it.
 */
MUST_CHECK enum reason services_fill(struct ca *ca, const char *kind, const char *name, const char *requester,
				     struct grant *grant, struct fault *f);

/* Of ours; told is called once, also when it ends badly, unless services_put() itself refuses. */
struct service {
	struct grant *grant; /* consumed */
	struct buf names_from;
	bool cmc_ra;
	void (*told)(void *user, struct blob certificate, const struct fault *fault);
	void *user;
};
MUST_CHECK enum reason services_put(struct ca *ca, struct service *service, struct fault *f);

/* Of the ledger station, before a certificate's other rules: may this grant come to this issuer? Completes it. */
MUST_CHECK enum reason services_admit(struct ca *ca, struct issue *issue, struct fault *f);

/* upkeep.c: renews the listeners' certificates before they run out; see there. */
struct upkeep;
MUST_CHECK enum reason upkeep_open(struct ca *ca, struct upkeep **ret_upkeep, struct fault *f);
void upkeep_close(struct upkeep *upkeep); /* accepts NULL */

#endif
