/* clang-format off */
/*
 * config.h - the configuration: one JSON file, checked whole at start-up, one typed struct.
 *
 * An error names the key, what is allowed and the value given; an unknown key is an error. Paths may be relative to
 * the file's folder. Every key has a safe default but those marked required. The example is deploy/assay.json.
 *
 *   key                     default         what it says
 *   node                    required        this node's name in the ledger's chains, at most 32 characters
 *   state_dir, run_dir      required        folders: anchors; sockets and metrics
 *   log_level               info            debug, info, warn, error
 *   multi_buffer            libcrypto_mb    library that verifies eight signatures at once, where the CPU can: name
 *                                           or absolute path; off: never
 *   home                    plant           quickstart: admits software vendors; only quickstart homes have it
 *   profiles                required        folder
 *   users                                   file of passwords
 *   root                    required        PEM, up to four certificates while the root changes, the old and the new
 *                                           one with each other (RFC 4210 section 4.4)
 *
 *   est.listeners[]         1 to 4
 *     name, address         est, 127.0.0.1
 *     port                  required
 *     threads               0               0: as many as processors; with more of them than processors a fresh handshake
 *                                           costs a tenth more, with fewer it holds up others' requests
 *     connections           2000
 *     idle_s                60
 *     clients               any             rigs: rigs and RAs alone
 *     per_address           500             connections open of one address; 0: no limit
 *     handshakes_s          100             connections begun a second of one address; 0: no limit
 *     reserve               200             of `connections`, for addresses that rigs have shown themselves from
 *     strangers_s           1000            begun a second of all other addresses together; 0: no limit
 *   est.certificate, key    required        PEM, the chain with its leaf first
 *   est.default_label                       label of paths without one; may be left out where there is one profile
 *   est.realm               assay
 *   est.nonce_key           required        one to three secrets of 32 bytes one after the other: nonce.h
 *   est.ticket_key                          32 bytes, the same on all nodes; left out: derived from nonce_key
 *   est.deadline_ms         10000
 *   est.rig_under_way       512             requests of one rig or RA at once, on all connections; 0: no limit
 *   est.device_under_way    4               of one device, or one vendor's element
 *   est.user_under_way      16              of one user or address
 *
 *   admin.address           127.0.0.1
 *   admin.port, certificate, key            required
 *   admin.clients           required        PEM: who may be an operator or auditor
 *   admin.two_operators_above  0            certificates in one revocation; 0: one operator is always enough
 *
 *   status.address          127.0.0.1
 *   status.port             required
 *   status.url                              http://..., in certificates; left out: they say no AIA and no CRLDP
 *   status.crl_validity     24h
 *   status.responder                        label of the OCSP responder's key in the token; left out: no OCSP
 *   status.ocsp_s           500             signatures of that key a second, at most: the line has the rest
 *
 *   heads                                   left out: nobody signs where the ledger's chains stand (ca/heads.h)
 *   heads.key               required        label of the key that does
 *   heads.interval          60s             how often, if anything moved
 *   heads.file                              written there, a line each; better on another machine's disk
 *   heads.syslog            false           and to syslog, facility authpriv
 *   heads.syslog_socket     /dev/log        where syslog listens, if that is elsewhere
 *
 *   trust.rigs              required        PEM
 *   trust.vendors                           PEM
 *   evidence[]              none
 *     format, name          required        "assay.1.1"; a name for the log
 *     roots                 required        PEM
 *     software              false           a software element: in a quickstart home alone
 *
 *   issuers[]               1 at least
 *     name, certificate     required
 *     key                   required        label in the token
 *     for                   devices         rigs; or services: operators, auditors, administrators and the listeners'
 *                                           own TLS certificates. Those two sign level none alone; without them
 *                                           somebody else renews all of these
 *     level_min             required        none, vouched, provisioned, native
 *     level_max             native
 *     validity_max          none            none: up to the issuer's own end
 *     hourly_max            100000          certificates in an hour
 *     device_hourly         1000            of these, what one device gets by renewal: a bench that tries its own in a
 *                                           loop may, a thief of its key takes a hundredth; 0: no bound
 *     crl_shards            0               lists that its revocations are split into for profiles with "crl":
 *                                           "shard": 0 or a power of two up to 256, for ever: certificates name their
 *                                           list, and a change would leave them on the wrong one
 *   certificates.operators, rigs  1y        how long lasts what the ca issues to them
 *   certificates.tls        90d
 *   certificates.responder  30d             the OCSP responder's, under each issuer
 *
 *   token.module, label, pin_file           required
 *   token.sessions          4
 *   token.session_keys      false           sign with copies of the keys that live in a session (session_key.h):
 *                                           true for SoftHSM, which reads a file for each signature otherwise
 *   token.sign_timeout_ms   20000           a signature that takes longer never comes: the ca starts anew
 *   token.network           false           the module speaks to an HSM over the network
 *   confinement.seccomp     required        system calls of a role: required (a kernel that cannot ends the role),
 *                                           wanted (then it goes on and says so) or off
 *   ledger.writer, reader   required        "host=... dbname=... user=..."
 *   ledger.retry_window     7d              how long a repeated enrolment gets the same certificate
 *   roles.ra.user, ...                      users to become when started as root, of ra, ca, va, admin; left out: stay
 *
 * Read again while it runs (reload.h): est.certificate with est.key, nonce_key, ticket_key, trust, roots of evidence,
 * profiles, users, root, the admin's certificate, key and clients; issuers' certificates by the ra. All else is read at
 * the start alone; that this file, or an issuer's certificate, has changed and needs a restart is said in the log.
 * nonce_key, ticket_key and the PIN are changed by writing into the file, for the ra may open that one alone; of
 * ticket_key the first secret counts.
 *
 * Owns:    every string; config_free() frees all.
 * Threads: read-only after load.
 */
