/*
 * grant_codec.c - a grant as the body of a frame, and back: see channel.h.
 *
 * Decoding is what a breached ra can throw at the ca, so nothing is believed: every enum is a value that exists, every
 * length fits its array, texts hold no NUL, nothing is left over. What the values *mean* is checked by issuer_check().
 */
#include <string.h>

#include "channel/channel.h"

/* Fixed arrays go over as bytes of exactly their length. */
static void get_exact(struct pack_reader *r, uint8_t *out, size_t len)
{
	struct blob bytes = pack_get_bytes(r);

	if (bytes.len != len)
		r->failed = true;
	else if (!r->failed)
		memcpy(out, bytes.ptr, len);
}

/* Bytes of at most cap. */
static size_t get_upto(struct pack_reader *r, uint8_t *out, size_t cap)
{
	struct blob bytes = pack_get_bytes(r);

	if (bytes.len > cap) {
		r->failed = true;
		return 0;
	}
	if (bytes.len > 0)
		memcpy(out, bytes.ptr, bytes.len);
	return bytes.len;
}

static uint32_t get_range(struct pack_reader *r, uint32_t min, uint32_t max)
{
	uint32_t v = pack_get_u32(r);

	if (v < min || v > max)
		r->failed = true;
	return r->failed ? min : v;
}

static bool get_bool(struct pack_reader *r)
{
	uint8_t v = pack_get_u8(r);

	if (v > 1)
		r->failed = true;
	return v == 1;
}

static enum reason put_oid(struct buf *b, const struct oid *oid, struct fault *f)
{
	return pack_bytes(b, BLOB(oid->bytes, oid->len), f);
}

static void get_oid(struct pack_reader *r, struct oid *oid)
{
	oid->len = (uint8_t)get_upto(r, oid->bytes, sizeof(oid->bytes));
}

static enum reason put_device(struct buf *b, const struct device_id *device, struct fault *f)
{
	TRY(pack_text(b, device->format, f));
	TRY(pack_bytes(b, BLOB_OF(device->vendor_root), f));
	return pack_bytes(b, BLOB(device->element, device->element_len), f);
}

static void get_device(struct pack_reader *r, struct device_id *device)
{
	pack_get_text(r, device->format, sizeof(device->format));
	get_exact(r, device->vendor_root, sizeof(device->vendor_root));
	device->element_len = get_upto(r, device->element, sizeof(device->element));
}

enum reason pack_key(struct buf *b, const struct pubkey *key, struct fault *f)
{
	TRY(pack_u32(b, key->type, f));
	TRY(pack_u32(b, key->bits, f));
	TRY(pack_u32(b, key->rsa_e, f));
	return pack_bytes(b, BLOB(key->raw, key->len), f);
}

void pack_get_key(struct pack_reader *r, struct pubkey *key)
{
	key->type = (enum key_type)get_range(r, KEY_EC_P256, KEY_TYPE_COUNT - 1);
	key->bits = get_range(r, 1, LIMIT_RSA_BITS_MAX);
	key->rsa_e = pack_get_u32(r);
	key->len = get_upto(r, key->raw, sizeof(key->raw));
}

static enum reason put_names(struct buf *b, const struct grant *g, struct fault *f)
{
	TRY(pack_u32(b, (uint32_t)g->n_subject, f));
	for (size_t i = 0; i < g->n_subject; i++) {
		TRY(pack_u32(b, g->subject[i].type, f));
		TRY(pack_text(b, g->subject[i].value, f));
	}
	TRY(pack_u32(b, (uint32_t)g->n_sans, f));
	for (size_t i = 0; i < g->n_sans; i++) {
		TRY(pack_u32(b, g->san[i].type, f));
		TRY(pack_text(b, g->san[i].value, f));
		TRY(put_oid(b, &g->san[i].hw_type, f));
	}
	return pack_text(b, g->unit_serial, f);
}

static void get_names(struct pack_reader *r, struct grant *g)
{
	g->n_subject = get_range(r, 0, LIMIT_NAME_ATTRS);
	for (size_t i = 0; i < g->n_subject; i++) {
		g->subject[i].type = (enum oid_id)get_range(r, OID_AT_CN, OID_AT_ORG_UNIT);
		pack_get_text(r, g->subject[i].value, sizeof(g->subject[i].value));
	}
	g->n_sans = get_range(r, 0, LIMIT_SANS);
	for (size_t i = 0; i < g->n_sans; i++) {
		g->san[i].type = (enum san_type)get_range(r, SAN_URI, SAN_HW_MODULE);
		pack_get_text(r, g->san[i].value, sizeof(g->san[i].value));
		get_oid(r, &g->san[i].hw_type);
	}
	pack_get_text(r, g->unit_serial, sizeof(g->unit_serial));
}

static enum reason put_usage(struct buf *b, const struct grant *g, struct fault *f)
{
	TRY(pack_u64(b, g->validity_s, f));
	TRY(pack_u32(b, g->key_usage, f));
	TRY(pack_u32(b, (uint32_t)g->n_ekus, f));
	for (size_t i = 0; i < g->n_ekus; i++)
		TRY(put_oid(b, &g->eku[i], f));
	TRY(pack_u8(b, g->stamp_result, f));
	return pack_u8(b, (uint8_t)g->crl, f);
}

static enum grant_crl get_crl(struct pack_reader *r)
{
	uint8_t v = pack_get_u8(r);

