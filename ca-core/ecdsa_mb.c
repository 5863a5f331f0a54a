/* ecdsa_mb.c - see ecdsa_mb.h. */
#define OPENSSL_SUPPRESS_DEPRECATED /* a key and signatures to try the library with */
#include "ecdsa_mb.h"

#include <assert.h>
#include <dlfcn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <stdatomic.h>
#include <string.h>

AUTO_FREE(EC_KEY, ec_key_freep, EC_KEY_free)
AUTO_FREE(ECDSA_SIG, ecdsa_sig_freep, ECDSA_SIG_free)

/* crypto_mb/ec_nistp256.h: pointers to eight lanes each; z absent: affine. Four bits of status a lane, 0 is good. */
typedef uint32_t verify_mb8(const uint8_t *const r[8], const uint8_t *const s[8], const uint8_t *const digest[8],
			    const uint64_t *const x[8], const uint64_t *const y[8], const uint64_t *const z[8],
			    uint8_t *scratch);
typedef int applicable_mb(uint64_t features); /* of this CPU, when 0 is asked */

static _Atomic(verify_mb8 *) verify8;

/* FIPS 186-5, the order of P-256 */
static const uint8_t order[32] = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
				   0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
				   0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };

static bool cpu_can(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	       __builtin_cpu_supports("avx512ifma");
#else
	return false;
#endif
}

static void words(const uint8_t be[32], uint64_t ret_le[4])
{
	for (size_t i = 0; i < 4; i++) {
		uint64_t word = 0;

		for (size_t j = 0; j < 8; j++)
			word = word << 8 | be[(3 - i) * 8 + j];
		ret_le[i] = word;
	}
}

/* From 1 to the order less one. */
static bool scalar(struct blob in, uint8_t ret_out[32])
{
	static const uint8_t zero[32];

	if (in.len > 32)
		return false;
	memset(ret_out, 0, 32);
	memcpy(ret_out + 32 - in.len, in.ptr, in.len);
	return memcmp(ret_out, zero, 32) != 0 && memcmp(ret_out, order, 32) < 0;
}

bool ecdsa_lane_fill(struct ecdsa_lane *lane, const struct pubkey *key, const uint8_t digest[32], struct blob r,
		     struct blob s)
{
	if (key->type != KEY_EC_P256 || pubkey_check(key, NULL) != REASON_OK || !scalar(r, lane->r) ||
	    !scalar(s, lane->s))
		return false;
	words(key->raw + 1, lane->x);
	words(key->raw + 33, lane->y);
	memcpy(lane->digest, digest, 32);
	return true;
}

static unsigned run(verify_mb8 *verify, const struct ecdsa_lane *lanes, size_t n)
{
	const uint8_t *r[ECDSA_MB_LANES], *s[ECDSA_MB_LANES], *digest[ECDSA_MB_LANES];
	const uint64_t *x[ECDSA_MB_LANES], *y[ECDSA_MB_LANES];
	uint32_t status;
	unsigned held = 0;

	assert(n > 0 && n <= ECDSA_MB_LANES);
	for (size_t i = 0; i < ECDSA_MB_LANES; i++) {
		const struct ecdsa_lane *lane = &lanes[i < n ? i : 0]; /* idle lanes repeat the first */

		r[i] = lane->r;
		s[i] = lane->s;
		digest[i] = lane->digest;
		x[i] = lane->x;
		y[i] = lane->y;
	}
	status = verify(r, s, digest, x, y, NULL, NULL);
	for (unsigned i = 0; i < n; i++)
		held |= (status >> (4 * i) & 15) == 0 ? 1U << i : 0;
	return held;
}

unsigned ecdsa_mb_verify(const struct ecdsa_lane *lanes, size_t n)
{
	return run(atomic_load(&verify8), lanes, n);
}

bool ecdsa_mb_on(void)
{
	return atomic_load_explicit(&verify8, memory_order_relaxed) != NULL;
}

void ecdsa_mb_off(void)
{
	atomic_store(&verify8, NULL);
}

static bool number_blob(const BIGNUM *number, uint8_t room[32], struct blob *ret_blob)
{
	*ret_blob = BLOB(room, 32);
	return BN_bn2binpad(number, room, 32) == 32;
}

/* A lane with a signature that holds over `digest`. */
static bool lane_signed(EC_KEY *ec, const uint8_t digest[32], struct ecdsa_lane *lane)
{
	AUTO(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_do_sign(digest, 32, ec);
	struct pubkey key = { .type = KEY_EC_P256, .bits = 256 };
	uint8_t r_room[32], s_room[32];
	struct blob r, s;

	key.len = EC_POINT_point2oct(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec), POINT_CONVERSION_UNCOMPRESSED,
				     key.raw, sizeof(key.raw), NULL);
	return sig != NULL && number_blob(ECDSA_SIG_get0_r(sig), r_room, &r) &&
	       number_blob(ECDSA_SIG_get0_s(sig), s_room, &s) && ecdsa_lane_fill(lane, &key, digest, r, s);
}

/* Another library of that name, or a CPU that only says that it can, must not decide over signatures: every second lane
 * is made false, and the answer must be just so. */
static bool tells_apart(verify_mb8 *verify)
{
	AUTO(ec_key_freep) EC_KEY *ec = EC_KEY_new();
	struct ecdsa_lane lanes[ECDSA_MB_LANES];
	uint8_t digest[32] = { 0 };

	if (ec == NULL || pubkey_group(KEY_EC_P256) == NULL || EC_KEY_set_group(ec, pubkey_group(KEY_EC_P256)) != 1 ||
	    EC_KEY_generate_key(ec) != 1)
		return false;
	for (unsigned i = 0; i < ECDSA_MB_LANES; i++) {
		digest[0] = (uint8_t)(i + 1);
		if (!lane_signed(ec, digest, &lanes[i]))
			return false;
		lanes[i].digest[31] ^= i % 2 == 0 ? 0 : 1;
	}
	return run(verify, lanes, ECDSA_MB_LANES) == 0x55;
}

enum reason ecdsa_mb_open(const char *library, struct fault *f)
{
	verify_mb8 *verify;
	applicable_mb *applicable;
	void *handle;

	if (ecdsa_mb_on())
		return REASON_OK;
	if (!cpu_can())
		return fault_set(f, REASON_CONFIG, "this CPU has no AVX-512 IFMA");
	handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		return fault_set(f, REASON_CONFIG, "%s", dlerror());
	*(void **)&verify = dlsym(handle, "mbx_nistp256_ecdsa_verify_mb8");
	*(void **)&applicable = dlsym(handle, "mbx_is_crypto_mb_applicable");
	if (verify == NULL || applicable == NULL || applicable(0) == 0 || !tells_apart(verify)) {
		dlclose(handle);
		return fault_set(f, REASON_CONFIG, "%.100s lacks the function, the CPU, or gives wrong answers",
				 library);
	}
	atomic_store(&verify8, verify);
	return REASON_OK;
}
