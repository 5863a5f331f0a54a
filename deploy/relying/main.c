/* main.c - assay-agent's command line; agent.h says what it does. */
#include "agent.h"

#include <getopt.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WARN_DAYS_MAX 1000

static void help(void)
{
	printf("usage: assay-agent --va URL --root FILE --issuer NAME... --state FOLDER [--root-crl FILE]\n"
	       "                   [--root-crl-warn TIME] [--nginx-pid FILE] [--once]\n"
	       "       assay-agent --status --state FOLDER [--json]\n"
	       "       assay-agent --health --state FOLDER\n"
	       "\n"
	       "Follows an Assay's feed of revocations and keeps a mosquitto and an nginx on this machine up to date.\n"
	       "\n"
	       "  --va URL          the status address: http://HOST:PORT, the one in certificates' CRL URLs\n"
	       "  --root FILE       the root that everything has to be under, PEM\n"
	       "  --issuer NAME     an issuer to watch, as in its CRL's URL (/crl/NAME.crl); up to %d times\n"
	       "  --state FOLDER    where files are kept: revoked (for assay_mosquitto.so), crl.pem and revoked.map\n"
	       "                    (for nginx), status.json, metrics.prom (for Prometheus), and what must not be\n"
	       "                    forgotten; it has to be there\n"
	       "  --root-crl FILE   the root's own CRL, PEM: nginx wants one of every CA of the chain, and a CA that "
	       "it\n"
	       "                    revokes is out with every certificate of it; a new one in its place is taken up\n"
	       "                    while the agent runs\n"
	       "  --root-crl-warn TIME  say so long before it ends that another has to be made: 1h to 1000d (14d, or\n"
	       "                    the last third of its time if that is less)\n"
	       "  --nginx-pid FILE  also write nginx's files, and send it SIGHUP when they change\n"
	       "  --once            ask for every list once, write the files and end; status 0: all is well\n"
	       "  --status          show how an agent on this machine is doing; --json: as it keeps it\n"
	       "  --health          say what is not well, a line each; status 0: nothing, 1: something\n"
	       "\n"
	       "examples:\n"
	       "  assay-agent --va http://pki.example.org:8445 --root root.pem --issuer attested \\\n"
	       "              --state /var/lib/assay-agent\n"
	       "  assay-agent --va http://pki.example.org:8445 --root root.pem --root-crl root-crl.pem \\\n"
	       "              --issuer attested --issuer unattested --state /var/lib/assay-agent \\\n"
	       "              --nginx-pid /run/nginx.pid\n"
	       "  assay-agent --status --state /var/lib/assay-agent\n"
	       "  assay-agent --health --state /var/lib/assay-agent || mail -s 'assay-agent' root\n",
	       ISSUERS_MAX);
}

