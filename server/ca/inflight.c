/*
 * inflight.c - serials that are between intent and record in this process, see ca.h.
 *
 * A repeated request that meets an intent under way waits here for its outcome instead of being sent away.
 */
#include <string.h>

#include "ca/ca.h"

void inflight_init(struct inflight *table)
{
	memset(table->bucket, 0, sizeof(table->bucket));
	pthread_mutex_init(&table->lock, NULL);
}

void inflight_done(struct inflight *table)
{
	pthread_mutex_destroy(&table->lock);
}

/* Our serials end in random bytes. */
static struct issue **bucket_of(struct inflight *table, struct blob serial)
{
	size_t h = 0;

	for (size_t i = serial.len < 4 ? 0 : serial.len - 4; i < serial.len; i++)
		h = h << 8 | serial.ptr[i];
	return &table->bucket[h % INFLIGHT_BUCKETS];
}

void inflight_add(struct inflight *table, struct issue *issue)
{
	struct issue **bucket = bucket_of(table, BLOB(issue->serial, issue->serial_len));

	pthread_mutex_lock(&table->lock);
	issue->next_in_bucket = *bucket;
	*bucket = issue;
	issue->in_flight = true;
	pthread_mutex_unlock(&table->lock);
}

bool inflight_wait(struct inflight *table, struct blob serial, struct issue *waiter)
{
	struct issue *issue;

	pthread_mutex_lock(&table->lock);
	issue = *bucket_of(table, serial);
	while (issue != NULL && !blob_equal(BLOB(issue->serial, issue->serial_len), serial))
		issue = issue->next_in_bucket;
	if (issue != NULL) {
		waiter->next_waiter = issue->waiters;
		issue->waiters = waiter;
	}
	pthread_mutex_unlock(&table->lock);
	return issue != NULL;
}

struct issue *inflight_remove(struct inflight *table, struct issue *issue)
{
	struct issue **at = bucket_of(table, BLOB(issue->serial, issue->serial_len));
	struct issue *waiters;

	pthread_mutex_lock(&table->lock);
	while (*at != issue)
		at = &(*at)->next_in_bucket;
	*at = issue->next_in_bucket;
	issue->in_flight = false;
	waiters = issue->waiters;
	issue->waiters = NULL;
	pthread_mutex_unlock(&table->lock);
	return waiters;
}
