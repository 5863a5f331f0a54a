/*
 * tls.c - see tls.h.
 */
#include "http/tls.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define EXTENSION_MAX_FRAGMENT 1 /* RFC 6066 section 4 */
#define EXTENSION_ALPN 16        /* RFC 7301 section 6 */
#define RECORD_MAX 16384
#define TICKET_SECRET_BYTES 32
#define TICKET_LABEL "assay tls ticket 1" /* keeps it apart from what else the same secret serves */

/*
 * In the order we prefer. TLS 1.2: ECDHE with AES-128-GCM first (RFC 9325 section 4.2). No CBC, no static RSA, no DHE,
 * no SHA-1. Extended master secret is offered and not required: strongSwan 5.9 lacks it. GnuTLS's default holds for
 * renegotiation: never without RFC 5746, and libmicrohttpd ends the connection when a client asks for one.
 */
static const char priorities[] = "NONE:+VERS-TLS1.3:+VERS-TLS1.2"
				 ":+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+ECDHE-ECDSA:+ECDHE-RSA"
				 ":+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1"
				 ":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-ECDSA-SHA256:+SIGN-"
				 "ECDSA-SHA384:+SIGN-ECDSA-SHA512"
				 ":+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512"
				 ":+SIGN-RSA-PSS-SHA256:+SIGN-RSA-PSS-SHA384:+SIGN-RSA-PSS-SHA512"
				 ":+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512"
				 ":+COMP-NULL:+CTYPE-X509:%SERVER_PRECEDENCE";

struct tls_keys {
	atomic_uint refs;
	gnutls_certificate_credentials_t credentials;
	gnutls_datum_t certificate, key; /* PEM with NUL */
	gnutls_datum_t ticket_key;
};

struct tls {
	char *certificate_path, *key_path, *ticket_path; /* ticket_path NULL: own_ticket_key serves */
	pthread_mutex_t lock;                            /* of `keys` */
	struct tls_keys *keys, *first;                   /* in use; those of the start, whose text libmicrohttpd has */
	gnutls_datum_t own_ticket_key;
};

static void datum_wipe(gnutls_datum_t *datum)
{
	if (datum->data != NULL)
		gnutls_memset(datum->data, 0, datum->size);
	gnutls_free(datum->data);
	*datum = (gnutls_datum_t){ 0 };
}

void tls_keys_unref(struct tls_keys *keys)
{
	if (keys == NULL || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (keys->credentials != NULL)
		gnutls_certificate_free_credentials(keys->credentials);
	datum_wipe(&keys->certificate);
	datum_wipe(&keys->key);
	datum_wipe(&keys->ticket_key);
	free(keys);
}

AUTO_FREE(struct tls_keys, tls_keys_unrefp, tls_keys_unref)

static struct tls_keys *keys_ref(struct tls_keys *keys)
{
	atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
	return keys;
}

void tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	tls_keys_unref(tls->keys);
	tls_keys_unref(tls->first);
	pthread_mutex_destroy(&tls->lock);
	free(tls->certificate_path);
	free(tls->key_path);
	free(tls->ticket_path);
	datum_wipe(&tls->own_ticket_key);
	free(tls);
}

AUTO_FREE(struct tls, tls_freep, tls_free)

/* The file with a NUL behind it, for libmicrohttpd takes strings. */
static enum reason load(const char *path, gnutls_datum_t *ret_text, struct fault *f)
{
	gnutls_datum_t file = { 0 }, text;
	int error = gnutls_load_file(path, &file);

	if (error < 0)
		return fault_set(f, REASON_CONFIG, "%s: %s", path, gnutls_strerror(error));
	text.data = gnutls_malloc(file.size + 1);
	text.size = file.size;
	if (text.data != NULL) {
		memcpy(text.data, file.data, file.size);
		text.data[file.size] = '\0';
	}
	datum_wipe(&file);
	if (text.data == NULL)
		return fault_set(f, REASON_NO_MEMORY, "%s", path);
	*ret_text = text;
	return REASON_OK;
}

/* As long as GnuTLS's own, which is replaced. */
static int derive(gnutls_datum_t secret, gnutls_datum_t *key)
{
	static const gnutls_datum_t label = { (unsigned char *)(uintptr_t)TICKET_LABEL, sizeof(TICKET_LABEL) - 1 };
	static const gnutls_datum_t no_salt = { NULL, 0 };
	unsigned char extracted[32];
	gnutls_datum_t middle = { extracted, sizeof(extracted) };
	int error = gnutls_hkdf_extract(GNUTLS_MAC_SHA256, &secret, &no_salt, extracted);

	if (error == 0)
		error = gnutls_hkdf_expand(GNUTLS_MAC_SHA256, &middle, &label, key->data, key->size);
	gnutls_memset(extracted, 0, sizeof(extracted));
	return error;
}

/* Of the file of secrets the first one; GnuTLS takes one alone. */
static enum reason shared_ticket_key(const char *path, gnutls_datum_t *key, struct fault *f)
{
	gnutls_datum_t secret = { 0 };
	unsigned size;
	int error = gnutls_load_file(path, &secret);

