/*
 * listener.c - see listener.h.
 */
#include "http/listener.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/acceptor.h"
#include "http/anteroom.h"
#include "http/doorkeeper.h"
#include "http/listener_impl.h"
#include "http/pace.h"
#include "http/tls.h"
#include "lull.h"
#include "observe/log.h"

#define CONNECTION_MEMORY_BYTES (16 * 1024) /* headers, and one piece of a body; an idle connection holds it too */
#define WATCH_US 500000                     /* how often overdue connections are looked for */

struct listener {
	const struct http_app *app;
	void *role;
	struct metrics *metrics;
	struct tls *tls;
	struct doorkeeper *doorkeeper;
	bool for_rigs;
	unsigned idle_s;
	struct acceptor *acceptor; /* NULL once newcomers are not taken any more */
	struct anteroom *anteroom;
	struct lull *lull; /* NULL without TLS: newcomers then cost next to nothing */
	struct pace pace;
	atomic_uint beginners; /* connections that have not asked for anything yet */
	uint16_t port;
	struct MHD_Daemon *daemon;
	pthread_t watcher;
	bool watching;

	pthread_mutex_t lock; /* all below */
	pthread_cond_t changed;
	struct connection *connections;
	size_t n_requests;
	bool stopping, closed;
};

const struct http_app *listener_app(const struct listener *listener)
{
	return listener->app;
}

void *listener_role(const struct listener *listener)
{
	return listener->role;
}

struct metrics *listener_metrics(const struct listener *listener)
{
	return listener->metrics;
}

unsigned listener_idle_s(const struct listener *listener)
{
	return listener->idle_s;
}

bool listener_for_rigs(const struct listener *listener)
{
	return listener->for_rigs;
}

unsigned listener_door(const struct exchange *x)
{
	return x->at->door;
}

uint16_t listener_port(const struct listener *listener)
{
	return listener->port;
}

void listener_vouch(struct exchange *x)
{
	if (x->at->vouched)
		return;
	x->at->vouched = true;
	doorkeeper_vouch(x->listener->doorkeeper, x->at->door);
}

unsigned listener_beginners(const struct listener *listener)
{
	return atomic_load_explicit(&listener->beginners, memory_order_relaxed);
}

void listener_asked(struct listener *listener, struct connection *c)
{
	if (!c->asked)
		atomic_fetch_sub_explicit(&listener->beginners, 1, memory_order_relaxed);
	c->asked = true;
}

bool listener_enter(struct listener *listener)
{
	bool open;

	pthread_mutex_lock(&listener->lock);
	listener->n_requests++;
	open = !listener->stopping;
	pthread_mutex_unlock(&listener->lock);
	return open;
}

void listener_leave(struct listener *listener)
{
	pthread_mutex_lock(&listener->lock);
	listener->n_requests--;
	if (listener->stopping) /* else the watcher would be woken by every request, to walk over all connections */
		pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->lock);
}

/* A role may have several listeners: the gauge is of them all. */
static void count_connections(struct listener *listener, int64_t by)
{
	atomic_fetch_add_explicit(&listener->metrics->gauge[GAUGE_CONNECTIONS], by, memory_order_relaxed);
}

static void connection_started(struct listener *listener, struct MHD_Connection *connection, void **slot)
{
	const union MHD_ConnectionInfo *fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const union MHD_ConnectionInfo *from;
	struct connection *c = calloc(1, sizeof(*c));

	if (c != NULL && RAND_bytes((uint8_t *)&c->next_id, sizeof(c->next_id)) != 1) {
		free(c);
		c = NULL;
	}
	*slot = c; /* NULL: its requests are refused */
	if (c == NULL)
		return;
	c->fd = fd->connect_fd; /* libmicrohttpd has it for every connection */
	from = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	c->door = doorkeeper_entered(listener->doorkeeper, from->client_addr); /* and the address too */
	atomic_init(&c->deadline_us, clock_mono_us() + LIMIT_FIRST_REQUEST_S * INT64_C(1000000));
	count_connections(listener, 1);
	atomic_fetch_add_explicit(&listener->beginners, 1, memory_order_relaxed);
	pthread_mutex_lock(&listener->lock);
	c->next = listener->connections;
	if (c->next != NULL)
		c->next->prev = c;
	listener->connections = c;
	pthread_mutex_unlock(&listener->lock);
}

/* libmicrohttpd closes the socket only after this, so the watcher never shuts one that is another's by now. */
static void connection_closed(struct listener *listener, void **slot)
{
	struct connection *c = *slot;

	*slot = NULL;
	if (c == NULL)
		return;
	doorkeeper_left(listener->doorkeeper, c->door, c->vouched, clock_mono_us());
	count_connections(listener, -1);
	listener_asked(listener, c);
	pthread_mutex_lock(&listener->lock);
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		listener->connections = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	pthread_mutex_unlock(&listener->lock);
	peer_unref(c->peer);
	tls_keys_unref(c->keys); /* libmicrohttpd has ended the session before it tells of the close */
	free(c);
}

