/* x509.c - see x509.h. */
#include "x509.h"

#include <string.h>

static bool name_rdn(struct blob set)
{
	struct blob attribute, type;
	struct der value;

	if (set.len == 0 || !der_set_ordered(set))
		return false;
	while (set.len > 0) {
		if (!der_take(&set, DER_SEQUENCE, &attribute) || !der_oid(&attribute, &type) ||
		    !der_any(&attribute, &value) || attribute.len != 0)
			return false;
	}
	return true;
}

bool x509_name(struct blob *in, struct blob *ret_whole)
{
	struct blob whole, rdns, set;

	if (!der_take_whole(in, DER_SEQUENCE, &whole, &rdns) || whole.len > LIMIT_NAME_BYTES)
		return false;
	while (rdns.len > 0) {
		if (!der_take(&rdns, DER_SET, &set) || !name_rdn(set))
			return false;
	}
	*ret_whole = whole;
	return true;
}

/* RSASSA-PSS-params of SHA-256, MGF1 with SHA-256 and a salt of 32: one encoding, RFC 4055 section 3.1. */
static const uint8_t pss_sha256[] = {
	0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
	0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d,
	0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x20,
};
static const uint8_t null_element[] = { 0x05, 0x00 };

static const struct {
	enum oid_id oid;
	enum sig_alg alg;
	const uint8_t *parameters;
	size_t parameters_len;
} algorithms[] = {
	{ OID_ECDSA_SHA256, SIG_ECDSA_SHA256, NULL, 0 },
	{ OID_ECDSA_SHA384, SIG_ECDSA_SHA384, NULL, 0 },
	{ OID_ECDSA_SHA512, SIG_ECDSA_SHA512, NULL, 0 },
	{ OID_RSA_SHA256, SIG_RSA_SHA256, null_element, sizeof(null_element) },
	{ OID_RSA_SHA384, SIG_RSA_SHA384, null_element, sizeof(null_element) },
	{ OID_RSA_SHA512, SIG_RSA_SHA512, null_element, sizeof(null_element) },
	{ OID_RSA_PSS, SIG_RSA_PSS_SHA256, pss_sha256, sizeof(pss_sha256) },
};

bool x509_algorithm(struct blob *in, bool lax, struct blob *ret_whole, enum sig_alg *ret_alg)
{
	struct blob content, oid, rest;
	struct der parameters;

	if (!der_take_whole(in, DER_SEQUENCE, ret_whole, &content) || !der_oid(&content, &oid))
		return false;
	rest = content;
	if (content.len > 0 && (!der_any(&content, &parameters) || content.len != 0))
		return false;
	*ret_alg = SIG_NONE;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		struct blob wanted = BLOB(algorithms[i].parameters, algorithms[i].parameters_len);

		if (!oid_is(oid, oid_of(algorithms[i].oid)))
			continue;
		if (blob_equal(rest, wanted) || (lax && wanted.len == 0 && blob_equal(rest, BLOB_OF(null_element))))
			*ret_alg = algorithms[i].alg;
	}
	return true;
}

/* Extension ::= SEQUENCE { OID, critical DEFAULT FALSE, OCTET STRING }: in DER a FALSE is left out. */
static bool extension_take(struct blob *list, struct extension *ret_ext)
{
	struct extension ext = { 0 };
	struct blob in;

	if (!der_take(list, DER_SEQUENCE, &in) || !der_oid(&in, &ext.oid))
		return false;
	if (der_at(in, DER_BOOLEAN) && (!der_bool(&in, &ext.critical) || !ext.critical))
		return false;
	if (!der_take(&in, DER_OCTET_STRING, &ext.value) || in.len != 0)
		return false;
	*ret_ext = ext;
	return true;
}

bool x509_extensions(struct blob content, struct extensions *ret_list)
{
	size_t n = 0;

	while (content.len > 0) {
		if (n == LIMIT_EXTENSIONS || !extension_take(&content, &ret_list->item[n]))
			return false;
		for (size_t i = 0; i < n; i++) {
			if (blob_equal(ret_list->item[i].oid, ret_list->item[n].oid))
				return false;
		}
		n++;
	}
	ret_list->n = n;
	return n > 0;
}

