/* status_frames.c - see status_frames.h. */
#include "channel/status_frames.h"

#include <string.h>

static enum reason encode_item(struct buf *b, const struct message_ocsp_ask *m, size_t i, struct fault *f)
{
	TRY(pack_u8(b, (uint8_t)(m->item[i].sha256 | m->item[i].null_params << 1), f));
	return pack_bytes(b, BLOB(m->item[i].serial, m->item[i].serial_len), f);
}

enum reason message_ocsp_ask_encode(const struct message_ocsp_ask *message, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };

	TRY(pack_text(&b, message->issuer, f));
	TRY(pack_u8(&b, message->n, f));
	for (size_t i = 0; i < message->n; i++)
		TRY(encode_item(&b, message, i, f));
	TRY(pack_bytes(&b, BLOB(message->nonce, message->nonce_len), f));
	*ret_body = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

static bool take_item(struct pack_reader *r, struct message_ocsp_ask *m, size_t i)
{
	uint8_t form = pack_get_u8(r);
	struct blob serial = pack_get_bytes(r);

	if (r->failed || form > 3 || serial.len == 0 || serial.len > sizeof(m->item[i].serial))
		return false;
	m->item[i].sha256 = (form & 1) != 0;
	m->item[i].null_params = (form & 2) != 0;
	m->item[i].serial_len = (uint8_t)serial.len;
	memcpy(m->item[i].serial, serial.ptr, serial.len);
	return true;
}

enum reason message_ocsp_ask_decode(struct blob body, struct message_ocsp_ask *ret_message, struct fault *f)
{
	struct pack_reader r = { .left = body };
	struct message_ocsp_ask m = { 0 };
	struct blob nonce;
	bool good;

	pack_get_text(&r, m.issuer, sizeof(m.issuer));
	m.n = pack_get_u8(&r);
	good = !r.failed && m.n >= 1 && m.n <= LIMIT_OCSP_IDS;
	for (size_t i = 0; good && i < m.n; i++)
		good = take_item(&r, &m, i);
	nonce = pack_get_bytes(&r);
	if (!good || !pack_done(&r) || nonce.len > sizeof(m.nonce))
		return fault_set(f, REASON_CHANNEL_FRAME, "OCSP question of %zu bytes", body.len);
	m.nonce_len = (uint8_t)nonce.len;
	if (nonce.len > 0)
		memcpy(m.nonce, nonce.ptr, nonce.len);
	*ret_message = m;
	return REASON_OK;
}

enum reason message_ocsp_encode(const struct message_ocsp *message, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };

	TRY(pack_u8(&b, message->status, f));
	TRY(pack_u64(&b, (uint64_t)message->this_s, f));
	TRY(pack_u64(&b, (uint64_t)message->next_s, f));
	TRY(pack_bytes(&b, message->der, f));
	*ret_body = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

enum reason message_ocsp_decode(struct blob body, struct message_ocsp *ret_message, struct fault *f)
{
	struct pack_reader r = { .left = body };
	struct message_ocsp m;

	m.status = pack_get_u8(&r);
	m.this_s = (int64_t)pack_get_u64(&r);
	m.next_s = (int64_t)pack_get_u64(&r);
	m.der = pack_get_bytes(&r);
	if (!pack_done(&r) || m.status > OCSP_UNKNOWN || m.der.len == 0)
		return fault_set(f, REASON_CHANNEL_FRAME, "OCSP answer of %zu bytes", body.len);
	*ret_message = m;
	return REASON_OK;
}
