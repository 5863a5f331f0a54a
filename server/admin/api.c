/* api.c - see api.h: routes, rights, and the way of a call. */
#include "admin/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "observe/log.h"

#define TYPE_PEM "application/x-pem-file"
#define STRANGERS_A_MINUTE 60 /* refusals of nobody we know: noted up to here, then only logged */

/* clang-format off */
static const struct api_route routes[] = {
	/* op             method     path                       rights        queries             fill           acts   answer */
	{ "certificates", HTTP_GET,  "certificates",            MAY_READ,     query_certificates, NULL,          false, INSPECT_CERTIFICATES, 8, TYPE_JSON },
	{ "certificate",  HTTP_GET,  "certificates/*",          MAY_READ,     query_segment,      NULL,          false, INSPECT_CERTIFICATE,  1, TYPE_JSON },
	{ "pem",          HTTP_GET,  "certificates/*/pem",      MAY_READ,     query_segment,      NULL,          false, INSPECT_PEM,          1, TYPE_PEM },
	{ "evidence",     HTTP_GET,  "certificates/*/evidence", MAY_READ,     query_segment,      NULL,          false, INSPECT_EVIDENCE,     1, TYPE_JSON },
	{ "devices",      HTTP_GET,  "devices",                 MAY_READ,     query_devices,      fill_devices,  false, INSPECT_DEVICES_OF,   2, TYPE_JSON },
	{ "device",       HTTP_GET,  "devices/*",               MAY_READ,     query_segment,      NULL,          false, INSPECT_DEVICE,       1, TYPE_JSON },
	{ "actions",      HTTP_GET,  "actions",                 MAY_READ,     query_actions,      NULL,          false, INSPECT_ACTIONS,      3, TYPE_JSON },
	{ "requesters",   HTTP_GET,  "requesters",              MAY_READ,     query_requesters,   NULL,          false, INSPECT_REQUESTERS,   2, TYPE_JSON },
	{ "audit",        HTTP_GET,  "audit/*",                 MAY_READ,     query_audit,        NULL,          false, INSPECT_AUDIT,        3, TYPE_JSON },
	{ "status",       HTTP_GET,  "status",                  MAY_READ,     NULL,               NULL,          false, INSPECT_STATUS,       0, TYPE_JSON },
	{ "openapi",      HTTP_GET,  "openapi.json",            MAY_READ,     NULL,               NULL,          false, INSPECTIONS,          0, TYPE_JSON },
	{ "plan",         HTTP_POST, "revocations",             MAY_REVOKE,   NULL,               fill_plan,     true,  INSPECT_PLAN,         1, TYPE_JSON },
	{ "revoke",       HTTP_POST, "revocations/*",           MAY_REVOKE,   NULL,               fill_revoke,   true,  INSPECT_PLAN,         1, TYPE_JSON },
	{ "revocation",   HTTP_GET,  "revocations/*",           MAY_READ,     query_segment,      NULL,          false, INSPECT_PLAN,         1, TYPE_JSON },
	{ "list",         HTTP_POST, "lists",                   MAY_REVOKE,   NULL,               fill_list,     true,  INSPECTIONS,          0, TYPE_JSON },
	{ "list",         HTTP_POST, "lists/*",                 MAY_REVOKE,   NULL,               fill_list,     true,  INSPECTIONS,          0, TYPE_JSON },
	{ "publish",      HTTP_POST, "crls",                    MAY_REVOKE,   NULL,               fill_publish,  true,  INSPECTIONS,          0, TYPE_JSON },
	{ "heads",        HTTP_GET,  "heads",                   MAY_READ,     query_heads,        NULL,          false, INSPECT_HEADS,        2, TYPE_JSON },
	{ "register",     HTTP_POST, "requesters",              MAY_REGISTER, NULL,               fill_register, true,  INSPECTIONS,          0, TYPE_JSON },
	{ "renewal",      HTTP_POST, "renewal",                 MAY_READ,     NULL,               fill_renewal,  true,  INSPECTIONS,          0, TYPE_JSON },
	{ "retire",       HTTP_POST, "requesters/*/retire",     MAY_REGISTER, NULL,               fill_retire,   true,  INSPECTIONS,          0, TYPE_JSON },
};
/* clang-format on */

