/*
 * assay_mosquitto.c - plugin for mosquitto 2.0: a device whose certificate is revoked is put out at once, and not let
 * in.
 *
 * When a client connects, its certificate's issuer and serial are looked up in the list that assay-agent keeps, and
 * kept beside the client. mosquitto calls the plugin at least ten times a second (its loop waits 100 ms at most): when
 * the list is another one, every client is looked up anew. A client without a certificate is left to other plugins and
 * to mosquitto's own rules.
 *
 * Under use_identity_as_username mosquitto asks no plugin about who connects, which is wrong here (README.md). Whoever
 * was let in like that is looked up when he publishes.
 *
 * Options (plugin_opt_NAME in mosquitto.conf):
 *   list            the agent's file; required
 *   stale           what happens when the list is missing, not readable or past its time:
 *                   refuse (default: nobody new is let in, who is connected stays),
 *                   kick (and everybody is put out), allow
 *   unknown_issuer  a certificate of an issuer that the agent does not watch: refuse (default) or allow
 *   username        what becomes the client's user name: cn (default), serial, or keep
 *
 * Threads: mosquitto has one.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include "revoked_list.h"

#define EXPORT __attribute__((visibility("default")))
#define SAY_STALE_EVERY_S 60
#define NAME_CHARS 128
#define LOOK_MS 20 /* a busy mosquitto calls thousands of times a second */

enum stale { STALE_REFUSE, STALE_KICK, STALE_ALLOW };
enum username { USERNAME_CN, USERNAME_SERIAL, USERNAME_KEEP };
enum verdict { GOOD, REVOKED, UNKNOWN_ISSUER, STALE };

struct client {
	struct client *next;
	const struct mosquitto *is; /* never looked into: it may be gone */
	char *id;
	uint8_t issuer[REVOKED_NAME_BYTES];
	uint8_t serial[REVOKED_SERIAL_BYTES];
};

#define BUCKETS 4096

struct plugin {
	mosquitto_plugin_id_t *id;
	const char *path; /* of mosquitto's options, which stay */
	int stale, unknown_issuer, username;
	struct stat seen; /* the file that is mapped */
	uint8_t *map;     /* NULL: none */
	size_t map_len;
	struct revoked_list list;
	time_t said_stale_s;
	bool was_stale;
	bool unasked;      /* somebody who may not stay was let in without our having been asked */
	int64_t looked_ms; /* for a changed list */
	struct client *bucket[BUCKETS];
};

static int64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Options */

struct choice {
	const char *name, *values[4];
	size_t offset;
};

static const struct choice choices[] = {
	{ "stale", { "refuse", "kick", "allow" }, offsetof(struct plugin, stale) },
	{ "unknown_issuer", { "refuse", "allow" }, offsetof(struct plugin, unknown_issuer) },
	{ "username", { "cn", "serial", "keep" }, offsetof(struct plugin, username) },
};

static bool choose(struct plugin *p, const struct choice *choice, const char *value)
{
	for (int i = 0; i < 4 && choice->values[i] != NULL; i++) {
		if (strcmp(choice->values[i], value) != 0)
			continue;
		*(int *)(void *)((char *)p + choice->offset) = i;
		return true;
	}
	mosquitto_log_printf(MOSQ_LOG_ERR, "assay: plugin_opt_%s is \"%s\"; allowed: %s, %s%s%s", choice->name, value,
			     choice->values[0], choice->values[1], choice->values[2] != NULL ? ", " : "",
			     choice->values[2] != NULL ? choice->values[2] : "");
	return false;
}

static bool take_option(struct plugin *p, const struct mosquitto_opt *option)
{
	if (strcmp(option->key, "list") == 0) {
		p->path = option->value;
		return true;
	}
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		if (strcmp(option->key, choices[i].name) == 0)
			return choose(p, &choices[i], option->value);
	mosquitto_log_printf(MOSQ_LOG_ERR,
			     "assay: plugin_opt_%s is unknown; there are: list, stale, unknown_issuer, username",
			     option->key);
	return false;
}

/* The list */

static void unmap(struct plugin *p)
{
	if (p->map != NULL)
		munmap(p->map, p->map_len);
	p->map = NULL;
}

