/* config.c - the tables of keys, see config.h; how one object is read: config_keys.c. */
#include "config.h"

#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_keys.h"
#include "ecdsa_mb.h"
#include "observe/log.h"

#define YEAR_S (365 * UINT64_C(86400))
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *const level_choices[] = { "none", "vouched", "provisioned", "native", NULL };
static const char *const log_choices[] = { "debug", "info", "warn", "error", NULL };
static const char *const clients_choices[] = { "any", "rigs", NULL };
static const char *const seccomp_choices[] = { "required", "wanted", "off", NULL }; /* enum seccomp_mode */
static const char *const use_choices[] = { "devices", "rigs", "services", NULL };   /* enum issuer_use */
static const char *const home_choices[] = { "plant", "quickstart", NULL };
static const char *const role_names[ROLE_COUNT] = { "ra", "ca", "va", "admin" };

/* Wider than the struct they end up in: durations are 64 bits in a table, choices are int. */
struct issuer_keys {
	int level_min, level_max, use;
	uint64_t validity_max_s;
	unsigned hourly_max, crl_shards;
};

static const struct key top_keys[] = {
	{ "node", KEY_TEXT, offsetof(struct config, node), .required = true },
	{ "state_dir", KEY_PATH, offsetof(struct config, state_dir), .required = true },
	{ "run_dir", KEY_PATH, offsetof(struct config, run_dir), .required = true },
	{ "log_level", KEY_CHOICE, offsetof(struct config, log_level), .fallback = "info", .choices = log_choices },
	{ "multi_buffer", KEY_TEXT, offsetof(struct config, multi_buffer), .fallback = ECDSA_MB_LIBRARY },
	{ .name = "home", .kind = KEY_SECTION },
	{ .name = "est", .kind = KEY_SECTION, .required = true },
	{ .name = "admin", .kind = KEY_SECTION, .required = true },
	{ .name = "status", .kind = KEY_SECTION, .required = true },
	{ .name = "heads", .kind = KEY_SECTION },
	{ .name = "trust", .kind = KEY_SECTION, .required = true },
	{ .name = "evidence", .kind = KEY_SECTION },
	{ "profiles", KEY_PATH, offsetof(struct config, profiles), .required = true },
	{ "users", KEY_PATH, offsetof(struct config, users), .required = false },
	{ "root", KEY_PATH, offsetof(struct config, root), .required = true },
	{ .name = "issuers", .kind = KEY_SECTION, .required = true },
	{ .name = "certificates", .kind = KEY_SECTION },
	{ .name = "token", .kind = KEY_SECTION, .required = true },
	{ .name = "ledger", .kind = KEY_SECTION, .required = true },
	{ .name = "confinement", .kind = KEY_SECTION },
	{ .name = "roles", .kind = KEY_SECTION },
};

static const struct key est_keys[] = {
	{ .name = "listeners", .kind = KEY_SECTION, .required = true },
	{ "certificate", KEY_PATH, offsetof(struct config, est.certificate), .required = true },
	{ "key", KEY_PATH, offsetof(struct config, est.key), .required = true },
	{ "default_label", KEY_TEXT, offsetof(struct config, est.default_label), .required = false },
	{ "realm", KEY_TEXT, offsetof(struct config, est.realm), .fallback = "assay" },
	{ "nonce_key", KEY_PATH, offsetof(struct config, est.nonce_key), .required = true },
	{ "ticket_key", KEY_PATH, offsetof(struct config, est.ticket_key), .required = false },
	{ "deadline_ms", KEY_UNSIGNED, offsetof(struct config, est.deadline_ms), .fallback = "10000", .min = 100,
	  .max = 600000 },
	{ "rig_under_way", KEY_UNSIGNED, offsetof(struct config, est.rig_under_way), .fallback = "512", .min = 0,
	  .max = 100000 },
	{ "device_under_way", KEY_UNSIGNED, offsetof(struct config, est.device_under_way), .fallback = "4", .min = 0,
	  .max = 100000 },
	{ "user_under_way", KEY_UNSIGNED, offsetof(struct config, est.user_under_way), .fallback = "16", .min = 0,
	  .max = 100000 },
};

