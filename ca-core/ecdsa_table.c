/* ecdsa_table.c - see ecdsa_table.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* EC_GROUP_precompute_mult() */
#include "ecdsa_table.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define POINT_BYTES 65

/* The curve once more, with a signer's key as its generator. */
struct table {
	atomic_uint refs;
	EC_GROUP *group;
};

struct signer {
	uint8_t point[POINT_BYTES]; /* all zero: nobody yet */
	unsigned uses;
	uint64_t last_use;
	struct table *table; /* NULL until there were uses enough */
};

static struct {
	pthread_mutex_t lock;
	uint64_t uses;
	struct signer signer[ECDSA_TABLES];
} known = { .lock = PTHREAD_MUTEX_INITIALIZER };

AUTO_FREE(EC_GROUP, ec_group_freep, EC_GROUP_free)
AUTO_FREE(EC_POINT, ec_point_freep, EC_POINT_free)
AUTO_FREE(BN_CTX, bn_ctx_freep, BN_CTX_free)

static void table_unref(struct table *table)
{
	if (table == NULL || atomic_fetch_sub(&table->refs, 1) != 1)
		return;
	EC_GROUP_free(table->group);
	free(table);
}

AUTO_FREE(struct table, table_unrefp, table_unref)

static struct table *table_ref(struct table *table)
{
	if (table != NULL)
		atomic_fetch_add(&table->refs, 1);
	return table;
}

/* NULL when memory is short. */
static struct table *table_new(const struct pubkey *key)
{
	const EC_GROUP *curve = pubkey_group(KEY_EC_P256);
	AUTO(ec_group_freep) EC_GROUP *group = curve == NULL ? NULL : EC_GROUP_dup(curve);
	AUTO(ec_point_freep) EC_POINT *point = group == NULL ? NULL : EC_POINT_new(group);
	struct table *table;

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
static struct table *find(const struct pubkey *key, bool *ret_due)
{
	struct table *found, *left = NULL;
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
	table_unref(left);
	return found;
}

/* Unless the key has lost its place meanwhile, or another thread was quicker. */
static void keep(const struct pubkey *key, struct table *table)
{
	struct signer *signer;

	pthread_mutex_lock(&known.lock);
	signer = place_of(key);
	if (memcmp(signer->point, key->raw, POINT_BYTES) == 0 && signer->table == NULL)
		signer->table = table_ref(table);
	pthread_mutex_unlock(&known.lock);
}

static bool in_range(struct blob bytes, const BIGNUM *order, BIGNUM *ret_number)
{
	return bytes.len <= 32 && BN_bin2bn(bytes.ptr, (int)bytes.len, ret_number) != NULL && !BN_is_zero(ret_number) &&
	       BN_cmp(ret_number, order) < 0;
}

/* FIPS 186-5 section 6.4.2: x of (e/s) G + (r/s) Q, modulo the order, is r. */
static bool equation(const EC_GROUP *table, const uint8_t digest[32], struct blob r, struct blob s, BN_CTX *ctx)
{
	const EC_GROUP *curve = pubkey_group(KEY_EC_P256);
	const BIGNUM *order = EC_GROUP_get0_order(curve);
	AUTO(ec_point_freep) EC_POINT *sum = EC_POINT_new(curve);
	AUTO(ec_point_freep) EC_POINT *part = EC_POINT_new(curve);
	BIGNUM *rn = BN_CTX_get(ctx), *sn = BN_CTX_get(ctx), *inverse = BN_CTX_get(ctx), *u = BN_CTX_get(ctx),
	       *e = BN_CTX_get(ctx);

	if (sum == NULL || part == NULL || e == NULL) /* the last NULL tells of the others */
		return false;
	if (!in_range(r, order, rn) || !in_range(s, order, sn) || BN_bin2bn(digest, 32, e) == NULL ||
	    BN_mod_inverse(inverse, sn, order, ctx) == NULL)
		return false;
	if (BN_mod_mul(u, e, inverse, order, ctx) != 1 || EC_POINT_mul(curve, sum, u, NULL, NULL, ctx) != 1)
		return false;
	if (BN_mod_mul(u, rn, inverse, order, ctx) != 1 || EC_POINT_mul(table, part, u, NULL, NULL, ctx) != 1)
		return false;
	return EC_POINT_add(curve, sum, sum, part, ctx) == 1 && EC_POINT_is_at_infinity(curve, sum) == 0 &&
	       EC_POINT_get_affine_coordinates(curve, sum, u, NULL, ctx) == 1 && BN_nnmod(e, u, order, ctx) == 1 &&
	       BN_cmp(e, rn) == 0;
}

bool ecdsa_table_verify(const struct pubkey *key, const uint8_t digest[32], struct blob r, struct blob s)
{
	AUTO(bn_ctx_freep) BN_CTX *ctx = NULL;
	AUTO(table_unrefp) struct table *table = NULL;
	bool due, holds;

	assert(key->type == KEY_EC_P256 && key->len == POINT_BYTES);
	table = find(key, &due);
	if (due && (table = table_new(key)) != NULL)
		keep(key, table);
	if (table == NULL || (ctx = BN_CTX_new()) == NULL)
		return false;
	BN_CTX_start(ctx);
	holds = equation(table->group, digest, r, s, ctx);
	BN_CTX_end(ctx);
	if (!holds)
		ERR_clear_error();
	return holds;
}
