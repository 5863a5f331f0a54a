/*
 * quote.c - assay.1.1: a statement of the secure element itself, signed by its attestation key.
 *
 * The chip's attestation certificate is the leaf in `certs`: no CA, with the one purpose assay.2.1, so that its key
 * signs nothing but quotes, and named after the element. Its path leads to a vendor root of this format.
 */
#include "quote.h"

#include <cbor.h>
#include <stdio.h>
#include <string.h>

#include "format.h"

#define SIG_CONTEXT "Signature1" /* RFC 9052 section 4.4 */
#define SIG_STRUCTURE_BYTES (LIMIT_QUOTE_BYTES + 64)

/* A purpose of its own and the right to sign: what makes a certificate that of an attestation key. */
static enum reason check_leaf(const struct cert *leaf, struct fault *f)
{
	if (leaf->n_ekus != 1)
		return fault_set(f, REASON_CHAIN_LEAF,
				 "attestation certificate has %zu purposes, assay.2.1 must be alone", leaf->n_ekus);
	if (leaf->has_key_usage && (leaf->key_usage & KU_DIGITAL_SIGNATURE) == 0)
		return fault_set(f, REASON_CHAIN_LEAF, "attestation certificate may not sign (keyUsage 0x%x)",
				 leaf->key_usage);
	return REASON_OK;
}

/* The certificates come in no order: the leaf is the one that has the purpose and is no CA. */
static enum reason find_leaf(const struct statement *statement, struct scratch *scratch, const struct cert **ret_leaf,
			     struct fault *f)
{
	const struct cert *leaf = NULL;

	for (size_t i = 0; i < statement->n_certs; i++) {
		struct cert *cert;

		if (trust_has_ca(statement->roots, statement->certs[i]))
			continue; /* a vendor's batch CA comes with every chip: 2 us to read it again */
		cert = scratch_cert(scratch);
		if (cert == NULL)
			return fault_set(f, REASON_INTERNAL, "more certificates than a bundle can have");
		TRY(cert_parse(statement->certs[i], cert, f));
		if (cert->is_ca || !cert_has_eku(cert, OID_ASSAY_KP_QUOTE))
			continue;
		if (leaf != NULL)
			return fault_set(f, REASON_CHAIN_LEAF, "two attestation certificates");
		leaf = cert;
	}
	if (leaf == NULL)
		return fault_set(f, REASON_CHAIN_LEAF, "none of %zu certificates has EKU assay.2.1 and is no CA",
				 statement->n_certs);
	TRY(check_leaf(leaf, f));
	*ret_leaf = leaf;
	return REASON_OK;
}

static enum reason check_identity(const struct quote *quote, const struct cert *leaf, struct fault *f)
{
	char expected[LIMIT_NAME_CHARS + 1], named[LIMIT_NAME_CHARS + 1];

	if (!element_text(quote->ueid, expected))
		return fault_set(f, REASON_EVIDENCE_IDENTITY, "ueid of %zu bytes fits no serialNumber",
				 quote->ueid.len);
	if (!name_get(leaf->subject, OID_AT_SERIAL_NUMBER, named))
		return fault_set(f, REASON_EVIDENCE_IDENTITY,
				 "attestation certificate has no serialNumber in its subject");
	if (strcmp(expected, named) != 0)
		return fault_set(f, REASON_EVIDENCE_IDENTITY, "ueid %s, certificate of %s", expected, named);
	return REASON_OK;
}

