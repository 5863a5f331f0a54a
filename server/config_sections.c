/* config_sections.c - the tables of keys of each section that stands once, see config_keys.h. */
#include <stdlib.h>

#include "config.h"
#include "config_keys.h"
#include "ecdsa_mb.h"

static const char *const log_choices[] = { "debug", "info", "warn", "error", NULL };
static const char *const seccomp_choices[] = { "required", "wanted", "off", NULL }; /* enum seccomp_mode */
static const char *const home_choices[] = { "plant", "quickstart", NULL };          /* enum home */

static const struct key top_keys[] = {
	{ "node", KEY_TEXT, offsetof(struct config, node), .required = true },
	{ "state_dir", KEY_PATH, offsetof(struct config, state_dir), .required = true },
	{ "run_dir", KEY_PATH, offsetof(struct config, run_dir), .required = true },
	{ "log_level", KEY_CHOICE, offsetof(struct config, log_level), .fallback = "info", .choices = log_choices },
	{ "multi_buffer", KEY_TEXT, offsetof(struct config, multi_buffer), .fallback = ECDSA_MB_LIBRARY },
	{ "home", KEY_CHOICE, offsetof(struct config, home), .fallback = "plant", .choices = home_choices },
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
	{ "syslog_socket", KEY_PATH, offsetof(struct config, heads.syslog_socket), .fallback = "/dev/log" },
};

static const struct key certificate_keys[] = {
	{ "operators", KEY_DURATION_S, offsetof(struct config, certificates.operators_s), .fallback = "1y", .min = 10,
	  .max = 100 * KEY_YEAR_S },
	{ "rigs", KEY_DURATION_S, offsetof(struct config, certificates.rigs_s), .fallback = "1y", .min = 10,
	  .max = 100 * KEY_YEAR_S },
	{ "tls", KEY_DURATION_S, offsetof(struct config, certificates.tls_s), .fallback = "90d", .min = 10,
	  .max = 100 * KEY_YEAR_S },
	{ "responder", KEY_DURATION_S, offsetof(struct config, certificates.responder_s), .fallback = "30d",
	  .min = 3672, .max = KEY_YEAR_S }, /* an answer is good for an hour, and never longer than its signer */
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
	{ "session_keys", KEY_BOOL, offsetof(struct config, token.session_keys), .required = false },
	{ "sign_timeout_ms", KEY_UNSIGNED, offsetof(struct config, sign_timeout_ms), .fallback = "20000", .min = 1000,
	  .max = 600000 },
	{ "network", KEY_BOOL, offsetof(struct config, token_network), .required = false },
};

static const struct key confinement_keys[] = {
	{ "seccomp", KEY_CHOICE, offsetof(struct config, confinement.seccomp), .fallback = "required",
	  .choices = seccomp_choices },
};

static const struct key ledger_keys[] = {
	{ "writer", KEY_TEXT, offsetof(struct config, ledger.writer), .required = true },
	{ "reader", KEY_TEXT, offsetof(struct config, ledger.reader), .required = true },
	{ "retry_window", KEY_DURATION_S, offsetof(struct config, ledger.retry_window_s), .fallback = "7d", .min = 60,
	  .max = KEY_YEAR_S },
};

#define SECTION(name, table) name, table, KEY_COUNT(table)
static const struct {
	const char *name;
	const struct key *keys;
	size_t n;
	bool may_be_absent; /* and its keys stay zero then, required ones too */
} sections[] = {
	{ SECTION("est", est_keys), false },       { SECTION("admin", admin_keys), false },
	{ SECTION("status", status_keys), false }, { SECTION("heads", heads_keys), true },
	{ SECTION("trust", trust_keys), false },   { SECTION("certificates", certificate_keys), false },
	{ SECTION("token", token_keys), false },   { SECTION("confinement", confinement_keys), false },
	{ SECTION("ledger", ledger_keys), false },
};

static enum reason read_roles(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	struct place roles = place_in(top, "roles", -1);
	const json_t *object = json_object_get(root, "roles");
	struct key names[ROLE_COUNT];

	for (unsigned i = 0; i < ROLE_COUNT; i++)
		names[i] = (struct key){ .name = role_name(i), .kind = KEY_SECTION };
	TRY(keys_read(object, names, ROLE_COUNT, &roles, config, f));
	for (unsigned i = 0; i < ROLE_COUNT; i++) {
		struct place place = place_in(&roles, role_name(i), -1);
		const struct key user = { .name = "user", .kind = KEY_TEXT };

		TRY(keys_read(json_object_get(object, role_name(i)), &user, 1, &place, &config->user[i], f));
	}
	return REASON_OK;
}

enum reason config_read_sections(const json_t *root, const struct place *top, struct config *config, struct fault *f)
{
	TRY(keys_read(root, top_keys, KEY_COUNT(top_keys), top, config, f));
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		const json_t *object = json_object_get(root, sections[i].name);
		struct place place = place_in(top, sections[i].name, -1);

		if (object != NULL || !sections[i].may_be_absent)
			TRY(keys_read(object, sections[i].keys, sections[i].n, &place, config, f));
	}
	return read_roles(root, top, config, f);
}

void config_free_sections(struct config *config)
{
	keys_free(top_keys, KEY_COUNT(top_keys), config);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		keys_free(sections[i].keys, sections[i].n, config);
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		free(config->user[i]);
}