/* SEQUENCE { cA DEFAULT FALSE, pathLenConstraint OPTIONAL }; a length makes sense for a CA only (section 4.2.1.9). */
bool x509_basic(struct blob value, bool *ret_is_ca, int *ret_path_len)
{
	struct blob in;
	bool is_ca = false;
	uint32_t path_len;

	if (!der_only(value, DER_SEQUENCE, &in))
		return false;
	if (der_at(in, DER_BOOLEAN) && (!der_bool(&in, &is_ca) || !is_ca))
		return false;
	*ret_path_len = -1;
	if (in.len > 0) {
		if (!is_ca || !der_small(&in, &path_len))
			return false;
		*ret_path_len = (int)path_len;
	}
	*ret_is_ca = is_ca;
	return in.len == 0;
}

bool x509_key_usage(struct blob value, bool lax, unsigned *ret_usage)
{
	return (lax ? der_flags_lax(&value, ret_usage) : der_flags(&value, ret_usage)) && value.len == 0 &&
	       *ret_usage != 0;
}

bool x509_ekus(struct blob value, struct oid eku[LIMIT_EKUS], size_t *ret_n)
{
	struct blob in, oid;
	size_t n = 0;

	if (!der_only(value, DER_SEQUENCE, &in))
		return false;
	for (; in.len > 0; n++) {
		if (n == LIMIT_EKUS || !der_oid(&in, &oid) || oid.len > LIMIT_OID_BYTES)
			return false;
		eku[n].len = (uint8_t)oid.len;
		memcpy(eku[n].bytes, oid.ptr, oid.len);
	}
	*ret_n = n;
	return n > 0;
}

static bool ia5_text(struct blob text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f)
			return false;
	}
	return text.len > 0;
}

/* A URI must be absolute: a scheme, a colon and something after it (section 4.2.1.6). */
static bool absolute_uri(struct blob text)
{
	const uint8_t *colon = ia5_text(text) ? memchr(text.ptr, ':', text.len) : NULL;

	return colon != NULL && colon > text.ptr && colon < text.ptr + text.len - 1;
}

/* OtherName ::= [0] IMPLICIT SEQUENCE { type, [0] EXPLICIT value } */
static bool other_name(struct blob in)
{
	struct blob type, value;
	struct der any;

	return der_oid(&in, &type) && der_take(&in, DER_CONTEXT_CONSTRUCTED(0), &value) && in.len == 0 &&
	       der_any(&value, &any) && value.len == 0;
}

static bool general_name(const struct der *name)
{
	struct blob content = name->content, whole;

	switch (name->tag) {
	case DER_CONTEXT_CONSTRUCTED(0):
		return other_name(content);
	case DER_CONTEXT(1): /* rfc822Name */
	case DER_CONTEXT(2): /* dNSName */
		return ia5_text(content);
	case DER_CONTEXT_CONSTRUCTED(4): /* directoryName, EXPLICIT since Name is a CHOICE */
		return x509_name(&content, &whole) && content.len == 0;
	case DER_CONTEXT(6):
		return absolute_uri(content);
	case DER_CONTEXT(7):
		return content.len == 4 || content.len == 16;
	case DER_CONTEXT_CONSTRUCTED(3): /* x400Address */
	case DER_CONTEXT_CONSTRUCTED(5): /* ediPartyName */
	case DER_CONTEXT(8):             /* registeredID */
		return content.len > 0;
	default:
		return false;
	}
}

bool x509_general_names(struct blob value, size_t max)
{
	struct blob in;
	struct der name;
	size_t n = 0;

	if (!der_only(value, DER_SEQUENCE, &in))
		return false;
	for (; in.len > 0; n++) {
		if (n == max || !der_any(&in, &name) || !general_name(&name))
			return false;
	}
	return n > 0;
}
