/*
 * publish.h - CRLs signed anew because an operator asks: every list of one issuer or of all, a few at a time.
 *
 * What is signed goes to this node's va, as if it had asked, and the numbers to who gave the order. Other nodes' lists
 * are theirs to sign.
 *
 * Threads: any; an order has a lock of its own.
 */
#ifndef ASSAY_CA_PUBLISH_H
#define ASSAY_CA_PUBLISH_H

#include "ca/ca.h"

struct crl_order;

struct crl_results {
	unsigned signed_lists, failed;
	struct fault fault; /* of the first that failed */
	struct buf json;    /* [{"issuer", "list", "number"}, ...] of those that were signed */
};

/* Signs them; done() is called once, perhaps before this returns, from whatever thread is the last. `issuer` NULL: all.
 */
MUST_CHECK enum reason publish_begin(struct ca *ca, const struct issuer *issuer,
				     void (*done)(void *user, struct crl_results *results), void *user,
				     struct fault *f);
/* crl.c's: one list of an order has come to its end, which frees the issue. fault NULL: it is signed. */
void publish_ended(struct ca *ca, struct issue *issue, const struct fault *fault);

/* desk.c's: the va that signed lists go to. */
void publish_va_up(struct ca *ca, struct channel *channel);
void publish_va_down(struct ca *ca, struct channel *channel);

#endif