static bool map_file(struct plugin *p, int fd)
{
	if (fstat(fd, &p->seen) != 0 || p->seen.st_size == 0)
		return false;
	p->map_len = (size_t)p->seen.st_size;
	p->map = mmap(NULL, p->map_len, PROT_READ, MAP_SHARED, fd, 0);
	if (p->map == MAP_FAILED)
		p->map = NULL;
	if (p->map != NULL && revoked_list_open(p->map, p->map_len, &p->list))
		return true;
	unmap(p);
	return false;
}

static void load(struct plugin *p)
{
	int fd = open(p->path, O_RDONLY | O_CLOEXEC);

	unmap(p);
	memset(&p->seen, 0, sizeof(p->seen));
	if (fd < 0 || !map_file(p, fd))
		mosquitto_log_printf(MOSQ_LOG_ERR, "assay: %s: %s; is assay-agent running?", p->path,
				     fd < 0 ? strerror(errno) : "no list of assay-agent");
	if (fd >= 0)
		close(fd);
}

/* True: it was another one. The agent replaces the file, so that its inode and time are new. */
static bool reload_if_changed(struct plugin *p)
{
	struct stat now;

	if (stat(p->path, &now) != 0) {
		if (p->map == NULL)
			return false;
		load(p);
		return true;
	}
	if (now.st_ino == p->seen.st_ino && now.st_dev == p->seen.st_dev &&
	    now.st_mtim.tv_sec == p->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == p->seen.st_mtim.tv_nsec &&
	    now.st_size == p->seen.st_size)
		return false;
	load(p);
	return true;
}

static bool issuer_stale(const struct revoked_issuer *issuer, time_t now_s)
{
	return (int64_t)now_s >= issuer->good_until_s;
}

static bool list_stale(const struct plugin *p, time_t now_s)
{
	for (size_t i = 0; p->map != NULL && i < p->list.n; i++)
		if (issuer_stale(&p->list.issuer[i], now_s))
			return true;
	return p->map == NULL;
}

/* What is known to be revoked stays so, however old the list. */
static enum verdict look_up(const struct plugin *p, const struct client *client)
{
	const struct revoked_issuer *issuer;

	if (p->map == NULL)
		return STALE;
	issuer = revoked_list_issuer(&p->list, client->issuer);
	if (issuer == NULL)
		return UNKNOWN_ISSUER;
	if (revoked_list_has(issuer, client->serial))
		return REVOKED;
	return issuer_stale(issuer, time(NULL)) ? STALE : GOOD;
}

/* Clients */

static struct client **place_of(struct plugin *p, const struct mosquitto *client)
{
	struct client **at = &p->bucket[(uintptr_t)client / 64 % BUCKETS];

	while (*at != NULL && (*at)->is != client)
		at = &(*at)->next;
	return at;
}

static void client_free(struct client *client)
{
	if (client != NULL)
		free(client->id);
	free(client);
}

static void forget(struct plugin *p, const struct mosquitto *client)
{
	struct client **at = place_of(p, client), *gone = *at;

	if (gone == NULL)
		return;
	*at = gone->next;
	client_free(gone);
}

static bool issuer_of(const X509 *cert, uint8_t out[REVOKED_NAME_BYTES])
{
	return X509_NAME_digest(X509_get_issuer_name(cert), EVP_sha256(), out, NULL) == 1;
}

static struct client *client_new(const struct mosquitto *is, const X509 *cert)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->is = is;
	client->id = strdup(mosquitto_client_id(is));
	if (client->id != NULL && issuer_of(cert, client->issuer) &&
	    revoked_serial(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), client->serial))
		return client;
	client_free(client);
	return NULL;
}

static void serial_text(const uint8_t serial[REVOKED_SERIAL_BYTES], char out[2 * REVOKED_SERIAL_BYTES + 1])
{
	static const char digits[] = "0123456789ABCDEF";
	size_t from = 0, n = 0;

	while (from < REVOKED_SERIAL_BYTES - 1 && serial[from] == 0)
		from++;
	for (; from < REVOKED_SERIAL_BYTES; from++) {
		out[n++] = digits[serial[from] >> 4];
		out[n++] = digits[serial[from] & 15];
	}
	out[n] = '\0';
}