	if (error < 0)
		return fault_set(f, REASON_CONFIG, "TLS ticket secret %s: %s", path, gnutls_strerror(error));
	size = secret.size;
	if (size > 0 && size % TICKET_SECRET_BYTES == 0)
		error = derive((gnutls_datum_t){ secret.data, TICKET_SECRET_BYTES }, key);
	datum_wipe(&secret);
	if (size == 0 || size % TICKET_SECRET_BYTES != 0)
		return fault_set(f, REASON_CONFIG, "TLS ticket secret %s must have %d bytes, or as often that, has %u",
				 path, TICKET_SECRET_BYTES, size);
	if (error < 0)
		return fault_set(f, REASON_INTERNAL, "TLS ticket key: %s", gnutls_strerror(error));
	return REASON_OK;
}

static enum reason load_ticket_key(const struct tls *tls, gnutls_datum_t *key, struct fault *f)
{
	key->data = gnutls_malloc(tls->own_ticket_key.size);
	if (key->data == NULL)
		return fault_set(f, REASON_NO_MEMORY, "TLS ticket key");
	key->size = tls->own_ticket_key.size;
	if (tls->ticket_path != NULL)
		return shared_ticket_key(tls->ticket_path, key, f);
	memcpy(key->data, tls->own_ticket_key.data, key->size);
	return REASON_OK;
}

enum reason tls_load(const struct tls *tls, struct tls_keys **ret_keys, struct fault *f)
{
	AUTO(tls_keys_unrefp) struct tls_keys *keys = calloc(1, sizeof(*keys));
	int error;

	if (keys == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct tls_keys");
	atomic_init(&keys->refs, 1);
	TRY(load(tls->certificate_path, &keys->certificate, f));
	TRY(load(tls->key_path, &keys->key, f));
	TRY(load_ticket_key(tls, &keys->ticket_key, f));
	error = gnutls_certificate_allocate_credentials(&keys->credentials);
	if (error == 0)
		error = gnutls_certificate_set_x509_key_mem(keys->credentials, &keys->certificate, &keys->key,
							    GNUTLS_X509_FMT_PEM);
	if (error < 0)
		return fault_set(f, REASON_CONFIG, "TLS certificate %.60s with key %.60s: %s", tls->certificate_path,
				 tls->key_path, gnutls_strerror(error));
	*ret_keys = TAKE(keys);
	return REASON_OK;
}

enum reason tls_open(const char *certificate_path, const char *key_path, struct tls **ret_tls, struct fault *f)
{
	AUTO(tls_freep) struct tls *tls = calloc(1, sizeof(*tls));
	int error;

