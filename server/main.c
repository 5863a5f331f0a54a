/* main.c - assayd: reads the command line and the configuration, then is one role, or supervises all four. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

#include "ecdsa_mb.h"
#include "ledger.h"
#include "observe/log.h"
#include "oid.h"
#include "policy.h"
#include "role.h"

static const char usage[] =
	"usage: assayd --config FILE [--role ra|ca|va|admin] [--check]\n"
	"       assayd --hash-password\n"
	"\n"
	"Assay's daemon: an EST (RFC 7030) issuing CA for hardware makers. Without --role it starts all four roles,\n"
	"starts again those that die, and stops them on SIGTERM or SIGINT.\n"
	"\n"
	"  -c, --config FILE    the configuration, one JSON file; deploy/assay.json is an example\n"
	"  -r, --role ROLE      run this role alone: ra, ca, va or admin (for service managers)\n"
	"      --check          check the configuration and everything it names, then exit\n"
	"      --hash-password  read a password from standard input, print its hash for the users file\n"
	"  -V, --version        print the version\n"
	"  -h, --help           print this\n"
	"\n"
	"Exit status: 0 stopped in order, 1 failure, 2 wrong usage or configuration, 78 the token refused the PIN.\n"
	"\n"
	"examples:\n"
	"  assayd --config /etc/assay/assay.json --check\n"
	"  assayd --config /etc/assay/assay.json\n"
	"  printf '%s' 'a long password' | assayd --hash-password\n";

struct options {
	const char *config, *role;
	bool check, hash_password, done;
};

static int (*const runs[ROLE_COUNT])(const struct config *, struct metrics *) = {
	[ROLE_RA] = ra_run,
	[ROLE_CA] = ca_run,
	[ROLE_VA] = va_run,
	[ROLE_ADMIN] = admin_run,
};

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "role", required_argument, NULL, 'r' },
		{ "check", no_argument, NULL, 'k' },
		{ "hash-password", no_argument, NULL, 'p' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:r:Vh", longs, NULL)) != -1) {
		if (c == 'c')
			o->config = optarg;
		else if (c == 'r')
			o->role = optarg;
		else if (c == 'k')
			o->check = true;
		else if (c == 'p')
			o->hash_password = true;
		else if (c == 'V' || c == 'h') {
			o->done = true;
			fputs(c == 'h' ? usage : "assayd " ASSAY_VERSION "\n", stdout);
		} else {
			fputs("assayd: assayd --help says which options there are\n", stderr);
			return EXIT_CONFIG;
		}
	}
	if (optind < argc)
		fprintf(stderr, "assayd: '%s': there are only options; assayd --help says more\n", argv[optind]);
	else if (o->config == NULL && !o->hash_password && !o->done)
		fputs("assayd: --config FILE is needed; assayd --help says more\n", stderr);
	else
		return 0;
	return EXIT_CONFIG;
}

static int complain(const struct fault *fault)
{
	fprintf(stderr, "assayd: %s\n", fault->detail);
	return EXIT_CONFIG;
}

static int hash_password(void)
{
	char password[258], hash[128];
	struct fault fault = { 0 };
	size_t len = fread(password, 1, sizeof(password) - 1, stdin);
	enum reason reason = REASON_OK;

	while (len > 0 && (password[len - 1] == '\n' || password[len - 1] == '\r'))
		len--;
	password[len] = '\0';
	if (len == 0 || len > 128 || strlen(password) != len)
		reason = fault_set(&fault, REASON_CONFIG, "a password has from 1 to 128 characters");
	else
		reason = policy_hash_password(password, hash, sizeof(hash), &fault);
	OPENSSL_cleanse(password, sizeof(password));
	if (reason != REASON_OK)
		return complain(&fault);
	puts(hash);
	return 0;
}

static bool role_by_name(const char *name, enum role *ret_role)
{
	for (unsigned i = 0; i < ROLE_COUNT; i++)
		if (strcmp(role_name((enum role)i), name) == 0) {
			*ret_role = (enum role)i;
			return true;
		}
	return false;
}

/*
 * Only the roles that verify others' signatures in number. The library is read before the role gives up its rights to
 * read files; that it is not there is no fault.
 */
static void open_multi_buffer(const struct config *config, enum role role, struct metrics *metrics)
{
	struct fault why;

	if ((role != ROLE_RA && role != ROLE_CA) || strcmp(config->multi_buffer, "off") == 0)
		return;
	if (ecdsa_mb_open(config->multi_buffer, &why) == REASON_OK) {
		log_event(LOG_INFO, "multi_buffer", "library", LOG_STR, config->multi_buffer, NULL);
		metrics_gauge(metrics, GAUGE_MULTI_BUFFER, 1);
	} else {
		log_event(LOG_INFO, "multi_buffer_off", "detail", LOG_STR, why.detail, NULL);
	}
}

/* A role says what is wrong in the log, where the supervisor's reader looks. */
static int run_role(struct config *config, const char *name)
{
	struct metrics *metrics;
	struct fault fault = { 0 };
	enum role role;

	if (!role_by_name(name, &role)) {
		fprintf(stderr, "assayd: --role is \"%s\", must be one of: ra, ca, va, admin\n", name);
		return EXIT_CONFIG;
	}
	log_init(name, (enum log_level)config->log_level);
	if (metrics_open(config->run_dir, name, &metrics, &fault) != REASON_OK ||
	    role_become(config, role, &fault) != REASON_OK) {
		return role_start_failed(&fault);
	}
	open_multi_buffer(config, role, metrics);
	config->ledger.reader_passfile = ledger_passfile(config->ledger.reader);
	role_confine(config, role);
	if (seal_start(config, false, &fault) != REASON_OK)
		return role_start_failed(&fault);
	return runs[role](config, metrics);
}

static int run_all(const struct config *config, bool check_only)
{
	struct fault fault = { 0 };

	log_init("supervisor", (enum log_level)config->log_level);
	if (config_check(config, &fault) != REASON_OK)
		return complain(&fault);
	if (check_only) {
		puts("configuration is good");
		return 0;
	}
	return supervise("/proc/self/exe", config->path, config);
}

/*
 * jansson 2.14 writes past its buffer when a token's memory cannot grow (lex_save() takes no notice). Hostile bytes
 * reach it at /nonce: rather than that, the role ends and is started again; nothing that it holds is only its own.
 */
static void *json_malloc(size_t size)
{
	void *memory = malloc(size);

	if (memory == NULL)
		abort();
	return memory;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct config *config;
	struct fault fault = { 0 };
	int status = parse(argc, argv, &options);

	if (status != 0 || options.done)
		return status;
	json_set_alloc_funcs(json_malloc, free);
	role_prepare();
	oid_init();
	if (options.hash_password)
		return hash_password();
	if (config_load(options.config, &config, &fault) != REASON_OK)
		return complain(&fault);
	status = options.role != NULL && !options.check ? run_role(config, options.role)
							: run_all(config, options.check);
	config_free(config);
	return status;
}
