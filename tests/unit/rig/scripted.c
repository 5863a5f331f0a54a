/*
 * scripted.c - one connection at a time over OpenSSL, one reply a request, in the order of the script.
 */
#include "scripted.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "make.h"

struct scripted {
	SSL_CTX *ctx;
	int listener;
	char url[64];
	pthread_t thread;
	const struct scripted_reply *script;
	size_t n, done;
	struct scripted_request request[SCRIPTED_REQUESTS];
};

/* Reads one request: head, and as much body as Content-Length says. */
static bool read_request(SSL *ssl, struct scripted_request *ret_request)
{
	char text[8192];
	size_t len = 0, body_len = 0;
	char *body = NULL;

	while (body == NULL || len < (size_t)(body - text) + body_len) {
		int n = len + 1 < sizeof(text) ? SSL_read(ssl, text + len, (int)(sizeof(text) - 1 - len)) : 0;
		const char *header;

		if (n <= 0)
			return false;
		len += (size_t)n;
		text[len] = '\0';
		if (body != NULL || (body = strstr(text, "\r\n\r\n")) == NULL)
			continue;
		body += 4;
		header = strcasestr(text, "\r\nContent-Length:");
		body_len = header == NULL ? 0 : strtoul(header + 17, NULL, 10);
	}
	(void)snprintf(ret_request->head, sizeof(ret_request->head), "%.*s", (int)(body - text), text);
	(void)sscanf(text, "%*s %127s", ret_request->path);
	(void)snprintf(ret_request->body, sizeof(ret_request->body), "%.*s", (int)body_len, body);
	return true;
}

static bool write_reply(SSL *ssl, const struct scripted_reply *reply)
{
	const char *body = reply->body == NULL ? "" : reply->body;
	AUTO(auto_free) char *text = NULL;
	int len = asprintf(&text, "HTTP/1.1 %d Scripted\r\n%sContent-Length: %zu\r\n\r\n%s", reply->status,
			   reply->headers == NULL ? "" : reply->headers, strlen(body), body);

	return len > 0 && SSL_write(ssl, text, len) == len;
}

static void serve_connection(struct scripted *server, SSL *ssl)
{
	if (SSL_accept(ssl) != 1)
		return;
	while (server->done < server->n && read_request(ssl, &server->request[server->done])) {
		const struct scripted_reply *reply = &server->script[server->done++];

		if (reply->status == 0 || !write_reply(ssl, reply))
			return;
	}
}

static void *serve(void *user)
{
	struct scripted *server = user;
	int fd;

	while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
		SSL *ssl = SSL_new(server->ctx);

		if (ssl != NULL && SSL_set_fd(ssl, fd) == 1)
			serve_connection(server, ssl);
		SSL_free(ssl);
		(void)close(fd);
	}
	return NULL;
}

static SSL_CTX *make_context(const char *cacert_path)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	AUTO(make_cert_freep)
	X509 *cert = make_cert(&(struct make_cert){ .key = key, .cn = "scripted", .san = "IP:127.0.0.1" }, NULL, NULL);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	FILE *file = fopen(cacert_path, "w");

	if (file == NULL || PEM_write_X509(file, cert) != 1 || fclose(file) != 0 || ctx == NULL ||
	    SSL_CTX_use_certificate_file(ctx, cacert_path, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1)
		make_die("scripted server");
	return ctx;
}

struct scripted *scripted_start(const char *cacert_path, const struct scripted_reply *script, size_t n)
{
	struct scripted *server = calloc(1, sizeof(*server));
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	server->ctx = make_context(cacert_path);
	server->script = script;
	server->n = n;
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->listener < 0 || bind(server->listener, (struct sockaddr *)&address, len) != 0 ||
	    listen(server->listener, 8) != 0 || getsockname(server->listener, (struct sockaddr *)&address, &len) != 0)
		make_die("scripted server: no port");
	(void)snprintf(server->url, sizeof(server->url), "https://127.0.0.1:%u", ntohs(address.sin_port));
	if (pthread_create(&server->thread, NULL, serve, server) != 0)
		make_die("scripted server: no thread");
	return server;
}

const char *scripted_url(const struct scripted *server)
{
	return server->url;
}

size_t scripted_stop(struct scripted *server, struct scripted_request requests[SCRIPTED_REQUESTS])
{
	size_t done;

	(void)shutdown(server->listener, SHUT_RDWR); /* accept() returns */
	(void)pthread_join(server->thread, NULL);
	(void)close(server->listener);
	done = server->done;
	memcpy(requests, server->request, sizeof(server->request));
	SSL_CTX_free(server->ctx);
	free(server);
	return done;
}
