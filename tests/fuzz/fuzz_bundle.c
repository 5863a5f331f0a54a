/* fuzz_bundle.c - an AttestationBundle from anybody, and the quote in it. */
#include <assert.h>

#include "bundle.h"
#include "quote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bundle bundle;
	struct quote quote;
	struct fault f;

	if (bundle_parse(BLOB(data, len), &bundle, &f) != REASON_OK)
		return 0;
	assert(bundle.n_statements >= 1 && bundle.n_statements <= LIMIT_STATEMENTS);
	assert(bundle.n_certs <= LIMIT_BUNDLE_CERTS);
	for (size_t i = 0; i < bundle.n_statements; i++)
		(void)!quote_parse(bundle.statement[i].stmt, &quote, &f);
	return 0;
}