	if (v > GRANT_CRL_NONE)
		r->failed = true;
	return r->failed ? GRANT_CRL_COMPLETE : (enum grant_crl)v;
}

static void get_usage(struct pack_reader *r, struct grant *g)
{
	g->validity_s = pack_get_u64(r);
	g->key_usage = get_range(r, 0, (KU_DECIPHER_ONLY << 1) - 1);
	g->n_ekus = get_range(r, 0, LIMIT_EKUS);
	for (size_t i = 0; i < g->n_ekus; i++)
		get_oid(r, &g->eku[i]);
	g->stamp_result = get_bool(r);
	g->crl = get_crl(r);
}

static enum reason put_evidence(struct buf *b, const struct grant *g, struct fault *f)
{
	TRY(pack_text(b, g->evidence_format, f));
	TRY(pack_bytes(b, BLOB_OF(g->batch_ca), f));
	TRY(pack_bytes(b, BLOB(g->nonce, g->nonce_len), f));
	TRY(pack_text(b, reason_info(g->freshness)->name, f));
	TRY(pack_bytes(b, BLOB(g->previous, g->previous_len), f));
	TRY(pack_bytes(b, buf_blob(&g->evidence), f));
	return pack_bytes(b, buf_blob(&g->continuity), f);
}

/* Reasons travel by name, so that a reason added on one side only cannot become another one. */
static enum reason get_reason(struct pack_reader *r)
{
	enum reason reason = REASON_INTERNAL;
	char name[48];

	pack_get_text(r, name, sizeof(name));
	if (!reason_by_name(name, &reason))
		r->failed = true;
	return reason;
}

static void get_evidence(struct pack_reader *r, struct grant *g)
{
	pack_get_text(r, g->evidence_format, sizeof(g->evidence_format));
	get_exact(r, g->batch_ca, sizeof(g->batch_ca));
	g->nonce_len = get_upto(r, g->nonce, sizeof(g->nonce));
	g->freshness = get_reason(r);
	g->previous_len = get_upto(r, g->previous, sizeof(g->previous));
}

static enum reason get_owned(struct pack_reader *r, size_t cap, struct buf *out, struct fault *f)
{
	struct blob bytes = pack_get_bytes(r);

	if (bytes.len > cap)
		r->failed = true;
	return r->failed ? REASON_OK : buf_copy(bytes, out, f);
}

static enum reason put_who(struct buf *b, const struct grant *g, struct fault *f)
{
	TRY(pack_u8(b, (uint8_t)g->kind, f));
	TRY(pack_text(b, g->profile, f));
	TRY(pack_text(b, g->family, f));
	TRY(pack_text(b, g->issuer, f));
	TRY(pack_bytes(b, BLOB_OF(g->policy_hash), f));
	TRY(pack_text(b, g->requester, f));
	TRY(pack_u8(b, g->once, f));
	TRY(pack_u8(b, (uint8_t)g->level, f));
	TRY(pack_u8(b, (uint8_t)g->level_needed, f));
	return pack_u8(b, g->rekey_needs_evidence, f);
}

static enum level get_level(struct pack_reader *r)
{
	uint8_t v = pack_get_u8(r);

	if (v > LEVEL_NATIVE)
		r->failed = true;
	return r->failed ? LEVEL_NONE : (enum level)v;
}

static void get_who(struct pack_reader *r, struct grant *g)
{
	uint8_t kind = pack_get_u8(r);

	if (kind != GRANT_ENROL && kind != GRANT_REENROL)
		r->failed = true;
	g->kind = kind == GRANT_REENROL ? GRANT_REENROL : GRANT_ENROL;
	pack_get_text(r, g->profile, sizeof(g->profile));
	pack_get_text(r, g->family, sizeof(g->family));
	pack_get_text(r, g->issuer, sizeof(g->issuer));
	get_exact(r, g->policy_hash, sizeof(g->policy_hash));
	pack_get_text(r, g->requester, sizeof(g->requester));
	g->once = get_bool(r);
	g->level = get_level(r);
	g->level_needed = get_level(r);
	g->rekey_needs_evidence = get_bool(r);
}

enum reason grant_encode(const struct grant *g, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };

	TRY(buf_reserve(&b, 1024 + g->evidence.len + g->continuity.len, f));
	TRY(put_who(&b, g, f));
	TRY(put_device(&b, &g->device, f));
	TRY(pack_key(&b, &g->key, f));
	TRY(put_names(&b, g, f));
	TRY(put_usage(&b, g, f));
	TRY(put_evidence(&b, g, f));
	*ret_body = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

enum reason grant_decode(struct blob body, struct grant **ret_grant, struct fault *f)
{
	AUTO(grant_freep) struct grant *g = grant_new();
	struct pack_reader r = { .left = body };

	if (g == NULL)
		return fault_set(f, REASON_NO_MEMORY, "grant");
	get_who(&r, g);
	get_device(&r, &g->device);
	pack_get_key(&r, &g->key);
	get_names(&r, g);
	get_usage(&r, g);
	get_evidence(&r, g);
	TRY(get_owned(&r, LIMIT_BUNDLE_BYTES, &g->evidence, f));
	TRY(get_owned(&r, LIMIT_SIGNATURE_BYTES, &g->continuity, f));
	if (!pack_done(&r))
		return fault_set(f, REASON_CHANNEL_FRAME,
				 "grant of %zu bytes: a field out of range, or bytes left over", body.len);
	*ret_grant = TAKE(g);
	return REASON_OK;
}
