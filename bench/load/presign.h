/*
 * presign.h - ECDSA in two halves: what does not depend on the message before the clock starts, the rest in 2 us.
 *
 * A load driver that signs twice an enrolment takes as much of the processor as the server it drives. The random number
 * of an ECDSA signature, its point and its inverse can be made beforehand; what is left is one multiplication modulo
 * the group's order. The signatures are ordinary ones. A half made beforehand is good for one message: used for two it
 * would give the key away.
 *
 * Owns:     struct presigned and struct presign_key are values; presign_room_free() frees the room.
 * Threads:  a room belongs to one thread.
 * Spec:     FIPS 186-5 section 6.4.1; P-256 and SHA-256 only.
 */
#ifndef BENCH_PRESIGN_H
#define BENCH_PRESIGN_H

#include "basics.h"

#define PRESIGN_BYTES 32
#define PRESIGN_DER_MAX 72
#define PRESIGN_POINT_BYTES 65

struct presigned {
	uint8_t r[PRESIGN_BYTES], k_inverse[PRESIGN_BYTES], offset[PRESIGN_BYTES]; /* offset = r * d / k */
};

struct presign_room;
MUST_CHECK bool presign_room_new(struct presign_room **ret_room, struct trouble *t);
void presign_room_free(struct presign_room *room); /* accepts NULL */

struct presign_key {
	uint8_t private[PRESIGN_BYTES], point[PRESIGN_POINT_BYTES]; /* 04 x y */
};

MUST_CHECK bool presign_key_new(struct presign_room *room, struct presign_key *ret_key, struct trouble *t);
MUST_CHECK bool presign_key_of(const EVP_PKEY *key, struct presign_key *ret_key, struct trouble *t);

MUST_CHECK bool presign(struct presign_room *room, const struct presign_key *key, struct presigned *ret_presigned,
			struct trouble *t);
/* The rest, for that SHA-256: r || s. */
MUST_CHECK bool presign_finish(struct presign_room *room, const struct presigned *presigned, const uint8_t digest[32],
			       uint8_t ret_raw[2 * PRESIGN_BYTES]);
/* SEQUENCE { r, s }; how many bytes. */
size_t presign_der(const uint8_t raw[2 * PRESIGN_BYTES], uint8_t out[PRESIGN_DER_MAX]);

#endif
