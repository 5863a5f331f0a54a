/*
 * serial.c - certificate serial numbers: 01, three bytes of day since 1970, twelve random.
 *
 * The leading 01 keeps the INTEGER positive and of one length; the day makes serials grow with time, so that the
 * ledger's partitions and indexes do too; 96 random bits make them unique and unpredictable (RFC 5280 section
 * 4.1.2.2; CA/Browser Forum asks for 64).
 */
#include <openssl/rand.h>
#include <stdlib.h>

#include "issuer.h"

void serial_new(int64_t now_s, uint8_t out[SERIAL_BYTES])
{
	uint32_t day = (uint32_t)(now_s / 86400);

	out[0] = 1;
	out[1] = (uint8_t)(day >> 16);
	out[2] = (uint8_t)(day >> 8);
	out[3] = (uint8_t)day;
	/* a generator that fails must not lead to a serial that can be guessed or met twice */
	if (RAND_bytes(out + 4, SERIAL_BYTES - 4) != 1)
		abort();
}
