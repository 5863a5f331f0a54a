/*
 * main.c - assay-ceremony: hold a key ceremony as a spec says, whole or in parts, and have it signed by its custodians.
 */
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ceremony.h"
#include "custodian.h"
#include "oid.h"

static const char usage[] =
	"Usage: assay-ceremony --spec FILE --home DIR                    everything in one token\n"
	"       assay-ceremony request --spec FILE --home DIR --out DIR  the root elsewhere: on the server\n"
	"       assay-ceremony certify --spec FILE --home DIR --requests DIR --out DIR\n"
	"                                                                on the machine off the net\n"
	"       assay-ceremony accept  --spec FILE --home DIR --certified DIR\n"
	"                                                                on the server again\n"
	"       assay-ceremony sign    --home DIR --custodian NAME --key FILE\n"
	"       assay-ceremony seal    --home DIR\n"
	"       assay-ceremony check   FILE\n"
	"       assay-ceremony crl     --spec FILE --home DIR --out FILE [--days N] [--revoke ISSUER]\n"
	"\n"
	"Holds a key ceremony: initialises a PKCS#11 token, generates the CA keys in it, issues the CA\n"
	"certificates and the first server, rig and operator certificates, and writes the transcript\n"
	"DIR/ceremony.json. A home that has a transcript is complete and is left alone, but for the\n"
	"spec's \"ocsp_key\" and certificates with \"token_key\": one that the transcript lacks is made in the\n"
	"token and noted in DIR/ceremony-ocsp.json, DIR/ceremony-LABEL.json.\n"
	"\n"
	"In parts, for a root that never meets the server (the spec has a \"root_token\"): request makes\n"
	"the issuing keys and PKCS#10 requests, certify makes the root at its first time and certifies,\n"
	"accept checks what came back and makes the rest. deploy/ceremony/guide leads through it.\n"
	"\n"
	"Custodians sign the transcript: sign makes DIR/custodians/NAME.sig (so does openssl dgst -sha256\n"
	"-sign KEY -out NAME.sig ceremony.json), seal puts transcript and signatures into\n"
	"DIR/ceremony-sealed.json when the quorum is there, check says who signed one.\n"
	"\n"
	"crl signs the root's CRL, where the root's key is: relying parties that check the whole chain need one\n"
	"before the last has run out.\n"
	"\n"
	"  --spec FILE       what to make, JSON (example: deploy/ceremony/quickstart.json)\n"
	"  --home DIR        where certificates, PIN files and the transcript go\n"
	"  --module FILE     PKCS#11 module, instead of the spec's\n"
	"  --out DIR         a new folder, to be carried to the other machine; of crl: a new file\n"
	"  --requests DIR    what request wrote\n"
	"  --certified DIR   what certify wrote; or root.pem and <issuer>.pem of another CA's making\n"
	"  --custodian NAME  as the spec calls them\n"
	"  --days N          how long the CRL is good, 1 to 1000 (90)\n"
	"  --revoke ISSUER   an issuing CA that is to be trusted no more; stays on all later CRLs\n"
	"  --key FILE        the custodian's private key, PEM\n"
	"  --help            this text\n"
	"\n"
	"PIN files that are missing are made with random PINs, readable by their owner alone.\n"
	"\n"
	"Examples, with SoftHSM:\n"
	"  SOFTHSM2_CONF=/srv/assay/softhsm2.conf \\\n"
	"    assay-ceremony --spec deploy/ceremony/quickstart.json --home /srv/assay\n"
	"  assay-ceremony request --spec spec.json --home /srv/assay --out /media/stick/requests\n"
	"  assay-ceremony check /srv/assay/ceremony-sealed.json\n";

struct arguments {
	const char *spec, *home, *module, *out, *requests, *certified, *custodian, *key, *days, *revoke, *file;
};

enum { EXIT_USAGE = 2 };

static enum reason run_hold(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	return ceremony_hold(spec, a->home, a->module, f);
}

static enum reason run_request(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	return ceremony_request(spec, a->home, a->module, a->out, f);
}

static enum reason run_certify(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	return ceremony_certify(spec, a->home, a->module, a->requests, a->out, f);
}

static enum reason run_accept(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	return ceremony_accept(spec, a->home, a->module, a->certified, f);
}

static enum reason run_sign(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	(void)spec;
	return custodian_sign(a->home, a->custodian, a->key, f);
}

static enum reason run_seal(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	(void)spec;
	return custodian_seal(a->home, f);
}

static enum reason run_check(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	(void)spec;
	return custodian_check(a->file, f);
}

#define DAYS_DEFAULT 90
#define DAYS_MAX 1000

static enum reason run_crl(const struct arguments *a, const struct spec *spec, struct fault *f)
{
	char *end = NULL;
	const long days = a->days == NULL ? DAYS_DEFAULT : strtol(a->days, &end, 10);

	if (days < 1 || days > DAYS_MAX || (end != NULL && *end != '\0'))
		return fault_set(f, REASON_CONFIG, "--days %s: allowed: 1 to %d", a->days, DAYS_MAX);
	return ceremony_crl(spec, a->home, a->module, a->revoke, (unsigned)days, a->out, f);
}

