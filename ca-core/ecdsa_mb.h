/*
 * ecdsa_mb.h - eight P-256 verifications at once, by Intel's crypto_mb library where it and the CPU are there.
 *
 * Found at run time, never needed: without the library, without AVX-512 IFMA, or when its first answers are wrong,
 * nothing is on and OpenSSL verifies everything. Its word counts only where it says yes: what it does not confirm,
 * OpenSSL decides, so that every refusal is OpenSSL's.
 *
 * Owns:    the library, once opened, to the end of the process.
 * Threads: ecdsa_mb_open() before any other thread; the rest any.
 */
#ifndef ASSAY_ECDSA_MB_H
#define ASSAY_ECDSA_MB_H

#include "pubkey.h"

#define ECDSA_MB_LIBRARY "libcrypto_mb.so.11" /* Debian's libcrypto-mb11 */
#define ECDSA_MB_LANES 8
#define ECDSA_MB_US 100 /* a call, for one lane as for eight */

struct ecdsa_lane {
	uint64_t x[4], y[4]; /* of the key, least significant word first */
	uint8_t digest[32], r[32], s[32];
};

/* `library`: a path, or a name that the system's linker finds. REASON_CONFIG says why it stays off. */
MUST_CHECK enum reason ecdsa_mb_open(const char *library, struct fault *f);
bool ecdsa_mb_on(void);
void ecdsa_mb_off(void); /* for tests and measurements */

/* False when this signature is not for a lane: another curve, a point that is none, r or s out of range. r and s are
 * big endian without leading zeros, or of 32 bytes. */
MUST_CHECK bool ecdsa_lane_fill(struct ecdsa_lane *lane, const struct pubkey *key, const uint8_t digest[32],
				struct blob r, struct blob s);
/* 1 to 8 lanes; bit i of the answer is set when lane i holds. Only while it is on. */
unsigned ecdsa_mb_verify(const struct ecdsa_lane *lanes, size_t n);

#endif
