/* config_lists.c - sections that stand more than once: listeners, vendors of elements, issuers; see config_keys.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "config_keys.h"

static const char *const clients_choices[] = { "any", "rigs", NULL }; /* enum listener_clients */
static const char *const level_choices[] = { "none", "vouched", "provisioned", "native", NULL }; /* enum level */
static const char *const use_choices[] = { "devices", "rigs", "services", NULL };                /* enum issuer_use */

_Static_assert(sizeof(enum level) == sizeof(int) && sizeof(enum issuer_use) == sizeof(int), "KEY_CHOICE writes an int");

static const struct key listener_keys[] = {
	{ "name", KEY_TEXT, offsetof(struct listener_options, name), .fallback = "est" },
	{ "address", KEY_TEXT, offsetof(struct listener_options, address), .fallback = "127.0.0.1" },
	{ "port", KEY_PORT, offsetof(struct listener_options, port), .required = true },
	{ "threads", KEY_UNSIGNED, offsetof(struct listener_options, threads), .fallback = "0", .min = 0, .max = 256 },
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

/* Wider than what it becomes: whether an element is software is asked here alone. */
struct evidence_entry {
	char *format, *name, *roots;
	bool software;
};

static const struct key evidence_keys[] = {
	{ "format", KEY_TEXT, offsetof(struct evidence_entry, format), .required = true },
	{ "name", KEY_TEXT, offsetof(struct evidence_entry, name), .required = true },
	{ "roots", KEY_PATH, offsetof(struct evidence_entry, roots), .required = true },
	{ "software", KEY_BOOL, offsetof(struct evidence_entry, software), .required = false },
};

static const struct key issuer_keys[] = {
	{ "name", KEY_TEXT, offsetof(struct issuer_options, name), .required = true },
	{ "certificate", KEY_PATH, offsetof(struct issuer_options, certificate), .required = true },
	{ "key", KEY_TEXT, offsetof(struct issuer_options, key_label), .required = true },
	{ "for", KEY_CHOICE, offsetof(struct issuer_options, use), .fallback = "devices", .choices = use_choices },
	{ "level_min", KEY_CHOICE, offsetof(struct issuer_options, level_min), .required = true,
	  .choices = level_choices },
	{ "level_max", KEY_CHOICE, offsetof(struct issuer_options, level_max), .fallback = "native",
	  .choices = level_choices },
	{ "validity_max", KEY_DURATION_S, offsetof(struct issuer_options, validity_max_s), .fallback = "none",
	  .max = 100 * KEY_YEAR_S },
	{ "hourly_max", KEY_UNSIGNED, offsetof(struct issuer_options, hourly_max), .fallback = "100000", .min = 1,
	  .max = 100000000 },
	{ "device_hourly", KEY_UNSIGNED, offsetof(struct issuer_options, device_hourly), .fallback = "1000",
	  .max = 60000 },
	{ "crl_shards", KEY_UNSIGNED, offsetof(struct issuer_options, crl_shards), .fallback = "0",
	  .max = CRL_SHARDS_MAX },
};

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
		TRY(keys_read(json_array_get(array, i), listener_keys, KEY_COUNT(listener_keys), &place,
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
		struct evidence_entry v = { 0 };
		enum reason reason =
			keys_read(json_array_get(array, i), evidence_keys, KEY_COUNT(evidence_keys), &place, &v, f);

		config->evidence[config->n_evidence++] = (struct vendor_options){ v.format, v.name, v.roots };
		TRY(reason);
		if (v.software && config->home != HOME_QUICKSTART)
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

static enum reason read_issuer(const json_t *object, const struct place *place, const struct config *config,
			       struct issuer_options *issuer, struct fault *f)
{
	TRY(keys_read(object, issuer_keys, KEY_COUNT(issuer_keys), place, issuer, f));
	if (issuer->level_max < issuer->level_min)
		return config_refuse(place, "level_max", f, "is \"%s\", must not be below level_min \"%s\"",
				     level_choices[issuer->level_max], level_choices[issuer->level_min]);
	if (strlen(issuer->name) > LIMIT_PROFILE_CHARS)
		return config_refuse(place, "name", f, "has over %d characters", LIMIT_PROFILE_CHARS);
	if (issuer->use != ISSUER_DEVICES && issuer->level_max != LEVEL_NONE)
		return config_refuse(place, "level_max", f, "is \"%s\", must be \"none\" where \"for\" is \"%s\"",
				     level_choices[issuer->level_max], use_choices[issuer->use]);
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

enum reason config_read_lists(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	TRY(read_listeners(root, top, config, f));
	TRY(read_evidence(root, top, config, f));
	return read_issuers(root, top, config, f);
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

void config_free_lists(struct config *config)
{
	for (size_t i = 0; i < config->est.n_listeners; i++)
		keys_free(listener_keys, KEY_COUNT(listener_keys), &config->est.listener[i]);
	for (size_t i = 0; i < config->n_evidence; i++) {
		struct vendor_options *v = &config->evidence[i];
		struct evidence_entry entry = { (char *)(uintptr_t)v->format, (char *)(uintptr_t)v->name,
						(char *)(uintptr_t)v->roots, false };

		keys_free(evidence_keys, KEY_COUNT(evidence_keys), &entry);
	}
	for (size_t i = 0; i < config->n_issuers; i++) {
		struct issuer_options *issuer = &config->issuer[i];
		const char *urls[] = { issuer->ca_issuers_url, issuer->crl_url, issuer->crl_base_url,
				       issuer->ocsp_url };

		keys_free(issuer_keys, KEY_COUNT(issuer_keys), issuer);
		for (size_t k = 0; k < KEY_COUNT(urls); k++)
			free((char *)(uintptr_t)urls[k]);
	}
}
