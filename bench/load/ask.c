/*
 * ask.c - see ask.h.
 */
#include "ask.h"

#include <string.h>

static size_t fitted(int n, size_t cap)
{
	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

size_t ask_nonce(const char *label, const char *host, char *out, size_t cap)
{
	return fitted(snprintf(out, cap, "GET /.well-known/est/%s/nonce HTTP/1.1\r\nHost: %s\r\n\r\n", label, host),
		      cap);
}

/* The length has a fixed width, so that the head is as long before the body is known as after. */
static size_t put_head(const char *label, const char *operation, const char *host, size_t body_len, char *out,
		       size_t cap)
{
	return fitted(
		snprintf(out, cap,
			 "POST /.well-known/est/%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/pkcs10\r\n"
			 "Content-Transfer-Encoding: base64\r\nContent-Length: %6zu\r\n\r\n",
			 label, operation, host, body_len),
		cap);
}

static bool find_nonce(const struct http_reply *reply, struct bytes *ret_nonce)
{
	static const char name[] = "\"nonce\":\"";
	const char *at = memmem(reply->body, reply->body_len, name, sizeof(name) - 1);
	char text[128];
	size_t len;

	if (at == NULL)
		return false;
	at += sizeof(name) - 1;
	len = strcspn(at, "\"");
	if (len >= sizeof(text))
		return false;
	memcpy(text, at, len);
	text[len] = '\0';
	return base64url_decode(text, ret_nonce);
}

size_t ask_enrolment(const struct board *board, struct presign_room *room, const struct http_reply *nonce,
		     const char *label, const char *host, char *out, size_t cap)
{
	AUTO(bytes_done) struct bytes bytes = { 0 };
	size_t head = put_head(label, "simpleenroll", host, 0, out, cap), body;
	char kept;

	if (head == 0 || !find_nonce(nonce, &bytes))
		return 0;
	body = board_request(board, room, bytes.ptr, bytes.len, out + head, cap - head);
	if (body == 0)
		return 0;
	kept = out[head]; /* snprintf writes its NUL there */
	(void)put_head(label, "simpleenroll", host, body, out, head + 1);
	out[head] = kept;
	return head + body;
}

size_t ask_renewal(const struct board *board, const char *label, const char *host, char *out, size_t cap)
{
	size_t len = strlen(board->renewal);
	size_t head = put_head(label, "simplereenroll", host, len, out, cap);

	if (head == 0 || head + len > cap)
		return 0;
	memcpy(out + head, board->renewal, len);
	return head + len;
}

bool ask_nonce_length(const struct est_options *options, const char *label, size_t *ret_len, struct trouble *t)
{
	struct est *est = NULL;
	struct est_reply reply = { 0 };
	AUTO(bytes_done) struct bytes nonce = { 0 };
	bool ok;

	if (!est_open(options, &est, t))
		return false;
	est_send(est, label, EST_NONCE, NULL, &reply);
	ok = reply.outcome == EST_DONE ? est_nonce(&reply.body, &nonce, t) : trouble_set(t, "nonce: %s", reply.text);
	*ret_len = nonce.len;
	est_reply_done(&reply);
	est_close(est);
	return ok;
}
