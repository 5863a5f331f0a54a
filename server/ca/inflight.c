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
	table->n_orphans = 0;
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

struct issue *inflight_take_waiters(struct inflight *table, struct issue *issue)
{
	struct issue *waiters;

	pthread_mutex_lock(&table->lock);
	waiters = issue->waiters;
	issue->waiters = NULL;
	pthread_mutex_unlock(&table->lock);
	return waiters;
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

void orphan_add(struct inflight *table, struct blob serial)
{
	pthread_mutex_lock(&table->lock);
	if (table->n_orphans < ORPHANS_MAX) { /* beyond: the next start voids them */
		struct serial *orphan = &table->orphan[table->n_orphans++];

		memcpy(orphan->bytes, serial.ptr, serial.len);
		orphan->len = serial.len;
	}
	pthread_mutex_unlock(&table->lock);
}

bool orphan_take(struct inflight *table, struct serial *ret_serial)
{
	bool there;

	pthread_mutex_lock(&table->lock);
	there = table->n_orphans > 0;
	if (there)
		*ret_serial = table->orphan[--table->n_orphans];
	pthread_mutex_unlock(&table->lock);
	return there;
}
