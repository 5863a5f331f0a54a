/* trust_cache.c - see trust_cache.h. */
#include "trust_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 8
#define SETS (LIMIT_TRUST_CACHE / WAYS)

struct entry {
	struct ca_state state;
	struct buf der, subject, ski;
};

struct trust_cache {
	pthread_rwlock_t lock;
	struct {
		struct entry *way[WAYS];
		unsigned next; /* the one to give up when all are taken */
	} set[SETS];
};

struct trust_cache *trust_cache_new(void)
{
	struct trust_cache *cache = calloc(1, sizeof(*cache));

	if (cache != NULL && pthread_rwlock_init(&cache->lock, NULL) != 0) {
		free(cache);
		return NULL;
	}
	return cache;
}

static void entry_free(struct entry *entry)
{
	if (entry == NULL)
		return;
	buf_done(&entry->der);
	buf_done(&entry->subject);
	buf_done(&entry->ski);
	free(entry);
}
AUTO_FREE(struct entry, entry_freep, entry_free)

void trust_cache_free(struct trust_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < SETS; i++) {
		for (size_t j = 0; j < WAYS; j++)
			entry_free(cache->set[i].way[j]);
	}
	pthread_rwlock_destroy(&cache->lock);
	free(cache);
}

/* By the end of its signature, which is as good as random. Who makes CA certificates that meet in a set loses his own.
 */
static size_t set_of(struct blob der)
{
	return der.len < 2 ? 0 : ((size_t)der.ptr[der.len - 2] << 8 | der.ptr[der.len - 1]) % SETS;
}

/* The way that holds this certificate, or the one it should get. */
static unsigned way_of(const struct trust_cache *cache, struct blob der, bool *ret_there)
{
	struct entry *const *way = cache->set[set_of(der)].way;

	for (unsigned i = 0; i < WAYS; i++) {
		*ret_there = way[i] != NULL && blob_equal(buf_blob(&way[i]->der), der);
		if (way[i] == NULL || *ret_there)
			return i;
	}
	return cache->set[set_of(der)].next;
}

static enum cache_match match(const struct entry *entry, const struct ca_wanted *wanted)
{
	if (!blob_equal(buf_blob(&entry->subject), wanted->subject))
		return CACHE_NONE;
	if (entry->ski.len == 0 || wanted->key_id.len == 0)
		return CACHE_NAME;
	return blob_equal(buf_blob(&entry->ski), wanted->key_id) ? CACHE_KEY_ID : CACHE_NONE;
}

enum cache_match trust_cache_find(struct trust_cache *cache, struct blob der, const struct ca_wanted *wanted,
				  struct ca_state *ret_state)
{
	enum cache_match found = CACHE_NONE;
	const struct entry *entry;
	bool there;
	unsigned way;

	pthread_rwlock_rdlock(&cache->lock);
	way = way_of(cache, der, &there);
	if (there) {
		entry = cache->set[set_of(der)].way[way];
		found = match(entry, wanted);
		if (found != CACHE_NONE)
			*ret_state = entry->state;
	}
	pthread_rwlock_unlock(&cache->lock);
	return found;
}

bool trust_cache_has(struct trust_cache *cache, struct blob der)
{
	bool there;

	pthread_rwlock_rdlock(&cache->lock);
	(void)way_of(cache, der, &there);
	pthread_rwlock_unlock(&cache->lock);
	return there;
}

void trust_cache_put(struct trust_cache *cache, const struct cert *ca, const struct ca_state *state)
{
	AUTO(entry_freep) struct entry *entry = calloc(1, sizeof(*entry));
	struct entry *old;
	bool there;
	unsigned way;

	if (entry == NULL || buf_copy(ca->der, &entry->der, NULL) != REASON_OK ||
	    buf_copy(ca->subject, &entry->subject, NULL) != REASON_OK ||
	    buf_copy(ca->ski, &entry->ski, NULL) != REASON_OK)
		return;
	entry->state = *state;
	pthread_rwlock_wrlock(&cache->lock);
	way = way_of(cache, ca->der, &there);
	old = cache->set[set_of(ca->der)].way[way];
	cache->set[set_of(ca->der)].way[way] = entry;
	if (old != NULL && !there)
		cache->set[set_of(ca->der)].next = (way + 1) % WAYS;
	entry = old; /* freed on return */
	pthread_rwlock_unlock(&cache->lock);
}
