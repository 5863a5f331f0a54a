/*
 * tls.c - see tls.h.
 */
#include "http/tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

/* Stateless tickets are good for this long; the key is the process's own and dies with it. */
#define TICKET_LIFETIME_S 3600

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

struct tls {
	gnutls_certificate_credentials_t credentials;
	gnutls_datum_t certificate, key; /* PEM with NUL */
	gnutls_datum_t ticket_key;
};

static void datum_wipe(gnutls_datum_t *datum)
{
	if (datum->data != NULL)
		gnutls_memset(datum->data, 0, datum->size);
	gnutls_free(datum->data);
	*datum = (gnutls_datum_t){ 0 };
}

void tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	if (tls->credentials != NULL)
		gnutls_certificate_free_credentials(tls->credentials);
	datum_wipe(&tls->certificate);
	datum_wipe(&tls->key);
	datum_wipe(&tls->ticket_key);
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

enum reason tls_open(const char *certificate_path, const char *key_path, struct tls **ret_tls, struct fault *f)
{
	AUTO(tls_freep) struct tls *tls = calloc(1, sizeof(*tls));
	int error;

	if (tls == NULL)
		return fault_set(f, REASON_NO_MEMORY, "struct tls");
	TRY(load(certificate_path, &tls->certificate, f));
	TRY(load(key_path, &tls->key, f));
	error = gnutls_certificate_allocate_credentials(&tls->credentials);
	if (error == 0)
		error = gnutls_certificate_set_x509_key_mem(tls->credentials, &tls->certificate, &tls->key,
							    GNUTLS_X509_FMT_PEM);
	if (error < 0)
		return fault_set(f, REASON_CONFIG, "TLS certificate %.60s with key %.60s: %s", certificate_path,
				 key_path, gnutls_strerror(error));
	error = gnutls_session_ticket_key_generate(&tls->ticket_key);
	if (error < 0)
		return fault_set(f, REASON_INTERNAL, "TLS ticket key: %s", gnutls_strerror(error));
	*ret_tls = TAKE(tls);
	return REASON_OK;
}

const char *tls_certificate_pem(const struct tls *tls)
{
	return (const char *)tls->certificate.data;
}

const char *tls_key_pem(const struct tls *tls)
{
	return (const char *)tls->key.data;
}

const char *tls_priorities(void)
{
	return priorities;
}

enum reason tls_prepare(const struct tls *tls, void *session, struct fault *f)
{
	static const gnutls_datum_t alpn = { (unsigned char *)(uintptr_t) "http/1.1", 8 };
	gnutls_session_t s = session;
	int error;

	gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUEST);
	/* 1: no CA names, for clients choose a certificate by them and devices' vendors are many */
	gnutls_certificate_send_x509_rdn_sequence(s, 1);
	gnutls_db_set_cache_expiration(s, TICKET_LIFETIME_S);
	error = gnutls_session_ticket_enable_server(s, &tls->ticket_key);
	if (error >= 0) /* RFC 7301: a client that offers protocols and not this one is refused */
		error = gnutls_alpn_set_protocols(s, &alpn, 1, GNUTLS_ALPN_MANDATORY);
	if (error >= 0) /* ours instead of libmicrohttpd's: they can be replaced while it runs */
		error = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, tls->credentials);
	if (error < 0)
		return fault_set(f, REASON_INTERNAL, "TLS session: %s", gnutls_strerror(error));
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
