/*
 * options.c - reads the command line by two tables; what the tables cannot say is checked at the end.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DEVICES_MAX 1000000L
#define STATIONS_MAX 256L
#define WAIT_MAX_S 86400L
#define LABEL_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-" /* they go into a URL */

#define ENROL_EXAMPLES                                                                                                 \
	"  assay-rig enrol                               one device, label line\n"                                     \
	"  assay-rig enrol --devices 1000 --stations 16 --out devices --mes line7.jsonl --order A-1204\n"              \
	"  assay-rig enrol --resume --out devices        finish those that power or network cut off\n"                 \
	"  assay-rig enrol --unattested --key rsa-2048   a device without a secure element (Basic)\n"
#define REENROL_EXAMPLES                                                                                               \
	"  assay-rig reenrol --out devices               renew all, same keys\n"                                       \
	"  assay-rig reenrol --out devices --devices 100 --stations 16\n"                                              \
	"  assay-rig reenrol --out devices --new-key     new keys, fresh evidence, proof of continuity\n"
#define ELEMENT_EXAMPLES                                                                                               \
	"  assay-rig element --out devices                    prints the folder it made\n"                             \
	"  assay-rig element --out devices --nonce \"$nonce\"   and request.der with evidence, for curl\n"

static const struct command_info {
	const char *name, *alias, *what, *examples;
} commands[COMMAND_COUNT] = {
	[COMMAND_ENROL] = { "enrol", "enroll", "personalise new devices: key pair, evidence, certificate, proof",
			    ENROL_EXAMPLES },
	[COMMAND_REENROL] = { "reenrol", "reenroll", "give devices their next certificate, each speaking for itself",
			      REENROL_EXAMPLES },
	[COMMAND_ELEMENT] = { "element", "element", "mint software elements with a key pair, and stop there",
			      ELEMENT_EXAMPLES },
};

enum option_kind { TEXT, NUMBER, KEY, FLAG };
#define E (1U << COMMAND_ENROL)
#define R (1U << COMMAND_REENROL)
#define M (1U << COMMAND_ELEMENT)
#define AT(member) offsetof(struct options, member)
#define FROM(environment) environment, 0, 0
#define NONE NULL, 0, 0

