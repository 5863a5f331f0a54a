/*
 * tls.h - what Assay wants of TLS: versions, suites, client certificates, tickets. tls.c alone touches GnuTLS sessions.
 *
 * Client certificates are asked for and never demanded, and nothing is verified here: the chain goes to peer.h as
 * bytes, so that a certificate nobody trusts does not break /cacerts.
 *
 * Owns:    certificate, key and ticket key.
 * Threads: read-only after open.
 * Spec:    RFC 9325 (TLS 1.2 and 1.3, forward secrecy, AEAD), RFC 7301 (ALPN), RFC 5077 and 8446 (tickets).
 */
#ifndef ASSAY_TLS_H
#define ASSAY_TLS_H

#include "http/peer.h"

struct tls;

/* PEM files; the certificate file holds the chain, leaf first. REASON_CONFIG naming the file and what is wrong. */
MUST_CHECK enum reason tls_open(const char *certificate_path, const char *key_path, struct tls **ret_tls,
				struct fault *f);
void tls_free(struct tls *tls); /* accepts NULL */

/* For libmicrohttpd, which wants them as text. */
const char *tls_certificate_pem(const struct tls *tls);
const char *tls_key_pem(const struct tls *tls);
const char *tls_priorities(void);

/*
 * The channel binding of this connection, which a CSR's challengePassword holds as base64 (RFC 7030 section 3.5):
 *   TLS 1.3  tls-exporter (RFC 9266; RFC 9148 section 3 asks for it in DTLS 1.3, nothing does for EST over HTTPS)
 *   TLS 1.2  tls-unique (RFC 5929). Without the extended master secret, which strongSwan 5.9 lacks, on full handshakes
 *            only: on a resumed session an attacker in the middle can make two connections' values equal (RFC 7627).
 * Renegotiation, which would change what a binding means, never happens here.
 */
struct binding {
	const char *type; /* "tls-unique", "tls-exporter", or NULL: none can be had, `why` says why */
	const char *why;
	bool once; /* tls-exporter: good for one authentication, then the connection closes (RFC 9266) */
	size_t len;
	uint8_t value[64];
};
void tls_binding(void *session, struct binding *ret_binding);

/* A new connection's session (a gnutls_session_t), before its handshake. */
MUST_CHECK enum reason tls_prepare(const struct tls *tls, void *session, struct fault *f);
/* After the handshake: the client's chain; NULL when it showed none, or memory is short. */
struct peer *tls_peer(void *session);

#endif
