/* publish.c - see publish.h. */
#include "ca/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE 8 /* the va has other lists to ask for meanwhile */

struct crl_order {
	struct ca *ca;
	void (*done)(void *user, struct crl_results *results);
	void *user;
	pthread_mutex_t lock; /* of the rest */
	size_t issuer, issuers_end, list;
	unsigned under_way;
	bool short_of_memory;
	struct crl_results results;
};

static struct crl_scope scope_of(size_t list)
{
	return (struct crl_scope){ .kind = list == 0   ? CRL_COMPLETE
					   : list == 1 ? CRL_DELTA
						       : CRL_SHARD,
				   .shard = list < 2 ? 0 : (unsigned)(list - 2) };
}

static void note_failed(struct crl_order *order, const struct fault *fault)
{
	if (order->results.failed++ == 0)
		order->results.fault = *fault;
}

static struct channel *va_of(struct ca *ca)
{
	struct channel *va;

	pthread_mutex_lock(&ca->va_lock);
	va = ca->va == NULL ? NULL : channel_ref(ca->va);
	pthread_mutex_unlock(&ca->va_lock);
	return va;
}

/* Under the order's lock: the list at the cursor goes to its station. */
static enum reason put(struct crl_order *order, struct fault *f)
{
	struct ca *ca = order->ca;
	struct channel *va = va_of(ca);
	struct issue *issue;
	enum reason reason = issue_new(ca, ISSUE_CRL, LANE_OWN, va, 0, &issue, f);

	channel_unref(va);
	if (reason != REASON_OK)
		return reason;
	issue->issuer = ca->issuer[order->issuer];
	issue->crl = scope_of(order->list);
	issue->order = order;
	if (line_put(ca->line, order->list == 0 ? CA_COMPLETE : CA_STATUS, issue->lane, &issue->job))
		return REASON_OK;
	issue_finished(ca, issue);
	return fault_set(f, REASON_STOPPING, "the ca is stopping");
}

static void advance(struct crl_order *order)
{
	const struct issuer_options *options = &order->ca->config->issuer[order->issuer];

	if (++order->list < 2 + (size_t)options->crl_shards)
		return;
	order->list = 0;
	order->issuer++;
}

/* Under the lock: as many as may be under way. True: all have come to their end. */
static bool go_on(struct crl_order *order)
{
	while (order->issuer < order->issuers_end && order->under_way < AT_ONCE) {
		struct fault fault = { 0 };

		if (put(order, &fault) == REASON_OK) {
			order->under_way++;
		} else if (fault.reason == REASON_OVERLOADED && order->under_way > 0) {
			return false; /* one that ends goes on with it */
		} else {
			note_failed(order, &fault);
		}
		advance(order);
	}
	return order->issuer == order->issuers_end && order->under_way == 0;
}

static void finish(struct crl_order *order)
{
	if (buf_append(&order->results.json, BLOB_STR("]"), NULL) != REASON_OK || order->short_of_memory) {
		order->results.failed++;
		fault_set(&order->results.fault, REASON_NO_MEMORY, "numbers of CRLs");
	}
	order->done(order->user, &order->results);
	buf_done(&order->results.json);
	pthread_mutex_destroy(&order->lock);
	free(order);
}

static void note_signed(struct crl_order *order, const struct issue *issue)
{
	char name[CRL_NAME_CHARS + 1], text[2 * CRL_NAME_CHARS + 96];

	crl_name(issuer_name(issue->issuer), &issue->crl, name);
	(void)snprintf(text, sizeof(text), "%s{\"issuer\":\"%s\",\"list\":\"%s\",\"number\":%llu}",
		       order->results.signed_lists == 0 ? "" : ",", issuer_name(issue->issuer), name,
		       (unsigned long long)issue->crl_number);
	order->results.signed_lists++;
	order->short_of_memory |= buf_append(&order->results.json, BLOB_STR(text), NULL) != REASON_OK;
}

void publish_ended(struct ca *ca, struct issue *issue, const struct fault *fault)
{
	struct crl_order *order = issue->order;
	bool over;

	pthread_mutex_lock(&order->lock);
	if (fault == NULL)
		note_signed(order, issue);
	else
		note_failed(order, fault);
	issue_finished(ca, issue);
	order->under_way--;
	over = go_on(order);
	pthread_mutex_unlock(&order->lock);
	if (over)
		finish(order);
}

enum reason publish_begin(struct ca *ca, const struct issuer *issuer,
			  void (*done)(void *user, struct crl_results *results), void *user, struct fault *f)
{
	struct crl_order *order = calloc(1, sizeof(*order));
	bool over;

	if (order == NULL || buf_append(&order->results.json, BLOB_STR("["), f) != REASON_OK) {
		free(order);
		return fault_set(f, REASON_NO_MEMORY, "order of CRLs");
	}
	order->ca = ca;
	order->done = done;
	order->user = user;
	order->issuers_end = ca->n_issuers;
	for (size_t i = 0; issuer != NULL && i < ca->n_issuers; i++)
		if (ca->issuer[i] == issuer) {
			order->issuer = i;
			order->issuers_end = i + 1;
		}
	pthread_mutex_init(&order->lock, NULL);
	pthread_mutex_lock(&order->lock);
	over = go_on(order);
	pthread_mutex_unlock(&order->lock);
	if (over)
		finish(order);
	return REASON_OK;
}

void publish_va_up(struct ca *ca, struct channel *channel)
{
	pthread_mutex_lock(&ca->va_lock);
	channel_unref(ca->va);
	ca->va = channel_ref(channel);
	pthread_mutex_unlock(&ca->va_lock);
}

void publish_va_down(struct ca *ca, struct channel *channel)
{
	pthread_mutex_lock(&ca->va_lock);
	if (ca->va == channel) {
		channel_unref(ca->va);
		ca->va = NULL;
	}
	pthread_mutex_unlock(&ca->va_lock);
}
