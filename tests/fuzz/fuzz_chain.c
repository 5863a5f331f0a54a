/*
 * fuzz_chain.c - a leaf with certificates beside it, each a DER element behind the last; the last one is the anchor
 * too, so that a hostile anchor is tried as well. What is believed is believed again from the cache.
 *
 * Signatures are believed (believe.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "der.h"
#include "failing.h"
#include "trust.h"

#define NOW 1750000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The certificates' bytes, cut where DER says; what is no SEQUENCE ends the list. */
static size_t cut(struct blob in, struct blob out[LIMIT_BUNDLE_CERTS])
{
	size_t n = 0;

	while (n < LIMIT_BUNDLE_CERTS && in.len > 0) {
		const uint8_t *start = in.ptr;
		struct blob content;

		if (!der_take(&in, DER_SEQUENCE, &content))
			break;
		out[n++] = BLOB(start, (size_t)(in.ptr - start));
	}
	return n;
}

static struct trust *trust_in(struct blob der)
{
	AUTO(buf_done) struct buf text = { 0 }, pem = { 0 };
	struct trust *trust = NULL;

	if (text_base64(der, &text, NULL) != REASON_OK ||
	    buf_append(&pem, BLOB_STR("-----BEGIN CERTIFICATE-----\n"), NULL) != REASON_OK)
		return NULL;
	for (size_t at = 0; at < text.len; at += 64)
		if (buf_append(&pem, BLOB(text.ptr + at, text.len - at < 64 ? text.len - at : 64), NULL) != REASON_OK ||
		    buf_append(&pem, BLOB_STR("\n"), NULL) != REASON_OK)
			return NULL;
	if (buf_append(&pem, BLOB_STR("-----END CERTIFICATE-----\n"), NULL) != REASON_OK ||
	    trust_open_pem("fuzz", buf_blob(&pem), &trust, NULL) != REASON_OK)
		return NULL;
	return trust;
}

static enum reason judge(struct trust *trust, const struct cert *leaf, const struct blob *others, size_t n)
{
	struct claims *claims = calloc(1, sizeof(*claims));
	struct trust_path path;
	struct fault verdict = { .reason = REASON_NO_MEMORY };

	if (claims == NULL)
		return REASON_NO_MEMORY;
	verdict.reason = trust_path(trust, leaf, others, n, NOW, claims, &path, &verdict);
	assert(claims->n == (verdict.reason == REASON_OK ? 1 : 0));
	if (verdict.reason == REASON_OK)
		assert(blob_equal(claims->item[0].message, leaf->tbs));
	free(claims);
	return verdict.reason;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct blob der[LIMIT_BUNDLE_CERTS];
	struct cert leaf;
	size_t n;

	oid_init();
	n = cut(BLOB(data, len), der);
	if (n < 2 || cert_parse(der[0], &leaf, NULL) != REASON_OK)
		return 0;
	AUTO(trust_freep) struct trust *trust = trust_in(der[n - 1]);
	if (trust == NULL)
		return 0;
	enum reason first = judge(trust, &leaf, der + 1, n - 1), again = judge(trust, &leaf, der + 1, n - 1);

	assert(first == again || failing_happened());
	assert(n > 2 || first != REASON_OK || !leaf.is_ca);
	return 0;
}
