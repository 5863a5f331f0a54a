/* ocsp_http.c - see va_ocsp.h: what comes over HTTP, and what goes back. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "va/va_ocsp.h"

#define PATH "/ocsp"
#define RESPONSE_TYPE "application/ocsp-response"
#define MAX_AGE_S 60 /* a revocation is to be seen soon, whatever caches stand between */
#define URL_CHARS_MAX 16384

bool ocsp_path(const char *path)
{
	size_t len = sizeof(PATH) - 1;

	return strncmp(path, PATH, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

struct reply ocsp_reply_error(enum ocsp_error error, const struct fault *fault)
{
	struct reply reply = reply_fixed(RESPONSE_TYPE, ocsp_error(error));

	reply.fault = *fault;
	reply.status = 200; /* RFC 6960 appendix A.2: the answer says it, not HTTP */
	reply.quiet = true;
	reply_header(&reply, "Cache-Control", "no-store"); /* RFC 5019 section 6.2: nothing unsigned is kept */
	return reply;
}

static void http_time(struct reply *reply, const char *name, int64_t at_s)
{
	time_t t = (time_t)at_s;
	struct tm tm;
	char text[64];

	if (gmtime_r(&t, &tm) != NULL && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
		reply_header(reply, name, "%s", text);
}

/* RFC 5019 section 6.2; an answer with a nonce is of no use to anybody else. */
void ocsp_reply(struct exchange *x, struct ocsp_kept *kept, bool nonce, struct reply *ret_reply)
{
	struct reply reply = { .type = RESPONSE_TYPE, .quiet = true, .body = kept->der };
	const char *has = exchange_header(x, "If-None-Match");
	char etag[ETAG_CHARS];

	kept->der = (struct buf){ 0 };
	if (nonce) {
		reply_header(&reply, "Cache-Control", "no-store");
	} else {
		etag_of(buf_blob(&reply.body), etag);
		reply_header(&reply, "ETag", "%s", etag);
		reply_header(&reply, "Cache-Control", "max-age=%d, public, no-transform, must-revalidate", MAX_AGE_S);
		http_time(&reply, "Last-Modified", kept->this_s);
		http_time(&reply, "Expires", kept->next_s);
		if (x->method == HTTP_GET && has != NULL && strstr(has, etag) != NULL) {
			buf_done(&reply.body);
			reply.type = NULL;
			reply.status = 304;
		}
	}
	*ret_reply = reply;
}

void ocsp_begin(struct va *va, struct exchange *x)
{
	const char *type = exchange_header(x, "Content-Type");
	struct fault f;

	x->op = "ocsp";
	x->metric = OP_OCSP;
	x->reply.quiet = true;
	if (va->ocsp == NULL) {
		(void)fault_set(&f, REASON_STATUS_PATH, "OCSP is not configured: status.responder");
		exchange_refuse(x, &f);
	} else if (x->method == 0) {
		(void)fault_set(&f, REASON_HTTP_METHOD, "OCSP takes GET and POST");
		exchange_refuse(x, &f);
		reply_header(&x->reply, "Allow", "%s", http_methods_text(HTTP_GET | HTTP_POST));
	} else if (x->method == HTTP_POST && (type == NULL || !media_type_is(type, "application/ocsp-request"))) {
		(void)fault_set(&f, REASON_HTTP_MEDIA_TYPE, "OCSP takes application/ocsp-request");
		exchange_refuse(x, &f);
	}
}

/* %XX is a byte; '+' is itself, for this is a path and no form. False: a lone '%'. */
static bool unescape(const char *text, struct buf *out)
{
	for (; *text != '\0'; text++) {
		uint8_t byte = (uint8_t)*text;
		size_t len;

		if (byte == '%') {
			if (text[1] == '\0' || !text_unhex(text + 1, 2, &byte, 1, &len))
				return false;
			text += 2;
		}
		if (buf_append(out, BLOB(&byte, 1), NULL) != REASON_OK)
			return false;
	}
	return true;
}

enum reason ocsp_path_parse(const char *path, struct buf *ret_der, struct fault *f)
{
	AUTO(buf_done) struct buf text = { 0 };
	const char *rest = path + sizeof(PATH) - 1;

	while (*rest == '/')
		rest++;
	if (*rest == '\0' || strlen(rest) > URL_CHARS_MAX || !unescape(rest, &text))
		return fault_set(f, REASON_OCSP_REQUEST, "path of %zu characters", strlen(rest));
	return text_unbase64(buf_blob(&text), ret_der, f);
}

static struct status *issuer_of(struct va *va, const struct ocsp_cert_id *id)
{
	for (size_t i = 0; i < va->n; i++)
		if (ocsp_names(id, &va->status[i].ocsp))
			return &va->status[i];
	return NULL;
}

/*
 * One answer is signed by one responder, whom one issuer has authorised: certificates of several issuers, or of one
 * that is not served here, get no answer (RFC 6960 section 2.3: unauthorized).
 */
static enum reason translate(struct va *va, const struct ocsp_request *request, struct message_ocsp_ask *ask,
			     struct fault *f)
{
	const struct status *issuer = issuer_of(va, &request->id[0]);

	for (size_t i = 0; i < request->n; i++) {
		const struct ocsp_cert_id *id = &request->id[i];

		if (issuer == NULL || issuer_of(va, id) != issuer)
			return fault_set(f, REASON_OCSP_ISSUER, "certificate %zu of %zu", i + 1, request->n);
		ask->item[i].sha256 = id->hash == OCSP_SHA256;
		ask->item[i].null_params = id->null_params;
		ask->item[i].serial_len = (uint8_t)id->serial.len;
		memcpy(ask->item[i].serial, id->serial.ptr, id->serial.len);
	}
	snprintf(ask->issuer, sizeof(ask->issuer), "%s", issuer->name);
	ask->n = (uint8_t)request->n;
	ask->nonce_len = (uint8_t)request->nonce.len;
	if (request->nonce.len > 0)
		memcpy(ask->nonce, request->nonce.ptr, request->nonce.len);
	return REASON_OK;
}

static enum reason read_request(struct va *va, const struct exchange *x, struct message_ocsp_ask *ask, struct fault *f)
{
	AUTO(buf_done) struct buf der = { 0 };
	struct ocsp_request request;

	if (x->method == HTTP_GET)
		TRY(ocsp_path_parse(x->path, &der, f));
	TRY(ocsp_parse(x->method == HTTP_GET ? buf_blob(&der) : buf_blob(&x->body), &request, f));
	return translate(va, &request, ask, f);
}

bool ocsp_run(struct va *va, struct exchange *x)
{
	struct message_ocsp_ask ask = { 0 };
	struct fault f;
	enum reason reason = read_request(va, x, &ask, &f);

	if (reason == REASON_OK)
		return va_ocsp_answer(va, x, &ask);
	x->reply = ocsp_reply_error(reason == REASON_OCSP_ISSUER ? OCSP_UNAUTHORIZED : OCSP_MALFORMED, &f);
	return true;
}
