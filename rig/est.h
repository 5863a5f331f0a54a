/*
 * est.h - an EST client over libcurl: one kept-alive connection with mutual TLS.
 *
 * Owns:     est_close() ends the connection; est_reply_done() frees a reply.
 * Threads:  a struct est belongs to one thread; curl_global_init() is the program's business, once.
 * Blocks:   up to options.timeout_ms a request.
 * Spec:     RFC 7030 section 4, RFC 8951, draft-ietf-lamps-attestation-freshness-08.
 * Does not: try again (persist.h), nor believe what comes (station.c checks certificates).
 */
#ifndef RIG_EST_H
#define RIG_EST_H

#include "basics.h"

struct est;

struct est_options {
	const char *url;                  /* https://host:port, with or without /.well-known/est */
	const char *cacert;               /* PEM: what the server's certificate must lead to */
	const char *cert_file, *key_file; /* PEM, who we are: a rig; both or neither */
	X509 *cert;                       /* or a device, with a key that may live in an element; borrowed while open */
	EVP_PKEY *key;
	const char *userpass; /* "user:password" for HTTP Basic; NULL: none */
	long timeout_ms;
};
MUST_CHECK bool est_open(const struct est_options *options, struct est **ret_est, struct trouble *t);
void est_close(struct est *est); /* accepts NULL */

enum est_operation { EST_CACERTS, EST_NONCE, EST_ENROL, EST_REENROL, EST_OPERATION_COUNT };

enum est_outcome {
	EST_DONE,    /* 200 and the media type that belongs to it */
	EST_RETRY,   /* the server asks for it (503 and its like, 202), or the connection broke: send the same again */
	EST_REFUSED, /* the server says no; sending the same again will not help */
	EST_BROKEN,  /* no conversation is possible: wrong trust anchor, wrong URL, key and certificate that do not fit
		      */
};

struct est_reply {
	enum est_outcome outcome;
	long status;          /* 0: no HTTP reply came */
	double retry_after_s; /* 0: not said */
	char reason[48];      /* the server's short name of why, "nonce_stale"; empty if it gives none */
	char text[384];       /* one line for the operator */
	struct bytes body;    /* EST_DONE: base64 decoded, but for a nonce, which is JSON */
};

/* One request. `der` is the body of enrol and re-enrol; label NULL or "": the server's default. */
void est_send(struct est *est, const char *label, enum est_operation operation, const struct bytes *der,
	      struct est_reply *ret_reply);
void est_reply_done(struct est_reply *reply);

/* The certificates of a certs-only reply (RFC 7030 sections 4.1.3 and 4.2.3). */
MUST_CHECK bool est_certs(const struct bytes *body, STACK_OF(X509) * *ret_certs, struct trouble *t);
/* The nonce of a freshness reply; empty where the label needs none. */
MUST_CHECK bool est_nonce(const struct bytes *body, struct bytes *ret_nonce, struct trouble *t);

#endif
