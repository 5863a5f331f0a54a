/*
 * doorkeeper.c - see doorkeeper.h.
 */
#include "http/doorkeeper.h"

#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 16
#define ON_THE_WAY_US 30000000 /* who was admitted so long ago and has not begun never will */

struct bucket {
	int64_t paid_until_us; /* each beginning moves it on by 1/per_s; it may be a burst ahead of the clock */
};

struct slot {
	unsigned open, rigs;      /* connections; those on which a rig has shown itself */
	unsigned on_the_way;      /* admitted and not yet begun */
	int64_t admitted_us;      /* the last one */
	int64_t vouched_until_us; /* no stranger till then, or while `rigs` is not 0 */
	struct bucket bucket;
};

struct doorkeeper {
	struct doorkeeper_limits limits;
	pthread_mutex_t lock;      /* of all below */
	EVP_CIPHER_CTX *cipher;    /* AES-128 under a random key: 0.03 us an address, OpenSSL's HMAC 1.1 */
	unsigned open, on_the_way; /* connections that have begun; admitted and not yet begun */
	int64_t admitted_us;       /* the last one */
	struct bucket strangers;
	struct slot slot[DOORKEEPER_SLOTS];
};

static EVP_CIPHER_CTX *cipher_new(void)
{
	uint8_t key[KEY_BYTES];
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
	bool done = cipher != NULL && RAND_bytes(key, sizeof(key)) == 1 &&
		    EVP_EncryptInit_ex(cipher, EVP_aes_128_ecb(), NULL, key, NULL) == 1 &&
		    EVP_CIPHER_CTX_set_padding(cipher, 0) == 1;

	OPENSSL_cleanse(key, sizeof(key));
	if (done)
		return cipher;
	EVP_CIPHER_CTX_free(cipher);
	return NULL;
}

struct doorkeeper *doorkeeper_new(const struct doorkeeper_limits *limits)
{
	struct doorkeeper *keeper = calloc(1, sizeof(*keeper));

	if (keeper == NULL || (keeper->cipher = cipher_new()) == NULL) {
		free(keeper);
		return NULL;
	}
	keeper->limits = *limits;
	if (keeper->limits.reserve > limits->all / 2)
		keeper->limits.reserve = limits->all / 2;
	pthread_mutex_init(&keeper->lock, NULL);
	return keeper;
}

void doorkeeper_free(struct doorkeeper *keeper)
{
	if (keeper == NULL)
		return;
	pthread_mutex_destroy(&keeper->lock);
	EVP_CIPHER_CTX_free(keeper->cipher);
	free(keeper);
}

/* The network part that tells clients apart: IPv4 whole, also where it comes mapped into IPv6; of IPv6 the /64. Under
 * the lock. */
static unsigned slot_of(struct doorkeeper *keeper, const struct sockaddr *from)
{
	uint8_t part[16] = { 0 }, mark[16] = { 0 }; /* a block: OpenSSL takes no other length */
	int len;

	if (from->sa_family == AF_INET) {
		memcpy(part, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(six))
			memcpy(part, six->s6_addr + 12, 4);
		else
			memcpy(part, six->s6_addr, 8);
	}
	if (EVP_EncryptUpdate(keeper->cipher, mark, &len, part, sizeof(part)) != 1)
		return 0;
	return (unsigned)(mark[0] | mark[1] << 8) & (DOORKEEPER_SLOTS - 1);
}

static bool may_pay(const struct bucket *bucket, unsigned per_s, int64_t now_us)
{
	return per_s == 0 || bucket->paid_until_us - now_us <= DOORKEEPER_BURST_S * INT64_C(1000000);
}

static void pay(struct bucket *bucket, unsigned per_s, int64_t now_us)
{
	int64_t from_us = bucket->paid_until_us > now_us ? bucket->paid_until_us : now_us;

	if (per_s != 0)
		bucket->paid_until_us = from_us + 1000000 / per_s;
}

static bool known(const struct slot *slot, int64_t now_us)
{
	return slot->rigs > 0 || now_us < slot->vouched_until_us;
}

