/* message.c - see message.h. */
#include "channel/message.h"

#include <string.h>

static bool is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

enum reason message_policy_encode(const struct message_policy *message, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };

	TRY(pack_bytes(&b, BLOB_OF(message->hash), f));
	TRY(pack_text(&b, message->what, f));
	*ret_body = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

enum reason message_policy_decode(struct blob body, struct message_policy *ret_message, struct fault *f)
{
	struct pack_reader r = { .left = body };
	struct blob hash = pack_get_bytes(&r);
	struct message_policy message;

	pack_get_text(&r, message.what, sizeof(message.what));
	if (!pack_done(&r) || hash.len != sizeof(message.hash) || !is_plain(message.what))
		return fault_set(f, REASON_CHANNEL_FRAME, "policy of %zu bytes", body.len);
	memcpy(message.hash, hash.ptr, hash.len);
	*ret_message = message;
	return REASON_OK;
}

enum reason message_crl_ask_encode(const char *list, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };

	TRY(pack_text(&b, list, f));
	*ret_body = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

enum reason message_crl_ask_decode(struct blob body, char ret_list[CRL_NAME_CHARS + 1], struct fault *f)
{
	struct pack_reader r = { .left = body };
	char list[CRL_NAME_CHARS + 1];

	pack_get_text(&r, list, sizeof(list));
	if (!pack_done(&r))
		return fault_set(f, REASON_CHANNEL_FRAME, "question for a CRL of %zu bytes", body.len);
	memcpy(ret_list, list, strlen(list) + 1);
	return REASON_OK;
}

enum reason message_crl_encode(const struct message_crl *message, struct buf *ret_body, struct fault *f)
{
	AUTO(buf_done) struct buf b = { 0 };

	TRY(pack_text(&b, message->list, f));
	TRY(pack_u64(&b, message->number, f));
	TRY(pack_bytes(&b, message->der, f));
	*ret_body = b;
	b = (struct buf){ 0 };
	return REASON_OK;
}

enum reason message_crl_decode(struct blob body, struct message_crl *ret_message, struct fault *f)
{
	struct pack_reader r = { .left = body };
	struct message_crl message;

	pack_get_text(&r, message.list, sizeof(message.list));
	message.number = pack_get_u64(&r);
	message.der = pack_get_bytes(&r);
	if (!pack_done(&r))
		return fault_set(f, REASON_CHANNEL_FRAME, "CRL frame of %zu bytes", body.len);
	*ret_message = message;
	return REASON_OK;
}
