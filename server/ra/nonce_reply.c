/*
 * nonce_reply.c - /nonce: what a client may ask for, and the JSON it gets.
 *
 * Spec: draft-ietf-lamps-attestation-freshness-08 sections 4 and 5. The nonce is bound to the requester, not to the TLS
 *       session, so that a rig can go on over another connection or node.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "ra/ra.h"

#define TYPE_FRESHNESS "application/est-attestation-freshness+json"

static enum reason read_len(const json_t *object, size_t *ret_len, struct fault *f)
{
	const json_t *len = json_object_get(object, "len");
	json_int_t n;

	if (len == NULL)
		return REASON_OK;
	n = json_integer_value(len);
	if (!json_is_integer(len) || n < LIMIT_NONCE_BYTES_MIN || n > LIMIT_NONCE_BYTES_MAX)
		return fault_set(f, REASON_HTTP_BODY, "\"len\" must be an integer from %d to %d", LIMIT_NONCE_BYTES_MIN,
				 LIMIT_NONCE_BYTES_MAX);
	*ret_len = n < LIMIT_NONCE_OWN_BYTES ? LIMIT_NONCE_OWN_BYTES : (size_t)n;
	return REASON_OK;
}

enum reason nonce_request(struct blob body, size_t *ret_len, struct fault *f)
{
	size_t len = LIMIT_NONCE_OWN_BYTES;
	json_error_t error;
	json_t *object;
	enum reason reason;

	if (body.len == 0) {
		*ret_len = len;
		return REASON_OK;
	}
	object = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(object))
		reason = fault_set(f, REASON_HTTP_BODY, "not one JSON object");
	else if (json_object_get(object, "reqTypeInfo") != NULL &&
		 !json_is_object(json_object_get(object, "reqTypeInfo")))
		reason = fault_set(f, REASON_HTTP_BODY, "\"reqTypeInfo\" must be an object");
	else
		reason = read_len(object, &len, f);
	json_decref(object);
	if (reason == REASON_OK)
		*ret_len = len;
	return reason;
}

enum reason nonce_reply(const struct rules *rules, const struct label *label, const struct requester *who, size_t len,
			struct reply *ret_reply, struct fault *f)
{
	uint8_t nonce[LIMIT_NONCE_BYTES_MAX];
	char encoded[2 * LIMIT_NONCE_BYTES_MAX], json[3 * LIMIT_NONCE_BYTES_MAX];
	/* quiet: the request that uses it has a line of its own, and a refusal has one too */
	struct reply reply = { .type = TYPE_FRESHNESS, .quiet = true };

	if (label->facts.nonce_lifetime_s == 0) {
		/* the draft's way to say that no freshness is asked for */
		snprintf(json, sizeof(json), "{\"nonce\":\"\"}\n");
	} else {
		TRY(nonce_make(rules->nonce_key, who->id, label->facts.label, len, nonce, f));
		text_base64url(BLOB(nonce, len), encoded, sizeof(encoded));
		snprintf(json, sizeof(json), "{\"nonce\":\"%s\",\"expiry\":%u}\n", encoded,
			 label->facts.nonce_lifetime_s);
	}
	TRY(buf_copy(BLOB_STR(json), &reply.body, f));
	reply_header(&reply, "Cache-Control", "no-store"); /* each one is for one use */
	*ret_reply = reply;
	return REASON_OK;
}