static const struct key listener_keys[] = {
	{ "name", KEY_TEXT, offsetof(struct listener_options, name), .fallback = "est" },
	{ "address", KEY_TEXT, offsetof(struct listener_options, address), .fallback = "127.0.0.1" },
	{ "port", KEY_PORT, offsetof(struct listener_options, port), .required = true },
	{ "threads", KEY_UNSIGNED, offsetof(struct listener_options, threads), .fallback = "2", .min = 1, .max = 256 },
	{ "connections", KEY_UNSIGNED, offsetof(struct listener_options, connections), .fallback = "2000", .min = 1,
	  .max = 100000 },
	{ "idle_s", KEY_UNSIGNED, offsetof(struct listener_options, idle_s), .fallback = "60", .min = 1, .max = 86400 },
	{ "clients", KEY_CHOICE, offsetof(struct listener_options, clients), .fallback = "any",
	  .choices = clients_choices },
	{ "per_address", KEY_UNSIGNED, offsetof(struct listener_options, per_address), .fallback = "500", .min = 0,
	  .max = 100000 },
	{ "handshakes_s", KEY_UNSIGNED, offsetof(struct listener_options, handshakes_s), .fallback = "100", .min = 0,
	  .max = 100000 },
	{ "reserve", KEY_UNSIGNED, offsetof(struct listener_options, reserve), .fallback = "200", .min = 0,
	  .max = 100000 },
	{ "strangers_s", KEY_UNSIGNED, offsetof(struct listener_options, strangers_s), .fallback = "1000", .min = 0,
	  .max = 100000 },
};

static const struct key admin_keys[] = {
	{ "address", KEY_TEXT, offsetof(struct config, admin.address), .fallback = "127.0.0.1" },
	{ "port", KEY_PORT, offsetof(struct config, admin.port), .required = true },
	{ "certificate", KEY_PATH, offsetof(struct config, admin.certificate), .required = true },
	{ "key", KEY_PATH, offsetof(struct config, admin.key), .required = true },
	{ "clients", KEY_PATH, offsetof(struct config, admin.clients), .required = true },
	{ "two_operators_above", KEY_UNSIGNED, offsetof(struct config, admin.two_operators_above), .fallback = "0",
	  .min = 0, .max = 1000000000 },
};

static const struct key status_keys[] = {
	{ "address", KEY_TEXT, offsetof(struct config, status.address), .fallback = "127.0.0.1" },
	{ "port", KEY_PORT, offsetof(struct config, status.port), .required = true },
	{ "url", KEY_TEXT, offsetof(struct config, status.url), .required = false },
	{ "crl_validity", KEY_DURATION_S, offsetof(struct config, status.crl_validity_s), .fallback = "24h", .min = 10,
	  .max = 30 * UINT64_C(86400) },
	{ "responder", KEY_TEXT, offsetof(struct config, status.responder), .required = false },
	{ "ocsp_s", KEY_UNSIGNED, offsetof(struct config, status.ocsp_s), .fallback = "500", .min = 1, .max = 1000000 },
};

static const struct key heads_keys[] = {
	{ "key", KEY_TEXT, offsetof(struct config, heads.key), .required = true },
	{ "interval", KEY_DURATION_S, offsetof(struct config, heads.interval_s), .fallback = "60s", .min = 1,
	  .max = 3600 },
	{ "file", KEY_PATH, offsetof(struct config, heads.file), .required = false },
	{ "syslog", KEY_BOOL, offsetof(struct config, heads.syslog), .required = false },
};

static const struct key certificate_keys[] = {
	{ "operators", KEY_DURATION_S, offsetof(struct config, certificates.operators_s), .fallback = "1y", .min = 10,
	  .max = 100 * YEAR_S },
	{ "rigs", KEY_DURATION_S, offsetof(struct config, certificates.rigs_s), .fallback = "1y", .min = 10,
	  .max = 100 * YEAR_S },
	{ "tls", KEY_DURATION_S, offsetof(struct config, certificates.tls_s), .fallback = "90d", .min = 10,
	  .max = 100 * YEAR_S },
	{ "responder", KEY_DURATION_S, offsetof(struct config, certificates.responder_s), .fallback = "30d",
	  .min = 3672, .max = YEAR_S }, /* an answer is good for an hour, and never longer than its signer */
};

static const struct key trust_keys[] = {
	{ "rigs", KEY_PATH, offsetof(struct config, trust.rigs), .required = true },
	{ "vendors", KEY_PATH, offsetof(struct config, trust.vendors), .required = false },
};

