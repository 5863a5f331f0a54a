/*
 * wire.c - see wire.h. With read_ahead a reply is one recv(), a request one send(): the driver's share of the processor
 * is as small as TLS and the kernel allow.
 */
#include "wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct wire_context {
	SSL_CTX *ssl;
	struct bytes known; /* the server's certificate, once its chain has been found good */
	char host[128], authority[160];
	struct sockaddr_storage address;
	socklen_t address_len;
};

void wire_context_free(struct wire_context *context)
{
	if (context == NULL)
		return;
	SSL_CTX_free(context->ssl);
	bytes_done(&context->known);
	free(context);
}

static void auto_context(struct wire_context **context)
{
	wire_context_free(*context);
}

const char *wire_host(const struct wire_context *context)
{
	return context->authority;
}

/* A ticket has come: TLS 1.3 sends it after the handshake, and may send several. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct wire *wire = SSL_get_app_data(ssl);

	if (!wire->resumes)
		return 0;
	SSL_SESSION_free(wire->session);
	wire->session = session;
	return 1;
}

static bool resolve(struct wire_context *context, const char *url, struct trouble *t)
{
	char port[8];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
	int code;

	if (sscanf(url, "https://%100[^:/]:%7[0-9]", context->host, port) != 2)
		return trouble_set(t, "the server's address is https://host:port, not '%s'", url);
	code = getaddrinfo(context->host, port, &hints, &found);
	if (code != 0)
		return trouble_set(t, "%s: %s", context->host, gai_strerror(code));
	memcpy(&context->address, found->ai_addr, found->ai_addrlen);
	context->address_len = found->ai_addrlen;
	freeaddrinfo(found);
	(void)snprintf(context->authority, sizeof(context->authority), "%s:%s", context->host, port);
	return true;
}

/* A chain to a P-384 root costs 1.5 ms: the same certificate again is not checked again. */
static int verify_once(X509_STORE_CTX *ctx, void *user)
{
	struct wire_context *context = user;
	AUTO(bytes_done) struct bytes der = { 0 };
	int n = i2d_X509(X509_STORE_CTX_get0_cert(ctx), &der.ptr);

	der.len = n > 0 ? (size_t)n : 0;
	if (der.len > 0 && der.len == context->known.len && memcmp(der.ptr, context->known.ptr, der.len) == 0)
		return 1;
	if (X509_verify_cert(ctx) != 1)
		return 0;
	bytes_done(&context->known);
	context->known = der;
	der = (struct bytes){ 0 }; /* handed over */
	return 1;
}

static bool check_server(struct wire_context *context)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context->ssl);

	SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(context->ssl, verify_once, context);
	return X509_VERIFY_PARAM_set1_ip_asc(param, context->host) == 1 ||
	       X509_VERIFY_PARAM_set1_host(param, context->host, 0) == 1;
}

static bool restrict_tls(SSL_CTX *ssl, const struct wire_options *o)
{
	int version = o->tls == NULL ? 0 : strcmp(o->tls, "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;

	if (SSL_CTX_set_min_proto_version(ssl, version == 0 ? TLS1_2_VERSION : version) != 1 ||
	    SSL_CTX_set_max_proto_version(ssl, version) != 1)
		return false;
	if (o->group != NULL && SSL_CTX_set1_groups_list(ssl, o->group) != 1)
		return false;
	if (o->suite == NULL)
		return true;
	return version == TLS1_2_VERSION ? SSL_CTX_set_cipher_list(ssl, o->suite) == 1
					 : SSL_CTX_set_ciphersuites(ssl, o->suite) == 1;
}

bool wire_context_new(const struct wire_options *o, struct wire_context **ret_context, struct trouble *t)
{
	AUTO(auto_context) struct wire_context *context = calloc(1, sizeof(*context));

	if (context == NULL || (context->ssl = SSL_CTX_new(TLS_client_method())) == NULL)
		return trouble_set(t, "not enough memory");
	if (!resolve(context, o->url, t))
		return false;
	if (SSL_CTX_load_verify_file(context->ssl, o->cacert) != 1)
		return trouble_openssl(t, o->cacert);
	if (o->cert_file != NULL && (SSL_CTX_use_certificate_chain_file(context->ssl, o->cert_file) != 1 ||
				     SSL_CTX_use_PrivateKey_file(context->ssl, o->key_file, SSL_FILETYPE_PEM) != 1))
		return trouble_openssl(t, o->cert_file);
	if (!check_server(context) || !restrict_tls(context->ssl, o))
		return trouble_openssl(t, "TLS settings");
	SSL_CTX_set_read_ahead(context->ssl, 1);
	SSL_CTX_set_mode(context->ssl,
			 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context->ssl, keep_session);
	*ret_context = TAKE(context);
	return true;
}

void wire_close(struct wire *wire)
{
	if (wire->state == WIRE_DOWN)
		return;
	if (wire->state == WIRE_UP)
		(void)SSL_shutdown(wire->ssl);
	SSL_free(wire->ssl);
	(void)close(wire->fd);
	ERR_clear_error();
	wire->ssl = NULL;
	wire->state = WIRE_DOWN;
	wire->waits = false;
}

void wire_done(struct wire *wire)
{
	wire_close(wire);
	SSL_SESSION_free(wire->session);
	free(wire->out);
	free(wire->in);
	*wire = (struct wire){ 0 };
}

bool wire_room(struct wire *wire)
{
	if (wire->out == NULL)
		wire->out = malloc(WIRE_REQUEST_MAX);
	if (wire->in == NULL)
		wire->in = malloc(WIRE_REPLY_MAX + 1);
	return wire->out != NULL && wire->in != NULL;
}

static bool set_up_tls(struct wire *wire)
{
	wire->ssl = SSL_new(wire->context->ssl);
	if (wire->ssl == NULL || SSL_set_app_data(wire->ssl, wire) != 1 || SSL_set_fd(wire->ssl, wire->fd) != 1)
		return false;
	if (wire->cert != NULL &&
	    (SSL_use_certificate(wire->ssl, wire->cert) != 1 || SSL_use_PrivateKey(wire->ssl, wire->key) != 1))
		return false;
	return wire->session == NULL || !wire->resumes || SSL_set_session(wire->ssl, wire->session) == 1;
}

bool wire_open(struct wire *wire, int epoll_fd, struct trouble *t)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = wire->user };
	const struct wire_context *context = wire->context;
	int one = 1;

	wire_close(wire);
	wire->fd = socket(context->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (wire->fd < 0)
		return trouble_set(t, "socket: %s", strerror(errno));
	wire->state = WIRE_SHAKING; /* from here on wire_close() has something to do */
	(void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if ((connect(wire->fd, (const struct sockaddr *)&context->address, context->address_len) != 0 &&
	     errno != EINPROGRESS) ||
	    !wire_room(wire) || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wire->fd, &event) != 0)
		return trouble_set(t, "connect: %s", strerror(errno));
	return set_up_tls(wire) || trouble_openssl(t, "TLS");
}

