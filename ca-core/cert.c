/*
 * cert.c - see cert.h.
 *
 * Three departures from DER and its RFCs stand in chips that are sold, and do no harm, since nothing here is encoded
 * again: Infineon's OPTIGA CAs write keyUsage with trailing zero bits, Microchip's ATECC608 chains a GeneralizedTime
 * before 2050, NXP's SE05x CA NULL parameters for ECDSA. These are read; every other departure is refused.
 */
#include "cert.h"

#include <string.h>

#include "base/clock.h"
#include "der.h"
#include "x509.h"

static enum reason malformed(struct fault *f, const char *what)
{
	return fault_set(f, REASON_CHAIN_DER, "certificate: %s", what);
}

static bool octets(struct blob value, struct blob *ret_octets)
{
	return der_only(value, DER_OCTET_STRING, ret_octets) && ret_octets->len > 0;
}

/* AuthorityKeyIdentifier ::= SEQUENCE { [0] keyIdentifier, [1] issuer, [2] serial }, all optional */
static bool authority_key(struct blob value, struct blob *ret_key_id)
{
	struct blob in, skipped;

	*ret_key_id = BLOB(NULL, 0);
	if (!der_only(value, DER_SEQUENCE, &in))
		return false;
	if (der_at(in, DER_CONTEXT(0)) && (!der_take(&in, DER_CONTEXT(0), ret_key_id) || ret_key_id->len == 0))
		return false;
	if (der_at(in, DER_CONTEXT_CONSTRUCTED(1)) && !der_take(&in, DER_CONTEXT_CONSTRUCTED(1), &skipped))
		return false;
	if (der_at(in, DER_CONTEXT(2)) && !der_take(&in, DER_CONTEXT(2), &skipped))
		return false;
	return in.len == 0;
}

static bool read_basic(struct blob value, struct cert *cert)
{
	cert->has_basic = true;
	return x509_basic(value, &cert->is_ca, &cert->path_len);
}

static bool read_key_usage(struct blob value, struct cert *cert)
{
	cert->has_key_usage = true;
	return x509_key_usage(value, true, &cert->key_usage);
}

static bool read_ekus(struct blob value, struct cert *cert)
{
	return x509_ekus(value, cert->eku, &cert->n_ekus);
}

static bool read_san(struct blob value, struct cert *cert)
{
	cert->san = value;
	return x509_general_names(value, SIZE_MAX);
}

static bool read_ski(struct blob value, struct cert *cert)
{
	return octets(value, &cert->ski);
}

static bool read_aki(struct blob value, struct cert *cert)
{
	return authority_key(value, &cert->aki);
}

/* Who may be critical: what Assay processes in an end certificate, and the fewer things it processes in a CA's. */
static const struct {
	enum oid_id oid;
	const char *name;
	bool (*read)(struct blob value, struct cert *cert);
	bool critical_leaf, critical_ca;
} readers[] = {
	{ OID_CE_BASIC, "basicConstraints", read_basic, true, true },
	{ OID_CE_KEY_USAGE, "keyUsage", read_key_usage, true, true },
	{ OID_CE_EKU, "extKeyUsage", read_ekus, true, false },
	{ OID_CE_SAN, "subjectAltName", read_san, true, false },
	{ OID_CE_SKI, "subjectKeyIdentifier", read_ski, false, false },
	{ OID_CE_AKI, "authorityKeyIdentifier", read_aki, false, false },
};
#define N_READERS (sizeof(readers) / sizeof(readers[0]))

static size_t reader_of(struct blob oid)
{
	size_t i = 0;

	while (i < N_READERS && !oid_is(oid, oid_of(readers[i].oid)))
		i++;
	return i;
}

static bool processed(const struct extension *ext, bool is_ca)
{
	size_t i = reader_of(ext->oid);

	return i < N_READERS && (is_ca ? readers[i].critical_ca : readers[i].critical_leaf);
}

static enum reason parse_extensions(struct blob content, struct cert *cert, struct fault *f)
{
	struct extensions list;
	struct blob in;

	if (!der_only(content, DER_SEQUENCE, &in) || !x509_extensions(in, &list))
		return malformed(f, "extensions are malformed, repeated or too many");
	for (size_t i = 0; i < list.n; i++) {
		size_t reader = reader_of(list.item[i].oid);

		if (reader < N_READERS && !readers[reader].read(list.item[i].value, cert))
			return malformed(f, readers[reader].name);
	}
	for (size_t i = 0; i < list.n; i++) {
		if (list.item[i].critical && !processed(&list.item[i], cert->is_ca))
			cert->unknown_critical = true;
	}
	return REASON_OK;
}

static bool parse_validity(struct blob *in, struct cert *cert)
{
	struct blob validity;

	return der_take(in, DER_SEQUENCE, &validity) && der_time_lax(&validity, &cert->not_before_s) &&
	       der_time_lax(&validity, &cert->not_after_s) && validity.len == 0 &&
	       cert->not_before_s <= cert->not_after_s;
}

