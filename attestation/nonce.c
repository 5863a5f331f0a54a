/*
 * nonce.c - see nonce.h.
 *
 * Octets 0-3: the low 32 bits of the tick, big endian. The rest: HMAC-SHA-512 cut to fit, over the whole 64-bit tick,
 * the nonce's own length, the requester and the label. The high bits of the tick are not sent but authenticated, so
 * that a nonce kept until the low ones have wrapped does not come to life again; the length is, so that a long nonce
 * cut short is not a shorter one.
 */
#include "nonce.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sha.h"

#define TICK_BYTES 4
#define TICKS_PER_S 16384
#define AHEAD_MADE_S 8   /* a burst above 16,384 nonces a second runs ahead of the clock; beyond this it is refused */
#define AHEAD_TAKEN_S 10 /* the same, and two nodes' clocks apart */
#define MAC_INPUT_BYTES 512 /* label of the purpose, tick, length, requester, label */

struct nonce_key {
	size_t n;
	uint8_t secret[NONCE_SECRETS_MAX][NONCE_SECRET_BYTES]; /* the first makes nonces */
};

/* The last tick given out by this process: two nonces never share one. */
static _Atomic uint64_t last_tick;

static uint64_t ticks_at(int64_t wall_us)
{
	return (uint64_t)wall_us / 1000000 * TICKS_PER_S + (uint64_t)wall_us % 1000000 * TICKS_PER_S / 1000000;
}

static enum reason read_secrets(int fd, const char *path, struct nonce_key *key, struct fault *f)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return fault_set(f, REASON_CONFIG, "nonce key %s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size % NONCE_SECRET_BYTES != 0 ||
	    st.st_size > (off_t)sizeof(key->secret))
		return fault_set(f, REASON_CONFIG,
				 "nonce key %s: has %jd bytes, must be a file of %d random bytes, or of up to %d such "
				 "secrets one after the other",
				 path, (intmax_t)st.st_size, NONCE_SECRET_BYTES, NONCE_SECRETS_MAX);
	if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		return fault_set(f, REASON_CONFIG, "nonce key %s: open to every user (mode %03o); chmod it to 600",
				 path, st.st_mode & 0777U);
	if (read(fd, key->secret, (size_t)st.st_size) != st.st_size)
		return fault_set(f, REASON_CONFIG, "nonce key %s: cannot be read", path);
	key->n = (size_t)st.st_size / NONCE_SECRET_BYTES;
	return REASON_OK;
}

enum reason nonce_key_open(const char *path, struct nonce_key **ret_key, struct fault *f)
{
	struct nonce_key *key = calloc(1, sizeof(*key));
	enum reason reason;
	int fd;

	if (key == NULL)
		return fault_set(f, REASON_NO_MEMORY, "nonce key");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	reason = read_secrets(fd, path, key, f);
	if (fd >= 0)
		close(fd);
	if (reason != REASON_OK)
		nonce_key_free(key);
	else
		*ret_key = key;
	return reason;
}

void nonce_key_free(struct nonce_key *key)
{
	if (key == NULL)
		return;
	OPENSSL_cleanse(key, sizeof(*key));
	free(key);
}

/* False when the texts are longer than any that Assay makes. */
static bool mac(const uint8_t secret[NONCE_SECRET_BYTES], uint64_t tick, size_t len, const char *requester,
		const char *label, uint8_t out[64])
{
	char input[MAC_INPUT_BYTES];
	/* the requester's length before it: no (requester, label) reads like another pair */
	int n = snprintf(input, sizeof(input), "assay-nonce-v1|%016" PRIx64 "|%zu|%zu|%s|%s", tick, len,
			 strlen(requester), requester, label);

	if (n < 0 || (size_t)n >= sizeof(input))
		return false;
	hmac_sha512(BLOB(secret, NONCE_SECRET_BYTES), BLOB(input, (size_t)n), out);
	return true;
}