static const struct option long_options[] = {
	{ "va", required_argument, NULL, 'v' },
	{ "root", required_argument, NULL, 'r' },
	{ "root-crl", required_argument, NULL, 'c' },
	{ "root-crl-warn", required_argument, NULL, 'w' },
	{ "issuer", required_argument, NULL, 'i' },
	{ "state", required_argument, NULL, 's' },
	{ "nginx-pid", required_argument, NULL, 'n' },
	{ "once", no_argument, NULL, 'o' },
	{ "status", no_argument, NULL, 't' },
	{ "health", no_argument, NULL, 'e' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* It becomes part of file names and URLs. */
static bool issuer_name_fits(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	return name[0] != '\0' && strlen(name) <= NAME_CHARS && strspn(name, allowed) == strlen(name);
}

static bool add_issuer(struct options *o, const char *name, struct why *why)
{
	if (!issuer_name_fits(name))
		return why_set(why, "--issuer is \"%.64s\"; allowed: up to %d letters, digits, - and _", name,
			       NAME_CHARS);
	if (o->n_issuers == ISSUERS_MAX)
		return why_set(why, "--issuer: at most %d", ISSUERS_MAX);
	for (size_t i = 0; i < o->n_issuers; i++)
		if (strcmp(o->issuer[i], name) == 0)
			return why_set(why, "--issuer %s twice", name);
	o->issuer[o->n_issuers++] = name;
	return true;
}

/* "12h" or "14d". */
static bool take_warn(struct options *o, const char *text, struct why *why)
{
	char *end;
	long n = text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : 0;
	long unit_s = n <= 0 || n > WARN_DAYS_MAX * 24L || end[0] == '\0' || end[1] != '\0' ? 0
		      : end[0] == 'h'                                                       ? 3600
		      : end[0] == 'd'                                                       ? 86400
											    : 0;

	if (unit_s == 0 || n * unit_s > WARN_DAYS_MAX * 86400L)
		return why_set(why, "--root-crl-warn is \"%.64s\"; allowed: 1h to %dd, in h or d", text, WARN_DAYS_MAX);
	o->root_crl_warn_s = n * unit_s;
	return true;
}

static bool take(struct options *o, int option, struct why *why)
{
	switch (option) {
	case 'v':
		o->va = optarg;
		return true;
	case 'r':
		o->root = optarg;
		return true;
	case 'c':
		o->root_crl = optarg;
		return true;
	case 'w':
		return take_warn(o, optarg, why);
	case 'i':
		return add_issuer(o, optarg, why);
	case 's':
		o->state = optarg;
		return true;
	case 'n':
		o->nginx_pid = optarg;
		return true;
	case 'o':
		o->once = true;
		return true;
	case 't':
		o->status = true;
		return true;
	case 'e':
		o->health = true;
		return true;
	case 'j':
		o->json = true;
		return true;
	default:
		return why_set(why, "unknown or incomplete option; see --help");
	}
}

static bool check(const struct options *o, struct why *why)
{
	struct stat st;

	if (o->state == NULL)
		return why_set(why, "--state is missing: the folder for lists and status");
	if (strlen(o->state) > PATH_CHARS / 2 || stat(o->state, &st) != 0 || !S_ISDIR(st.st_mode))
		return why_set(why, "--state %.128s is no folder: make it, owned by the user that runs the agent",
			       o->state);
	if (o->status || o->health)
		return true;
	if (o->root_crl_warn_s != 0 && o->root_crl == NULL)
		return why_set(why, "--root-crl-warn without --root-crl: there is nothing to warn of");
	if (access(o->state, W_OK) != 0)
		return why_set(why, "--state %.128s cannot be written to", o->state);
	if (o->va == NULL || (strncmp(o->va, "http://", 7) != 0 && strncmp(o->va, "https://", 8) != 0) ||
	    strlen(o->va) > PATH_CHARS / 2)
		return why_set(why, "--va is \"%.64s\"; allowed: http://HOST:PORT or https://HOST:PORT",
			       o->va == NULL ? "" : o->va);
	if (o->root == NULL)
		return why_set(why, "--root is missing: the root certificate, PEM");
	if (o->n_issuers == 0)
		return why_set(
			why,
			"--issuer is missing: NAME as in /crl/NAME.crl, which stands in the devices' certificates");
	return true;
}

/* Ends the process for --help and for what cannot be. */
static void read_options(int argc, char **argv, struct options *o)
{
	struct why why;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == 'h') {
			help();
			exit(0);
		}
		if (!take(o, option, &why)) {
			say("%s", why.text);
			exit(2);
		}
	}
	if (optind < argc)
		(void)why_set(&why, "\"%.64s\": there are only options; see --help", argv[optind]);
	if (optind < argc || !check(o, &why)) {
		say("%s", why.text);
		exit(2);
	}
}

static X509 *read_cert(const char *path, struct why *why)
{
	BIO *bio = BIO_new_file(path, "r");
	X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);

	if (cert == NULL)
		(void)why_set(why, "%.128s: %s", path, bio == NULL ? "cannot be read" : "no certificate in PEM");
	BIO_free(bio);
	ERR_clear_error();
	return cert;
}

static bool open_agent(struct agent *agent, struct why *why)
{
	agent->n = agent->options->n_issuers;
	for (size_t i = 0; i < agent->n; i++)
		snprintf(agent->issuer[i].name, sizeof(agent->issuer[i].name), "%s", agent->options->issuer[i]);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return why_set(why, "libcurl does not start");
	agent->root = read_cert(agent->options->root, why);
	return agent->root != NULL && root_crl_open(agent, why) && outputs_load(agent, why);
}

static int run(const struct options *options)
{
	struct agent agent = { .options = options };
	struct why why;
	int status = 1;

	if (options->nginx_pid != NULL && options->root_crl == NULL)
		say("no --root-crl: an nginx with ssl_crl lets nobody in without the root's CRL");
	if (open_agent(&agent, &why)) {
		status_write(&agent);
		status = feed_follow(&agent);
		status_write(&agent);
	} else {
		say("%s", why.text);
	}
	for (size_t i = 0; i < agent.n; i++)
		issuer_done(&agent.issuer[i]);
	X509_STORE_free(agent.store);
	X509_free(agent.root);
	bytes_free(&agent.root_crl.pem);
	curl_global_cleanup();
	return status;
}

int main(int argc, char **argv)
{
	struct options options = { 0 };

	read_options(argc, argv, &options);
	if (options.health)
		return status_health(&options);
	return options.status ? status_show(&options) : run(&options);
}