static void notify_connection(void *user, struct MHD_Connection *connection, void **slot,
			      enum MHD_ConnectionNotificationCode code)
{
	struct listener *listener = user;
	const union MHD_ConnectionInfo *info;
	struct connection *c;
	struct fault f;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		connection_closed(listener, slot);
		return;
	}
	connection_started(listener, connection, slot);
	c = *slot;
	if (listener->tls == NULL || c == NULL)
		return;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	c->session = info != NULL ? info->tls_session : NULL;
	if (info == NULL || tls_prepare(listener->tls, c->session, &c->fragment, &c->keys, &f) != REASON_OK)
		log_event(LOG_ERROR, "tls_session", "detail", LOG_STR, info != NULL ? f.detail : "no session", NULL);
}

/* Shuts every connection that has let its time pass; libmicrohttpd then sees its end and closes it. */
static void shut_overdue(struct listener *listener)
{
	int64_t now_us = clock_mono_us();

	for (struct connection *c = listener->connections; c != NULL; c = c->next)
		if (atomic_load(&c->deadline_us) < now_us)
			(void)shutdown(c->fd, SHUT_RDWR);
}

static void *watch(void *user)
{
	struct listener *listener = user;

	pthread_mutex_lock(&listener->lock);
	while (!listener->closed) {
		struct timespec until;
		int64_t at_us = clock_mono_us() + WATCH_US;

		until = (struct timespec){ at_us / 1000000, (long)(at_us % 1000000) * 1000 };
		(void)pthread_cond_timedwait(&listener->changed, &listener->lock, &until);
		shut_overdue(listener);
	}
	pthread_mutex_unlock(&listener->lock);
	return NULL;
}

/* Paths are decoded by route.c, which knows what may be in them; a NUL from "%00" would cut them short here. */
static size_t keep_escapes(void *user, struct MHD_Connection *connection, char *text)
{
	(void)user, (void)connection;
	return strlen(text);
}

static void drop_message(void *user, const char *fmt, va_list args)
{
	(void)user, (void)fmt, (void)args; /* what strangers do to TLS is no news; what matters is counted */
}

static void count_refused(struct listener *listener, enum door door)
{
	static const enum metric_gauge gauge[] = {
		[DOOR_ADDRESS] = GAUGE_CONNECTIONS_REFUSED,
		[DOOR_STRANGERS] = GAUGE_CONNECTIONS_RATIONED,
		[DOOR_FULL] = GAUGE_CONNECTIONS_FULL,
	};

	atomic_fetch_add_explicit(&listener->metrics->gauge[gauge[door]], 1, memory_order_relaxed);
}

/* Before TLS: a refused connection is closed at once and costs no handshake. */
static void take(void *user, int fd, const struct sockaddr *from, socklen_t len)
{
	struct listener *listener = user;
	int64_t now_us = clock_mono_us();
	enum door door = doorkeeper_admit(listener->doorkeeper, from, now_us);

	if (door != DOOR_OPEN) {
		count_refused(listener, door); /* before the client can know */
		acceptor_refuse(fd);
	} else if (!anteroom_enter(listener->anteroom, fd, from, len,
				   doorkeeper_knows(listener->doorkeeper, from, now_us), now_us)) {
		doorkeeper_failed(listener->doorkeeper, from);
		count_refused(listener, DOOR_FULL);
		acceptor_refuse(fd);
	}
}

/* libmicrohttpd closes what it cannot take. */
static void hand_over(void *user, const struct newcomer *newcomer)
{
	struct listener *listener = user;
	const struct sockaddr *from = (const struct sockaddr *)&newcomer->from;

	if (MHD_add_connection(listener->daemon, newcomer->fd, from, newcomer->len) != MHD_YES) {
		doorkeeper_failed(listener->doorkeeper, from);
		count_refused(listener, DOOR_FULL);
	}
}

static void send_away(void *user, const struct newcomer *newcomer)
{
	struct listener *listener = user;

	doorkeeper_failed(listener->doorkeeper, (const struct sockaddr *)&newcomer->from);
	acceptor_refuse(newcomer->fd);
}

/* Since the last request over a connection that lasts, at any listener of the role. */
static int64_t quiet_us(const struct listener *listener)
{
	int64_t lasting_ms = atomic_load_explicit(&listener->metrics->gauge[GAUGE_LASTING_MS], memory_order_relaxed);

	return lasting_ms == 0 ? INT64_MAX : clock_mono_us() - lasting_ms * 1000;
}

static void rest(void *user)
{
	struct listener *listener = user;
	struct pace_rest rest = pace_next(&listener->pace, quiet_us(listener), listener_beginners(listener));

	if (rest.sleep_us > 0)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = rest.sleep_us * 1000 }, NULL);
	if (rest.lull_us > 0)
		lull_wait(listener->lull, rest.lull_us);
}