/* The clock's tick, or the one after the last given out; false when that is too far ahead of the clock. */
static bool next_tick(uint64_t now, uint64_t *ret_tick)
{
	uint64_t last = atomic_load(&last_tick), tick;

	do {
		tick = last < now ? now : last + 1;
		if (tick > now + AHEAD_MADE_S * TICKS_PER_S)
			return false;
	} while (!atomic_compare_exchange_weak(&last_tick, &last, tick));
	*ret_tick = tick;
	return true;
}

enum reason nonce_make(const struct nonce_key *key, const char *requester, const char *label, size_t len, uint8_t *out,
		       struct fault *f)
{
	uint8_t digest[64];
	uint64_t tick;

	if (len < LIMIT_NONCE_OWN_BYTES || len > LIMIT_NONCE_BYTES_MAX)
		return fault_set(f, REASON_INTERNAL, "nonce of %zu bytes asked for", len);
	if (!next_tick(ticks_at(clock_wall_us()), &tick))
		return fault_set(f, REASON_OVERLOADED, "more than %d nonces a second, or the clock went back",
				 TICKS_PER_S);
	if (!mac(key->secret[0], tick, len, requester, label, digest))
		return fault_set(f, REASON_INTERNAL, "nonce for a requester of %zu bytes", strlen(requester));
	for (size_t i = 0; i < TICK_BYTES; i++)
		out[i] = (uint8_t)(tick >> (24 - 8 * i));
	memcpy(out + TICK_BYTES, digest, len - TICK_BYTES);
	return REASON_OK;
}

/* The whole tick whose low half a nonce carries: the latest one that is not too far ahead of now. */
static uint64_t whole_tick(uint64_t now, const uint8_t *low)
{
	uint64_t newest = now + AHEAD_TAKEN_S * TICKS_PER_S;
	uint32_t low32 = (uint32_t)low[0] << 24 | (uint32_t)low[1] << 16 | (uint32_t)low[2] << 8 | low[3];

	return newest - (uint32_t)((uint32_t)newest - low32);
}

/* Made with any of the secrets. How many there are, and which one it was, may show in the time this takes. */
static enum reason check_mac(const struct nonce_key *key, uint64_t tick, const char *requester, const char *label,
			     struct blob nonce, struct fault *f)
{
	struct blob given = BLOB(nonce.ptr + TICK_BYTES, nonce.len - TICK_BYTES);
	uint8_t digest[64];

	for (size_t i = 0; i < key->n; i++) {
		if (!mac(key->secret[i], tick, nonce.len, requester, label, digest))
			return fault_set(f, REASON_INTERNAL, "nonce of a requester of %zu bytes", strlen(requester));
		if (blob_equal_secret(given, BLOB(digest, given.len)))
			return REASON_OK;
	}
	return fault_set(f, REASON_NONCE_FOREIGN, "MAC does not fit %s and label %s", requester, label);
}

enum reason nonce_check_at(const struct nonce_key *key, const char *requester, const char *label, struct blob nonce,
			   unsigned lifetime_s, int64_t now_us, struct fault *f)
{
	uint64_t now = ticks_at(now_us), tick;

	if (nonce.len == 0)
		return fault_set(f, REASON_NONCE_MISSING, "empty");
	if (nonce.len < LIMIT_NONCE_OWN_BYTES || nonce.len > LIMIT_NONCE_BYTES_MAX)
		return fault_set(f, REASON_NONCE_FOREIGN, "%zu bytes", nonce.len);
	tick = whole_tick(now, nonce.ptr);
	TRY(check_mac(key, tick, requester, label, nonce, f));
	if (now > tick && now - tick > (uint64_t)lifetime_s * TICKS_PER_S)
		return fault_set(f, REASON_NONCE_STALE, "%" PRIu64 " s old, lifetime %u s", (now - tick) / TICKS_PER_S,
				 lifetime_s);
	return REASON_OK;
}

enum reason nonce_check(const struct nonce_key *key, const char *requester, const char *label, struct blob nonce,
			unsigned lifetime_s, struct fault *f)
{
	return nonce_check_at(key, requester, label, nonce, lifetime_s, clock_wall_us(), f);
}
