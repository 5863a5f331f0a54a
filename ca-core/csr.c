/* csr.c - see csr.h. */
#include "csr.h"

#include <string.h>

#include "der.h"
#include "x509.h"

#define CHALLENGE_CHARS 255 /* pkcs-9-ub-challengePassword, RFC 2985 appendix A */

static enum reason bad_extension(struct fault *f, const char *what)
{
	return fault_set(f, REASON_CSR_EXTENSION, "requested extension: %s", what);
}

/* One requested extension; those that Assay writes by itself or does not know are left alone. */
static enum reason read_extension(const struct extension *ext, struct csr *csr, struct fault *f)
{
	int path_len;

	if (oid_is(ext->oid, oid_of(OID_CE_BASIC)) && !x509_basic(ext->value, &csr->asks_ca, &path_len))
		return bad_extension(f, "basicConstraints");
	if (oid_is(ext->oid, oid_of(OID_CE_KEY_USAGE)) && !x509_key_usage(ext->value, false, &csr->key_usage))
		return bad_extension(f, "keyUsage");
	if (oid_is(ext->oid, oid_of(OID_CE_EKU)) && !x509_ekus(ext->value, csr->eku, &csr->n_ekus))
		return bad_extension(f, "extKeyUsage");
	if (oid_is(ext->oid, oid_of(OID_CE_SAN))) {
		if (!x509_general_names(ext->value, LIMIT_SANS))
			return bad_extension(f, "subjectAltName");
		csr->san = ext->value;
	}
	return REASON_OK;
}

/* The attribute handlers get what stands in the SET, which has at least one element. */
typedef enum reason (*attribute_fn)(struct blob values, struct csr *csr, struct fault *f);

static enum reason bad_attribute(struct fault *f, const char *what)
{
	return fault_set(f, REASON_CSR_ATTRIBUTE, "attribute %s", what);
}

static enum reason read_ext_request(struct blob values, struct csr *csr, struct fault *f)
{
	struct extensions list;
	struct blob in;

	if (!der_take(&values, DER_SEQUENCE, &in) || values.len != 0)
		return bad_attribute(f, "extensionRequest: not one SEQUENCE");
	if (!x509_extensions(in, &list))
		return bad_extension(f, "malformed, repeated, none or too many");
	for (size_t i = 0; i < list.n; i++)
		TRY(read_extension(&list.item[i], csr, f));
	return REASON_OK;
}

static enum reason read_attestation(struct blob values, struct csr *csr, struct fault *f)
{
	struct blob whole, content;

	if (!der_take_whole(&values, DER_SEQUENCE, &whole, &content))
		return fault_set(f, REASON_EVIDENCE_DER, "attestation attribute: value is not a SEQUENCE");
	if (values.len != 0)
		return fault_set(f, REASON_EVIDENCE_DUPLICATE, "attestation attribute with several bundles");
	if (whole.len > LIMIT_BUNDLE_BYTES)
		return fault_set(f, REASON_EVIDENCE_DER, "bundle of %zu bytes, at most %d", whole.len,
				 LIMIT_BUNDLE_BYTES);
	csr->evidence = whole;
	return REASON_OK;
}

/* RFC 7030 section 3.5: who sends the attribute means the linking by it, so what cannot be one is a failed one. */
static enum reason read_challenge(struct blob values, struct csr *csr, struct fault *f)
{
	struct der value;

	if (!der_any(&values, &value) || values.len != 0 || value.content.len == 0 ||
	    value.content.len > CHALLENGE_CHARS ||
	    (value.tag != DER_PRINTABLE_STRING && value.tag != DER_UTF8_STRING && value.tag != DER_IA5_STRING))
		return fault_set(f, REASON_LINK_FAILED, "challengePassword: not one string of 1 to 255 characters");
	csr->challenge = value.content;
	return REASON_OK;
}

static enum reason read_continuity(struct blob values, struct csr *csr, struct fault *f)
{
	struct blob signature;

	if (!der_take(&values, DER_OCTET_STRING, &signature) || values.len != 0 || signature.len == 0 ||
	    signature.len > LIMIT_SIGNATURE_BYTES)
		return bad_attribute(f, "assay.4.1 (continuity): not one OCTET STRING with a signature");
	csr->continuity = signature;
	return REASON_OK;
}

static enum reason read_change_name(struct blob values, struct csr *csr, struct fault *f)
{
	struct blob content;

	if (!der_take(&values, DER_SEQUENCE, &content) || values.len != 0)
		return bad_attribute(f, "changeSubjectName: not one SEQUENCE");
	csr->asks_change_name = true;
	return REASON_OK;
}