static const struct key token_keys[] = {
	{ "module", KEY_PATH, offsetof(struct config, token.module), .required = true },
	{ "label", KEY_TEXT, offsetof(struct config, token.token_label), .required = true },
	{ "pin_file", KEY_PATH, offsetof(struct config, token.pin_file), .required = true },
	{ "sessions", KEY_UNSIGNED, offsetof(struct config, token.sessions), .fallback = "4", .min = 1, .max = 64 },
	{ "sign_timeout_ms", KEY_UNSIGNED, offsetof(struct config, sign_timeout_ms), .fallback = "20000", .min = 1000,
	  .max = 600000 },
	{ "network", KEY_BOOL, offsetof(struct config, token_network), .required = false },
};

static const struct key confinement_keys[] = {
	{ "seccomp", KEY_CHOICE, offsetof(struct config, confinement.seccomp), .fallback = "required",
	  .choices = seccomp_choices },
};

struct ledger_keys {
	uint64_t retry_window_s;
};

static const struct key ledger_keys[] = {
	{ "writer", KEY_TEXT, offsetof(struct config, ledger.writer), .required = true },
	{ "reader", KEY_TEXT, offsetof(struct config, ledger.reader), .required = true },
	{ .name = "retry_window", .kind = KEY_SECTION },
};

static enum reason read_section(const json_t *root, const char *name, const struct key *keys, size_t n,
				const struct place *top, struct config *config, struct fault *f)
{
	struct place place = place_in(top, name, -1);

	return keys_read(json_object_get(root, name), keys, n, &place, config, f);
}

/* An array under `object`; an absent one is empty. */
static enum reason array_of(const json_t *object, const char *name, size_t min, size_t max, const struct place *place,
			    const json_t **ret_array, struct fault *f)
{
	const json_t *array = json_object_get(object, name);

	if (array != NULL && !json_is_array(array))
		return config_refuse(place, name, f, "must be an array");
	if (json_array_size(array) < min || json_array_size(array) > max)
		return config_refuse(place, name, f, "has %zu entries, must have from %zu to %zu",
				     json_array_size(array), min, max);
	*ret_array = array;
	return REASON_OK;
}

static enum reason read_listeners(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	struct place est = place_in(top, "est", -1);
	const json_t *array;

	TRY(array_of(json_object_get(root, "est"), "listeners", 1, CONFIG_LISTENERS_MAX, &est, &array, f));
	for (size_t i = 0; i < json_array_size(array); i++) {
		struct place place = place_in(&est, "listeners", (int)i);

		config->est.n_listeners++;
		TRY(keys_read(json_array_get(array, i), listener_keys, COUNT(listener_keys), &place,
			      &config->est.listener[i], f));
	}
	return REASON_OK;
}

static enum reason read_evidence(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	const json_t *array;

	TRY(array_of(root, "evidence", 0, CONFIG_VENDORS_MAX, top, &array, f));
	for (size_t i = 0; i < json_array_size(array); i++) {
		struct place place = place_in(top, "evidence", (int)i);
		struct {
			char *format, *name, *roots;
			bool software;
		} v = { 0 };
		const struct key keys[] = {
			{ "format", KEY_TEXT, (size_t)((char *)&v.format - (char *)&v), .required = true },
			{ "name", KEY_TEXT, (size_t)((char *)&v.name - (char *)&v), .required = true },
			{ "roots", KEY_PATH, (size_t)((char *)&v.roots - (char *)&v), .required = true },
			{ "software", KEY_BOOL, (size_t)((char *)&v.software - (char *)&v), .required = false },
		};
		enum reason reason = keys_read(json_array_get(array, i), keys, COUNT(keys), &place, &v, f);

		config->evidence[config->n_evidence++] = (struct vendor_options){ v.format, v.name, v.roots };
		TRY(reason);
		if (v.software && !config->quickstart)
			return config_refuse(
				&place, "software", f,
				"is true: software elements are for quickstart homes only, take the entry out");
	}
	return REASON_OK;
}

/* The URLs in certificates, and what the va answers at them. */
static enum reason issuer_urls(const struct config *config, struct issuer_options *issuer, struct fault *f)
{
	char *ca = NULL, *crl = NULL, *base = NULL, *ocsp = NULL;

	if (config->status.url == NULL)
		return REASON_OK;
	if (asprintf(&ca, "%s/ca/%s.cer", config->status.url, issuer->name) < 0)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	issuer->ca_issuers_url = ca;
	if (asprintf(&crl, "%s/crl/%s.crl", config->status.url, issuer->name) < 0)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	issuer->crl_url = crl;
	if (asprintf(&base, "%s/crl/%s", config->status.url, issuer->name) < 0)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	issuer->crl_base_url = base;
	if (config->status.responder == NULL)
		return REASON_OK;
	if (asprintf(&ocsp, "%s/ocsp", config->status.url) < 0)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	issuer->ocsp_url = ocsp;
	return REASON_OK;
}

