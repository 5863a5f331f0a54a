/*
 * exchange.c - see exchange.h.
 */
#include "http/exchange.h"

#include <endian.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/text.h"
#include "http/listener_impl.h"
#include "http/tls.h"

const char *exchange_header(const struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *exchange_argument(const struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

bool exchange_loopback(const struct exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr_in6 *six;

	if (info == NULL || info->client_addr == NULL)
		return false;
	if (info->client_addr->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr.s_addr) >> 24 ==
		       127;
	six = (const struct sockaddr_in6 *)(const void *)info->client_addr;
	return info->client_addr->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

void exchange_binding(const struct exchange *x, struct binding *ret_binding)
{
	if (x->at->session == NULL) {
		*ret_binding = (struct binding){ .why = "no TLS" };
		return;
	}
	if (!x->at->asked_binding)
		tls_binding(x->at->session, &x->at->binding);
	x->at->asked_binding = true;
	*ret_binding = x->at->binding;
}

void exchange_known(struct exchange *x)
{
	if (x->at->known)
		return;
	x->at->known = true;
	MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT, listener_idle_s(x->listener));
}

bool exchange_is_known(const struct exchange *x)
{
	return x->at->known;
}

void exchange_refuse(struct exchange *x, const struct fault *fault)
{
	reply_done(&x->reply);
	x->reply = reply_fault(fault);
}

void exchange_suspend(struct exchange *x)
{
	x->state = EXCHANGE_WAITING;
	MHD_suspend_connection(x->connection);
}

void exchange_answer(struct exchange *x, struct reply *reply)
{
	struct MHD_Connection *connection = x->connection;

	x->reply = *reply;
	*reply = (struct reply){ 0 };
	x->state = EXCHANGE_ANSWERED;
	MHD_resume_connection(connection); /* from here on x may be gone */
}

static void refuse(struct exchange *x, enum reason reason, const char *detail)
{
	struct fault f;

	(void)fault_set(&f, reason, "%s", detail);
	exchange_refuse(x, &f);
}

/* The chain is taken over at the connection's first request: only then is the handshake over. */
static void find_peer(struct exchange *x)
{
	if (!x->at->asked_peer && x->at->session != NULL) {
		x->at->peer = tls_peer(x->at->session);
		tls_settle(x->at->session, x->at->fragment);
	}
	x->at->asked_peer = true;
	x->peer = x->at->peer;
}

/* One a request: of a size that glibc keeps at hand for the thread. */
_Static_assert(sizeof(struct exchange) <= LIMIT_HEAP_QUICK_BYTES, "struct exchange");

static struct exchange *exchange_new(struct listener *listener, struct MHD_Connection *connection, const char *url,
				     const char *method)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct connection *at = info != NULL ? info->socket_context : NULL;
	struct exchange *x = calloc(1, sizeof(*x));
	uint64_t id;

	if (x == NULL || at == NULL || at->stuck) {
		free(x);
		return NULL;
	}
	id = htobe64(at->next_id++);
	text_hex(BLOB(&id, sizeof(id)), x->request, sizeof(x->request));
	x->listener = listener;
	x->at = at;
	x->connection = connection;
	x->began_us = clock_mono_us();
	x->method_name = method;
	x->method = http_method(method);
	x->path = url;
	x->metric = OP_OTHER;
	return x;
}

/* Newcomers give way to who is at work (listener.c). */
static void note_lasting(const struct listener *listener, struct connection *at, int64_t now_us)
{
	if (at->n_requests + 1 < LASTING_REQUESTS)
		at->n_requests++;
	else
		metrics_gauge(listener_metrics(listener), GAUGE_LASTING_MS, now_us / 1000);
}

/* Headers are there. Nothing is answered yet: a response queued now would close the connection. */
static enum MHD_Result headers(struct listener *listener, struct MHD_Connection *connection, const char *url,
			       const char *method, void **slot)
{
	struct exchange *x = exchange_new(listener, connection, url, method);
	bool open;

	if (x == NULL)
		return MHD_NO;
	*slot = x;
	atomic_store(&x->at->deadline_us, x->began_us + LIMIT_BODY_S * INT64_C(1000000));
	listener_asked(listener, x->at);
	find_peer(x);
	note_lasting(listener, x->at, x->began_us);
	open = listener_enter(listener);
	listener_app(listener)->begin(listener_role(listener), x);
	if (!open)
		refuse(x, REASON_STOPPING, "listener is closing");
	return MHD_YES;
}

/*
 * Keeps what fits. What does not is read and dropped up to a bound, for a client that is cut off in the middle of
 * sending never sees its 413.
 */
static enum MHD_Result body(struct exchange *x, const char *data, size_t *data_len)
{
	size_t len = *data_len;
	struct fault f;

	*data_len = 0;
	x->body_seen += len;
	if (x->body_seen > LIMIT_BODY_DROPPED_BYTES)
		return MHD_NO;
	if (x->reply.fault.reason != REASON_OK)
		return MHD_YES;
	if (x->body_seen > LIMIT_BODY_BYTES) {
		buf_done(&x->body);
		refuse(x, REASON_HTTP_TOO_LARGE, "body over the limit");
	} else if (buf_append(&x->body, BLOB(data, len), &f) != REASON_OK) {
		exchange_refuse(x, &f);
	}
	return MHD_YES;
}

static enum MHD_Result run(struct exchange *x)
{
	const struct http_app *app = listener_app(x->listener);

	atomic_store(&x->at->deadline_us, INT64_MAX);
	if ((x->reply.fault.reason == REASON_OK || app->hears_refusals) && !app->run(listener_role(x->listener), x))
		return MHD_YES;
	x->state = EXCHANGE_ANSWERED;
	return (enum MHD_Result)reply_send(x);
}

enum MHD_Result exchange_handler(void *listener, struct MHD_Connection *connection, const char *url, const char *method,
				 const char *version, const char *data, size_t *data_len, void **slot)
{
	struct exchange *x = *slot;

	(void)version;
	if (x == NULL)
		return headers(listener, connection, url, method, slot);
	if (*data_len > 0)
		return body(x, data, data_len);
	return x->state == EXCHANGE_ANSWERED ? (enum MHD_Result)reply_send(x) : run(x);
}

/* Libmicrohttpd has handed over the whole reply, and whatever it does next, be it to close, comes after this. It takes
 * the reply for sent: a client that has left no room for it, since it asks and does not read, would wait for ever. */
static void send_held(struct connection *at)
{
	if (!at->held)
		return;
	at->held = false;
	if (tls_release(at->session))
		return;
	at->stuck = true;
	(void)shutdown(at->fd, SHUT_RDWR);
}

void exchange_completed(void *listener, struct MHD_Connection *connection, void **slot,
			enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *slot;
	int64_t quiet_s;

	(void)connection, (void)code;
	if (x == NULL)
		return;
	*slot = NULL;
	send_held(x->at);
	quiet_s = x->at->known ? (int64_t)listener_idle_s(listener) : LIMIT_FIRST_REQUEST_S;
	atomic_store(&x->at->deadline_us, clock_mono_us() + quiet_s * 1000000);
	buf_done(&x->body);
	reply_done(&x->reply);
	free(x);
	listener_leave(listener);
}
