/*
 * underway.c - see underway.h.
 */
#include "ra/underway.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

#define PARTS 64   /* powers of two */
#define BUCKETS 64 /* of a part: 4,096 in all, about as many as the lanes hold requests */
#define FNV_OFFSET 0x811c9dc5U
#define FNV_PRIME 0x01000193U

/* A requester with something under way. Every place of its requests is this one entry, counted. */
struct underway_place {
	struct underway_place *next;
	struct underway *underway;
	uint32_t hash;
	unsigned n;
	char id[LIMIT_REQUESTER_CHARS + 1];
};

struct part {
	pthread_mutex_t lock;
	struct underway_place *bucket[BUCKETS];
};

struct underway {
	atomic_int_fast64_t n;
	struct part part[PARTS];
};

struct underway *underway_new(void)
{
	struct underway *underway = calloc(1, sizeof(*underway));

	if (underway == NULL)
		return NULL;
	for (size_t i = 0; i < PARTS; i++)
		pthread_mutex_init(&underway->part[i].lock, NULL);
	return underway;
}

void underway_free(struct underway *underway)
{
	if (underway == NULL)
		return;
	for (size_t i = 0; i < PARTS; i++)
		pthread_mutex_destroy(&underway->part[i].lock);
	free(underway);
}

/* FNV-1a. Whoever could choose ids that collide would find chains no longer than the requests under way. */
static uint32_t hash_of(const char *id)
{
	uint32_t hash = FNV_OFFSET;

	for (; *id != '\0'; id++)
		hash = (hash ^ (uint8_t)*id) * FNV_PRIME;
	return hash;
}

static struct part *part_of(struct underway *underway, uint32_t hash)
{
	return &underway->part[hash % PARTS];
}

/* The link that holds the entry, or the end of its chain. */
static struct underway_place **find(struct part *part, uint32_t hash, const char *id)
{
	struct underway_place **at = &part->bucket[hash / PARTS % BUCKETS];

	while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->id, id) != 0))
		at = &(*at)->next;
	return at;
}

static struct underway_place *place_new(struct underway *underway, uint32_t hash, const char *id)
{
	struct underway_place *place = calloc(1, sizeof(*place));

	if (place == NULL)
		return NULL;
	place->underway = underway;
	place->hash = hash;
	strncpy(place->id, id, sizeof(place->id) - 1);
	return place;
}

static enum reason enter(struct underway *underway, struct part *part, uint32_t hash, const char *id, unsigned most,
			 struct underway_place **ret_place, struct fault *f)
{
	struct underway_place **at = find(part, hash, id);

	if (*at == NULL)
		*at = place_new(underway, hash, id);
	if (*at == NULL)
		return fault_set(f, REASON_NO_MEMORY, "requests under way");
	if (most != 0 && (*at)->n >= most) /* most is not 0, so the entry is not a new one */
		return fault_set(f, REASON_REQUESTER_BUSY, "%u under way", (*at)->n);
	(*at)->n++;
	*ret_place = *at;
	return REASON_OK;
}

enum reason underway_enter(struct underway *underway, const char *id, unsigned most, struct underway_place **ret_place,
			   struct fault *f)
{
	uint32_t hash = hash_of(id);
	struct part *part = part_of(underway, hash);
	enum reason reason;

	pthread_mutex_lock(&part->lock);
	reason = enter(underway, part, hash, id, most, ret_place, f);
	pthread_mutex_unlock(&part->lock);
	if (reason == REASON_OK)
		atomic_fetch_add_explicit(&underway->n, 1, memory_order_relaxed);
	return reason;
}

void underway_leave(struct underway_place *place)
{
	struct underway_place **at;
	struct part *part;

	if (place == NULL)
		return;
	atomic_fetch_sub_explicit(&place->underway->n, 1, memory_order_relaxed);
	part = part_of(place->underway, place->hash);
	pthread_mutex_lock(&part->lock);
	if (--place->n == 0) {
		at = find(part, place->hash, place->id);
		*at = place->next;
		free(place);
	}
	pthread_mutex_unlock(&part->lock);
}

int64_t underway_count(const struct underway *underway)
{
	return atomic_load_explicit(&underway->n, memory_order_relaxed);
}
