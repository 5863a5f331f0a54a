/*
 * serial.c - certificate serial numbers: 01, three bytes of day since 1970, three of the time of day, twelve random.
 *
 * The leading 01 keeps the INTEGER positive and of one length; day and time (in 5 ms) make serials grow, so that the
 * ledger's partitions do too, and what is written to its indexes goes to their end; 96 random bits make them unique and
 * unpredictable (RFC 5280 section 4.1.2.2, which also has the limit of 20 bytes; CA/Browser Forum asks for 64 bits).
 */
#include <assert.h>
#include <limits.h>
#include <openssl/rand.h>
#include <string.h>

#include "issuer.h"

#define DAY_US INT64_C(86400000000)

/* One call of the generator: its price is much the same for one serial and for a batch. */
enum reason serial_fill(int64_t now_us, uint8_t (*serials)[SERIAL_BYTES], size_t n, struct fault *f)
{
	const uint32_t day = (uint32_t)(now_us / DAY_US);
	const uint32_t moment = (uint32_t)(((now_us % DAY_US) << 24) / DAY_US);
	const uint8_t start[] = { 1,
				  (uint8_t)(day >> 16),
				  (uint8_t)(day >> 8),
				  (uint8_t)day,
				  (uint8_t)(moment >> 16),
				  (uint8_t)(moment >> 8),
				  (uint8_t)moment };

	assert(n <= INT_MAX / SERIAL_BYTES);
	if (n > 0 && RAND_bytes(serials[0], (int)(n * SERIAL_BYTES)) != 1)
		return fault_set(f, REASON_NO_MEMORY, "the random generator gives no serial");
	for (size_t i = 0; i < n; i++)
		memcpy(serials[i], start, sizeof(start));
	return REASON_OK;
}

enum reason serial_new(int64_t now_us, uint8_t ret_serial[SERIAL_BYTES], struct fault *f)
{
	uint8_t serial[1][SERIAL_BYTES];

	TRY(serial_fill(now_us, serial, 1, f));
	memcpy(ret_serial, serial[0], SERIAL_BYTES);
	return REASON_OK;
}
