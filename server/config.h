/*
 * config.h - the configuration: one JSON file, checked whole at start-up, one typed struct.
 *
 * An error names the key, what is allowed and the value given; an unknown key is an error. Paths may be relative to
 * the file's folder. Every key has a safe default but those marked required. The example is deploy/assay.json.
 *
 * {
 *   "node": "n1",                                   required: this node's name in the ledger's chains
 *   "state_dir": "state", "run_dir": "run",         required: anchors; sockets, metrics
 *   "log_level": "info",                            debug, info, warn, error
 *   "multi_buffer": "libcrypto_mb.so.11",           verifies eight signatures at once where library and CPU are there:
 * its name or absolute path; off: never "home": "quickstart",                           only quickstart homes have it:
 * admits a software vendor "est": { "listeners": [ { "name": "est", "address": "127.0.0.1", "port": 8443, "threads": 2,
 *                             "connections": 2000, "idle_s": 60,
 *                             "per_address": 500, "handshakes_s": 100,       of one address; 0: no limit
 *                             "reserve": 200,   of `connections`, for addresses that rigs have shown themselves from
 *                             "strangers_s": 1000,   begun a second of all other addresses together; 0: no limit
 *                             "clients": "any" } ],                          any, or rigs: rigs and RAs alone
 *            "certificate": "tls/est.pem", "key": "tls/est.key",   chain, leaf first
 *            "default_label": "line", "realm": "assay", "nonce_key": "secrets/nonce.key", "deadline_ms": 10000,
 *            "rig_under_way": 512,    requests of one rig or RA at once, on all connections; 0: no limit
 *            "device_under_way": 4, "user_under_way": 16,    of one device or vendor's element; user or address
 *            "ticket_key": "secrets/ticket.key" },   32 bytes, the same on all nodes; left out: derived from nonce_key
 *   "admin":  { "address": "127.0.0.1", "port": 8444, "certificate": "...", "key": "...", "clients":
 * "trust/operators.pem" }, "status": { "address": "127.0.0.1", "port": 8445, "url": "http://127.0.0.1:8445",
 *   "responder": "ocsp",        label of the OCSP responder's key in the token; left out: no OCSP
 *   "ocsp_s": 500 },            signatures of that key a second, at most: the rest of the token is the line's
 *   "heads": { "key": "heads",  label of the key that signs where the ledger's chains stand (ca/heads.h); without
 * "heads": nobody "interval": "60s",                      does. How often, if anything moved "file":
 * "state/heads.jsonl",            written there, a line each; better on another machine's disk "syslog": false }, and
 * to syslog, facility authpriv "trust": { "rigs": "trust/rigs.pem", "vendors": "trust/vendors.pem" },    PEM; vendors
 * may be left out "evidence": [ { "format": "assay.1.1", "name": "acme", "roots": "vendors/acme.pem", "software": false
 * } ], "profiles": "profiles", "users": "users.json", "root": "ca/root.pem", "issuers": [ { "name": "attested",
 * "certificate": "ca/attested.pem", "key": "attested", "level_min": "vouched", "level_max": "native", "validity_max":
 * "10y", "hourly_max": 100000, "crl_shards": 0 } ],   lists that its revocations are split into for profiles with
 * "crl": "shard": 0 (none) or a power of two up to 256, for ever: certificates name their list, and a change would
 * leave them on the wrong one
 *
 *   An issuer is "for" devices (the default), or rigs, or services: that is operators, auditors, administrators and the
 *   listeners' own TLS certificates; those two sign level none alone. Without them somebody else renews all of these.
 *   "certificates": { "operators": "1y", "rigs": "1y", "tls": "90d",      how long what they sign lasts
 *                     "responder": "30d" },     and, under each issuer, the OCSP responder's certificate
 *
 *   "token": { "module": "/usr/lib/softhsm/libsofthsm2.so", "label": "assay", "pin_file": "secrets/pin", "sessions": 4,
 *              "sign_timeout_ms": 20000,                 a signature that takes longer never comes: the ca starts anew
 *              "network": false },                       true: the module speaks to an HSM over the network
 *   "confinement": { "seccomp": "required" },            system calls of a role: required (a kernel that cannot ends
 * the role), wanted (then it goes on and says so) or off
 *   "ledger": { "writer": "host=... dbname=... user=assay_ca",
 * "reader": "...", "retry_window": "7d" }, "roles": { "ra": { "user": "assay-ra" }, "ca": {...}, "va": {...}, "admin":
 * {...} }   users to become when started as root; left out: stay who started it
 * }
 *
 * Read again while it runs (reload.h): est.certificate with est.key, nonce_key, ticket_key, trust, roots of evidence,
 * profiles, users, root, the admin's certificate, key and clients; issuers' certificates by the ra. All else is read at
 * the start alone; that this file, or an issuer's certificate, has changed and needs a restart is said in the log.
 * nonce_key: one to three secrets of 32 bytes one after the other, nonce.h says how they are changed; of ticket_key the
 * first counts. Beside the PIN they are changed by writing into the file, for the ra may open that one alone. root: up
 * to four certificates while the root changes, the old and the new one with each other (RFC 4210 section 4.4).
 *
 * Owns:    every string; config_free() frees all.
 * Threads: read-only after load.
 */