/* clang-format off: a table reads better one line each */
static const struct option_info {
	const char *name, *value;
	enum option_kind kind;
	unsigned commands;
	size_t at;
	const char *help;
	const char *environment; /* NUMBER: none */
	long min, max;
} table[] = {
	{ "devices", "N", NUMBER, E | R | M, AT(devices), "how many (enrol: 1; re-enrol, --resume: all there are)",
	  NULL, 1, DEVICES_MAX },
	{ "stations", "S", NUMBER, E | R, AT(stations), "how many at a time, each on its own connection (1)", NULL, 1,
	  STATIONS_MAX },
	{ "label", "NAME", TEXT, E | R, AT(label), "EST label (line; re-enrol: field; --unattested: unattested)",
	  NONE },
	{ "out", "DIR", TEXT, E | R | M, AT(out), "keep each device in a folder of its own there", NONE },
	{ "mes", "FILE", TEXT, E | R, AT(mes), "append a JSON line for each device", NONE },
	{ "order", "TEXT", TEXT, E | R, AT(order), "production order, for the MES lines", NONE },
	{ "key", "KIND", KEY, E | R | M, AT(key),
	  "ec-p256 (default), ec-p384; without evidence also rsa-2048, rsa-3072", NONE },
	{ "attestation-key", "KIND", KEY, E | M, AT(attestation_key),
	  "of the elements made: ec-p256 (default), ec-p384", NONE },
	{ "unattested", NULL, FLAG, E, AT(unattested), "no evidence; a common name, and HTTP Basic from ASSAY_USERPASS",
	  NONE },
	{ "name", "PREFIX", TEXT, E, AT(name), "--unattested: common name before the device's id (legacy-)", NONE },
	{ "resume", NULL, FLAG, E, AT(resume), "finish the devices in --out that have no certificate, same keys",
	  NONE },
	{ "new-key", NULL, FLAG, R, AT(new_key), "a new key with fresh evidence instead of a renewal", NONE },
	{ "nonce", "BASE64URL", TEXT, M, AT(nonce), "also write request.der with evidence over this nonce", NONE },
	{ "url", "URL", TEXT, E | R, AT(url), "EST server, https://host:port", FROM("ASSAY_EST_URL") },
	{ "cacert", "FILE", TEXT, E | R, AT(cacert), "what the server's certificate must lead to, PEM",
	  FROM("ASSAY_CACERT") },
	{ "rig-cert", "FILE", TEXT, E, AT(rig_cert), "the rig's certificate, PEM", FROM("ASSAY_RIG_CERT") },
	{ "rig-key", "FILE", TEXT, E, AT(rig_key), "its key, PEM", FROM("ASSAY_RIG_KEY") },
	{ "vendor", "DIR", TEXT, E | M, AT(vendor), "software vendor's batch-ca.pem and batch-ca.key",
	  FROM("ASSAY_VENDOR_DIR") },
	{ "patience", "SECONDS", NUMBER, E | R, AT(patience_s),
	  "how long to send the same again when the server is away (60)", NULL, 0, WAIT_MAX_S },
	{ "timeout", "SECONDS", NUMBER, E | R, AT(timeout_s), "for one answer (15)", NULL, 1, WAIT_MAX_S },
	{ "stop-on-first", NULL, FLAG, E | R, AT(stop_on_first), "begin no further device after a failure", NONE },
	{ "json", NULL, FLAG, E | R, AT(json), "the figures as one JSON object on standard output", NONE },
	{ "quiet", NULL, FLAG, E | R, AT(quiet), "no progress", NONE },
};
/* clang-format on */
#undef NONE
#undef FROM
#undef E
#undef R
#undef M
#undef AT
#define TABLE_LEN (sizeof(table) / sizeof(table[0]))

static const char *const key_names[ELEMENT_KEY_COUNT] = {
	[ELEMENT_EC_P256] = "ec-p256",
	[ELEMENT_EC_P384] = "ec-p384",
	[ELEMENT_RSA_2048] = "rsa-2048",
	[ELEMENT_RSA_3072] = "rsa-3072",
};

static void help_all(void)
{
	(void)puts("assay-rig: the reference manufacturing rig of Assay, with a software secure element\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		(void)printf("  assay-rig %-8s %s\n", commands[i].name, commands[i].what);
	(void)puts(
		"\nThe rig's own certificate is renewed in its file when the last third of its life has begun; ASSAY_RENEW=off in\n"
		"the environment stops that.\n"
		"assay-rig COMMAND --help tells more. After ./deploy/quickstart: . .assay/env\n"
		"Exit status: 0 every device got its certificate, 1 some did not, 2 wrong use, 130 stopped by Ctrl-C.");
}

static void help_command(enum command command)
{
	(void)printf("assay-rig %s: %s\n\n", commands[command].name, commands[command].what);
	for (size_t i = 0; i < TABLE_LEN; i++) {
		char left[40];

		if ((table[i].commands & (1U << command)) == 0)
			continue;
		(void)snprintf(left, sizeof(left), "--%s%s%s", table[i].name, table[i].value == NULL ? "" : " ",
			       table[i].value == NULL ? "" : table[i].value);
		(void)printf("  %-24s %s", left, table[i].help);
		if (table[i].environment != NULL)
			(void)printf(" (%s)", table[i].environment);
		(void)putchar('\n');
	}
	(void)printf("\n%s", commands[command].examples);
}

static bool find_command(const char *name, enum command *ret_command)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (strcmp(name, commands[i].name) == 0 || strcmp(name, commands[i].alias) == 0) {
			*ret_command = (enum command)i;
			return true;
		}
	}
	return false;
}

