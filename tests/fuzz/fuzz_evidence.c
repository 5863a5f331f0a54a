/*
 * fuzz_evidence.c - a whole AttestationBundle against a vendor's root (corpus and root: tests/fuzz/seeds.c), for the
 * key that its quote vouches for. What parses may be believed only if its signatures then hold. Those of CA
 * certificates are believed at once (believe.c).
 */
#include <assert.h>
#include <stdlib.h>

#include "bundle.h"
#include "evidence.h"
#include "quote.h"

#define NOW 1750000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct vendors *vendors_known(void)
{
	static const struct vendor_options acme = { "assay.1.1", "acme", FUZZ_DIR "/vendor-root.pem" };
	static struct vendors *vendors;
	struct fault f;

	oid_init();
	if (vendors == NULL && vendors_open(&acme, 1, &vendors, &f) != REASON_OK)
		abort();
	return vendors;
}

/* The key of the first statement that reads as a quote; any P-256 key will not do, for it has to be the same. */
static bool quoted_key(struct blob der, struct pubkey *ret_key)
{
	struct bundle bundle;
	struct quote quote;

	if (bundle_parse(der, &bundle, NULL) != REASON_OK)
		return false;
	for (size_t i = 0; i < bundle.n_statements; i++)
		if (quote_parse(bundle.statement[i].stmt, &quote, NULL) == REASON_OK) {
			*ret_key = quote.key;
			return true;
		}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct vendors *vendors = vendors_known();
	struct pubkey key = { 0 };
	struct verdict verdict;
	struct claims claims = { 0 };
	struct fault f = { 0 };

	if (!quoted_key(BLOB(data, len), &key))
		return 0;
	AUTO(evidence_freep) struct evidence *evidence = evidence_new();
	if (evidence == NULL)
		return 0;
	if (evidence_assess(evidence, vendors, BLOB(data, len), &key, NOW, &claims, &verdict, &f) == REASON_OK) {
		assert(claims.n >= 2 && pubkey_equal(&verdict.key, &key)); /* the quote and its chip */
		assert(verdict.device.element_len > 0 && verdict.device.element_len <= LIMIT_ELEMENT_BYTES);
	} else {
		assert(f.reason != REASON_OK);
	}
	return 0;
}
