/* tbs.c - see tbs.h. Read every function from its last line up: that is the order of the bytes. */
#include "tbs.h"

#include <string.h>

#include "base/sha.h"
#include "base/text.h"

static const enum oid_id alg_oid[SIG_ALG_COUNT] = {
	[SIG_ECDSA_SHA256] = OID_ECDSA_SHA256, [SIG_ECDSA_SHA384] = OID_ECDSA_SHA384,
	[SIG_ECDSA_SHA512] = OID_ECDSA_SHA512, [SIG_RSA_SHA256] = OID_RSA_SHA256,
	[SIG_RSA_SHA384] = OID_RSA_SHA384,     [SIG_RSA_SHA512] = OID_RSA_SHA512,
};

enum sig_alg tbs_alg_of(const struct pubkey *key)
{
	static const enum sig_alg alg[KEY_TYPE_COUNT] = {
		[KEY_EC_P256] = SIG_ECDSA_SHA256,
		[KEY_EC_P384] = SIG_ECDSA_SHA384,
		[KEY_RSA] = SIG_RSA_SHA256,
	};

	return alg[key->type];
}

void tbs_algorithm(struct derw *w, enum sig_alg alg)
{
	const uint8_t *mark = derw_mark(w);

	if (alg == SIG_NONE || alg == SIG_RSA_PSS_SHA256 || alg >= SIG_ALG_COUNT) {
		w->full = true; /* nothing that Assay signs with */
		return;
	}
	if (alg == SIG_RSA_SHA256 || alg == SIG_RSA_SHA384 || alg == SIG_RSA_SHA512)
		derw_put(w, DER_NULL,
			 BLOB(NULL, 0)); /* RFC 4055 section 5: must be there for RSA, and absent for ECDSA */
	derw_oid(w, oid_of(alg_oid[alg]));
	derw_wrap(w, DER_SEQUENCE, mark);
}

void tbs_tail(struct derw *w, enum sig_alg alg, struct blob signature)
{
	derw_bits(w, signature);
	tbs_algorithm(w, alg);
}

void tbs_name(struct derw *w, const struct name_attr *attrs, size_t n)
{
	const uint8_t *name = derw_mark(w);

	while (n-- > 0) {
		const uint8_t *mark = derw_mark(w);
		bool printable = attrs[n].type == OID_AT_COUNTRY || attrs[n].type == OID_AT_SERIAL_NUMBER;

		derw_text(w, printable ? DER_PRINTABLE_STRING : DER_UTF8_STRING, attrs[n].value);
		derw_oid(w, oid_of(attrs[n].type));
		derw_wrap(w, DER_SEQUENCE, mark);
		derw_wrap(w, DER_SET, mark);
	}
	derw_wrap(w, DER_SEQUENCE, name);
}

void tbs_key_id(const struct pubkey *key, uint8_t out[KEY_ID_BYTES])
{
	uint8_t spki[LIMIT_SPKI_BYTES];
	struct blob in = BLOB(spki, pubkey_spki(key, spki)), body, algorithm, bits = { 0 };

	/* our own encoding: it always parses */
	if (der_only(in, DER_SEQUENCE, &body) && der_take(&body, DER_SEQUENCE, &algorithm) && der_bytes(&body, &bits))
		sha1(bits, out);
	else
		memset(out, 0, KEY_ID_BYTES);
}

void ext_wrap(struct derw *w, enum oid_id id, bool critical, const uint8_t *mark)
{
	static const uint8_t yes = 0xff;

	derw_wrap(w, DER_OCTET_STRING, mark);
	if (critical)
		derw_put(w, DER_BOOLEAN, BLOB(&yes, 1));
	derw_oid(w, oid_of(id));
	derw_wrap(w, DER_SEQUENCE, mark);
}

void ext_basic(struct derw *w, bool ca, int path_len)
{
	static const uint8_t yes = 0xff;
	const uint8_t *mark = derw_mark(w);

	if (ca && path_len >= 0)
		derw_uint(w, DER_INTEGER, (uint64_t)path_len);
	if (ca)
		derw_put(w, DER_BOOLEAN, BLOB(&yes, 1)); /* FALSE is the default, and DER leaves defaults out */
	derw_wrap(w, DER_SEQUENCE, mark);
	ext_wrap(w, OID_CE_BASIC, true, mark);
}

void ext_key_usage(struct derw *w, unsigned key_usage)
{
	const uint8_t *mark = derw_mark(w);

	derw_named_bits(w, key_usage);
	ext_wrap(w, OID_CE_KEY_USAGE, true, mark);
}

void ext_eku(struct derw *w, const struct oid *eku, size_t n)
{
	const uint8_t *mark = derw_mark(w);

	while (n-- > 0)
		derw_oid(w, &eku[n]);
	derw_wrap(w, DER_SEQUENCE, mark);
	ext_wrap(w, OID_CE_EKU, false, mark);
}

/* otherName [0] { id-on-hardwareModuleName, [0] SEQUENCE { hwType, hwSerialNum } } */
static void san_hw_module(struct derw *w, const struct san *san)
{
	const uint8_t *mark = derw_mark(w);
	uint8_t serial[LIMIT_SAN_CHARS / 2];
	size_t len;

	if (!text_unhex(san->value, strlen(san->value), serial, sizeof(serial), &len)) {
		w->full = true;
		return;
	}
	derw_put(w, DER_OCTET_STRING, BLOB(serial, len));
	derw_oid(w, &san->hw_type);
	derw_wrap(w, DER_SEQUENCE, mark);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
	derw_oid(w, oid_of(OID_ON_HW_MODULE));
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
}