/* Sig_structure = [ "Signature1", protected, external_aad h'', payload ] over the bytes received. */
static size_t sig_structure(const struct quote *quote, uint8_t out[SIG_STRUCTURE_BYTES])
{
	const struct {
		size_t (*head)(size_t len, unsigned char *out, size_t cap);
		struct blob content;
	} parts[] = {
		{ cbor_encode_string_start, BLOB_STR(SIG_CONTEXT) },
		{ cbor_encode_bytestring_start, quote->protected },
		{ cbor_encode_bytestring_start, { 0 } },
		{ cbor_encode_bytestring_start, quote->payload },
	};
	size_t len = cbor_encode_array_start(4, out, SIG_STRUCTURE_BYTES);

	for (size_t i = 0; i < 4; i++) {
		len += parts[i].head(parts[i].content.len, out + len, SIG_STRUCTURE_BYTES - len);
		if (parts[i].content.len > 0)
			memcpy(out + len, parts[i].content.ptr, parts[i].content.len);
		len += parts[i].content.len;
	}
	return len;
}

static enum reason claim_signature(const struct quote *quote, const struct cert *leaf, struct scratch *scratch,
				   struct claims *claims, struct fault *f)
{
	uint8_t message[SIG_STRUCTURE_BYTES];
	size_t len = sig_structure(quote, message);
	struct claim claim = { .key = &leaf->key,
			       .alg = quote->alg,
			       .form = SIG_FORM_RAW,
			       .message = { scratch_bytes(scratch, BLOB(message, len)), len },
			       .signature = quote->signature,
			       .refusal = REASON_EVIDENCE_SIGNATURE,
			       .what = "quote" };

	if (claim.message.ptr == NULL)
		return fault_set(f, REASON_NO_MEMORY, "Sig_structure");
	if (leaf->key.type != quote->signer)
		return fault_set(f, REASON_EVIDENCE_SIGNATURE, "attestation key is %s, the quote's algorithm is for %s",
				 key_type_name(leaf->key.type), key_type_name(quote->signer));
	return claims_add(claims, claim, f);
}

/* Made on the chip and kept there, or it is no evidence; a derived key is only as secret as what it is derived from. */
static enum reason level_of(uint64_t flags, enum level *ret_level, struct fault *f)
{
	if ((flags & QUOTE_ON_CHIP) == 0 || (flags & QUOTE_NO_EXPORT) == 0)
		return fault_set(f, REASON_EVIDENCE_FLAGS,
				 "flags 0x%x: generated on chip (1) and not exportable (2) are both needed",
				 (unsigned)flags);
	*ret_level = (flags & QUOTE_DERIVED) != 0 ? LEVEL_PROVISIONED : LEVEL_NATIVE;
	return REASON_OK;
}

static enum reason assess(const struct statement *statement, struct scratch *scratch, struct claims *claims,
			  struct verdict *ret_verdict, struct fault *f)
{
	struct verdict verdict = { .format = format_quote.name, .has_freshness = true };
	const struct cert *leaf = NULL;
	struct trust_path path;
	struct quote quote;

	TRY(quote_parse(statement->stmt, &quote, f));
	TRY(level_of(quote.flags, &verdict.level, f));
	TRY(find_leaf(statement, scratch, &leaf, f));
	TRY(check_identity(&quote, leaf, f));
	TRY(trust_path(statement->roots, leaf, statement->certs, statement->n_certs, statement->now_s, claims, &path,
		       f));
	TRY(claim_signature(&quote, leaf, scratch, claims, f));

	verdict.key = quote.key;
	snprintf(verdict.device.format, sizeof(verdict.device.format), "%s", verdict.format);
	memcpy(verdict.device.vendor_root, path.root_spki_hash, sizeof(path.root_spki_hash));
	memcpy(verdict.device.element, quote.ueid.ptr, quote.ueid.len);
	verdict.device.element_len = quote.ueid.len;
	memcpy(verdict.batch_ca_hash, path.issuer_hash, sizeof(path.issuer_hash));
	memcpy(verdict.nonce, quote.nonce.ptr, quote.nonce.len);
	verdict.nonce_len = quote.nonce.len;
	*ret_verdict = verdict;
	return REASON_OK;
}

const struct format format_quote = { "assay.1.1", OID_ASSAY_QUOTE, assess };
