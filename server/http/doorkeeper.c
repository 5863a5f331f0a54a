/*
 * doorkeeper.c - see doorkeeper.h.
 */
#include "http/doorkeeper.h"

#include <netinet/in.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 16

struct doorkeeper {
	unsigned connections, per_s;
	uint8_t key[KEY_BYTES];
	pthread_mutex_t lock; /* of the slots */
	struct slot {
		unsigned open;
		int64_t paid_until_us; /* each beginning moves it on by 1/per_s; it may be a burst ahead of the clock */
	} slot[DOORKEEPER_SLOTS];
};

struct doorkeeper *doorkeeper_new(unsigned connections, unsigned per_s)
{
	struct doorkeeper *keeper = calloc(1, sizeof(*keeper));

	if (keeper == NULL || RAND_bytes(keeper->key, sizeof(keeper->key)) != 1) {
		free(keeper);
		return NULL;
	}
	keeper->connections = connections;
	keeper->per_s = per_s;
	pthread_mutex_init(&keeper->lock, NULL);
	return keeper;
}

void doorkeeper_free(struct doorkeeper *keeper)
{
	if (keeper == NULL)
		return;
	pthread_mutex_destroy(&keeper->lock);
	free(keeper);
}

/* The network part that tells clients apart: IPv4 whole, also where it comes mapped into IPv6; of IPv6 the /64. */
static unsigned slot_of(const struct doorkeeper *keeper, const struct sockaddr *from)
{
	uint8_t part[8] = { 0 }, mac[32];
	unsigned len = sizeof(mac);

	if (from->sa_family == AF_INET) {
		memcpy(part, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(six))
			memcpy(part, six->s6_addr + 12, 4);
		else
			memcpy(part, six->s6_addr, 8);
	}
	if (HMAC(EVP_sha256(), keeper->key, KEY_BYTES, part, sizeof(part), mac, &len) == NULL)
		return 0;
	return (unsigned)(mac[0] | mac[1] << 8) & (DOORKEEPER_SLOTS - 1);
}

static bool pay(struct slot *slot, unsigned per_s, int64_t now_us)
{
	int64_t from_us = slot->paid_until_us > now_us ? slot->paid_until_us : now_us;

	if (per_s == 0)
		return true;
	if (from_us - now_us > DOORKEEPER_BURST_S * INT64_C(1000000))
		return false;
	slot->paid_until_us = from_us + 1000000 / per_s;
	return true;
}

bool doorkeeper_admit(struct doorkeeper *keeper, const struct sockaddr *from, int64_t now_us)
{
	struct slot *slot = &keeper->slot[slot_of(keeper, from)];
	bool admitted;

	pthread_mutex_lock(&keeper->lock);
	admitted = (keeper->connections == 0 || slot->open < keeper->connections) && pay(slot, keeper->per_s, now_us);
	pthread_mutex_unlock(&keeper->lock);
	return admitted;
}

unsigned doorkeeper_entered(struct doorkeeper *keeper, const struct sockaddr *from)
{
	unsigned slot = slot_of(keeper, from);

	pthread_mutex_lock(&keeper->lock);
	keeper->slot[slot].open++;
	pthread_mutex_unlock(&keeper->lock);
	return slot;
}

void doorkeeper_left(struct doorkeeper *keeper, unsigned slot)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->slot[slot].open--;
	pthread_mutex_unlock(&keeper->lock);
}