static const struct {
	const char *kind;
	unsigned rights;
} kinds[] = {
	{ "auditor:", MAY_READ },
	{ "operator:", MAY_READ | MAY_REVOKE },
	{ "administrator:", MAY_READ | MAY_REVOKE | MAY_REGISTER },
};

static unsigned rights_of(const char *who)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(who, kinds[i].kind, strlen(kinds[i].kind)) == 0)
			return kinds[i].rights;
	return 0;
}

/* "certificates/0151.../pem" against "certificates/x/pem" with x a star: what stands there goes into `segment`. */
static bool path_is(const char *path, const char *pattern, char segment[API_ARG_CHARS + 1])
{
	size_t len;

	while (*pattern != '\0' && *pattern != '*')
		if (*path++ != *pattern++)
			return false;
	if (*pattern == '\0')
		return *path == '\0';
	len = strcspn(path, "/");
	if (len == 0 || len > API_ARG_CHARS || strcmp(path + len, pattern + 1) != 0)
		return false;
	memcpy(segment, path, len);
	segment[len] = '\0';
	return true;
}

static enum reason find_route(const struct exchange *x, const char *path, struct call *call, struct fault *f)
{
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!path_is(path, routes[i].path, call->segment))
			continue;
		call->methods |= routes[i].method;
		if (routes[i].method == x->method)
			call->route = &routes[i];
	}
	if (call->route != NULL)
		return REASON_OK;
	return call->methods != 0 ? fault_set(f, REASON_HTTP_METHOD, "%.16s %.128s", x->method_name, path)
				  : fault_set(f, REASON_STATUS_PATH, "%.128s", path);
}

static enum reason read_body(struct call *call, struct fault *f)
{
	struct exchange *x = call->x;
	const char *type = exchange_header(x, "Content-Type");
	json_error_t error;

	if (call->route->method != HTTP_POST)
		return x->body.len == 0 ? REASON_OK : fault_set(f, REASON_HTTP_BODY, "a GET with a body");
	if (type == NULL || !media_type_is(type, TYPE_JSON))
		return fault_set(f, REASON_HTTP_MEDIA_TYPE, "%.64s", type == NULL ? "none" : type);
	call->body = json_loadb((const char *)x->body.ptr, x->body.len, JSON_REJECT_DUPLICATES, &error);
	if (call->body == NULL || !json_is_object(call->body))
		return fault_set(f, REASON_API_JSON, "%.100s", call->body == NULL ? error.text : "not an object");
	return REASON_OK;
}

static void call_free(struct call *call)
{
	pthread_mutex_lock(&call->api->lock);
	call->api->n_calls--;
	pthread_mutex_unlock(&call->api->lock);
	json_decref(call->body);
	operate_done(&call->ask);
	reply_done(&call->reply);
	free(call);
}

/* The end of a call, on whatever thread. */
static void finish(struct call *call)
{
	struct reply reply = call->reply;

	call->reply = (struct reply){ 0 };
	exchange_answer(call->x, &reply);
	call_free(call);
}

static void note(struct call *call)
{
	struct operate what = { .op = OPERATE_NOTE, .outcome = call->reply.fault.reason };
	struct fault f;

	memcpy(what.who, call->ask.who, sizeof(what.who));
	memcpy(what.call, call->ask.call, sizeof(what.call));
	memcpy(what.request, call->ask.request, sizeof(what.request));
	memcpy(what.note, call->ask.note, sizeof(what.note));
	call->state = CALL_NOTING;
	if (asking_send(call, &what))
		return;
	(void)fault_set(&f, REASON_CA_AWAY, "nothing was done: the ca is away, the call cannot be recorded");
	reply_done(&call->reply);
	call->reply = answer_refusal(call->x, &f);
	finish(call);
}

