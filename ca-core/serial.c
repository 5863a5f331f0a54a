/*
 * serial.c - certificate serial numbers: 01, three bytes of day since 1970, twelve random.
 *
 * The leading 01 keeps the INTEGER positive and of one length; the day makes serials grow with time, so that the
 * ledger's partitions and indexes do too; 96 random bits make them unique and unpredictable (RFC 5280 section
 * 4.1.2.2; CA/Browser Forum asks for 64).
 */
#include <assert.h>
#include <limits.h>
#include <openssl/rand.h>
#include <string.h>

#include "issuer.h"

/* One call of the generator: its price is much the same for one serial and for a batch. */
enum reason serial_fill(int64_t now_s, uint8_t (*serials)[SERIAL_BYTES], size_t n, struct fault *f)
{
	const uint32_t day = (uint32_t)(now_s / 86400);
	const uint8_t start[] = { 1, (uint8_t)(day >> 16), (uint8_t)(day >> 8), (uint8_t)day };

	assert(n <= INT_MAX / SERIAL_BYTES);
	if (n > 0 && RAND_bytes(serials[0], (int)(n * SERIAL_BYTES)) != 1)
		return fault_set(f, REASON_NO_MEMORY, "the random generator gives no serial");
	for (size_t i = 0; i < n; i++)
		memcpy(serials[i], start, sizeof(start));
	return REASON_OK;
}

enum reason serial_new(int64_t now_s, uint8_t ret_serial[SERIAL_BYTES], struct fault *f)
{
	uint8_t serial[1][SERIAL_BYTES];

	TRY(serial_fill(now_s, serial, 1, f));
	memcpy(ret_serial, serial[0], SERIAL_BYTES);
	return REASON_OK;
}
