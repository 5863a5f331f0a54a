/* bundle.c - see bundle.h. */
#include "bundle.h"

#include "der.h"

/* CertificateChoices, RFC 5652 section 10.2.2; LimitedCertChoices leaves `certificate` and `other`. */
#define CHOICE_OTHER DER_CONTEXT_CONSTRUCTED(3)

#define refuse(f, ...) fault_set((f), REASON_EVIDENCE_DER, __VA_ARGS__)

/* AttestationStatement ::= SEQUENCE { type OBJECT IDENTIFIER, stmt ANY }, and nothing more: earlier drafts had a hint.
 */
static enum reason parse_statement(struct blob *in, struct bundle *bundle, struct fault *f)
{
	size_t i = bundle->n_statements;
	struct blob fields;
	struct der stmt;

	if (i == LIMIT_STATEMENTS)
		return refuse(f, "more than %d statements", LIMIT_STATEMENTS);
	if (!der_take(in, DER_SEQUENCE, &fields))
		return refuse(f, "statement %zu is not a SEQUENCE", i);
	if (!der_oid(&fields, &bundle->statement[i].type))
		return refuse(f, "statement %zu does not begin with an OID", i);
	if (!der_any(&fields, &stmt))
		return refuse(f, "statement %zu has no stmt", i);
	if (fields.len > 0)
		return refuse(f, "statement %zu has %zu bytes after its stmt", i, fields.len);
	bundle->statement[i].stmt = stmt.whole;
	bundle->n_statements++;
	return REASON_OK;
}

static enum reason parse_cert(struct blob *in, size_t i, struct bundle *bundle, struct fault *f)
{
	struct blob whole, content;

	if (i == LIMIT_BUNDLE_CERTS)
		return refuse(f, "more than %d certificates", LIMIT_BUNDLE_CERTS);
	if (der_take_whole(in, DER_SEQUENCE, &whole, &content)) {
		if (whole.len > LIMIT_CERT_BYTES)
			return refuse(f, "certificate %zu has %zu bytes", i, whole.len);
		bundle->certs[bundle->n_certs++] = whole;
		return REASON_OK;
	}
	if (!der_take(in, CHOICE_OTHER, &content))
		return refuse(f, "certs: entry %zu is neither a certificate nor other", i);
	return REASON_OK;
}

enum reason bundle_parse(struct blob der, struct bundle *ret_bundle, struct fault *f)
{
	struct blob fields, statements, certs = { 0 };
	struct bundle bundle = { 0 };

	if (der.len > LIMIT_BUNDLE_BYTES)
		return refuse(f, "%zu bytes, at most %d", der.len, LIMIT_BUNDLE_BYTES);
	if (!der_only(der, DER_SEQUENCE, &fields))
		return refuse(f, "not one SEQUENCE");
	if (!der_take(&fields, DER_SEQUENCE, &statements) || statements.len == 0)
		return refuse(f, "no attestations");
	if (fields.len > 0 && (!der_take(&fields, DER_SEQUENCE, &certs) || certs.len == 0))
		return refuse(f, "certs is not a SEQUENCE with at least one entry");
	if (fields.len > 0)
		return refuse(f, "%zu bytes after certs", fields.len);
	while (statements.len > 0)
		TRY(parse_statement(&statements, &bundle, f));
	for (size_t i = 0; certs.len > 0; i++)
		TRY(parse_cert(&certs, i, &bundle, f));
	*ret_bundle = bundle;
	return REASON_OK;
}