/* Nothing is paid by who is turned away: an address in a storm of its own does not use up the others' share. */
static enum door admit(struct doorkeeper *keeper, struct slot *slot, int64_t now_us)
{
	const struct doorkeeper_limits *limits = &keeper->limits;
	bool stranger = !known(slot, now_us);

	if (limits->per_address != 0 && slot->open + slot->on_the_way >= limits->per_address)
		return DOOR_ADDRESS;
	if (!may_pay(&slot->bucket, limits->per_address_s, now_us))
		return DOOR_ADDRESS;
	if (limits->all != 0 && keeper->open + keeper->on_the_way >= limits->all - (stranger ? limits->reserve : 0))
		return DOOR_FULL;
	if (stranger && !may_pay(&keeper->strangers, limits->strangers_s, now_us))
		return DOOR_STRANGERS;
	pay(&slot->bucket, limits->per_address_s, now_us);
	if (stranger)
		pay(&keeper->strangers, limits->strangers_s, now_us);
	return DOOR_OPEN;
}

enum door doorkeeper_admit(struct doorkeeper *keeper, const struct sockaddr *from, int64_t now_us)
{
	struct slot *slot;
	enum door door;

	pthread_mutex_lock(&keeper->lock);
	slot = &keeper->slot[slot_of(keeper, from)];
	/* libmicrohttpd does not tell of those that it lost for want of memory */
	if (now_us - keeper->admitted_us > ON_THE_WAY_US)
		keeper->on_the_way = 0;
	if (now_us - slot->admitted_us > ON_THE_WAY_US)
		slot->on_the_way = 0;
	door = admit(keeper, slot, now_us);
	if (door == DOOR_OPEN) {
		keeper->on_the_way++;
		slot->on_the_way++;
		keeper->admitted_us = slot->admitted_us = now_us;
	}
	pthread_mutex_unlock(&keeper->lock);
	return door;
}

bool doorkeeper_knows(struct doorkeeper *keeper, const struct sockaddr *from, int64_t now_us)
{
	bool yes;

	pthread_mutex_lock(&keeper->lock);
	yes = known(&keeper->slot[slot_of(keeper, from)], now_us);
	pthread_mutex_unlock(&keeper->lock);
	return yes;
}

/* Under the lock. */
static void arrived(struct doorkeeper *keeper, struct slot *slot)
{
	if (keeper->on_the_way > 0)
		keeper->on_the_way--;
	if (slot->on_the_way > 0)
		slot->on_the_way--;
}

void doorkeeper_failed(struct doorkeeper *keeper, const struct sockaddr *from)
{
	pthread_mutex_lock(&keeper->lock);
	arrived(keeper, &keeper->slot[slot_of(keeper, from)]);
	pthread_mutex_unlock(&keeper->lock);
}

unsigned doorkeeper_entered(struct doorkeeper *keeper, const struct sockaddr *from)
{
	unsigned slot;

	pthread_mutex_lock(&keeper->lock);
	slot = slot_of(keeper, from);
	arrived(keeper, &keeper->slot[slot]);
	keeper->open++;
	keeper->slot[slot].open++;
	pthread_mutex_unlock(&keeper->lock);
	return slot;
}

void doorkeeper_vouch(struct doorkeeper *keeper, unsigned slot)
{
	pthread_mutex_lock(&keeper->lock);
	keeper->slot[slot].rigs++;
	pthread_mutex_unlock(&keeper->lock);
}

void doorkeeper_left(struct doorkeeper *keeper, unsigned number, bool vouched, int64_t now_us)
{
	struct slot *slot = &keeper->slot[number];

	pthread_mutex_lock(&keeper->lock);
	keeper->open--;
	slot->open--;
	if (vouched) {
		slot->rigs--;
		slot->vouched_until_us = now_us + DOORKEEPER_VOUCHED_S * INT64_C(1000000);
	}
	pthread_mutex_unlock(&keeper->lock);
}
