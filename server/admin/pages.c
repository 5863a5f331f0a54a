/*
 * pages.c - what the admin listener answers.
 *
 * /livez and /readyz say nothing that a stranger may not know, and are for probes without certificates. /metrics tells
 * more: it is read from this machine, or with an operator's, auditor's or administrator's certificate.
 */
#include <string.h>

#include "admin/api.h"
#include "base/clock.h"

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_METRICS "text/plain; version=0.0.4; charset=utf-8"

struct page {
	const char *path, *op;
	enum reason (*fill)(struct admin *admin, struct exchange *x, struct reply *reply, struct fault *f);
};

static enum reason livez(struct admin *admin, struct exchange *x, struct reply *reply, struct fault *f)
{
	(void)admin, (void)x, (void)f;
	*reply = reply_fixed(TYPE_TEXT, BLOB("alive\n", 6));
	return REASON_OK;
}

/* What is no reason to send clients away, but has to be seen. */
static const struct {
	const char *role;
	enum metric_gauge gauge;
	const char *text;
} warnings[] = {
	{ "ra", GAUGE_RELOAD_REFUSED,
	  "ra: changed files cannot be used, the earlier ones hold: see reload_refused in the log\n" },
	{ "admin", GAUGE_RELOAD_REFUSED,
	  "admin: changed files cannot be used, the earlier ones hold: see reload_refused in the log\n" },
	{ "ca", GAUGE_HEADS_UNEXPORTED,
	  "ca: signed heads cannot be written to heads.file, or syslog does not take them: see heads in the log\n" },
	{ "ca", GAUGE_TLS_NOT_RENEWED,
	  "ca: a listener's TLS certificate should be renewed and is not: see tls_not_renewed in the log\n" },
};

static enum reason ready_text(const struct admin *admin, struct buf *body, struct fault *f)
{
	int64_t value;

	TRY(buf_append(body, BLOB_STR("ready\n"), f));
	for (size_t i = 0; i < sizeof(warnings) / sizeof(warnings[0]); i++)
		if (metrics_read_gauge(admin->config->run_dir, warnings[i].role, warnings[i].gauge, &value) && value)
			TRY(buf_append(body, BLOB_STR(warnings[i].text), f));
	return REASON_OK;
}

static enum reason readyz(struct admin *admin, struct exchange *x, struct reply *reply, struct fault *f)
{
	AUTO(buf_done) struct buf list = { 0 };
	AUTO(buf_done) struct buf body = { 0 };

	(void)x;
	TRY(ready_list(admin, clock_mono_us(), &list, f));
	if (list.len == 0) {
		TRY(ready_text(admin, &body, f));
		*reply = (struct reply){ .type = TYPE_TEXT, .body = body };
		body = (struct buf){ 0 };
		return REASON_OK;
	}
	TRY(buf_append(&body, BLOB_STR("{\"not_ready\":["), f));
	TRY(buf_append(&body, buf_blob(&list), f));
	TRY(buf_append(&body, BLOB_STR("]}\n"), f));
	*reply = (struct reply){ .type = "application/json", .body = body };
	body = (struct buf){ 0 };
	(void)fault_set(&reply->fault, REASON_NOT_READY, "%.*s", (int)(list.len < 180 ? list.len : 180), list.ptr);
	return REASON_OK;
}

static enum reason metrics(struct admin *admin, struct exchange *x, struct reply *reply, struct fault *f)
{
	struct reply page = { .type = TYPE_METRICS };

	if (!exchange_loopback(x))
		TRY(operator_check(admin, x->peer, x->who, f));
	TRY(metrics_text(admin->config->run_dir, &page.body, f));
	*reply = page;
	return REASON_OK;
}

static const struct page pages[] = {
	{ "/livez", "livez", livez },
	{ "/readyz", "readyz", readyz },
	{ "/metrics", "metrics", metrics },
};

static void begin(void *role, struct exchange *x)
{
	(void)role;
	x->metric = OP_ADMIN;
}

static enum reason answer(struct admin *admin, struct exchange *x, struct fault *f)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(pages[i].path, x->path) != 0)
			continue;
		x->op = pages[i].op;
		if (x->method != HTTP_GET)
			return fault_set(f, REASON_HTTP_METHOD, "%s takes GET", pages[i].path);
		return pages[i].fill(admin, x, &x->reply, f);
	}
	return fault_set(f, REASON_STATUS_PATH, "%.128s", x->path);
}

static bool run(void *role, struct exchange *x)
{
	struct admin *admin = role;
	enum reason refused = x->reply.fault.reason; /* a body over the limit; or we are stopping, which nobody notes */
	bool may_note = refused == REASON_OK || reason_info(refused)->class == REASON_CLASS_CLIENT;
	struct fault f;

	if (may_note && strncmp(x->path, "/v1/", 4) == 0)
		return api_run(admin->api, x);
	if (refused != REASON_OK)
		return true;
	if (answer(role, x, &f) != REASON_OK) {
		exchange_refuse(x, &f);
		if (f.reason == REASON_HTTP_METHOD)
			reply_header(&x->reply, "Allow", "%s", http_methods_text(HTTP_GET));
	}
	x->reply.quiet = true;
	return true;
}

const struct http_app admin_app = { .event = "admin", .begin = begin, .run = run, .hears_refusals = true };
