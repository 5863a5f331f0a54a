/*
 * tls.h - what Assay wants of TLS: versions, suites, client certificates, tickets. tls.c alone touches GnuTLS sessions.
 *
 * Client certificates are asked for and never demanded, and nothing is verified here: the chain goes to peer.h as
 * bytes, so that a certificate nobody trusts does not break /cacerts.
 *
 * Owns:    certificate, key and ticket key.
 * Threads: any; the keys in use stand under a lock.
 * Spec:    RFC 9325 (TLS 1.2 and 1.3, forward secrecy, AEAD), RFC 7301 (ALPN), RFC 5077 and 8446 (tickets).
 */
#ifndef ASSAY_TLS_H
#define ASSAY_TLS_H

#include "http/peer.h"

struct tls;
struct tls_keys; /* certificate, key and ticket key of one load, counted: a connection keeps those it began with */

/* PEM files; the certificate file holds the chain, leaf first. REASON_CONFIG naming the file and what is wrong. */
MUST_CHECK enum reason tls_open(const char *certificate_path, const char *key_path, struct tls **ret_tls,
				struct fault *f);
void tls_free(struct tls *tls); /* accepts NULL */

/*
 * Session tickets that outlive the process and hold on every node: their keys are derived (HKDF-SHA256, RFC 5869) from
 * a file of 32 secret bytes that all nodes share (of a file that holds several, as that of nonces may, the first 32);
 * without this call the secret is the process's own. It is read again with the certificate. GnuTLS changes the
 * key every three ticket lifetimes (TLS_TICKET_LIFETIME_S) by the clock and still takes the previous one; an older or a
 * foreign ticket means a full handshake, silently. A ticket says who came, never what they may: that is asked anew.
 *
 * What the rotation gives and what not: whoever learns the secret can derive every key of the past. TLS 1.3 resumes
 * with a fresh key exchange (psk_dhe_ke alone), so recorded traffic stays closed to them; a TLS 1.2 ticket holds the
 * session's secret, so recorded 1.2 connections do not. Replace the file on all nodes as often as that matters: tickets
 * of the old one then mean one full handshake each.
 */
#define TLS_TICKET_LIFETIME_S 3600
MUST_CHECK enum reason tls_share_tickets(struct tls *tls, const char *secret_path, struct fault *f);

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

/* A new connection's session (a gnutls_session_t), before its handshake. `fragment` is borrowed as long as that lives.
 */
MUST_CHECK enum reason tls_prepare(struct tls *tls, void *session, unsigned *fragment, struct tls_keys **ret_keys,
				   struct fault *f);
void tls_keys_unref(struct tls_keys *keys); /* when the session has gone; accepts NULL */

/*
 * After the handshake: records are no longer than the client can take, if it said so (RFC 6066 section 4; small devices
 * do). GnuTLS 3.7 confirms that, and on TLS 1.2 keeps to it until the handshake is over.
 */
void tls_settle(void *session, unsigned fragment);

/*
 * Between the two, what is sent over the session is collected; then it leaves as one record. Not during a handshake.
 * tls_hold()    false: it is not collected, since the client has changed its keys (RFC 8446 section 4.6.3).
 * tls_release() false: the socket did not take it all. It does not wait, so that the connection has to end.
 */
MUST_CHECK bool tls_hold(void *session);
MUST_CHECK bool tls_release(void *session);

/* Reads the files again, for new connections. tls_load() alone changes nothing; tls_use() takes the keys over. */
MUST_CHECK enum reason tls_load(const struct tls *tls, struct tls_keys **ret_keys, struct fault *f);
void tls_use(struct tls *tls, struct tls_keys *keys);
/* After the handshake: the client's chain; NULL when it showed none, or memory is short. */
struct peer *tls_peer(void *session);

#endif
