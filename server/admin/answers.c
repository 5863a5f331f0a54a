/* answers.c - see api.h: what a call is answered where the ledger is not what says it, as JSON. */
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/api.h"
#include "base/text.h"
#include "cert.h"

/* Names of fields and paths are the caller's bytes, perhaps cut in the middle of a character. */
void answer_plain(const char *text, char *out, size_t out_len)
{
	size_t i = 0;

	for (; text[i] != '\0' && i + 1 < out_len; i++)
		out[i] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
	out[i] = '\0';
}

/* {"reason", "what", "detail", "request"}: programs read the first, people the others. */
struct reply answer_refusal(const struct exchange *x, const struct fault *fault)
{
	struct reply reply = reply_fault(fault);
	const struct reason_info *info = reason_info(fault->reason);
	bool away = info->class == REASON_CLASS_RETRY; /* what it says is ours, for operators */
	bool tells = away || info->class == REASON_CLASS_CLIENT;
	char detail[sizeof(fault->detail)], *text = NULL;
	json_t *object;

	answer_plain(tells ? fault->detail : "", detail, sizeof(detail));
	object = json_pack("{s:s, s:s, s:s, s:s}", "reason", info->name, "what",
			   away ? "not possible now, try again later" : info->text, "detail", detail, "request",
			   x->request);
	if (object != NULL)
		text = json_dumps(object, JSON_COMPACT);
	if (text != NULL && buf_append(&reply.body, BLOB_STR(text), NULL) == REASON_OK)
		reply.type = TYPE_JSON;
	free(text);
	json_decref(object);
	return reply;
}

AUTO_FREE(BIO, bio_freep, BIO_free)

static enum reason certificate_pem(struct blob der, struct buf *ret_pem, struct fault *f)
{
	AUTO(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	if (bio == NULL || PEM_write_bio(bio, PEM_STRING_X509, "", der.ptr, (long)der.len) <= 0)
		return fault_set(f, REASON_NO_MEMORY, "certificate as PEM");
	len = BIO_get_mem_data(bio, &text);
	return buf_copy(BLOB(text, (size_t)len), ret_pem, f);
}

/* The certificate that was made, and what a program would read in it first. */
static enum reason enrolled_reply(struct call *call, const struct operated *operated, struct fault *f)
{
	AUTO(buf_done) struct buf pem = { 0 };
	char serial[2 * LIMIT_SERIAL_BYTES + 1], not_after[sizeof("2026-11-21T06:00:00Z")], *text;
	struct cert cert;
	struct tm tm;
	time_t end;
	json_t *object;
	enum reason reason;

	TRY(cert_parse(buf_blob(&operated->certificate), &cert, f));
	TRY(certificate_pem(cert.der, &pem, f));
	text_hex(cert.serial, serial, sizeof(serial));
	end = (time_t)cert.not_after_s;
	strftime(not_after, sizeof(not_after), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&end, &tm));
	object = json_pack("{s:b, s:I, s:s, s:s, s:s%}", "done", 1, "action", (json_int_t)operated->action, "serial",
			   serial, "not_after", not_after, "certificate", (const char *)pem.ptr, pem.len);
	text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (text == NULL)
		return fault_set(f, REASON_NO_MEMORY, "answer");
	call->reply = (struct reply){ .type = TYPE_JSON };
	reason = buf_append(&call->reply.body, BLOB_STR(text), f);
	free(text);
	return reason;
}

/* What the ca says where nothing is read from the ledger. */
enum reason answer_operated(struct call *call, const struct operated *operated, struct fault *f)
{
	char hex[2 * OPERATE_PLAN_BYTES + 1], text[160];
	bool lists = call->ask.op == OPERATE_PUBLISH;

	if (operated->certificate.len > 0)
		return enrolled_reply(call, operated, f);
	text_hex(BLOB_OF(operated->plan), hex, sizeof(hex));
	if (call->ask.op == OPERATE_LIST)
		snprintf(text, sizeof(text), "{\"list\":\"%s\",\"n\":%llu}", hex, (unsigned long long)operated->n);
	else
		snprintf(text, sizeof(text), "{\"done\":true,\"action\":%llu%s", (unsigned long long)operated->action,
			 lists ? ",\"crls\":" : "}");
	call->reply = (struct reply){ .type = TYPE_JSON };
	TRY(buf_append(&call->reply.body, BLOB_STR(text), f));
	if (!lists)
		return REASON_OK;
	TRY(buf_append(&call->reply.body, buf_blob(&operated->sample), f));
	return buf_append(&call->reply.body, BLOB_STR("}"), f);
}

/* Behind the last member of the object that the ledger gave; texts of the ca's hold no quotes. */
enum reason answer_notice(const struct call *call, struct buf *text, struct fault *f)
{
	if (call->notice[0] == '\0' || text->len == 0 || text->ptr[text->len - 1] != '}')
		return REASON_OK;
	text->len--;
	TRY(buf_append(text, BLOB_STR(",\"notice\":\""), f));
	TRY(buf_append(text, BLOB_STR(call->notice), f));
	return buf_append(text, BLOB_STR("\"}"), f);
}