static bool set_number(const struct option_info *o, const char *text, long *to, struct trouble *t)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < o->min || value > o->max)
		return trouble_set(t, "--%s: a number from %ld to %ld, not '%.40s'", o->name, o->min, o->max, text);
	*to = value;
	return true;
}

static bool set_key(const struct option_info *o, const char *text, enum element_key *to, struct trouble *t)
{
	for (size_t i = 0; i < ELEMENT_KEY_COUNT; i++) {
		if (strcmp(text, key_names[i]) == 0) {
			*to = (enum element_key)i;
			return true;
		}
	}
	return trouble_set(t, "--%s: ec-p256, ec-p384, rsa-2048 or rsa-3072, not '%.40s'", o->name, text);
}

static bool set(struct options *options, const struct option_info *o, const char *text, struct trouble *t)
{
	char *at = (char *)options + o->at;

	switch (o->kind) {
	case NUMBER:
		return set_number(o, text, (long *)(void *)at, t);
	case KEY:
		return set_key(o, text, (enum element_key *)(void *)at, t);
	case FLAG:
		*(bool *)at = true;
		return true;
	case TEXT:
		if (text[0] == '\0')
			return trouble_set(t, "--%s: must not be empty", o->name);
		*(const char **)(void *)at = text;
		return true;
	}
	return false;
}

/* Environment first; the command line goes over it. */
static void set_from_environment(struct options *options)
{
	for (size_t i = 0; i < TABLE_LEN; i++) {
		const char *text = table[i].environment == NULL ? NULL : getenv(table[i].environment);

		if (text != NULL && text[0] != '\0')
			*(const char **)(void *)((char *)options + table[i].at) = text;
	}
	options->userpass = getenv("ASSAY_USERPASS"); /* never an option: process lists are public */
}

static enum options_end walk(int argc, char **argv, struct options *options, struct trouble *t)
{
	struct option longs[TABLE_LEN + 2] = { { "help", no_argument, NULL, 'h' } };
	int c, index = 0;

	for (size_t i = 0; i < TABLE_LEN; i++)
		longs[i + 1] = (struct option){ table[i].name, table[i].kind == FLAG ? no_argument : required_argument,
						NULL, 1 };
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", longs, &index)) != -1) {
		const struct option_info *o = &table[index > 0 ? index - 1 : 0];

		if (c == 'h') {
			help_command(options->command);
			return OPTIONS_HELP;
		}
		if (c != 1) {
			(void)trouble_set(t, "%.60s: %s; see assay-rig %s --help", argv[optind - 1],
					  c == ':' ? "needs a value" : "no such option",
					  commands[options->command].name);
			return OPTIONS_WRONG;
		}
		if ((o->commands & (1U << options->command)) == 0) {
			(void)trouble_set(t, "--%s is not an option of assay-rig %s; see assay-rig %s --help", o->name,
					  commands[options->command].name, commands[options->command].name);
			return OPTIONS_WRONG;
		}
		if (!set(options, o, optarg, t))
			return OPTIONS_WRONG;
	}
	if (optind < argc) {
		(void)trouble_set(t, "'%.60s' is not an option: what is meant by it?", argv[optind]);
		return OPTIONS_WRONG;
	}
	return OPTIONS_RUN;
}

/* Said here by name and file, for libcurl would say it less well and later. */
static bool readable(const char *option, const char *environment, const char *path, struct trouble *t)
{
	if (path == NULL)
		return trouble_set(t, "--%s or %s is needed (after ./deploy/quickstart: . .assay/env)", option,
				   environment);
	if (access(path, R_OK) != 0)
		return trouble_set(t, "--%s (or %s): %s: %s", option, environment, path, strerror(errno));
	return true;
}