#define AT(member) offsetof(struct arguments, member)

static const struct option options[] = {
	{ "spec", required_argument, NULL, AT(spec) },
	{ "home", required_argument, NULL, AT(home) },
	{ "module", required_argument, NULL, AT(module) },
	{ "out", required_argument, NULL, AT(out) },
	{ "requests", required_argument, NULL, AT(requests) },
	{ "certified", required_argument, NULL, AT(certified) },
	{ "custodian", required_argument, NULL, AT(custodian) },
	{ "key", required_argument, NULL, AT(key) },
	{ "days", required_argument, NULL, AT(days) },
	{ "revoke", required_argument, NULL, AT(revoke) },
	{ "help", no_argument, NULL, 'h' + 1000 },
	{ NULL, 0, NULL, 0 },
};

/* What each verb needs, by the options' names; the first goes without a name. */
static const struct verb {
	const char *name;
	enum reason (*run)(const struct arguments *a, const struct spec *spec, struct fault *f);
	const char *needs[5];
	const char *takes[3]; /* may come too */
} verbs[] = {
	{ "", run_hold, { "spec", "home" }, { "module" } },
	{ "request", run_request, { "spec", "home", "out" }, { "module" } },
	{ "certify", run_certify, { "spec", "home", "requests", "out" }, { "module" } },
	{ "accept", run_accept, { "spec", "home", "certified" }, { "module" } },
	{ "sign", run_sign, { "home", "custodian", "key" }, { NULL } },
	{ "seal", run_seal, { "home" }, { NULL } },
	{ "check", run_check, { NULL }, { NULL } },
	{ "crl", run_crl, { "spec", "home", "out" }, { "module", "days", "revoke" } },
};

static const char **value_of(struct arguments *args, const char *name)
{
	for (const struct option *o = options; o->name != NULL; o++) {
		if (strcmp(o->name, name) == 0)
			return (const char **)((char *)args + o->val);
	}
	abort(); /* a name in verbs[] that options[] has not */
}

static bool takes(const struct verb *verb, const char *name)
{
	for (size_t i = 0; i < 5 && verb->needs[i] != NULL; i++) {
		if (strcmp(verb->needs[i], name) == 0)
			return true;
	}
	for (size_t i = 0; i < 3 && verb->takes[i] != NULL; i++) {
		if (strcmp(verb->takes[i], name) == 0)
			return true;
	}
	return false;
}

static bool wrong(const char *verb, const char *what, const char *name)
{
	fprintf(stderr, "assay-ceremony: %s%s%s%s; assay-ceremony --help says more\n", verb, verb[0] == '\0' ? "" : " ",
		what, name);
	return false;
}

/* What is missing, what is too much. */
static bool check_arguments(const struct verb *verb, struct arguments *args)
{
	for (size_t i = 0; i < 5 && verb->needs[i] != NULL; i++) {
		if (*value_of(args, verb->needs[i]) == NULL)
			return wrong(verb->name, "needs --", verb->needs[i]);
	}
	for (const struct option *o = options; o->name != NULL; o++) {
		if (o->has_arg == required_argument && *value_of(args, o->name) != NULL && !takes(verb, o->name))
			return wrong(verb->name, "has no use for --", o->name);
	}
	if (verb->run == run_check && args->file == NULL)
		return wrong(verb->name, "needs a file", "");
	return true;
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	}
	return NULL;
}

/* Returns true to go on; else *ret_status is the program's. */
static bool read_arguments(int argc, char **argv, struct arguments *args, const struct verb **ret_verb, int *ret_status)
{
	int option;

	*ret_status = EXIT_USAGE;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h' + 1000) {
			fputs(usage, stdout);
			*ret_status = 0;
			return false;
		}
		if (option == '?')
			return wrong("", "the option is none, or lacks its value", "");
		*(const char **)((char *)args + option) = optarg;
	}
	*ret_verb = optind < argc ? find_verb(argv[optind++]) : &verbs[0];
	if (*ret_verb == NULL)
		return wrong("", "there are request, certify, accept, sign, seal, check, crl; not ", argv[optind - 1]);
	if (optind < argc && (*ret_verb)->run == run_check)
		args->file = argv[optind++];
	if (optind < argc)
		return wrong((*ret_verb)->name, "has no use for ", argv[optind]);
	return check_arguments(*ret_verb, args);
}

static enum reason run(const struct verb *verb, const struct arguments *args, struct fault *f)
{
	AUTO(spec_freep) struct spec *spec = NULL;

	if (args->spec != NULL)
		TRY(spec_load(args->spec, &spec, f));
	return verb->run(args, spec, f);
}

int main(int argc, char **argv)
{
	struct arguments args = { 0 };
	struct fault fault = { 0 };
	const struct verb *verb = NULL;
	int status;

	if (!read_arguments(argc, argv, &args, &verb, &status))
		return status;
	oid_init();
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022); /* secrets get their own mode; whatever the caller's umask, public files are readable */
	if (run(verb, &args, &fault) != REASON_OK) {
		fprintf(stderr, "assay-ceremony: %s\n",
			fault.detail[0] != '\0' ? fault.detail : reason_info(fault.reason)->name);
		return 1;
	}
	return 0;
}
