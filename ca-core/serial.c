/*
 * serial.c - certificate serial numbers: 01, three bytes of day since 1970, twelve random.
 *
 * The leading 01 keeps the INTEGER positive and of one length; the day makes serials grow with time, so that the
 * ledger's partitions and indexes do too; 96 random bits make them unique and unpredictable (RFC 5280 section
 * 4.1.2.2; CA/Browser Forum asks for 64).
 */
#include <openssl/rand.h>
#include <string.h>

#include "issuer.h"

enum reason serial_new(int64_t now_s, uint8_t ret_serial[SERIAL_BYTES], struct fault *f)
{
	uint32_t day = (uint32_t)(now_s / 86400);
	uint8_t serial[SERIAL_BYTES] = { 1, (uint8_t)(day >> 16), (uint8_t)(day >> 8), (uint8_t)day };

	if (RAND_bytes(serial + 4, sizeof(serial) - 4) != 1)
		return fault_set(f, REASON_NO_MEMORY, "the random generator gives no serial");
	memcpy(ret_serial, serial, sizeof(serial));
	return REASON_OK;
}
