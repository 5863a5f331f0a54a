/* trust_leaves.c - see trust_leaves.h. */
#include "trust_leaves.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha.h"

struct place {
	uint8_t leaf[32], issuer[32]; /* SHA-256 of the certificate, of its issuer's SPKI; all zero: nobody's */
};

struct trust_leaves {
	pthread_mutex_t lock;
	struct place place[LIMIT_TRUST_LEAVES];
};

struct trust_leaves *trust_leaves_new(void)
{
	struct trust_leaves *leaves = calloc(1, sizeof(*leaves));

	if (leaves != NULL)
		pthread_mutex_init(&leaves->lock, NULL);
	return leaves;
}

void trust_leaves_free(struct trust_leaves *leaves)
{
	if (leaves == NULL)
		return;
	pthread_mutex_destroy(&leaves->lock);
	free(leaves);
}

static struct place place_for(struct blob der, const uint8_t issuer_hash[32])
{
	struct place place;

	sha256(der, place.leaf);
	memcpy(place.issuer, issuer_hash, sizeof(place.issuer));
	return place;
}

static size_t number_of(const struct place *place)
{
	return ((size_t)place->leaf[0] << 8 | place->leaf[1]) % LIMIT_TRUST_LEAVES;
}

bool trust_leaves_has(struct trust_leaves *leaves, struct blob der, const uint8_t issuer_hash[32])
{
	struct place wanted = place_for(der, issuer_hash);
	bool there;

	pthread_mutex_lock(&leaves->lock);
	there = memcmp(&leaves->place[number_of(&wanted)], &wanted, sizeof(wanted)) == 0;
	pthread_mutex_unlock(&leaves->lock);
	return there;
}

void trust_leaves_put(struct trust_leaves *leaves, struct blob der, const uint8_t issuer_hash[32])
{
	struct place place = place_for(der, issuer_hash);

	pthread_mutex_lock(&leaves->lock);
	leaves->place[number_of(&place)] = place;
	pthread_mutex_unlock(&leaves->lock);
}
