/*
 * check.c - is everything there that the configuration names, and does it fit together? See role.h.
 *
 * Before the roles start, in the process that then supervises them, so that a mistake is one line and an exit status
 * and not four processes that try again.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nonce.h"
#include "policy.h"
#include "role.h"
#include "trust.h"

static enum reason check_readable(const struct config *config, const char *key, const char *path, struct fault *f)
{
	if (access(path, R_OK) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %s: cannot read %s: %s", config->path, key, path,
				 strerror(errno));
	return REASON_OK;
}

/* Not before every user of the machine; a group's right may be how a role gets at it. */
static enum reason check_secret(const struct config *config, const char *key, const char *path, struct fault *f)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %s: %s is open to every user (mode %03o); chmod it to 600",
				 config->path, key, path, st.st_mode & 0777U);
	return REASON_OK;
}

static enum reason check_files(const struct config *config, struct fault *f)
{
	const struct {
		const char *key, *path;
		bool secret;
	} files[] = {
		{ "est.certificate", config->est.certificate, false },
		{ "est.key", config->est.key, true },
		{ "est.nonce_key", config->est.nonce_key, true },
		{ "admin.certificate", config->admin.certificate, false },
		{ "admin.key", config->admin.key, true },
		{ "admin.clients", config->admin.clients, false },
		{ "root", config->root, false },
		{ "token.module", config->token.module, false },
		{ "token.pin_file", config->token.pin_file, true },
		{ "trust.rigs", config->trust.rigs, false },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		TRY(check_readable(config, files[i].key, files[i].path, f));
		if (files[i].secret)
			TRY(check_secret(config, files[i].key, files[i].path, f));
	}
	return REASON_OK;
}

/* What is inside another file is told with the key that named it. */
static enum reason with_key(const struct config *config, const char *key, enum reason reason, struct fault *f)
{
	struct fault inner = *f;

	if (reason == REASON_OK)
		return REASON_OK;
	return fault_set(f, REASON_CONFIG, "%s: %s: %.140s", config->path, key, inner.detail);
}

static enum reason check_trust(const struct config *config, const char *key, const char *path, struct fault *f)
{
	AUTO(trust_freep) struct trust *trust = NULL;

	if (path == NULL)
		return REASON_OK;
	return with_key(config, key, trust_open(key, path, &trust, f), f);
}

AUTO_FREE(struct issuer, issuer_freep, issuer_free)

static enum reason check_issuers(const struct config *config, struct fault *f)
{
	for (size_t i = 0; i < config->n_issuers; i++) {
		AUTO(issuer_freep) struct issuer *issuer = NULL;
		char key[48];

		snprintf(key, sizeof(key), "issuers[%zu]", i);
		TRY(with_key(config, key, issuer_open(&config->issuer[i], NULL, &issuer, f), f));
	}
	return REASON_OK;
}

static enum reason check_profiles(const struct config *config, const struct policy *policy, struct fault *f)
{
	const struct profile *profile[64];
	size_t n = policy_profiles(policy, profile, 64);

	for (size_t i = 0; i < n; i++) {
		struct profile_facts facts;

		profile_facts(profile[i], &facts);
		TRY(config_profile_fits(config, facts.label, facts.issuer, facts.rigs, facts.crl, f));
	}
	return REASON_OK;
}

static enum reason check_policy(const struct config *config, struct fault *f)
{
	AUTO(policy_freep) struct policy *policy = NULL;
	const char *issuers[LIMIT_ISSUERS + 1] = { 0 };

	for (size_t i = 0; i < config->n_issuers; i++)
		issuers[i] = config->issuer[i].name;
	TRY(policy_load(config->profiles, config->users, issuers, &policy, f));
	if (config->est.default_label != NULL && policy_profile(policy, config->est.default_label) == NULL)
		return fault_set(f, REASON_CONFIG, "%s: est.default_label is \"%s\", which is no profile in %s",
				 config->path, config->est.default_label, config->profiles);
	return check_profiles(config, policy, f);
}

static enum reason check_nonce_key(const struct config *config, struct fault *f)
{
	struct nonce_key *key = NULL;

	TRY(with_key(config, "est.nonce_key", nonce_key_open(config->est.nonce_key, &key, f), f));
	nonce_key_free(key);
	return REASON_OK;
}

enum reason config_check(const struct config *config, struct fault *f)
{
	AUTO(vendors_freep) struct vendors *vendors = NULL;

	TRY(check_files(config, f));
	TRY(check_trust(config, "trust.rigs", config->trust.rigs, f));
	TRY(check_trust(config, "trust.vendors", config->trust.vendors, f));
	TRY(check_trust(config, "admin.clients", config->admin.clients, f));
	TRY(check_trust(config, "root", config->root, f));
	TRY(with_key(config, "evidence", vendors_open(config->evidence, config->n_evidence, &vendors, f), f));
	TRY(check_nonce_key(config, f));
	TRY(check_issuers(config, f));
	return check_policy(config, f);
}

static enum reason check_port(const struct config *config, const char *key, const char *address, uint16_t port,
			      struct fault *f)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	char service[8];
	int fd, on = 1, failed;

	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(address, service, &hints, &found) != 0)
		return fault_set(f, REASON_CONFIG, "%s: %s.address is \"%s\", must be an IP address", config->path, key,
				 address);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	failed = fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0 ? errno : 0;
	freeaddrinfo(found);
	if (fd >= 0)
		close(fd);
	if (failed != 0)
		return fault_set(
			f, REASON_CONFIG,
			"%s: %s.port %u on %s cannot be used: %s; stop what listens there or choose another port",
			config->path, key, port, address, strerror(failed));
	return REASON_OK;
}

enum reason config_check_ports(const struct config *config, struct fault *f)
{
	for (size_t i = 0; i < config->est.n_listeners; i++) {
		const struct listener_options *listener = &config->est.listener[i];
		char key[48];

		snprintf(key, sizeof(key), "est.listeners[%zu]", i);
		TRY(check_port(config, key, listener->address, listener->port, f));
	}
	TRY(check_port(config, "admin", config->admin.address, config->admin.port, f));
	return check_port(config, "status", config->status.address, config->status.port, f);
}
