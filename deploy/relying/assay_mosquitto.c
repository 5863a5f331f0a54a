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
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>

#include "mosquitto_clients.h"
#include "watched_list.h"

#define EXPORT __attribute__((visibility("default")))
#define SAY_STALE_EVERY_S 60
#define NAME_CHARS 128
#define LOOK_MS 20 /* a busy mosquitto calls thousands of times a second */

enum stale { STALE_REFUSE, STALE_KICK, STALE_ALLOW };
enum username { USERNAME_CN, USERNAME_SERIAL, USERNAME_KEEP };

struct plugin {
	mosquitto_plugin_id_t *id;
	struct watched_list list; /* its path is of mosquitto's options, which stay */
	int stale, unknown_issuer, username;
	time_t said_stale_s;
	bool was_stale;
	bool unasked;      /* somebody who may not stay was let in without our having been asked */
	int64_t looked_ms; /* for a changed list */
	struct clients clients;
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
		p->list.path = option->value;
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

static void load(struct plugin *p)
{
	const char *why = watched_load(&p->list);

	if (why != NULL)
		mosquitto_log_printf(MOSQ_LOG_ERR, "assay: %s: %s; is assay-agent running?", p->list.path, why);
}

/* True: it was another one. */
static bool reload_if_changed(struct plugin *p)
{
	if (!watched_changed(&p->list))
		return false;
	load(p);
	return true;
}

/* Clients */

/* The whole of it, or none: a part of it could be another's. */
static bool common_name(const X509 *cert, char out[NAME_CHARS])
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int len = X509_NAME_get_text_by_NID(subject, NID_commonName, NULL, 0);

	return len > 0 && len < NAME_CHARS &&
	       X509_NAME_get_text_by_NID(subject, NID_commonName, out, NAME_CHARS) == len && strlen(out) == (size_t)len;
}

/* Of a certificate without a name nobody is let in, for the user name would stay what the client says it is. */
static bool set_username(const struct plugin *p, struct mosquitto *is, const struct client *client, const X509 *cert)
{
	char name[NAME_CHARS];

	if (p->username == USERNAME_KEEP)
		return true;
	if (p->username == USERNAME_SERIAL)
		client_serial(client, name);
	else if (!common_name(cert, name))
		return false;
	return mosquitto_set_username(is, name) == MOSQ_ERR_SUCCESS;
}

static bool may_stay(const struct plugin *p, enum verdict verdict, bool connecting)
{
	switch (verdict) {
	case VERDICT_GOOD:
		return true;
	case VERDICT_STALE:
		return p->stale == STALE_ALLOW || (p->stale == STALE_REFUSE && !connecting);
	case VERDICT_UNKNOWN_ISSUER:
		return p->unknown_issuer == 1;
	case VERDICT_REVOKED:
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

static void say(const struct client *client, const char *what, const char *why)
{
	char serial[CLIENT_SERIAL_CHARS + 1];

	client_serial(client, serial);
	mosquitto_log_printf(MOSQ_LOG_NOTICE, "assay: client %s (serial %s) %s: %s", client->id, serial, what, why);
}

static int admit(struct plugin *p, struct mosquitto *is, const X509 *cert)
{
	struct client *client = client_new(is, mosquitto_client_id(is), cert);
	enum verdict verdict;
	const char *why;

	if (client == NULL)
		return MOSQ_ERR_AUTH;
	(void)reload_if_changed(p);
	verdict = watched_verdict(&p->list, client->issuer, client->serial);
	why = !may_stay(p, verdict, true)          ? verdict_text(verdict)
	      : !set_username(p, is, client, cert) ? "its certificate has no CN, or none to be a user name"
						   : NULL;
	if (why != NULL) {
		say(client, "refused", why);
		client_free(client);
		return MOSQ_ERR_AUTH;
	}
	clients_put(&p->clients, client);
	return p->username == USERNAME_KEEP ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_SUCCESS;
}

static bool must_go(const struct client *client, void *user)
{
	const struct plugin *p = user;

	return !may_stay(p, watched_verdict(&p->list, client->issuer, client->serial), false);
}

/* Without its will: that would be a message of a device that may not send any more. The table may be another after a
 * kick. */
static void put_out(struct plugin *p)
{
	struct client *client;

	while ((client = clients_take(&p->clients, must_go, p)) != NULL) {
		say(client, "put out", verdict_text(watched_verdict(&p->list, client->issuer, client->serial)));
		(void)mosquitto_kick_client_by_clientid(client->id, false);
		client_free(client);
	}
}

/* Says when the list runs out and when it is good again; true when that has changed. */
static bool watch_staleness(struct plugin *p)
{
	time_t now_s = time(NULL);
	bool stale = watched_stale(&p->list, now_s), changed = stale != p->was_stale;

	if (stale && (changed || now_s - p->said_stale_s >= SAY_STALE_EVERY_S)) {
		p->said_stale_s = now_s;
		mosquitto_log_printf(MOSQ_LOG_WARNING, "assay: %s is missing or past its time: %s", p->list.path,
				     choices[0].values[p->stale]);
	}
	if (changed && !stale)
		mosquitto_log_printf(MOSQ_LOG_NOTICE, "assay: %s is good", p->list.path);
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
	struct client *client = cert == NULL ? NULL : client_new(is, mosquitto_client_id(is), cert);
	bool stays;

	X509_free(cert);
	if (cert == NULL)
		return MOSQ_ERR_SUCCESS;
	if (client == NULL)
		return MOSQ_ERR_ACL_DENIED;
	clients_put(&p->clients, client);
	stays = may_stay(p, watched_verdict(&p->list, client->issuer, client->serial), false);
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
	if (message->client == NULL || clients_has(&p->clients, message->client))
		return MOSQ_ERR_SUCCESS;
	return look_up_late(p, message->client);
}

static int on_disconnect(int event, void *data, void *user)
{
	const struct mosquitto_evt_disconnect *gone = data;

	(void)event;
	clients_drop(&((struct plugin *)user)->clients, gone->client);
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
	clients_done(&p->clients);
	watched_close(&p->list);
	free(p);
	return MOSQ_ERR_SUCCESS;
}

static int start(struct plugin *p, const struct mosquitto_opt *options, int n)
{
	for (int i = 0; i < n; i++)
		if (!take_option(p, &options[i]))
			return MOSQ_ERR_INVAL;
	if (p->list.path == NULL) {
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