void call_refused(struct call *call, const struct fault *fault)
{
	bool noting = call->state == CALL_NOTING;

	reply_done(&call->reply);
	call->reply = answer_refusal(call->x, fault);
	if (fault->reason == REASON_HTTP_METHOD)
		reply_header(&call->reply, "Allow", "%s", http_methods_text(call->methods));
	if (noting || reason_info(fault->reason)->class == REASON_CLASS_RETRY)
		finish(call);
	else
		note(call);
}

static void read_answer(struct call *call)
{
	struct fault f;

	call->state = CALL_READING;
	if (line_put(call->api->line, 0, 0, &call->job))
		return;
	(void)fault_set(&f, REASON_OVERLOADED, "too many calls read the ledger");
	call_refused(call, &f);
}

static bool records(enum operate_op op)
{
	return op == OPERATE_REVOKE || op == OPERATE_REGISTER || op == OPERATE_RETIRE || op == OPERATE_ENROL ||
	       op == OPERATE_RENEW || op == OPERATE_PUBLISH;
}

void call_operated(struct call *call, const struct operated *operated)
{
	struct fault f;

	if (operated->reason != REASON_OK) {
		(void)fault_set(&f, operated->reason, "%s", operated->detail);
		call_refused(call, &f);
	} else if (call->state == CALL_NOTING) {
		finish(call);
	} else {
		call->recorded = records(call->ask.op);
		answer_plain(operated->detail, call->notice, sizeof(call->notice));
		if (call->route->inspection != INSPECTIONS) {
			text_hex(BLOB_OF(operated->plan), call->arg[0], sizeof(call->arg[0]));
			call->has_arg[0] = true;
			read_answer(call);
		} else if (answer_operated(call, operated, &f) != REASON_OK) {
			call_refused(call, &f);
		} else if (call->recorded) {
			finish(call);
		} else {
			note(call);
		}
	}
}

static enum reason read_one(struct call *call, struct inspector *inspector, struct fault *f)
{
	AUTO(buf_done) struct buf text = { 0 };
	const char *args[API_ARGS];

	for (size_t i = 0; i < call->route->n_args; i++)
		args[i] = call->has_arg[i] ? call->arg[i] : NULL;
	if (inspect(inspector, call->route->inspection, args, call->route->n_args, &text, f) != REASON_OK) {
		if (f->reason != REASON_LEDGER_AWAY)
			return f->reason;
		log_fault(LOG_WARN, "ledger_read", f);
		return fault_set(f, REASON_LEDGER_AWAY, "%s",
				 call->recorded ? "it was done and is recorded; reading the ledger failed"
						: "nothing was changed: reading the ledger failed");
	}
	TRY(answer_notice(call, &text, f));
	if (text.len == 0)
		return fault_set(f, REASON_NOT_FOUND, "%.128s", call->segment);
	call->reply = (struct reply){ .type = call->route->type, .body = text };
	text = (struct buf){ 0 };
	return REASON_OK;
}

static void station_read(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct api *api = role;

	for (size_t i = 0; i < n; i++) {
		struct call *call = (struct call *)batch[i];
		struct fault f;

		if (read_one(call, api->inspector[thread], &f) != REASON_OK)
			call_refused(call, &f);
		else if (call->recorded)
			finish(call);
		else
			note(call);
	}
}

/* clang-format off */
static const struct station api_line[] = {
	{ "read", station_read, API_READERS, 1, { { "calls", 1, API_CALLS_MAX } } },
};
/* clang-format on */

static enum reason begin(struct api *api, struct exchange *x, struct call *call, struct fault *f)
{
	char who[LIMIT_REQUESTER_CHARS + 1];
	enum reason reason;

	reason = operator_check(api->admin, x->peer, who, f);
	if (reason == REASON_VIEW_STALE)
		return fault_set(f, REASON_VIEW_STALE,
				 "not revoked, nothing was changed: the ledger or the ca is away");
	TRY(reason);
	memcpy(call->ask.who, who, sizeof(who));
	memcpy(x->who, who, sizeof(who));
	exchange_known(x);
	TRY(find_route(x, x->path + strlen("/v1/"), call, f));
	x->op = call->route->op;
	if ((rights_of(who) & call->route->rights) == 0)
		return fault_set(f, REASON_RIGHTS, "%s", who);
	if (x->reply.fault.reason != REASON_OK) {
		*f = x->reply.fault;
		return f->reason;
	}
	TRY(read_body(call, f));
	TRY(query_read(call, f));
	return call->route->fill == NULL ? REASON_OK : call->route->fill(call, f);
}