static enum reason check_shards(const struct config *config, const struct place *place,
				const struct issuer_options *issuer, struct fault *f)
{
	const char *end = strrchr(issuer->name, '-');

	if ((issuer->crl_shards & (issuer->crl_shards - 1)) != 0)
		return config_refuse(place, "crl_shards", f,
				     "is %u, must be 0 or a power of two up to %d; it cannot be changed later",
				     issuer->crl_shards, CRL_SHARDS_MAX);
	if (issuer->crl_shards > 0 && config->status.url == NULL)
		return config_refuse(place, "crl_shards", f, "is %u, needs status.url", issuer->crl_shards);
	if (end != NULL && strcmp(end, "-delta") == 0)
		return config_refuse(place, "name", f, "is \"%.40s\", must not end in -delta", issuer->name);
	return REASON_OK;
}

static enum reason read_issuer(const json_t *object, const struct place *place, struct config *config,
			       struct issuer_options *issuer, struct fault *f)
{
	struct issuer_keys k = { 0 };
	const struct key texts[] = {
		{ "name", KEY_TEXT, offsetof(struct issuer_options, name), .required = true },
		{ "certificate", KEY_PATH, offsetof(struct issuer_options, certificate), .required = true },
		{ "key", KEY_TEXT, offsetof(struct issuer_options, key_label), .required = true },
		{ .name = "level_min", .kind = KEY_SECTION, .required = true },
		{ .name = "level_max", .kind = KEY_SECTION },
		{ .name = "validity_max", .kind = KEY_SECTION },
		{ .name = "hourly_max", .kind = KEY_SECTION },
		{ .name = "crl_shards", .kind = KEY_SECTION },
		{ .name = "for", .kind = KEY_SECTION },
	};
	const struct key rules[] = {
		{ "level_min", KEY_CHOICE, offsetof(struct issuer_keys, level_min), .choices = level_choices },
		{ "level_max", KEY_CHOICE, offsetof(struct issuer_keys, level_max), .fallback = "native",
		  .choices = level_choices },
		{ "validity_max", KEY_DURATION_S, offsetof(struct issuer_keys, validity_max_s), .fallback = "none",
		  .max = 100 * YEAR_S },
		{ "hourly_max", KEY_UNSIGNED, offsetof(struct issuer_keys, hourly_max), .fallback = "100000", .min = 1,
		  .max = 100000000 },
		{ "crl_shards", KEY_UNSIGNED, offsetof(struct issuer_keys, crl_shards), .fallback = "0",
		  .max = CRL_SHARDS_MAX },
		{ "for", KEY_CHOICE, offsetof(struct issuer_keys, use), .fallback = "devices", .choices = use_choices },
		{ .name = "name", .kind = KEY_SECTION },
		{ .name = "certificate", .kind = KEY_SECTION },
		{ .name = "key", .kind = KEY_SECTION },
	};

	TRY(keys_read(object, texts, COUNT(texts), place, issuer, f));
	TRY(keys_read(object, rules, COUNT(rules), place, &k, f));
	if (k.level_max < k.level_min)
		return config_refuse(place, "level_max", f, "is \"%s\", must not be below level_min \"%s\"",
				     level_choices[k.level_max], level_choices[k.level_min]);
	if (strlen(issuer->name) > LIMIT_PROFILE_CHARS)
		return config_refuse(place, "name", f, "has over %d characters", LIMIT_PROFILE_CHARS);
	if (k.use != ISSUER_DEVICES && k.level_max != LEVEL_NONE)
		return config_refuse(place, "level_max", f, "is \"%s\", must be \"none\" where \"for\" is \"%s\"",
				     level_choices[k.level_max], use_choices[k.use]);
	issuer->use = (enum issuer_use)k.use;
	issuer->level_min = (enum level)k.level_min;
	issuer->level_max = (enum level)k.level_max;
	issuer->validity_max_s = k.validity_max_s;
	issuer->hourly_max = k.hourly_max;
	issuer->crl_shards = k.crl_shards;
	TRY(check_shards(config, place, issuer, f));
	return issuer_urls(config, issuer, f);
}

