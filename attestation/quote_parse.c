/*
 * quote_parse.c - the bytes of a quote: COSE_Sign1, its protected header, its claims. See quote.h.
 *
 * Four maps, four tables. A table's order is free: detcbor_fields() holds the encoding to its own.
 */
#include "quote.h"

#include <inttypes.h>
#include <string.h>

#include "der.h"
#include "detcbor.h"

#define COSE_SIGN1 18   /* RFC 9052 section 4.2 */
#define COSE_ES256 (-7) /* RFC 9053 section 2.1 */
#define COSE_ES384 (-35)
#define COSE_KTY_EC2 2       /* RFC 9053 section 7.1 */
#define VERSION_BYTES_MAX 64 /* claim -80001, an applet's version */

#define N(table) (sizeof(table) / sizeof((table)[0]))
#define refuse(f, ...) fault_set((f), REASON_EVIDENCE_CONTENT, __VA_ARGS__)

/* What an algorithm and a curve of RFC 9053 mean here: one curve for one hash. */
static const struct suite {
	int64_t cose_alg, cose_curve;
	enum sig_alg alg;
	enum key_type key;
	unsigned bits;
} suites[] = {
	{ COSE_ES256, 1, SIG_ECDSA_SHA256, KEY_EC_P256, 256 },
	{ COSE_ES384, 2, SIG_ECDSA_SHA384, KEY_EC_P384, 384 },
};

static enum reason read_alg(struct blob *in, void *object, struct fault *f)
{
	struct quote *quote = object;
	int64_t alg;

	if (!detcbor_int(in, &alg))
		return refuse(f, "protected header: alg is not an integer");
	for (size_t i = 0; i < N(suites); i++)
		if (suites[i].cose_alg == alg) {
			quote->alg = suites[i].alg;
			quote->signer = suites[i].key;
			return REASON_OK;
		}
	return refuse(f, "protected header: alg %" PRId64 ", allowed: -7 (ES256), -35 (ES384)", alg);
}

static const struct detcbor_field header_fields[] = {
	{ 1, true, "alg", read_alg },
};

static enum reason read_kty(struct blob *in, void *object, struct fault *f)
{
	int64_t kty;

	(void)object;
	if (!detcbor_int(in, &kty) || kty != COSE_KTY_EC2)
		return refuse(f, "COSE_Key: kty is not 2 (EC2)");
	return REASON_OK;
}

static enum reason read_curve(struct blob *in, void *object, struct fault *f)
{
	struct pubkey *key = object;
	int64_t curve;

	if (!detcbor_int(in, &curve))
		return refuse(f, "COSE_Key: crv is not an integer");
	for (size_t i = 0; i < N(suites); i++)
		if (suites[i].cose_curve == curve) {
			key->type = suites[i].key;
			key->bits = suites[i].bits;
			key->len = 1 + suites[i].bits / 4;
			key->raw[0] = 0x04;
			return REASON_OK;
		}
	return fault_set(f, REASON_KEY_TYPE, "COSE_Key: crv %" PRId64 ", allowed: 1 (P-256), 2 (P-384)", curve);
}

/* Stands after the curve: -1 sorts before -2 and -3. Full length always, RFC 9053 section 7.1.1. */
static enum reason read_coordinate(struct blob *in, struct pubkey *key, unsigned which, struct fault *f)
{
	size_t len = key->bits / 8;
	struct blob bytes;

	if (key->type == KEY_NONE)
		return refuse(f, "COSE_Key: no crv");
	if (!detcbor_bytes(in, &bytes) || bytes.len != len)
		return refuse(f, "COSE_Key: coordinate %u is not a byte string of %zu", which, len);
	memcpy(key->raw + 1 + which * len, bytes.ptr, len);
	return REASON_OK;
}

static enum reason read_x(struct blob *in, void *object, struct fault *f)
{
	return read_coordinate(in, object, 0, f);
}

static enum reason read_y(struct blob *in, void *object, struct fault *f)
{
	return read_coordinate(in, object, 1, f);
}

static const struct detcbor_field key_fields[] = {
	{ 1, true, "kty", read_kty },
	{ -1, true, "crv", read_curve },
	{ -2, true, "x", read_x },
	{ -3, true, "y", read_y },
};

static enum reason read_cose_key(struct blob *in, void *object, struct fault *f)
{
	struct quote *quote = object;

	TRY(detcbor_fields(in, key_fields, N(key_fields), "COSE_Key", REASON_EVIDENCE_CONTENT, &quote->key, f));
	return pubkey_check(&quote->key, f);
}

static const struct detcbor_field cnf_fields[] = {
	{ 1, true, "COSE_Key", read_cose_key },
};

static enum reason read_cnf(struct blob *in, void *object, struct fault *f)
{
	return detcbor_fields(in, cnf_fields, N(cnf_fields), "claim 8 (cnf)", REASON_EVIDENCE_CONTENT, object, f);
}

static enum reason read_nonce(struct blob *in, void *object, struct fault *f)
{
	struct quote *quote = object;