void ext_san(struct derw *w, const struct san *san, size_t n)
{
	const uint8_t *mark = derw_mark(w);

	while (n-- > 0) {
		if (san[n].type == SAN_HW_MODULE)
			san_hw_module(w, &san[n]);
		else
			derw_text(w, san[n].type == SAN_URI ? DER_CONTEXT(6) : DER_CONTEXT(2), san[n].value);
	}
	derw_wrap(w, DER_SEQUENCE, mark);
	ext_wrap(w, OID_CE_SAN, false, mark);
}

void ext_ski(struct derw *w, struct blob key_id)
{
	const uint8_t *mark = derw_mark(w);

	derw_put(w, DER_OCTET_STRING, key_id);
	ext_wrap(w, OID_CE_SKI, false, mark);
}

void ext_aki(struct derw *w, struct blob key_id)
{
	const uint8_t *mark = derw_mark(w);

	derw_put(w, DER_CONTEXT(0), key_id);
	derw_wrap(w, DER_SEQUENCE, mark);
	ext_wrap(w, OID_CE_AKI, false, mark);
}

static void access_description(struct derw *w, enum oid_id method, const char *url)
{
	const uint8_t *mark = derw_mark(w);

	derw_text(w, DER_CONTEXT(6), url);
	derw_oid(w, oid_of(method));
	derw_wrap(w, DER_SEQUENCE, mark);
}

void ext_aia(struct derw *w, const char *ca_issuers_url, const char *ocsp_url)
{
	const uint8_t *mark = derw_mark(w);

	if (ca_issuers_url != NULL)
		access_description(w, OID_AD_CA_ISSUERS, ca_issuers_url);
	if (ocsp_url != NULL)
		access_description(w, OID_AD_OCSP, ocsp_url);
	derw_wrap(w, DER_SEQUENCE, mark);
	ext_wrap(w, OID_PE_AIA, false, mark);
}

/* SEQUENCE { distributionPoint [0] { fullName [0] { URI } } }: a DistributionPoint, and an IssuingDistributionPoint */
static void distribution_point(struct derw *w, const char *url)
{
	const uint8_t *mark = derw_mark(w);

	derw_text(w, DER_CONTEXT(6), url);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), mark);
	derw_wrap(w, DER_SEQUENCE, mark);
}

static void distribution_points(struct derw *w, enum oid_id id, const char *url)
{
	const uint8_t *mark = derw_mark(w);

	distribution_point(w, url);
	derw_wrap(w, DER_SEQUENCE, mark);
	ext_wrap(w, id, false, mark);
}

void ext_crldp(struct derw *w, const char *crl_url)
{
	distribution_points(w, OID_CE_CRLDP, crl_url);
}

void ext_freshest(struct derw *w, const char *delta_url)
{
	distribution_points(w, OID_CE_FRESHEST_CRL, delta_url);
}

void ext_no_rev_avail(struct derw *w)
{
	const uint8_t *mark = derw_mark(w);

	derw_put(w, DER_NULL, BLOB(NULL, 0));
	ext_wrap(w, OID_CE_NO_REV_AVAIL, false, mark);
}

void ext_idp(struct derw *w, const char *crl_url)
{
	const uint8_t *mark = derw_mark(w);

	distribution_point(w, crl_url);
	ext_wrap(w, OID_CE_IDP, true, mark);
}

void ext_result(struct derw *w, const struct oid *format, enum level level, struct blob evidence)
{
	const uint8_t *mark = derw_mark(w);
	uint8_t hash[32];

	sha256(evidence, hash);
	derw_put(w, DER_OCTET_STRING, BLOB_OF(hash));
	derw_uint(w, DER_ENUMERATED, (uint64_t)level);
	derw_oid(w, format);
	derw_wrap(w, DER_SEQUENCE, mark);
	ext_wrap(w, OID_ASSAY_RESULT, false, mark);
}

void tbs_certificate(struct derw *w, const struct tbs_fields *fields, const uint8_t *mark)
{
	uint8_t spki[LIMIT_SPKI_BYTES];
	size_t spki_len = pubkey_spki(fields->key, spki);
	const uint8_t *inner;

	derw_wrap(w, DER_SEQUENCE, mark);
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(3), mark);
	derw_raw(w, BLOB(spki, spki_len));
	derw_raw(w, fields->subject);
	inner = derw_mark(w);
	derw_time(w, fields->not_after_s);
	derw_time(w, fields->not_before_s);
	derw_wrap(w, DER_SEQUENCE, inner);
	derw_raw(w, fields->issuer);
	derw_raw(w, fields->algorithm);
	derw_uint_bytes(w, fields->serial);
	inner = derw_mark(w);
	derw_uint(w, DER_INTEGER, 2); /* v3 */
	derw_wrap(w, DER_CONTEXT_CONSTRUCTED(0), inner);
	derw_wrap(w, DER_SEQUENCE, mark);
}