static enum reason read_issuers(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	const json_t *array;

	TRY(array_of(root, "issuers", 1, LIMIT_ISSUERS, top, &array, f));
	for (size_t i = 0; i < json_array_size(array); i++) {
		struct place place = place_in(top, "issuers", (int)i);

		config->n_issuers++;
		TRY(read_issuer(json_array_get(array, i), &place, config, &config->issuer[i], f));
		for (size_t k = 0; k < i; k++)
			if (strcmp(config->issuer[k].name, config->issuer[i].name) == 0)
				return config_refuse(&place, "name", f, "is \"%.40s\", which issuers[%zu] has already",
						     config->issuer[i].name, k);
	}
	return REASON_OK;
}

static enum reason read_roles(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	struct place roles = place_in(top, "roles", -1);
	const json_t *object = json_object_get(root, "roles");
	struct key names[ROLE_COUNT];

	for (unsigned i = 0; i < ROLE_COUNT; i++)
		names[i] = (struct key){ .name = role_names[i], .kind = KEY_SECTION };
	TRY(keys_read(object, names, ROLE_COUNT, &roles, config, f));
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		struct place place = place_in(&roles, role_names[i], -1);
		const struct key user = { .name = "user", .kind = KEY_TEXT };

		TRY(keys_read(json_object_get(object, role_names[i]), &user, 1, &place, &config->user[i], f));
	}
	return REASON_OK;
}

static enum reason read_ledger(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	static const struct key window[] = {
		{ "retry_window", KEY_DURATION_S, offsetof(struct ledger_keys, retry_window_s), .fallback = "7d",
		  .min = 60, .max = YEAR_S },
		{ .name = "writer", .kind = KEY_SECTION },
		{ .name = "reader", .kind = KEY_SECTION },
	};
	struct place place = place_in(top, "ledger", -1);
	struct ledger_keys k = { 0 };

	TRY(read_section(root, "ledger", ledger_keys, COUNT(ledger_keys), top, config, f));
	TRY(keys_read(json_object_get(root, "ledger"), window, COUNT(window), &place, &k, f));
	config->ledger.retry_window_s = (unsigned)k.retry_window_s;
	return REASON_OK;
}

static enum reason read_home(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	const struct key home = { "home", KEY_CHOICE, 0, .fallback = "plant", .choices = home_choices };
	json_t *alone = json_object();
	int choice = 0;
	enum reason reason;

	if (alone == NULL)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	if (json_object_get(root, "home") != NULL &&
	    json_object_set(alone, "home", json_object_get(root, "home")) != 0) {
		json_decref(alone);
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	}
	reason = keys_read(alone, &home, 1, top, &choice, f);
	json_decref(alone);
	config->quickstart = choice == 1;
	return reason;
}

static enum reason read_all(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	TRY(keys_read(root, top_keys, COUNT(top_keys), top, config, f));
	TRY(read_home(root, top, config, f));
	TRY(read_section(root, "est", est_keys, COUNT(est_keys), top, config, f));
	TRY(read_section(root, "admin", admin_keys, COUNT(admin_keys), top, config, f));
	TRY(read_section(root, "status", status_keys, COUNT(status_keys), top, config, f));
	if (json_object_get(root, "heads") != NULL)
		TRY(read_section(root, "heads", heads_keys, COUNT(heads_keys), top, config, f));
	TRY(read_section(root, "trust", trust_keys, COUNT(trust_keys), top, config, f));
	TRY(read_section(root, "certificates", certificate_keys, COUNT(certificate_keys), top, config, f));
	TRY(read_section(root, "token", token_keys, COUNT(token_keys), top, config, f));
	TRY(read_section(root, "confinement", confinement_keys, COUNT(confinement_keys), top, config, f));
	TRY(read_ledger(root, top, config, f));
	TRY(read_listeners(root, top, config, f));
	TRY(read_evidence(root, top, config, f));
	TRY(read_issuers(root, top, config, f));
	TRY(read_roles(root, top, config, f));
	if (strchr(config->multi_buffer, '/') != NULL && config->multi_buffer[0] != '/')
		return config_refuse(top, "multi_buffer", f,
				     "is \"%.100s\", must be off, a library's name or its absolute path",
				     config->multi_buffer);
	if (strlen(config->node) > 32)
		return config_refuse(top, "node", f, "has %zu characters, must have at most 32", strlen(config->node));
	return REASON_OK;
}

enum reason config_profile_fits(const struct config *config, const char *label, const char *issuer, bool rigs,
				enum grant_crl crl, struct fault *f)
{
	size_t i = 0;