	if (tls == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct tls");
	pthread_mutex_init(&tls->lock, NULL);
	tls->certificate_path = strdup(certificate_path);
	tls->key_path = strdup(key_path);
	if (tls->certificate_path == NULL || tls->key_path == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct tls");
	error = gnutls_session_ticket_key_generate(&tls->own_ticket_key);
	if (error < 0)
		return fault_set(f, REASON_INTERNAL, "TLS ticket key: %s", gnutls_strerror(error));
	TRY(tls_load(tls, &tls->first, f));
	tls->keys = keys_ref(tls->first);
	*ret_tls = TAKE(tls);
	return REASON_OK;
}

enum reason tls_share_tickets(struct tls *tls, const char *secret_path, struct fault *f)
{
	AUTO(tls_keys_unrefp) struct tls_keys *keys = NULL;
	char *path = strdup(secret_path);

	if (path == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct tls");
	free(tls->ticket_path);
	tls->ticket_path = path;
	TRY(tls_load(tls, &keys, f));
	tls_use(tls, TAKE(keys));
	return REASON_OK;
}

const char *tls_certificate_pem(const struct tls *tls)
{
	return (const char *)tls->first->certificate.data;
}

const char *tls_key_pem(const struct tls *tls)
{
	return (const char *)tls->first->key.data;
}

const char *tls_priorities(void)
{
	return priorities;
}

static struct tls_keys *keys_now(struct tls *tls)
{
	struct tls_keys *keys;

	pthread_mutex_lock(&tls->lock);
	keys = keys_ref(tls->keys);
	pthread_mutex_unlock(&tls->lock);
	return keys;
}

void tls_use(struct tls *tls, struct tls_keys *keys)
{
	struct tls_keys *old;

	pthread_mutex_lock(&tls->lock);
	old = tls->keys;
	tls->keys = keys;
	pthread_mutex_unlock(&tls->lock);
	tls_keys_unref(old);
}

/* What a client's first message has, beside what GnuTLS makes of it. */
struct hello {
	bool alpn;
	unsigned fragment; /* of RFC 6066 section 4, in bytes; 0: none is asked for */
};

static int look_at_extension(void *user, unsigned id, const unsigned char *data, unsigned size)
{
	struct hello *hello = user;

	hello->alpn = hello->alpn || id == EXTENSION_ALPN;
	if (id == EXTENSION_MAX_FRAGMENT && size == 1 && data[0] >= 1 && data[0] <= 4)
		hello->fragment = 256U << data[0];
	return 0;
}

/*
 * RFC 7301 section 3.2: a client that offers protocols and none of ours is told so by its alert. GnuTLS would end the
 * handshake by itself, but libmicrohttpd then closes without a word; so the alert is sent from here.
 */
static int refuse_other_protocols(gnutls_session_t s, const struct hello *hello)
{
	gnutls_datum_t chosen;

	if (!hello->alpn || gnutls_alpn_get_selected_protocol(s, &chosen) == 0)
		return 0;
	(void)gnutls_alert_send(s, GNUTLS_AL_FATAL, GNUTLS_A_NO_APPLICATION_PROTOCOL);
	return GNUTLS_E_NO_APPLICATION_PROTOCOL;
}

static int hear_hello(gnutls_session_t s, unsigned type, unsigned when, unsigned incoming, const gnutls_datum_t *text)
{
	struct hello hello = { 0 };
	unsigned *fragment = gnutls_db_get_ptr(s);

	(void)type, (void)when;
	if (!incoming ||
	    gnutls_ext_raw_parse(&hello, look_at_extension, text, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO) < 0)
		return 0;
	*fragment = hello.fragment;
	return refuse_other_protocols(s, &hello);
}

enum reason tls_prepare(struct tls *tls, void *session, unsigned *fragment, struct tls_keys **ret_keys, struct fault *f)
{
	AUTO(tls_keys_unrefp) struct tls_keys *keys = keys_now(tls);
	static const gnutls_datum_t alpn = { (unsigned char *)(uintptr_t) "http/1.1", 8 };
	gnutls_session_t s = session;
	int error;

	gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUEST);
	/* 1: no CA names, for clients choose a certificate by them and devices' vendors are many */
	gnutls_certificate_send_x509_rdn_sequence(s, 1);
	gnutls_db_set_cache_expiration(s, TLS_TICKET_LIFETIME_S);
	error = gnutls_session_ticket_enable_server(s, &keys->ticket_key);
	gnutls_db_set_ptr(s, fragment); /* free for us: sessions are kept in tickets; the other is libmicrohttpd's */
	gnutls_handshake_set_hook_function(s, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_POST, hear_hello);
	if (error >= 0)
		error = gnutls_alpn_set_protocols(s, &alpn, 1, 0); /* not mandatory: it would end before our hook */
	if (error >= 0) /* ours instead of libmicrohttpd's: they can be replaced while it runs */
		error = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, keys->credentials);
	if (error < 0)
		return fault_set(f, REASON_INTERNAL, "TLS session: %s", gnutls_strerror(error));
	*ret_keys = TAKE(keys);
	return REASON_OK;
}

static void take_binding(gnutls_session_t s, gnutls_channel_binding_t kind, const char *type, struct binding *binding)
{
	gnutls_datum_t value = { 0 };

	if (gnutls_session_channel_binding(s, kind, &value) == 0 && value.size > 0 &&
	    value.size <= sizeof(binding->value)) {
		memcpy(binding->value, value.data, value.size);
		binding->len = value.size;
		binding->type = type;
	}
	gnutls_free(value.data);
}

void tls_binding(void *session, struct binding *ret_binding)
{
	gnutls_session_t s = session;

	*ret_binding = (struct binding){ .why = "the TLS library gives none" };
	if (gnutls_protocol_get_version(s) >= GNUTLS_TLS1_3) {
		ret_binding->once = true;
		take_binding(s, GNUTLS_CB_TLS_EXPORTER, "tls-exporter", ret_binding);
	} else if (gnutls_session_is_resumed(s) && !gnutls_session_ext_master_secret_status(s)) {
		ret_binding->why = "resumed TLS 1.2 session without extended master secret";
	} else {
		take_binding(s, GNUTLS_CB_TLS_UNIQUE, "tls-unique", ret_binding);
	}
}

bool tls_hold(void *session)
{
	/* gnutls_record_cork() would forget that an answer to this is owed */
	if (gnutls_handshake_get_last_in(session) == GNUTLS_HANDSHAKE_KEY_UPDATE)
		return false;
	gnutls_record_cork(session);
	return true;
}

bool tls_release(void *session)
{
	int on = 1, sent = gnutls_record_uncork(session, 0);

	/* libmicrohttpd leaves TCP_CORK on and pushes by this option after its own last write, which lies before ours:
	 * without it the kernel would keep a short reply back for 200 ms */
	(void)setsockopt(gnutls_transport_get_int(session), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return sent >= 0;
}

void tls_settle(void *session, unsigned fragment)
{
	if (fragment == 0)
		return;
	(void)gnutls_record_set_max_size(session, fragment);
	(void)gnutls_record_set_max_recv_size(session, RECORD_MAX);
}

struct peer *tls_peer(void *session)
{
	struct blob chain[LIMIT_CHAIN_DEPTH];
	unsigned n = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);

	if (list == NULL || n == 0)
		return NULL;
	if (n > LIMIT_CHAIN_DEPTH)
		n = LIMIT_CHAIN_DEPTH;
	for (unsigned i = 0; i < n; i++)
		chain[i] = BLOB(list[i].data, list[i].size);
	return peer_new(chain, n);
}