#ifndef ASSAY_CONFIG_H
#define ASSAY_CONFIG_H

#include "evidence.h"
#include "issuer.h"

enum role { ROLE_RA, ROLE_CA, ROLE_VA, ROLE_ADMIN, ROLE_COUNT };
const char *role_name(enum role role); /* "ra", "ca", "va", "admin" */

#define CONFIG_LISTENERS_MAX 4
#define CONFIG_VENDORS_MAX 64

enum listener_clients { CLIENTS_ANY, CLIENTS_RIGS };

struct listener_options {
	char *name, *address;
	uint16_t port;
	unsigned threads, connections, idle_s;
	int clients;                        /* enum listener_clients */
	unsigned per_address, handshakes_s; /* connections open, and begun a second, of one address; 0: no limit */
	unsigned reserve, strangers_s;      /* http/doorkeeper.h */
};

enum seccomp_mode { SECCOMP_REQUIRED, SECCOMP_WANTED, SECCOMP_OFF };

struct config {
	char *path, *node, *state_dir, *run_dir;
	int log_level;      /* enum log_level */
	char *multi_buffer; /* library, or "off" */
	bool quickstart;
	struct {
		struct listener_options listener[CONFIG_LISTENERS_MAX];
		size_t n_listeners;
		char *certificate, *key, *default_label, *realm, *nonce_key, *ticket_key; /* ticket_key may be NULL */
		unsigned deadline_ms;
		unsigned rig_under_way, device_under_way, user_under_way; /* requests at once; 0: no limit */
	} est;
	struct {
		char *address, *certificate, *key, *clients;
		uint16_t port;
		unsigned two_operators_above; /* certificates in one revocation; 0: one operator is always enough */
	} admin;
	struct {
		char *address, *url;
		char *responder; /* label of the OCSP responder's key; NULL: no OCSP */
		unsigned ocsp_s; /* signatures for OCSP a second, at most */
		uint16_t port;
		uint64_t crl_validity_s; /* a CRL is good for so long; the next one comes at half of it */
	} status;
	struct {
		char *key; /* NULL: no heads */
		uint64_t interval_s;
		char *file; /* may be NULL */
		bool syslog;
	} heads;
	struct {
		char *rigs, *vendors; /* vendors may be NULL */
	} trust;
	struct vendor_options evidence[CONFIG_VENDORS_MAX];
	size_t n_evidence;
	char *profiles, *users; /* users may be NULL */
	char *root;
	struct {
		uint64_t operators_s, rigs_s, tls_s; /* how long a certificate that the ca issues to them lasts */
		uint64_t responder_s;                /* and that of the OCSP responder */
	} certificates;
	struct issuer_options issuer[LIMIT_ISSUERS];
	size_t n_issuers;
	struct hsm_options token;
	unsigned sign_timeout_ms; /* token.sign_timeout_ms */
	bool token_network;       /* the module reaches its token over the network */
	struct {
		int seccomp; /* enum seccomp_mode */
	} confinement;
	struct {
		char *writer, *reader;
		char *reader_passfile; /* what reader names, for those who confine its user; NULL: none; main.c sets it
					*/
		unsigned retry_window_s;
	} ledger;
	char *user[ROLE_COUNT]; /* NULL: stay */
};

#define CONFIG_BYTES_MAX (256 * 1024) /* a file larger than this is no configuration */

/* The issuers' URLs come from status.url: <url>/ca/<issuer>.cer, <url>/crl/<issuer>.crl, <url>/crl/<issuer>-delta.crl and
 * <url>/crl/<issuer>/<shard>.crl. */
/* Do the issuers have what profiles ask of them? REASON_CONFIG if a profile wants shards and its issuer has none, or if
 * it is for others than the issuer. */
MUST_CHECK enum reason config_profile_fits(const struct config *config, const char *label, const char *issuer, bool rigs,
					   enum grant_crl crl, struct fault *f);
MUST_CHECK enum reason config_load(const char *path, struct config **ret_config, struct fault *f);
/* The same from bytes; `path` is absolute: it names the file in errors, and its folder is where relative paths start.
 */
MUST_CHECK enum reason config_parse(struct blob text, const char *path, struct config **ret_config, struct fault *f);
void config_free(struct config *config); /* accepts NULL */

#endif