static bool set_username(const struct plugin *p, struct mosquitto *is, const struct client *client, const X509 *cert)
{
	char name[NAME_CHARS];

	if (p->username == USERNAME_KEEP)
		return true;
	if (p->username == USERNAME_SERIAL)
		serial_text(client->serial, name);
	else if (X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name)) <= 0)
		return true;
	return mosquitto_set_username(is, name) == MOSQ_ERR_SUCCESS;
}

static bool may_stay(const struct plugin *p, enum verdict verdict, bool connecting)
{
	switch (verdict) {
	case GOOD:
		return true;
	case STALE:
		return p->stale == STALE_ALLOW || (p->stale == STALE_REFUSE && !connecting);
	case UNKNOWN_ISSUER:
		return p->unknown_issuer == 1;
	case REVOKED:
	default:
		return false;
	}
}

static const char *verdict_text(enum verdict verdict)
{
	static const char *const text[] = { "good", "its certificate is revoked",
					    "assay-agent does not watch its issuer", "the list is not up to date" };

	return text[verdict];
}

static void say(const struct client *client, enum verdict verdict, const char *what)
{
	char serial[2 * REVOKED_SERIAL_BYTES + 1];

	serial_text(client->serial, serial);
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "assay: client %s (serial %s) %s: %s", client->id, serial, what,
			     verdict_text(verdict));
}

/* In the place of a client of before at the same address, whose end mosquitto did not tell. */
static void remember(struct plugin *p, struct client *client)
{
	struct client **at;

	forget(p, client->is);
	at = place_of(p, client->is);
	client->next = *at;
	*at = client;
}

static int admit(struct plugin *p, struct mosquitto *is, const X509 *cert)
{
	struct client *client = client_new(is, cert);
	enum verdict verdict;

	if (client == NULL)
		return MOSQ_ERR_AUTH;
	(void)reload_if_changed(p);
	verdict = look_up(p, client);
	if (!may_stay(p, verdict, true) || !set_username(p, is, client, cert)) {
		say(client, verdict, "refused");
		client_free(client);
		return MOSQ_ERR_AUTH;
	}
	remember(p, client);
	return p->username == USERNAME_KEEP ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_SUCCESS;
}

/* The first whose verdict says so, taken out of the table; the table may be another after a kick. */
static struct client *take_one_out(struct plugin *p, enum verdict *ret_verdict)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct client **at = &p->bucket[i]; *at != NULL; at = &(*at)->next) {
			struct client *client = *at;

			*ret_verdict = look_up(p, client);
			if (may_stay(p, *ret_verdict, false))
				continue;
			*at = client->next;
			return client;
		}
	}
	return NULL;
}

/* Without its will: that would be a message of a device that may not send any more. */
static void put_out(struct plugin *p)
{
	struct client *client;
	enum verdict verdict;

	while ((client = take_one_out(p, &verdict)) != NULL) {
		say(client, verdict, "put out");
		(void)mosquitto_kick_client_by_clientid(client->id, false);
		client_free(client);
	}
}

/* Says when the list runs out and when it is good again; true when that has changed. */
static bool watch_staleness(struct plugin *p)
{
	time_t now_s = time(NULL);
	bool stale = list_stale(p, now_s), changed = stale != p->was_stale;

	if (stale && (changed || now_s - p->said_stale_s >= SAY_STALE_EVERY_S)) {
		p->said_stale_s = now_s;
		mosquitto_log_printf(MOSQ_LOG_WARNING, "assay: %s is missing or past its time: %s", p->path,
				     choices[0].values[p->stale]);
	}
	if (changed && !stale)
		mosquitto_log_printf(MOSQ_LOG_NOTICE, "assay: %s is good", p->path);
	p->was_stale = stale;
	return changed;
}

/* Callbacks */

static int on_basic_auth(int event, void *data, void *user)
{
	struct mosquitto_evt_basic_auth *auth = data;
	X509 *cert = mosquitto_client_certificate(auth->client);
	int verdict;

	(void)event;
	if (cert == NULL)
		return MOSQ_ERR_PLUGIN_DEFER;
	verdict = admit(user, auth->client, cert);
	X509_free(cert);
	return verdict;
}

