/* fuzz_nonce_request.c - the JSON that a client sends to /nonce: a length within the draft's bounds or a refusal. */
#include <assert.h>

#include "failing.h"
#include "ra/ra.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct fault f = { 0 };
	size_t wanted = 0;

	if (nonce_request(BLOB(data, len), &wanted, &f) == REASON_OK)
		assert(wanted >= LIMIT_NONCE_OWN_BYTES && wanted <= LIMIT_NONCE_BYTES_MAX);
	else
		assert(wanted == 0 && f.detail[0] != '\0' && (f.reason == REASON_HTTP_BODY || failing_happened()));
	return 0;
}