static bool may_note_stranger(struct api *api)
{
	int64_t minute = clock_wall_s() / 60;
	bool may;

	pthread_mutex_lock(&api->lock);
	if (api->strangers_minute != minute) {
		api->strangers_minute = minute;
		api->strangers_noted = 0;
	}
	may = api->strangers_noted++ < STRANGERS_A_MINUTE;
	pthread_mutex_unlock(&api->lock);
	return may;
}

static struct call *call_new(struct api *api, struct exchange *x)
{
	struct call *call = NULL;
	bool room;

	pthread_mutex_lock(&api->lock);
	room = api->n_calls < API_CALLS_MAX;
	if (room)
		call = calloc(1, sizeof(*call));
	if (call != NULL)
		api->n_calls++;
	pthread_mutex_unlock(&api->lock);
	if (call == NULL)
		return NULL;
	call->api = api;
	call->x = x;
	snprintf(call->ask.who, sizeof(call->ask.who), "stranger");
	snprintf(call->ask.call, sizeof(call->ask.call), "%.16s %.180s", x->method_name, x->path);
	for (char *p = call->ask.call; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	memcpy(call->ask.request, x->request, sizeof(call->ask.request));
	return call;
}

/* Whatever becomes of it, the call goes on without the HTTP thread from here. */
static void go(struct call *call, const struct fault *fault)
{
	exchange_suspend(call->x);
	call->deadline_us = clock_mono_us() + API_DEADLINE_US;
	if (fault->reason != REASON_OK)
		call_refused(call, fault);
	else if (!call->route->acts && call->route->inspection == INSPECTIONS) {
		call->reply = reply_fixed(call->route->type, BLOB(openapi_json, openapi_json_len));
		note(call);
	} else if (!call->route->acts)
		read_answer(call);
	else if (!asking_send(call, &call->ask)) {
		struct fault f;

		(void)fault_set(&f, REASON_CA_AWAY, "nothing was done: the ca is away");
		call_refused(call, &f);
	}
}

bool api_run(struct api *api, struct exchange *x)
{
	struct call *call = call_new(api, x);
	struct fault f = { .reason = REASON_OK };

	if (call == NULL) {
		(void)fault_set(&f, REASON_OVERLOADED, "nothing was done: too many calls are under way");
		x->reply = answer_refusal(x, &f);
		return true;
	}
	(void)!begin(api, x, call, &f);
	if (f.reason != REASON_OK && strcmp(call->ask.who, "stranger") == 0 && !may_note_stranger(api)) {
		x->reply = answer_refusal(x, &f);
		call_free(call);
		return true;
	}
	go(call, &f);
	return false;
}

static enum reason open_parts(struct api *api, struct fault *f)
{
	for (size_t i = 0; i < API_READERS; i++)
		TRY(inspector_open(api->admin->config->ledger.reader, &api->inspector[i], f));
	return line_open(api_line, 1, api, NULL, &api->line, f);
}

enum reason api_open(struct admin *admin, struct api **ret_api, struct fault *f)
{
	struct api *api = calloc(1, sizeof(*api));
	enum reason reason;

	if (api == NULL)
		return fault_set(f, REASON_NO_MEMORY, "api");
	api->admin = admin;
	pthread_mutex_init(&api->lock, NULL);
	reason = open_parts(api, f);
	if (reason == REASON_OK)
		*ret_api = api;
	else
		api_close(api);
	return reason;
}

void api_close(struct api *api)
{
	if (api == NULL)
		return;
	line_close(api->line);
	for (size_t i = 0; i < API_READERS; i++)
		inspector_close(api->inspector[i]);
	pthread_mutex_destroy(&api->lock);
	free(api);
}