	if (!detcbor_bytes(in, &quote->nonce))
		return refuse(f, "claim 10 (nonce) is not a byte string");
	if (quote->nonce.len < LIMIT_NONCE_BYTES_MIN || quote->nonce.len > LIMIT_NONCE_BYTES_MAX)
		return refuse(f, "claim 10 (nonce) has %zu bytes, allowed: %d to %d", quote->nonce.len,
			      LIMIT_NONCE_BYTES_MIN, LIMIT_NONCE_BYTES_MAX);
	return REASON_OK;
}

static enum reason read_ueid(struct blob *in, void *object, struct fault *f)
{
	struct quote *quote = object;

	if (!detcbor_bytes(in, &quote->ueid))
		return refuse(f, "claim 256 (ueid) is not a byte string");
	if (quote->ueid.len < 1 || quote->ueid.len > LIMIT_ELEMENT_BYTES)
		return refuse(f, "claim 256 (ueid) has %zu bytes, allowed: 1 to %d", quote->ueid.len,
			      LIMIT_ELEMENT_BYTES);
	return REASON_OK;
}

static enum reason read_profile(struct blob *in, void *object, struct fault *f)
{
	struct blob uri;

	(void)object;
	if (!detcbor_text(in, &uri))
		return refuse(f, "claim 265 (profile) is not a text string");
	if (!blob_equal(uri, BLOB_STR(QUOTE_PROFILE)))
		return fault_set(f, REASON_EVIDENCE_PROFILE, "claim 265: %zu bytes, expected %s", uri.len,
				 QUOTE_PROFILE);
	return REASON_OK;
}

static enum reason read_flags(struct blob *in, void *object, struct fault *f)
{
	struct quote *quote = object;

	if (!detcbor_uint(in, &quote->flags))
		return refuse(f, "claim -80000 (flags) is not an unsigned integer");
	if ((quote->flags & ~(uint64_t)QUOTE_FLAGS) != 0)
		return fault_set(f, REASON_EVIDENCE_FLAGS, "claim -80000: 0x%" PRIx64 " has unknown bits",
				 quote->flags);
	return REASON_OK;
}

static enum reason read_version(struct blob *in, void *object, struct fault *f)
{
	struct blob version;

	(void)object; /* recorded with the evidence, believed by nobody */
	if (!detcbor_text(in, &version) || version.len > VERSION_BYTES_MAX)
		return refuse(f, "claim -80001 (version) is not a text string of at most %d bytes", VERSION_BYTES_MAX);
	return REASON_OK;
}

static const struct detcbor_field claim_fields[] = {
	{ 8, true, "cnf", read_cnf },          { 10, true, "nonce", read_nonce },
	{ 256, true, "ueid", read_ueid },      { 265, true, "profile", read_profile },
	{ -80000, true, "flags", read_flags }, { -80001, false, "version", read_version },
};

/* COSE_Sign1 = #6.18([ protected bstr, unprotected {}, payload bstr, signature bstr ]), and nothing after it. */
static enum reason parse_sign1(struct blob in, struct quote *quote, struct fault *f)
{
	size_t unprotected;

	if (!detcbor_tag(&in, COSE_SIGN1) || !detcbor_array(&in, 4))
		return refuse(f, "not a COSE_Sign1 with tag 18");
	if (!detcbor_bytes(&in, &quote->protected))
		return refuse(f, "COSE_Sign1: protected header is not a byte string");
	if (!detcbor_map(&in, &unprotected) || unprotected != 0)
		return refuse(f, "COSE_Sign1: unprotected header is not the empty map");
	if (!detcbor_bytes(&in, &quote->payload))
		return refuse(f, "COSE_Sign1: payload is not a byte string");
	if (!detcbor_bytes(&in, &quote->signature))
		return refuse(f, "COSE_Sign1: signature is not a byte string");
	if (in.len > 0)
		return refuse(f, "COSE_Sign1: %zu bytes after it", in.len);
	return REASON_OK;
}

/* One map that fills its byte string. */
static enum reason parse_map(struct blob in, const struct detcbor_field *fields, size_t n, const char *what,
			     struct quote *quote, struct fault *f)
{
	TRY(detcbor_fields(&in, fields, n, what, REASON_EVIDENCE_CONTENT, quote, f));
	if (in.len > 0)
		return refuse(f, "%s: %zu bytes after it", what, in.len);
	return REASON_OK;
}

enum reason quote_parse(struct blob stmt, struct quote *ret_quote, struct fault *f)
{
	struct quote quote = { 0 };
	struct blob cose;

	if (!der_only(stmt, DER_OCTET_STRING, &cose))
		return refuse(f, "stmt is not one OCTET STRING");
	if (cose.len > LIMIT_QUOTE_BYTES)
		return refuse(f, "quote of %zu bytes, at most %d", cose.len, LIMIT_QUOTE_BYTES);
	TRY(parse_sign1(cose, &quote, f));
	TRY(parse_map(quote.protected, header_fields, N(header_fields), "protected header", &quote, f));
	TRY(parse_map(quote.payload, claim_fields, N(claim_fields), "claims", &quote, f));
	*ret_quote = quote;
	return REASON_OK;
}
