/* ocsp_request.c - see ocsp.h: what a client asks. */
#include <string.h>

#include "base/sha.h"
#include "der.h"
#include "ocsp.h"
#include "x509.h"

size_t ocsp_hash_len(enum ocsp_hash hash)
{
	return hash == OCSP_SHA1 ? 20 : 32;
}

void ocsp_issuer_of(const struct cert *issuer, struct ocsp_issuer *ret_issuer)
{
	uint8_t spki[LIMIT_SPKI_BYTES];
	struct blob in = BLOB(spki, pubkey_spki(&issuer->key, spki)), body, algorithm, bits = { 0 };

	memset(ret_issuer, 0, sizeof(*ret_issuer));
	if (!der_only(in, DER_SEQUENCE, &body) || !der_take(&body, DER_SEQUENCE, &algorithm) ||
	    !der_bytes(&body, &bits))
		return; /* our own encoding: it always parses */
	sha1(issuer->subject, ret_issuer->name[OCSP_SHA1]);
	sha1(bits, ret_issuer->key[OCSP_SHA1]);
	sha256(issuer->subject, ret_issuer->name[OCSP_SHA256]);
	sha256(bits, ret_issuer->key[OCSP_SHA256]);
}

bool ocsp_names(const struct ocsp_cert_id *id, const struct ocsp_issuer *issuer)
{
	size_t len = ocsp_hash_len(id->hash);

	return id->known_hash && blob_equal(id->name_hash, BLOB(issuer->name[id->hash], len)) &&
	       blob_equal(id->key_hash, BLOB(issuer->key[id->hash], len));
}

/* AlgorithmIdentifier of a hash: parameters absent or NULL (RFC 5754 section 2; SHA-1 is seen with both). */
static bool take_hash(struct blob *in, struct ocsp_cert_id *id)
{
	struct blob body, oid;

	if (!der_take(in, DER_SEQUENCE, &body) || !der_oid(&body, &oid))
		return false;
	id->null_params = body.len > 0;
	if (body.len > 0 && !der_null(&body))
		return false;
	id->known_hash = true;
	if (oid_is(oid, oid_of(OID_SHA1)))
		id->hash = OCSP_SHA1;
	else if (oid_is(oid, oid_of(OID_SHA256)))
		id->hash = OCSP_SHA256;
	else
		id->known_hash = false;
	return body.len == 0;
}

static bool take_cert_id(struct blob *in, struct ocsp_cert_id *id)
{
	struct blob body;

	if (!der_take_whole(in, DER_SEQUENCE, &id->whole, &body) || !take_hash(&body, id) ||
	    !der_take(&body, DER_OCTET_STRING, &id->name_hash) || !der_take(&body, DER_OCTET_STRING, &id->key_hash) ||
	    !der_integer(&body, &id->serial) || body.len > 0)
		return false;
	if (id->known_hash &&
	    (id->name_hash.len != ocsp_hash_len(id->hash) || id->key_hash.len != ocsp_hash_len(id->hash)))
		return false;
	return id->serial.len <= LIMIT_SERIAL_BYTES;
}

/* Of a single request: read for its shape; a critical one cannot be met, for none is known here. */
static bool no_critical(struct blob value)
{
	struct extensions list;

	if (!x509_extensions(value, &list))
		return false;
	for (size_t i = 0; i < list.n; i++)
		if (list.item[i].critical)
			return false;
	return true;
}

static bool explicit_extensions(struct blob *in, unsigned tag, struct blob *ret_list)
{
	struct blob wrapped;

	return der_take(in, tag, &wrapped) && der_only(wrapped, DER_SEQUENCE, ret_list);
}

static bool take_request(struct blob *in, struct ocsp_cert_id *id)
{
	struct blob body, list;

	if (!der_take(in, DER_SEQUENCE, &body) || !take_cert_id(&body, id))
		return false;
	if (der_at(body, DER_CONTEXT_CONSTRUCTED(0)) &&
	    (!explicit_extensions(&body, DER_CONTEXT_CONSTRUCTED(0), &list) || !no_critical(list)))
		return false;
	return body.len == 0;
}

/* RFC 9654 section 2.1: an OCTET STRING of 1 to 128. Older clients put the bare octets there (RFC 2560). */
static bool take_nonce(struct blob value, struct blob *ret_nonce)
{
	struct blob inner;

	*ret_nonce = der_only(value, DER_OCTET_STRING, &inner) ? inner : value;
	return ret_nonce->len >= 1 && ret_nonce->len <= LIMIT_OCSP_NONCE_BYTES;
}

static bool take_extensions(struct blob content, struct ocsp_request *r)
{
	struct extensions list;

	if (!x509_extensions(content, &list))
		return false;
	for (size_t i = 0; i < list.n; i++)
		if (oid_is(list.item[i].oid, oid_of(OID_OCSP_NONCE))) {
			if (!take_nonce(list.item[i].value, &r->nonce))
				return false;
		} else if (list.item[i].critical) {
			return false;
		}
	return true;
}

static bool take_list(struct blob list, struct ocsp_request *r)
{
	while (list.len > 0)
		if (r->n == LIMIT_OCSP_IDS || !take_request(&list, &r->id[r->n++]))
			return false;
	return r->n > 0;
}

static bool take_tbs(struct blob body, struct ocsp_request *r)
{
	struct blob item, list;
	uint32_t version;

	if (der_at(body, DER_CONTEXT_CONSTRUCTED(0)) && (!der_take(&body, DER_CONTEXT_CONSTRUCTED(0), &item) ||
							 !der_small(&item, &version) || version != 0 || item.len > 0))
		return false;
	if (der_at(body, DER_CONTEXT_CONSTRUCTED(1)) && !der_take(&body, DER_CONTEXT_CONSTRUCTED(1), &item))
		return false; /* requestorName: nobody's name changes an answer */
	if (!der_take(&body, DER_SEQUENCE, &list) || !take_list(list, r))
		return false;
	if (der_at(body, DER_CONTEXT_CONSTRUCTED(2)) &&
	    (!explicit_extensions(&body, DER_CONTEXT_CONSTRUCTED(2), &list) || !take_extensions(list, r)))
		return false;
	return body.len == 0;
}

enum reason ocsp_parse(struct blob der, struct ocsp_request *ret_request, struct fault *f)
{
	struct ocsp_request r = { 0 };
	struct blob body, tbs, signature;

	if (der.len > LIMIT_OCSP_REQUEST_BYTES || !der_only(der, DER_SEQUENCE, &body) ||
	    !der_take(&body, DER_SEQUENCE, &tbs) || !take_tbs(tbs, &r))
		return fault_set(f, REASON_OCSP_REQUEST, "request of %zu bytes", der.len);
	if (der_at(body, DER_CONTEXT_CONSTRUCTED(0)) && !der_take(&body, DER_CONTEXT_CONSTRUCTED(0), &signature))
		return fault_set(f, REASON_OCSP_REQUEST, "optional signature");
	if (body.len > 0)
		return fault_set(f, REASON_OCSP_REQUEST, "%zu bytes after the request", body.len);
	*ret_request = r;
	return REASON_OK;
}
