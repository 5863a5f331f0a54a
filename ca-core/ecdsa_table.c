/* ecdsa_table.c - see ecdsa_table.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_GROUP_precompute_mult() */
#include "ecdsa_table.h"

#include <assert.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define POINT_BYTES 65

/* The curve once more, with a signer's key as its generator. */
struct ecdsa_table {
	atomic_uint refs;
	EC_GROUP *group;
};

struct signer {
	uint8_t point[POINT_BYTES]; /* all zero: nobody yet */
	unsigned uses;
	uint64_t last_use;
	struct ecdsa_table *table; /* NULL until there were uses enough */
};

static struct {
	pthread_mutex_t lock;
	uint64_t uses;
	struct signer signer[ECDSA_TABLES];
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

AUTO_FREE(EC_GROUP, ec_group_freep, EC_GROUP_free)
AUTO_FREE(EC_POINT, ec_point_freep, EC_POINT_free)

void ecdsa_table_unref(struct ecdsa_table *table)
{
	if (table == NULL || atomic_fetch_sub(&table->refs, 1) != 1)
		return;
	EC_GROUP_free(table->group);
	free(table);
}

static struct ecdsa_table *table_ref(struct ecdsa_table *table)
{
	if (table != NULL)
		atomic_fetch_add(&table->refs, 1);
	return table;
}

/* NULL when memory is short. */
static struct ecdsa_table *table_new(const struct pubkey *key)
{
	const EC_GROUP *curve = pubkey_group(KEY_EC_P256);
	AUTO(ec_group_freep) EC_GROUP *group = curve == NULL ? NULL : EC_GROUP_dup(curve);
	AUTO(ec_point_freep) EC_POINT *point = group == NULL ? NULL : EC_POINT_new(group);
	struct ecdsa_table *table;

	if (point == NULL || EC_POINT_oct2point(group, point, key->raw, key->len, NULL) != 1 ||
	    EC_GROUP_set_generator(group, point, EC_GROUP_get0_order(curve), EC_GROUP_get0_cofactor(curve)) != 1 ||
	    EC_GROUP_precompute_mult(group, NULL) != 1 || (table = calloc(1, sizeof(*table))) == NULL)
		return NULL;
	atomic_init(&table->refs, 1);
	table->group = TAKE(group);
	return table;
}

/* The key's place, or the one used longest ago. */
static struct signer *place_of(const struct pubkey *key)
{
	struct signer *oldest = &known.signer[0];

	for (size_t i = 0; i < ECDSA_TABLES; i++) {
		struct signer *signer = &known.signer[i];

		if (memcmp(signer->point, key->raw, POINT_BYTES) == 0)
			return signer;
		if (signer->last_use < oldest->last_use)
			oldest = signer;
	}
	return oldest;
}

/* Counts a use. NULL: no table; it is time to make one if *ret_due. */
static struct ecdsa_table *find(const struct pubkey *key, bool *ret_due)
{
	struct ecdsa_table *found, *left = NULL;
	struct signer *signer;

	pthread_mutex_lock(&known.lock);
	signer = place_of(key);
	if (memcmp(signer->point, key->raw, POINT_BYTES) != 0) {
		left = signer->table;
		*signer = (struct signer){ 0 };
		memcpy(signer->point, key->raw, POINT_BYTES);
	}
	signer->last_use = ++known.uses;
	found = table_ref(signer->table);
	*ret_due = found == NULL && ++signer->uses % ECDSA_TABLE_USES == 0;
	pthread_mutex_unlock(&known.lock);
	ecdsa_table_unref(left);
	return found;
}

/* Unless the key has lost its place meanwhile, or another thread was quicker. */
static void keep(const struct pubkey *key, struct ecdsa_table *table)
{
	struct signer *signer;

	pthread_mutex_lock(&known.lock);
	signer = place_of(key);
	if (memcmp(signer->point, key->raw, POINT_BYTES) == 0 && signer->table == NULL)
		signer->table = table_ref(table);
	pthread_mutex_unlock(&known.lock);
}

struct ecdsa_table *ecdsa_table_get(const struct pubkey *key)
{
	struct ecdsa_table *table;
	bool due;

	assert(key->type == KEY_EC_P256 && key->len == POINT_BYTES);
	table = find(key, &due);
	if (!due)
		return table;
	table = table_new(key);
	if (table != NULL)
		keep(key, table);
	else
		ERR_clear_error();
	return table;
}

const EC_GROUP *ecdsa_table_group(const struct ecdsa_table *table)
{
	return table->group;
}
