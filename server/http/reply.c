/*
 * reply.c - see reply.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/body.h"
#include "http/exchange.h"
#include "http/listener_impl.h"
#include "observe/log.h"
#include "observe/metrics.h"

/* Over TLS libmicrohttpd sends header and body apart: two records, two calls of the kernel, and the client wakes twice.
 * A reply so long or shorter is one record (of at most 16 KiB) and fits the smallest buffer that Linux gives a new
 * socket for sending (tcp_wmem: 16 KiB), so that it waits for nobody who reads what he asked for. */
#define HELD_BODY_MAX 8192

struct reply reply_fault(const struct fault *fault)
{
	return (struct reply){ .fault = *fault };
}

struct reply reply_fixed(const char *type, struct blob bytes)
{
	return (struct reply){ .type = type, .fixed = bytes };
}

void reply_header(struct reply *reply, const char *name, const char *fmt, ...)
{
	struct reply_header *header;
	va_list args;

	if (reply->n_headers == REPLY_HEADERS)
		return;
	header = &reply->header[reply->n_headers++];
	header->name = name;
	va_start(args, fmt);
	vsnprintf(header->value, sizeof(header->value), fmt, args);
	va_end(args);
}

struct shared *shared_new(struct buf *bytes)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (shared == NULL)
		return NULL;
	atomic_init(&shared->refs, 1);
	shared->bytes = *bytes;
	*bytes = (struct buf){ 0 };
	return shared;
}

struct shared *shared_ref(struct shared *shared)
{
	atomic_fetch_add(&shared->refs, 1);
	return shared;
}

void shared_unref(struct shared *shared)
{
	if (shared == NULL || atomic_fetch_sub(&shared->refs, 1) > 1)
		return;
	buf_done(&shared->bytes);
	free(shared);
}

static void give_back(void *shared)
{
	shared_unref(shared);
}

void reply_done(struct reply *reply)
{
	buf_done(&reply->body);
	shared_unref(reply->shared);
	reply->shared = NULL;
	reply->fixed = (struct blob){ 0 };
}

void reply_finish(struct reply *reply, const char *request)
{
	const struct reason_info *info = reason_info(reply->fault.reason);
	char text[256];

	if (reply->status == 0)
		reply->status = info->http;
	if (info->class == REASON_CLASS_RETRY)
		reply_header(reply, "Retry-After", "%d", REPLY_RETRY_AFTER_S);
	if (reply->fault.reason == REASON_OK || reply->type != NULL)
		return;
	snprintf(text, sizeof(text), "%s (%s, request %s)\n", info->text, info->name, request);
	reply->type = "text/plain";
	if (buf_copy(BLOB_STR(text), &reply->body, NULL) != REASON_OK)
		reply->body = (struct buf){ 0 };
}

/* The body goes to libmicrohttpd: bytes of this reply are its to free. */
static struct MHD_Response *response_new(struct reply *reply)
{
	struct MHD_Response *response;

	if (reply->shared != NULL) {
		response = MHD_create_response_from_buffer_with_free_callback_cls(
			reply->shared->bytes.len, reply->shared->bytes.ptr, give_back, reply->shared);
		if (response != NULL)
			reply->shared = NULL;
		return response;
	}
	if (reply->body.ptr == NULL)
		return MHD_create_response_from_buffer(reply->fixed.len, (void *)(uintptr_t)reply->fixed.ptr,
						       MHD_RESPMEM_PERSISTENT);
	response = MHD_create_response_from_buffer(reply->body.len, reply->body.ptr, MHD_RESPMEM_MUST_FREE);
	if (response != NULL)
		reply->body = (struct buf){ 0 };
	return response;
}

static size_t body_len(const struct reply *reply)
{
	if (reply->shared != NULL)
		return reply->shared->bytes.len;
	return reply->body.ptr != NULL ? reply->body.len : reply->fixed.len;
}

static enum MHD_Result queue(struct exchange *x)
{
	struct reply *reply = &x->reply;
	bool hold = x->at->session != NULL && body_len(reply) <= HELD_BODY_MAX;
	struct MHD_Response *response = response_new(reply);
	enum MHD_Result queued;

	if (response == NULL)
		return MHD_NO;
	if (reply->type != NULL)
		MHD_add_response_header(response, "Content-Type", reply->type);
	for (size_t i = 0; i < reply->n_headers; i++)
		MHD_add_response_header(response, reply->header[i].name, reply->header[i].value);
	queued = MHD_queue_response(x->connection, (unsigned)reply->status, response);
	MHD_destroy_response(response);
	if (hold && queued == MHD_YES)
		x->at->held = tls_hold(x->at->session); /* until exchange_completed() */
	return queued;
}

static enum log_level level_of(const struct reply *reply)
{
	if (reply->quiet && (reply->fault.reason == REASON_OK || reply->fault.reason == REASON_NOT_READY ||
			     reply->status == 200)) /* OCSP says its errors in a 200; anybody can cause them */
		return LOG_DEBUG;
	switch (reason_info(reply->fault.reason)->class) {
	case REASON_CLASS_INTERNAL:
		return LOG_ERROR;
	case REASON_CLASS_RETRY:
	case REASON_CLASS_AUTH:
		return LOG_WARN;
	default:
		return LOG_INFO;
	}
}

static void log_reply(const struct exchange *x, int64_t took_us)
{
	const struct reply *reply = &x->reply;

	log_event(level_of(reply), listener_app(x->listener)->event, "op", LOG_STR, x->op != NULL ? x->op : "", "label",
		  LOG_STR, x->route.label, "method", LOG_STR, x->method_name, "status", LOG_INT, (int64_t)reply->status,
		  "reason", LOG_STR, reason_info(reply->fault.reason)->name, "request", LOG_STR, x->request, "who",
		  LOG_STR, x->who, "serial", LOG_STR, reply->serial, "repeated", LOG_INT, (int64_t)reply->repeated,
		  "detail", LOG_STR, reply->fault.reason == REASON_OK ? "" : reply->fault.detail, "ms", LOG_INT,
		  took_us / 1000, NULL);
}

/* libest decodes with OpenSSL, which cuts a line of base64 of over 1,000 characters short; strongSwan takes one line
 * alone. So lines are for those who say that they are libest. */
static bool wants_lines(const struct exchange *x)
{
	static const char libest[] = "Cisco EST client";
	const char *agent = exchange_header(x, "User-Agent");
	bool base64 = false;

	for (size_t i = 0; i < x->reply.n_headers; i++)
		base64 = base64 || strcmp(x->reply.header[i].name, "Content-Transfer-Encoding") == 0;
	return base64 && agent != NULL && strncmp(agent, libest, sizeof(libest) - 1) == 0;
}

static void wrap(struct reply *reply)
{
	struct blob line = reply->body.ptr != NULL ? buf_blob(&reply->body) : reply->fixed;
	struct buf lines = { 0 };

	if (body_lines(line, &lines, NULL) != REASON_OK)
		return; /* short of memory: the one line is no worse */
	buf_done(&reply->body);
	reply->body = lines;
}

int reply_send(struct exchange *x)
{
	int64_t took_us = clock_mono_us() - x->began_us;
	enum MHD_Result queued;

	if (wants_lines(x))
		wrap(&x->reply);
	reply_finish(&x->reply, x->request);
	queued = queue(x);
	log_reply(x, took_us);
	metrics_request(listener_metrics(x->listener), x->metric, x->reply.fault.reason, took_us);
	reply_done(&x->reply);
	return queued;
}