/* clang-format on */
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
	unsigned threads, connections, idle_s; /* threads 0: as many as processors */
	int clients;                        /* enum listener_clients */
	unsigned per_address, handshakes_s; /* connections open, and begun a second, of one address; 0: no limit */
	unsigned reserve, strangers_s;      /* http/doorkeeper.h */
};

enum home { HOME_PLANT, HOME_QUICKSTART }; /* a quickstart's admits a software vendor */
enum seccomp_mode { SECCOMP_REQUIRED, SECCOMP_WANTED, SECCOMP_OFF };

struct config {
	char *path, *node, *state_dir, *run_dir;
	int log_level;      /* enum log_level */
	char *multi_buffer; /* library, or "off" */
	int home;           /* enum home */
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
		char *syslog_socket;
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
		uint64_t retry_window_s;
	} ledger;
	char *user[ROLE_COUNT]; /* NULL: stay */
};

#define CONFIG_BYTES_MAX (256 * 1024) /* a file larger than this is no configuration */

/* The issuers' URLs come from status.url: <url>/ca/<issuer>.cer, <url>/crl/<issuer>.crl, <url>/crl/<issuer>-delta.crl
 * and <url>/crl/<issuer>/<shard>.crl. */
/* Do the issuers have what profiles ask of them? REASON_CONFIG if a profile wants shards and its issuer has none, or if
 * it is for others than the issuer. */
MUST_CHECK enum reason config_profile_fits(const struct config *config, const char *label, const char *issuer,
					   bool rigs, enum grant_crl crl, struct fault *f);
MUST_CHECK enum reason config_load(const char *path, struct config **ret_config, struct fault *f);
/* The same from bytes; `path` is absolute: it names the file in errors, and its folder is where relative paths start.
 */
MUST_CHECK enum reason config_parse(struct blob text, const char *path, struct config **ret_config, struct fault *f);
void config_free(struct config *config); /* accepts NULL */

#endif
