/*
 * agent.h - assay-agent: keeps the programs of a relying party up to date with the revocations of an Assay.
 *
 * It follows the feed of each issuer that it watches (one long poll for the delta CRL, one for the complete list where
 * that is wanted), believes nothing but signatures under the root that it was given, never goes back to a lower CRL
 * number, and writes what follows into its state folder, each file replaced whole:
 *   NAME.cer, NAME.crl, NAME-delta.crl   what was last accepted, DER; read and verified again at the start
 *   revoked                              what is revoked, for assay_mosquitto.so (revoked_list.h)
 *   crl.pem, revoked.map                 for nginx, which is told to read them (SIGHUP)
 *   status.json, metrics.prom            for people and programs, and for Prometheus (node_exporter's textfile
 * collector)
 *
 * Threads: one. Errors: a function that can fail says why in struct why and returns false.
 */
#ifndef ASSAY_AGENT_H
#define ASSAY_AGENT_H

#include <curl/curl.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "revoked_list.h"

#define MUST_CHECK __attribute__((warn_unused_result))
#define ISSUERS_MAX REVOKED_ISSUERS_MAX
#define NAME_CHARS 32
#define PATH_CHARS 1024
#define CRL_BYTES_MAX (64UL * 1024 * 1024) /* a complete list of 1,300,000 entries */
#define CERT_BYTES_MAX 8192UL
#define CLOCK_SKEW_S 300 /* thisUpdate may be so far ahead of our clock */

struct why {
	char text[256];
};
__attribute__((format(printf, 2, 3))) bool why_set(struct why *why, const char *fmt, ...); /* returns false */

struct bytes {
	uint8_t *ptr;
	size_t len;
};
void bytes_free(struct bytes *bytes);

#define TIME_CHARS 32
void time_text(int64_t at_s, char out[TIME_CHARS]); /* UTC; "never" for 0 */

/* Serials as in revoked_list.h, ascending and each once. */
struct serials {
	uint8_t *ptr;
	size_t n;
};

/* crl.c: one CRL, verified. */
struct crl {
	struct bytes der;      /* empty: none */
	uint64_t number, base; /* base 0: a complete list */
	int64_t this_s, next_s;
	struct serials revoked, released; /* released: delta CRLs alone (removeFromCRL) */
};
/* Consumes der on success. The signature of `issuer`, the form of the kind, and times that make it good at now_s
 * (0: whenever). */
MUST_CHECK bool crl_read(struct bytes *der, X509 *issuer, bool delta, int64_t now_s, struct crl *ret_crl,
			 struct why *why);
void crl_free(struct crl *crl);
bool crl_time(const ASN1_TIME *time, int64_t *ret_s); /* time may be NULL */
/* Complete list and what a delta changes in it; delta may be NULL. */
MUST_CHECK bool crl_merge(const struct crl *complete, const struct crl *delta, struct serials *ret_serials);
bool serials_equal(const struct serials *a, const struct serials *b);
bool serials_have(const struct serials *s, const uint8_t *serial);

/* issuer.c: what is known of one issuer. */
struct issuer {
	char name[NAME_CHARS + 1];
	X509 *cert;   /* NULL: not fetched yet */
	bool revoked; /* by the root: no list of it is believed, and no certificate of it is good */
	uint8_t name_hash[REVOKED_NAME_BYTES];
	struct crl complete, delta;
	struct serials effective;
	bool wants_complete; /* a delta has come that ours is too old for */
	uint64_t refused;
	char last_refusal[256];
};

struct options {
	const char *va, *root, *root_crl, *state, *nginx_pid;
	int64_t root_crl_warn_s; /* 0: the usual */
	size_t n_issuers;
	const char *issuer[ISSUERS_MAX];
	bool once, status, health, json;
};