static bool check_server(const struct options *o, struct trouble *t)
{
	if (o->url == NULL)
		return trouble_set(t, "--url or ASSAY_EST_URL is needed: https://host:port (after ./deploy/quickstart: "
				      ". .assay/env)");
	if (strncasecmp(o->url, "https://", 8) != 0)
		return trouble_set(t, "--url (or ASSAY_EST_URL): EST speaks HTTPS only, https://host:port, not '%.80s'",
				   o->url);
	if (o->label != NULL && strspn(o->label, LABEL_CHARS) != strlen(o->label))
		return trouble_set(t, "--label: letters, digits, '.', '_' and '-', not '%.40s'", o->label);
	return readable("cacert", "ASSAY_CACERT", o->cacert, t);
}

static bool check_keys(const struct options *o, bool attested, struct trouble *t)
{
	if (attested && o->key != ELEMENT_EC_P256 && o->key != ELEMENT_EC_P384)
		return trouble_set(t, "--key: evidence is for ec-p256 and ec-p384 only, not '%s'", key_names[o->key]);
	if (o->attestation_key != ELEMENT_EC_P256 && o->attestation_key != ELEMENT_EC_P384)
		return trouble_set(t, "--attestation-key: ec-p256 or ec-p384, not '%s'", key_names[o->attestation_key]);
	return true;
}

static bool check_enrol(const struct options *o, struct trouble *t)
{
	if (o->resume && o->out == NULL)
		return trouble_set(t, "--resume needs --out: the folder with the devices to be finished");
	if (!check_server(o, t) || !check_keys(o, !o->unattested, t))
		return false;
	if (o->unattested && o->userpass == NULL)
		return trouble_set(t, "--unattested needs ASSAY_USERPASS in the environment: user:password");
	if (o->unattested)
		return true;
	return readable("rig-cert", "ASSAY_RIG_CERT", o->rig_cert, t) &&
	       readable("rig-key", "ASSAY_RIG_KEY", o->rig_key, t) &&
	       (o->resume || readable("vendor", "ASSAY_VENDOR_DIR", o->vendor, t));
}

static bool check_reenrol(const struct options *o, struct trouble *t)
{
	if (o->out == NULL)
		return trouble_set(t, "--out is needed: the folder in which assay-rig enrol --out left the devices");
	return check_server(o, t) && check_keys(o, o->new_key, t);
}

static bool check_element(const struct options *o, struct trouble *t)
{
	if (o->out == NULL)
		return trouble_set(t, "--out is needed: where to keep the elements");
	return check_keys(o, o->nonce != NULL, t) && readable("vendor", "ASSAY_VENDOR_DIR", o->vendor, t);
}

enum options_end options_parse(int argc, char **argv, struct options *ret_options, struct trouble *t)
{
	static bool (*const checks[COMMAND_COUNT])(const struct options *, struct trouble *) = {
		[COMMAND_ENROL] = check_enrol,
		[COMMAND_REENROL] = check_reenrol,
		[COMMAND_ELEMENT] = check_element,
	};
	struct options options = { .stations = 1, .patience_s = 60, .timeout_s = 15, .name = "legacy-" };
	enum options_end end;

	if (argc >= 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
		help_all();
		return OPTIONS_HELP;
	}
	if (argc < 2 || !find_command(argv[1], &options.command)) {
		(void)trouble_set(t, "%s%.60s%s: a command is enrol, reenrol or element; see assay-rig --help",
				  argc < 2 ? "no command" : "'", argc < 2 ? "" : argv[1], argc < 2 ? "" : "'");
		return OPTIONS_WRONG;
	}
	set_from_environment(&options);
	optind = 1;
	end = walk(argc - 1, argv + 1, &options, t);
	if (end != OPTIONS_RUN)
		return end;
	if (!checks[options.command](&options, t))
		return OPTIONS_WRONG;
	if (options.label == NULL)
		options.label = options.command == COMMAND_REENROL ? "field"
				: options.unattested               ? "unattested"
								   : "line";
	*ret_options = options;
	return OPTIONS_RUN;
}
