/* fuzz_basic.c - Authorization headers. */
#include <assert.h>
#include <string.h>

#include "http/basic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct basic basic;

	if (basic_parse(BLOB(data, len), &basic, NULL) == REASON_OK)
		assert(strlen(basic.user) + strlen(basic.password) < LIMIT_AUTH_HEADER_BYTES);
	return 0;
}
