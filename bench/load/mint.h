/*
 * mint.h - thousands of devices before the clock starts.
 *
 * One request in so many is made by the rig's library from nothing. The others are its copies with an identity of their
 * own: element id, keys, the chip's certificate signed by the vendor's key. Made from nothing a device takes 0.6 ms.
 *
 * Threads:  devices are minted by several threads, each its own.
 */
#ifndef BENCH_MINT_H
#define BENCH_MINT_H

#include "board.h"

struct mint_plan {
	const char *vendor; /* its folder */
	size_t nonce_len;
	size_t keep_every; /* of every so many the element is kept, so that the certificate can be checked; 0: none */
};

/* Mints boards[0..n) with `threads` threads. */
MUST_CHECK bool mint(const struct mint_plan *plan, struct board *boards, size_t n, unsigned threads, struct trouble *t);

#endif