static bool one_turn(void *user)
{
	struct listener *listener = user;

	return anteroom_turn(listener->anteroom, clock_mono_us());
}

static unsigned processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

static enum reason start_daemon(struct listener *listener, const struct listener_options *options, struct fault *f)
{
	unsigned flags =
		MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_NO_LISTEN_SOCKET;
	unsigned threads = options->threads != 0 ? options->threads : processors();
	unsigned connections = options->connections * threads; /* of a thread as many: the doorkeeper counts */
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, NULL },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, NULL },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};

	if (listener->tls != NULL) {
		flags |= MHD_USE_TLS;
		tls[0].ptr_value = (void *)(uintptr_t)tls_certificate_pem(listener->tls);
		tls[1].ptr_value = (void *)(uintptr_t)tls_key_pem(listener->tls);
		tls[2].ptr_value = (void *)(uintptr_t)tls_priorities();
	} else {
		tls[0] = tls[3];
	}
	listener->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, exchange_handler, listener, MHD_OPTION_EXTERNAL_LOGGER, drop_message, NULL,
		MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 0, MHD_OPTION_CONNECTION_LIMIT, connections,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)LIMIT_FIRST_REQUEST_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, listener,
		MHD_OPTION_NOTIFY_CONNECTION, notify_connection, listener, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes,
		NULL, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	if (listener->daemon == NULL)
		return fault_set(f, REASON_CONFIG,
				 "listener \"%.32s\" on %.48s port %u does not start: check threads (%u), "
				 "connections (%u) and the TLS certificate",
				 options->name, options->address, options->port, threads, options->connections);
	return REASON_OK;
}

static enum reason start_watcher(struct listener *listener, struct fault *f)
{
	int error = pthread_create(&listener->watcher, NULL, watch, listener);

	if (error != 0)
		return fault_set(f, REASON_NO_MEMORY, "listener's watching thread: %s", strerror(error));
	listener->watching = true;
	return REASON_OK;
}

static struct listener *listener_new(void)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	pthread_condattr_t monotonic;

	if (listener == NULL)
		return NULL;
	pthread_mutex_init(&listener->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&listener->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return listener;
}

AUTO_FREE(struct listener, listener_stopp, listener_stop)

enum reason listener_open(const struct listener_options *options, struct tls *tls, const struct http_app *app,
			  void *role, struct metrics *metrics, struct listener **ret_listener, struct fault *f)
{
	AUTO(listener_stopp) struct listener *listener = listener_new();

	if (listener == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct listener");
	listener->app = app;
	listener->role = role;
	listener->metrics = metrics;
	listener->tls = tls;
	listener->idle_s = options->idle_s;
	listener->for_rigs = options->clients == CLIENTS_RIGS;
	listener->doorkeeper = doorkeeper_new(&(struct doorkeeper_limits){ .per_address = options->per_address,
									   .per_address_s = options->handshakes_s,
									   .all = options->connections,
									   .reserve = options->reserve,
									   .strangers_s = options->strangers_s });
	listener->anteroom = anteroom_new(&(struct anteroom_ways){
		.take = hand_over, .leave = send_away, .rest = tls != NULL ? rest : NULL, .user = listener });
	if (listener->doorkeeper == NULL || listener->anteroom == NULL)
		return fault_set(f, REASON_NO_MEMORY, "doorkeeper");
	listener->pace.processors = processors();
	TRY(acceptor_open(options->name, options->address, options->port, &listener->acceptor, f));
	listener->port = acceptor_port(listener->acceptor);
	TRY(start_daemon(listener, options, f));
	TRY(start_watcher(listener, f));
	if (tls != NULL)
		TRY(lull_open(&listener->lull, f));
	TRY(acceptor_start(listener->acceptor, take, one_turn, listener, f));
	*ret_listener = TAKE(listener);
	return REASON_OK;
}

void listener_quiesce(struct listener *listener)
{
	if (listener == NULL)
		return;
	pthread_mutex_lock(&listener->lock);
	listener->stopping = true;
	pthread_mutex_unlock(&listener->lock);
	acceptor_stop(TAKE(listener->acceptor));
	anteroom_free(TAKE(listener->anteroom));
}

void listener_stop(struct listener *listener)
{
	if (listener == NULL)
		return;
	listener_quiesce(listener);
	pthread_mutex_lock(&listener->lock);
	while (listener->n_requests > 0) /* stopping with one suspended aborts the process */
		pthread_cond_wait(&listener->changed, &listener->lock);
	pthread_mutex_unlock(&listener->lock);
	if (listener->daemon != NULL)
		MHD_stop_daemon(listener->daemon);
	pthread_mutex_lock(&listener->lock);
	listener->closed = true;
	pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->lock);
	if (listener->watching)
		pthread_join(listener->watcher, NULL);
	lull_close(listener->lull);
	doorkeeper_free(listener->doorkeeper);
	pthread_cond_destroy(&listener->changed);
	pthread_mutex_destroy(&listener->lock);
	free(listener);
}