static int on_tick(int event, void *data, void *user)
{
	struct plugin *p = user;
	int64_t now_ms = clock_ms();
	bool changed;

	(void)event, (void)data;
	if (now_ms - p->looked_ms < LOOK_MS)
		return MOSQ_ERR_SUCCESS;
	p->looked_ms = now_ms;
	changed = reload_if_changed(p);
	if (watch_staleness(p) || changed || p->unasked)
		put_out(p);
	p->unasked = false;
	return MOSQ_ERR_SUCCESS;
}

/* Of somebody whom mosquitto let in without asking. He is put out at the next tick: here mosquitto still needs him. */
static int look_up_late(struct plugin *p, const struct mosquitto *is)
{
	X509 *cert = mosquitto_client_certificate(is);
	struct client *client = cert == NULL ? NULL : client_new(is, cert);
	bool stays;

	X509_free(cert);
	if (cert == NULL)
		return MOSQ_ERR_SUCCESS;
	if (client == NULL)
		return MOSQ_ERR_ACL_DENIED;
	remember(p, client);
	stays = may_stay(p, look_up(p, client), false);
	p->unasked = p->unasked || !stays;
	mosquitto_log_printf(MOSQ_LOG_WARNING,
			     "assay: client %s is connected without this plugin having been asked: do not use "
			     "use_identity_as_username or use_subject_as_username",
			     client->id);
	return stays ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
}

static int on_message(int event, void *data, void *user)
{
	const struct mosquitto_evt_message *message = data;
	struct plugin *p = user;

	(void)event;
	if (message->client == NULL || *place_of(p, message->client) != NULL)
		return MOSQ_ERR_SUCCESS;
	return look_up_late(p, message->client);
}

static int on_disconnect(int event, void *data, void *user)
{
	const struct mosquitto_evt_disconnect *gone = data;

	(void)event;
	forget(user, gone->client);
	return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_version(int n, const int *supported)
{
	for (int i = 0; i < n; i++)
		if (supported[i] == MOSQ_PLUGIN_VERSION)
			return MOSQ_PLUGIN_VERSION;
	return -1;
}

EXPORT int mosquitto_plugin_cleanup(void *user, struct mosquitto_opt *options, int n)
{
	struct plugin *p = user;

	(void)options, (void)n;
	for (size_t i = 0; i < BUCKETS; i++) {
		while (p->bucket[i] != NULL) {
			struct client *client = p->bucket[i];

			p->bucket[i] = client->next;
			client_free(client);
		}
	}
	unmap(p);
	free(p);
	return MOSQ_ERR_SUCCESS;
}

static int start(struct plugin *p, const struct mosquitto_opt *options, int n)
{
	for (int i = 0; i < n; i++)
		if (!take_option(p, &options[i]))
			return MOSQ_ERR_INVAL;
	if (p->path == NULL) {
		mosquitto_log_printf(MOSQ_LOG_ERR, "assay: plugin_opt_list is missing: the file \"revoked\" in "
						   "assay-agent's state folder");
		return MOSQ_ERR_INVAL;
	}
	load(p);
	if (mosquitto_callback_register(p->id, MOSQ_EVT_BASIC_AUTH, on_basic_auth, NULL, p) != MOSQ_ERR_SUCCESS ||
	    mosquitto_callback_register(p->id, MOSQ_EVT_TICK, on_tick, NULL, p) != MOSQ_ERR_SUCCESS ||
	    mosquitto_callback_register(p->id, MOSQ_EVT_MESSAGE, on_message, NULL, p) != MOSQ_ERR_SUCCESS ||
	    mosquitto_callback_register(p->id, MOSQ_EVT_DISCONNECT, on_disconnect, NULL, p) != MOSQ_ERR_SUCCESS)
		return MOSQ_ERR_UNKNOWN;
	return MOSQ_ERR_SUCCESS;
}

EXPORT int mosquitto_plugin_init(mosquitto_plugin_id_t *id, void **user, struct mosquitto_opt *options, int n)
{
	struct plugin *p = calloc(1, sizeof(*p));
	int result;

	if (p == NULL)
		return MOSQ_ERR_NOMEM;
	p->id = id;
	result = start(p, options, n);
	if (result != MOSQ_ERR_SUCCESS)
		(void)mosquitto_plugin_cleanup(p, NULL, 0);
	else
		*user = p;
	return result;
}
