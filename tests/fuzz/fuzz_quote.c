/* fuzz_quote.c - a quote's DER OCTET STRING. What is read lies inside the input and within its limits. */
#include <assert.h>

#include "failing.h"
#include "quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void inside(struct blob blob, const uint8_t *data, size_t len)
{
	assert(blob.ptr >= data && blob.ptr + blob.len <= data + len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct quote quote;
	struct fault f;

	if (quote_parse(BLOB(data, len), &quote, &f) != REASON_OK)
		return 0;
	inside(quote.payload, data, len);
	inside(quote.signature, data, len);
	inside(quote.nonce, data, len);
	inside(quote.ueid, data, len);
	assert(quote.nonce.len >= LIMIT_NONCE_BYTES_MIN && quote.nonce.len <= LIMIT_NONCE_BYTES_MAX);
	assert(quote.ueid.len >= 1 && quote.ueid.len <= LIMIT_ELEMENT_BYTES);
	assert((quote.flags & ~(uint64_t)QUOTE_FLAGS) == 0);
	assert(pubkey_check(&quote.key, &f) == REASON_OK || failing_happened());
	return 0;
}