static enum wire_event lost(const struct wire *wire, int code, struct trouble *t)
{
	if (code == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
		(void)trouble_set(t, "connection: %s", errno == 0 ? "closed without a word" : strerror(errno));
	else
		(void)trouble_openssl(t, wire->state == WIRE_SHAKING ? "handshake" : "connection");
	return WIRE_LOST;
}

static bool must_wait(int code)
{
	return code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE;
}

static enum wire_event shake(struct wire *wire, struct trouble *t)
{
	int n, code;

	ERR_clear_error();
	errno = 0;
	n = SSL_connect(wire->ssl);
	if (n == 1) {
		wire->state = WIRE_UP;
		return WIRE_OPENED;
	}
	code = SSL_get_error(wire->ssl, n);
	return must_wait(code) ? WIRE_WAIT : lost(wire, code, t);
}

/* WIRE_REPLY: all is sent. */
static enum wire_event write_out(struct wire *wire, struct trouble *t)
{
	int n, code;

	if (wire->out_at == wire->out_len)
		return WIRE_REPLY;
	ERR_clear_error();
	errno = 0;
	n = SSL_write(wire->ssl, wire->out + wire->out_at, (int)(wire->out_len - wire->out_at));
	if (n > 0) {
		wire->out_at += (size_t)n;
		return WIRE_REPLY;
	}
	code = SSL_get_error(wire->ssl, n);
	return must_wait(code) ? WIRE_WAIT : lost(wire, code, t);
}

static enum wire_event parse(struct wire *wire, struct http_reply *ret_reply, struct trouble *t)
{
	enum http_progress progress;

	wire->in[wire->in_len] = '\0';
	progress = http_reply_parse(wire->in, wire->in_len, ret_reply);
	if (progress == HTTP_BROKEN || (progress == HTTP_MORE && wire->in_len == WIRE_REPLY_MAX)) {
		(void)trouble_set(t, "not a reply that the driver understands: %.60s", wire->in);
		return WIRE_LOST;
	}
	if (progress == HTTP_WHOLE)
		wire->waits = false;
	return progress == HTTP_WHOLE ? WIRE_REPLY : WIRE_WAIT;
}

/* With nothing asked: takes in tickets and notices the end. */
static enum wire_event read_in(struct wire *wire, struct http_reply *ret_reply, struct trouble *t)
{
	enum wire_event event = WIRE_WAIT;
	int n, code;

	while (event == WIRE_WAIT) {
		ERR_clear_error();
		errno = 0;
		n = SSL_read(wire->ssl, wire->in + wire->in_len, (int)(WIRE_REPLY_MAX - wire->in_len));
		if (n <= 0) {
			code = SSL_get_error(wire->ssl, n);
			if (must_wait(code))
				return WIRE_WAIT;
			return code == SSL_ERROR_ZERO_RETURN ? WIRE_CLOSED : lost(wire, code, t);
		}
		if (wire->state == WIRE_LEAVING)
			continue; /* what it says now is not asked for */
		wire->in_len += (size_t)n;
		event = parse(wire, ret_reply, t);
	}
	return event;
}

enum wire_event wire_step(struct wire *wire, struct http_reply *ret_reply, struct trouble *t)
{
	if (wire->state == WIRE_DOWN)
		return WIRE_WAIT;
	if (wire->state == WIRE_SHAKING)
		return shake(wire, t);
	if (wire->state == WIRE_UP && wire->waits) {
		enum wire_event event = write_out(wire, t);

		if (event != WIRE_REPLY)
			return event;
	}
	return read_in(wire, ret_reply, t);
}

void wire_send(struct wire *wire, size_t len)
{
	wire->out_len = len;
	wire->out_at = 0;
	wire->in_len = 0;
	wire->waits = true;
}

void wire_leave(struct wire *wire)
{
	ERR_clear_error();
	(void)SSL_shutdown(wire->ssl);
	wire->state = WIRE_LEAVING;
	wire->in_len = 0;
}

void wire_describe(const struct wire *wire, char *out, size_t cap)
{
	int group = (int)SSL_get_negotiated_group(wire->ssl);
	const char *name = group == NID_X9_62_prime256v1 ? "P-256" : OBJ_nid2sn(group);

	(void)snprintf(out, cap, "%s %s %s", SSL_get_version(wire->ssl), SSL_get_cipher_name(wire->ssl),
		       name == NULL ? "none" : name);
}
