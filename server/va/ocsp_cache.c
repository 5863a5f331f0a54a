/*
 * ocsp_cache.c - see va_ocsp.h. Sets of a few entries each, found by a hash of the serial; the oldest of a set goes
 * first. States that no certificate has (unknown) are not kept: whoever makes serials up would fill the memory with
 * them.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "va/va_ocsp.h"

#define SETS 16384 /* a power of two */
#define WAYS 4     /* 65,536 answers: about 60 MB when all are in use */

struct entry {
	char issuer[LIMIT_PROFILE_CHARS + 1];
	bool sha256, null_params;
	uint8_t serial_len, serial[LIMIT_SERIAL_BYTES]; /* length 0: free */
	uint8_t status;
	int64_t this_s, next_s;
	struct buf der;
};

struct ocsp_cache {
	pthread_mutex_t lock;
	struct entry set[SETS][WAYS];
};

struct ocsp_cache *ocsp_cache_new(void)
{
	struct ocsp_cache *cache = calloc(1, sizeof(*cache));

	if (cache != NULL)
		pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

void ocsp_cache_free(struct ocsp_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < SETS; i++)
		for (size_t k = 0; k < WAYS; k++)
			buf_done(&cache->set[i][k].der);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

/* FNV-1a: only serials that Assay made are kept, and nobody can choose those to collide. */
static struct entry *set_of(struct ocsp_cache *cache, struct blob serial)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < serial.len; i++)
		h = (h ^ serial.ptr[i]) * 0x100000001b3U;
	return cache->set[(h ^ h >> 32) & (SETS - 1)];
}

static struct blob serial_of(const struct message_ocsp_ask *ask)
{
	return BLOB(ask->item[0].serial, ask->item[0].serial_len);
}

static bool is_about(const struct entry *e, const struct message_ocsp_ask *ask)
{
	return blob_equal(BLOB(e->serial, e->serial_len), serial_of(ask)) && e->sha256 == ask->item[0].sha256 &&
	       e->null_params == ask->item[0].null_params && strcmp(e->issuer, ask->issuer) == 0;
}

static struct entry *find(struct entry set[WAYS], const struct message_ocsp_ask *ask)
{
	for (size_t k = 0; k < WAYS; k++)
		if (is_about(&set[k], ask))
			return &set[k];
	return NULL;
}

static bool keepable(const struct message_ocsp_ask *ask)
{
	return ask->n == 1 && ask->nonce_len == 0;
}

bool ocsp_cache_get(struct ocsp_cache *cache, const struct message_ocsp_ask *ask, bool revoked, int64_t now_s,
		    struct ocsp_kept *ret_kept)
{
	const struct entry *e;
	bool found;

	if (!keepable(ask))
		return false;
	pthread_mutex_lock(&cache->lock);
	e = find(set_of(cache, serial_of(ask)), ask);
	found = e != NULL && (e->status == OCSP_REVOKED) == revoked && now_s >= e->this_s &&
		now_s < e->this_s + (e->next_s - e->this_s) / 2;
	if (found) {
		*ret_kept = (struct ocsp_kept){ .status = e->status, .this_s = e->this_s, .next_s = e->next_s };
		found = buf_copy(buf_blob(&e->der), &ret_kept->der, NULL) == REASON_OK;
	}
	pthread_mutex_unlock(&cache->lock);
	return found;
}

static struct entry *oldest(struct entry set[WAYS])
{
	struct entry *e = &set[0];

	for (size_t k = 1; k < WAYS; k++)
		if (set[k].this_s < e->this_s)
			e = &set[k];
	return e;
}

static void fill(struct entry *e, const struct message_ocsp_ask *ask, const struct message_ocsp *answer,
		 struct buf *der)
{
	buf_done(&e->der);
	*e = (struct entry){ .sha256 = ask->item[0].sha256,
			     .null_params = ask->item[0].null_params,
			     .serial_len = ask->item[0].serial_len,
			     .status = answer->status,
			     .this_s = answer->this_s,
			     .next_s = answer->next_s,
			     .der = *der };
	memcpy(e->issuer, ask->issuer, sizeof(e->issuer));
	memcpy(e->serial, ask->item[0].serial, e->serial_len);
}

void ocsp_cache_put(struct ocsp_cache *cache, const struct message_ocsp_ask *ask, const struct message_ocsp *answer)
{
	struct buf der = { 0 };
	struct entry *set, *e;

	if (!keepable(ask) || answer->status == OCSP_UNKNOWN || buf_copy(answer->der, &der, NULL) != REASON_OK)
		return;
	pthread_mutex_lock(&cache->lock);
	set = set_of(cache, serial_of(ask));
	e = find(set, ask);
	fill(e != NULL ? e : oldest(set), ask, answer, &der);
	pthread_mutex_unlock(&cache->lock);
}

void ocsp_cache_drop(struct ocsp_cache *cache, struct blob serial)
{
	struct entry *set;

	pthread_mutex_lock(&cache->lock);
	set = set_of(cache, serial);
	for (size_t k = 0; k < WAYS; k++)
		if (blob_equal(BLOB(set[k].serial, set[k].serial_len), serial)) {
			buf_done(&set[k].der);
			set[k] = (struct entry){ 0 };
		}
	pthread_mutex_unlock(&cache->lock);
}