	while (i < config->n_issuers && strcmp(config->issuer[i].name, issuer) != 0)
		i++;
	if (i == config->n_issuers)
		return REASON_OK; /* said elsewhere */
	if (config->issuer[i].use != (rigs ? ISSUER_RIGS : ISSUER_DEVICES))
		return fault_set(f, REASON_CONFIG,
				 "%s.json: issuer \"%.32s\" is for %s in %.100s; this profile needs one for %s", label,
				 issuer, use_choices[config->issuer[i].use], config->path,
				 use_choices[rigs ? ISSUER_RIGS : ISSUER_DEVICES]);
	if (crl == GRANT_CRL_SHARD && config->issuer[i].crl_shards == 0)
		return fault_set(f, REASON_CONFIG,
				 "%s.json: crl is \"shard\", but issuers[%zu] \"%s\" has no crl_shards in %.120s; "
				 "set them, or take \"complete\"",
				 label, i, issuer, config->path);
	return REASON_OK;
}

AUTO_FREE(struct config, config_freep, config_free)
AUTO_FREE(json_t, json_freep, json_decref)

enum reason config_parse(struct blob text, const char *path, struct config **ret_config, struct fault *f)
{
	AUTO(config_freep) struct config *config = calloc(1, sizeof(*config));
	AUTO(json_freep) json_t *root = NULL;
	struct place top = { .file = path };
	char folder[PATH_MAX];
	json_error_t error;

	if (config == NULL || (config->path = strdup(path)) == NULL)
		return fault_set(f, REASON_NO_MEMORY, "configuration");
	snprintf(folder, sizeof(folder), "%s", path);
	top.folder = dirname(folder);
	root = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		return fault_set(f, REASON_CONFIG, "%s: line %d is not JSON: %.120s", path, error.line, error.text);
	TRY(read_all(root, &top, config, f));
	*ret_config = TAKE(config);
	return REASON_OK;
}

enum reason config_load(const char *path, struct config **ret_config, struct fault *f)
{
	AUTO(buf_done) struct buf text = { 0 };
	char absolute[PATH_MAX];
	FILE *file;

	if (realpath(path, absolute) == NULL || (file = fopen(absolute, "re")) == NULL)
		return fault_set(f, REASON_CONFIG, "cannot read the configuration %.120s: %s", path, strerror(errno));
	if (buf_reserve(&text, CONFIG_BYTES_MAX + 1, f) != REASON_OK) {
		fclose(file);
		return REASON_NO_MEMORY;
	}
	text.len = fread(text.ptr, 1, CONFIG_BYTES_MAX + 1, file);
	fclose(file);
	if (text.len > CONFIG_BYTES_MAX)
		return fault_set(f, REASON_CONFIG, "%s is over %d bytes", absolute, CONFIG_BYTES_MAX);
	return config_parse(buf_blob(&text), absolute, ret_config, f);
}

static void free_text(const char *text)
{
	free((void *)(uintptr_t)text);
}

static void free_lists(struct config *config)
{
	for (size_t i = 0; i < CONFIG_LISTENERS_MAX; i++) {
		free(config->est.listener[i].name);
		free(config->est.listener[i].address);
	}
	for (size_t i = 0; i < config->n_evidence; i++) {
		free_text(config->evidence[i].format);
		free_text(config->evidence[i].name);
		free_text(config->evidence[i].roots);
	}
	for (size_t i = 0; i < config->n_issuers; i++) {
		free_text(config->issuer[i].name);
		free_text(config->issuer[i].certificate);
		free_text(config->issuer[i].key_label);
		free_text(config->issuer[i].ca_issuers_url);
		free_text(config->issuer[i].crl_url);
		free_text(config->issuer[i].crl_base_url);
		free_text(config->issuer[i].ocsp_url);
	}
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		free(config->user[i]);
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	char *const texts[] = {
		config->path,           config->node,           config->multi_buffer,
		config->state_dir,      config->run_dir,        config->est.certificate,
		config->est.key,        config->est.realm,      config->est.default_label,
		config->est.nonce_key,  config->est.ticket_key, config->admin.address,
		config->admin.key,      config->admin.clients,  config->admin.certificate,
		config->status.address, config->status.url,     config->status.responder,
		config->heads.key,      config->heads.file,     config->ledger.reader_passfile,
		config->trust.rigs,     config->trust.vendors,  config->profiles,
		config->users,          config->root,           config->ledger.writer,
		config->ledger.reader,
	};
	for (size_t i = 0; i < COUNT(texts); i++)
		free(texts[i]);
	free_text(config->token.module);
	free_text(config->token.token_label);
	free_text(config->token.pin_file);
	free_lists(config);
	free(config);
}

const char *role_name(enum role role)
{
	return role_names[role];
}
