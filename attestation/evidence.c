/* evidence.c - see evidence.h. */
#include "evidence.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "bundle.h"
#include "vendors.h"

#define SCRATCH_BUFS 8
#define HEX_ELEMENT_BYTES 31 /* 62 digits; X.520 gives a serialNumber 64 characters, DNS a label 63 */

struct scratch {
	size_t n_certs, n_bufs;
	struct cert certs[LIMIT_BUNDLE_CERTS];
	struct buf bufs[SCRATCH_BUFS];
};

struct evidence {
	struct scratch scratch;
	struct bundle bundle;
};

struct evidence *evidence_new(void)
{
	return calloc(1, sizeof(struct evidence));
}

/* The counts alone: what is beyond them is never read. */
void evidence_clear(struct evidence *evidence)
{
	if (evidence == NULL)
		return;
	for (size_t i = 0; i < evidence->scratch.n_bufs; i++)
		buf_done(&evidence->scratch.bufs[i]);
	evidence->scratch.n_certs = evidence->scratch.n_bufs = 0;
}

void evidence_free(struct evidence *evidence)
{
	evidence_clear(evidence);
	free(evidence);
}

struct cert *scratch_cert(struct scratch *scratch)
{
	return scratch->n_certs < LIMIT_BUNDLE_CERTS ? &scratch->certs[scratch->n_certs++] : NULL;
}

const uint8_t *scratch_bytes(struct scratch *scratch, struct blob bytes)
{
	struct buf *buf = &scratch->bufs[scratch->n_bufs];

	if (scratch->n_bufs == SCRATCH_BUFS || buf_copy(bytes, buf, NULL) != REASON_OK)
		return NULL;
	scratch->n_bufs++;
	return buf->ptr;
}

bool element_text(struct blob element, char out[LIMIT_NAME_CHARS + 1])
{
	if (element.len == 0 || (element.len * 8 + 4) / 5 > LIMIT_NAME_CHARS)
		return false;
	if (element.len <= HEX_ELEMENT_BYTES)
		text_hex(element, out, LIMIT_NAME_CHARS + 1);
	else
		text_base32(element, out, LIMIT_NAME_CHARS + 1);
	return true;
}

static const struct format *format_of(struct blob type)
{
	for (size_t i = 0; i < n_formats; i++)
		if (oid_is(type, oid_of(formats[i]->oid)))
			return formats[i];
	return NULL;
}

/* The one statement in a format that we read; statements of other types beside it are not ours to judge. */
static enum reason find_statement(const struct bundle *bundle, const struct format **ret_format, struct blob *ret_stmt,
				  struct fault *f)
{
	const struct format *found = NULL;
	struct blob stmt = { 0 };

	for (size_t i = 0; i < bundle->n_statements; i++) {
		const struct format *format = format_of(bundle->statement[i].type);

		if (format == NULL)
			continue;
		if (found != NULL)
			return fault_set(f, REASON_EVIDENCE_DUPLICATE, "statements in %s and %s", found->name,
					 format->name);
		found = format;
		stmt = bundle->statement[i].stmt;
	}
	if (found == NULL)
		return fault_set(f, REASON_EVIDENCE_FORMAT, "%zu statements, none known", bundle->n_statements);
	*ret_format = found;
	*ret_stmt = stmt;
	return REASON_OK;
}

enum reason evidence_assess(struct evidence *evidence, const struct vendors *vendors, struct blob bundle,
			    const struct pubkey *csr_key, int64_t now_s, struct claims *claims,
			    struct verdict *ret_verdict, struct fault *f)
{
	struct statement statement = { .csr_key = csr_key, .now_s = now_s };
	struct verdict verdict = { 0 };
	const struct format *format = NULL;

	TRY(bundle_parse(bundle, &evidence->bundle, f));
	TRY(find_statement(&evidence->bundle, &format, &statement.stmt, f));
	statement.certs = evidence->bundle.certs;
	statement.n_certs = evidence->bundle.n_certs;
	statement.roots = vendors_roots(vendors, format);
	if (statement.roots == NULL)
		return fault_set(f, REASON_CHAIN_UNTRUSTED, "no vendor is configured for %s", format->name);
	TRY(format->assess(&statement, &evidence->scratch, claims, &verdict, f));
	/* whatever a format says, the key it vouches for is the one that gets the certificate */
	if (!pubkey_equal(&verdict.key, csr_key))
		return fault_set(f, REASON_EVIDENCE_KEY, "%s vouches for another key", format->name);
	*ret_verdict = verdict;
	return REASON_OK;
}