enum root_crl_state { ROOT_CRL_NONE, ROOT_CRL_GOOD, ROOT_CRL_CLOSE, ROOT_CRL_ENDED };
struct root_crl {
	struct bytes pem;       /* the file as it was last good */
	int64_t this_s, next_s; /* of the CRL in it that ends first */
	int64_t look_ms;        /* when it is looked at again */
	char error[256];        /* why the file as it lies there is not taken */
	enum root_crl_state said;
};

struct agent {
	const struct options *options;
	X509_STORE *store; /* the root, and its CRL as it was last good */
	X509 *root;
	struct root_crl root_crl;
	size_t n;
	struct issuer issuer[ISSUERS_MAX];
	/* the va */
	bool away, answered;
	int64_t away_since_s, last_answer_s;
	char away_why[256];
	/* what is written */
	bool unwritten; /* a file could not be; tried again */
	int64_t status_ms;
	char write_error[256];
	int64_t written_ms;
	/* nginx */
	bool reload_due, reload_urgent;
	int64_t reloaded_ms, due_since_ms;
	uint64_t reloads;
	char nginx_error[256];
};

enum taken {
	TAKEN_CHANGED,
	TAKEN_NEWER,
	TAKEN_SAME,
	TAKEN_NOT
}; /* another set than before; a newer list of the same */
/* From the va, or from the state folder (path named in `why`). What is refused is counted and said by the caller. A CA
 * that the root has revoked is taken from the state folder alone: the one that was watched before. */
MUST_CHECK bool issuer_take_cert(struct agent *agent, struct issuer *issuer, const struct bytes *der, bool from_va,
				 struct why *why);
void issuer_look_again(struct agent *agent, struct issuer *issuer); /* the root's CRL is another one */
MUST_CHECK enum taken issuer_take_crl(struct issuer *issuer, struct bytes *der, bool delta, int64_t now_s,
				      struct why *why);
int64_t issuer_good_until_s(const struct issuer *issuer); /* 0: nothing is known yet */
uint64_t issuer_number(const struct issuer *issuer);
void issuer_done(struct issuer *issuer);

/* outputs.c */
MUST_CHECK bool outputs_load(struct agent *agent, struct why *why); /* state of an earlier run */
/* After one issuer's list has changed. `changed`: what is revoked is another set than before. */
void outputs_apply(struct agent *agent, const struct issuer *issuer, bool delta, bool changed);
MUST_CHECK bool outputs_save_cert(const struct agent *agent, const struct issuer *issuer, const struct bytes *der,
				  struct why *why);
void outputs_renew(struct agent *agent); /* the root's CRL is another one */
void outputs_tick(struct agent *agent);  /* nginx, when it is time */
int64_t outputs_wait_ms(const struct agent *agent);

/* files.c */
MUST_CHECK bool file_read(const char *path, size_t max, struct bytes *ret_bytes, bool *ret_missing, struct why *why);
/* Pieces one after the other, under another name first; `durable`: on the disk when it returns. */
MUST_CHECK bool file_replace(const char *path, const struct bytes *pieces, size_t n, bool durable, struct why *why);
int64_t clock_s(void), clock_ms(void);
__attribute__((format(printf, 1, 2))) void say(const char *fmt, ...);

/* feed.c: until the process ends, or with --once until every list has been asked for. */
int feed_follow(struct agent *agent);

/* root_crl.c; without --root-crl there is the store, and nothing else happens */
MUST_CHECK bool root_crl_open(struct agent *agent, struct why *why);
void root_crl_tick(struct agent *agent); /* takes a new file up, and says when the end comes close */
enum root_crl_state root_crl_state(const struct agent *agent, int64_t now_s);
int64_t root_crl_warn_at_s(const struct agent *agent);
void root_crl_text(const struct agent *agent, enum root_crl_state state, char *out, size_t len);

/* status.c */
#define STATUS_S 60 /* it is written so often at least: an older one is of an agent that does not run */
void status_write(struct agent *agent);
void status_tick(struct agent *agent);
bool status_well(const struct agent *agent);
int status_show(const struct options *options);
int status_health(const struct options *options);

/* metrics.c */
void metrics_write(const struct agent *agent, size_t problems);

#endif