/* [0] EXPLICIT INTEGER 2: X.509 version 3 */
static bool parse_version(struct blob *in)
{
	struct blob explicit0;
	uint32_t version;

	return der_take(in, DER_CONTEXT_CONSTRUCTED(0), &explicit0) && der_small(&explicit0, &version) &&
	       explicit0.len == 0 && version == 2;
}

/* Not negative and at most 20 octets (section 4.1.2.2); zero is seen in old roots and does no harm. */
static bool parse_serial(struct blob *in, struct blob *ret_serial)
{
	return der_integer(in, ret_serial) && ret_serial->ptr[0] < 0x80 && ret_serial->len <= LIMIT_SERIAL_BYTES;
}

static enum reason parse_tbs(struct blob in, struct blob outer_algorithm, struct cert *cert, struct fault *f)
{
	struct blob algorithm, spki, content;

	if (!parse_version(&in))
		return malformed(f, "version is not 3");
	if (!parse_serial(&in, &cert->serial))
		return malformed(f, "serial number");
	if (!x509_algorithm(&in, true, &algorithm, &cert->alg) || !blob_equal(algorithm, outer_algorithm))
		return malformed(f, "inner and outer signature algorithm differ");
	if (!x509_name(&in, &cert->issuer) || name_empty(cert->issuer))
		return malformed(f, "issuer");
	if (!parse_validity(&in, cert))
		return malformed(f, "validity");
	if (!x509_name(&in, &cert->subject))
		return malformed(f, "subject");
	if (!der_take_whole(&in, DER_SEQUENCE, &spki, &content))
		return malformed(f, "subjectPublicKeyInfo");
	TRY(pubkey_parse(spki, &cert->key, f));
	if (der_at(in, DER_CONTEXT_CONSTRUCTED(3))) {
		if (!der_take(&in, DER_CONTEXT_CONSTRUCTED(3), &content))
			return malformed(f, "extensions");
		TRY(parse_extensions(content, cert, f));
	}
	return in.len == 0 ? REASON_OK : malformed(f, "unique identifiers or bytes after the extensions");
}

enum reason cert_parse(struct blob der, struct cert *ret_cert, struct fault *f)
{
	struct cert cert = { .der = der, .path_len = -1 };
	struct blob in, tbs, algorithm;
	enum sig_alg alg;

	if (der.len > LIMIT_CERT_BYTES)
		return fault_set(f, REASON_CHAIN_DER, "certificate: %zu bytes, at most %d", der.len, LIMIT_CERT_BYTES);
	if (!der_only(der, DER_SEQUENCE, &in) || !der_take_whole(&in, DER_SEQUENCE, &cert.tbs, &tbs) ||
	    !x509_algorithm(&in, true, &algorithm, &alg) || !der_bytes(&in, &cert.signature) || in.len != 0)
		return malformed(f, "not one DER Certificate");
	TRY(parse_tbs(tbs, algorithm, &cert, f));
	*ret_cert = cert;
	return REASON_OK;
}

bool cert_has_eku(const struct cert *cert, enum oid_id eku)
{
	for (size_t i = 0; i < cert->n_ekus; i++) {
		if (oid_equal(&cert->eku[i], oid_of(eku)))
			return true;
	}
	return false;
}

/* Copies a directory string of printable ASCII. */
static bool text_value(const struct der *value, char out[LIMIT_NAME_CHARS + 1])
{
	if (value->tag != DER_UTF8_STRING && value->tag != DER_PRINTABLE_STRING && value->tag != DER_IA5_STRING)
		return false;
	if (value->content.len == 0 || value->content.len > LIMIT_NAME_CHARS)
		return false;
	for (size_t i = 0; i < value->content.len; i++) {
		if (value->content.ptr[i] < 0x20 || value->content.ptr[i] > 0x7e)
			return false;
	}
	memcpy(out, value->content.ptr, value->content.len);
	out[value->content.len] = '\0';
	return true;
}

bool name_get(struct blob name, enum oid_id attribute, char out[LIMIT_NAME_CHARS + 1])
{
	struct blob rdns, set, pair, type;
	struct der value, found = { 0 };

	if (!der_only(name, DER_SEQUENCE, &rdns))
		return false;
	while (rdns.len > 0) {
		if (!der_take(&rdns, DER_SET, &set))
			return false;
		while (set.len > 0) {
			if (!der_take(&set, DER_SEQUENCE, &pair) || !der_oid(&pair, &type) || !der_any(&pair, &value))
				return false;
			if (!oid_is(type, oid_of(attribute)))
				continue;
			if (found.whole.ptr != NULL)
				return false; /* repeated */
			found = value;
		}
	}
	return found.whole.ptr != NULL && text_value(&found, out);
}

bool name_empty(struct blob name)
{
	return name.len == 0 || (name.len == 2 && name.ptr[0] == DER_SEQUENCE && name.ptr[1] == 0);
}