static const struct {
	enum oid_id oid;
	attribute_fn read;
	enum reason repeated;
} known[] = {
	{ OID_PKCS9_EXT_REQ, read_ext_request, REASON_CSR_ATTRIBUTE },
	{ OID_AA_ATTESTATION, read_attestation, REASON_EVIDENCE_DUPLICATE },
	{ OID_PKCS9_CHALLENGE, read_challenge, REASON_CSR_ATTRIBUTE },
	{ OID_ASSAY_CONTINUITY, read_continuity, REASON_CSR_ATTRIBUTE },
	{ OID_CMC_CHANGE_NAME, read_change_name, REASON_CSR_ATTRIBUTE },
};
#define N_KNOWN (sizeof(known) / sizeof(known[0]))

static size_t known_index(struct blob oid)
{
	size_t i = 0;

	while (i < N_KNOWN && !oid_is(oid, oid_of(known[i].oid)))
		i++;
	return i;
}

struct attributes {
	size_t n;
	struct blob oid[LIMIT_CSR_ATTRIBUTES];
};

/* Attribute ::= SEQUENCE { type, SET SIZE (1..MAX) OF value } (RFC 2986 section 4.1) */
static enum reason read_attribute(struct blob *in, struct attributes *seen, struct csr *csr, struct fault *f)
{
	struct blob attribute, oid, values;
	size_t index;

	if (!der_take(in, DER_SEQUENCE, &attribute) || !der_oid(&attribute, &oid) ||
	    !der_take(&attribute, DER_SET, &values) || attribute.len != 0)
		return bad_attribute(f, "is malformed");
	index = known_index(oid);
	for (size_t i = 0; i < seen->n; i++) {
		if (blob_equal(seen->oid[i], oid))
			return fault_set(f, index < N_KNOWN ? known[index].repeated : REASON_CSR_ATTRIBUTE,
					 "attribute repeated");
	}
	if (seen->n == LIMIT_CSR_ATTRIBUTES)
		return bad_attribute(f, "is one more than the limit");
	seen->oid[seen->n++] = oid;
	if (values.len == 0 || !der_set_ordered(values))
		return bad_attribute(f, "has no value, or values that are not in DER order");
	return index < N_KNOWN ? known[index].read(values, csr, f) : REASON_OK;
}

/* Their order is not held against a client: strongSwan 5.9.8 does not sort them, and none comes twice. */
static enum reason read_attributes(struct blob in, struct csr *csr, struct fault *f)
{
	struct attributes seen = { 0 };

	while (in.len > 0)
		TRY(read_attribute(&in, &seen, csr, f));
	return REASON_OK;
}

/* CertificationRequestInfo ::= SEQUENCE { version, subject, subjectPKInfo, [0] IMPLICIT SET OF Attribute } */
static enum reason parse_info(struct blob in, struct csr *csr, struct fault *f)
{
	struct blob spki, content, attributes;
	uint32_t version;

	if (!der_small(&in, &version))
		return fault_set(f, REASON_CSR_DER, "version is not an INTEGER");
	if (version != 0)
		return fault_set(f, REASON_CSR_VERSION, "version %u", (unsigned)version);
	if (!x509_name(&in, &csr->subject))
		return fault_set(f, REASON_CSR_DER, "subject is not a Name of at most %d bytes", LIMIT_NAME_BYTES);
	if (!der_take_whole(&in, DER_SEQUENCE, &spki, &content) ||
	    !der_take(&in, DER_CONTEXT_CONSTRUCTED(0), &attributes) || in.len != 0)
		return fault_set(f, REASON_CSR_DER, "CertificationRequestInfo");
	TRY(pubkey_parse(spki, &csr->key, f));
	return read_attributes(attributes, csr, f);
}

enum reason csr_parse(struct blob der, struct csr *ret_csr, struct claims *claims, struct fault *f)
{
	struct csr csr = { .der = der };
	struct claim claim = { .refusal = REASON_CSR_SIGNATURE, .what = "CSR" };
	struct blob in, info, algorithm;

	if (der.len > LIMIT_CSR_BYTES)
		return fault_set(f, REASON_CSR_DER, "%zu bytes, at most %d", der.len, LIMIT_CSR_BYTES);
	if (!der_only(der, DER_SEQUENCE, &in) || !der_take_whole(&in, DER_SEQUENCE, &claim.message, &info) ||
	    !x509_algorithm(&in, false, &algorithm, &claim.alg) || !der_bytes(&in, &claim.signature) || in.len != 0)
		return fault_set(f, REASON_CSR_DER, "not one DER CertificationRequest");
	TRY(parse_info(info, &csr, f));
	if (!sig_alg_fits(claim.alg, csr.key.type))
		return fault_set(f, REASON_CSR_ALGORITHM,
				 "signature algorithm unknown, weak or not one of a key of type %s",
				 key_type_name(csr.key.type));
	claim.key = &ret_csr->key;
	*ret_csr = csr;
	return claims_add(claims, claim, f);
}
