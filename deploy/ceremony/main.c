/*
 * main.c - assay-ceremony: hold a key ceremony as a spec says.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ceremony.h"
#include "oid.h"

static const char usage[] =
	"Usage: assay-ceremony --spec FILE --home DIR [--module FILE]\n"
	"\n"
	"Holds a key ceremony: initialises a PKCS#11 token, generates the CA keys in it, issues the CA\n"
	"certificates and the first server, rig and operator certificates, and writes the transcript\n"
	"DIR/ceremony.json. A home that has a transcript is complete and is left alone, but for the\n"
	"spec's \"ocsp_key\": if the transcript has none, it is made in the token and noted in\n"
	"DIR/ceremony-ocsp.json.\n"
	"\n"
	"  --spec FILE    what to make, JSON (example: deploy/ceremony/quickstart.json)\n"
	"  --home DIR     where certificates, PIN files and the transcript go\n"
	"  --module FILE  PKCS#11 module, instead of the spec's\n"
	"  --help         this text\n"
	"\n"
	"PIN files that are missing are made with random PINs, readable by their owner alone.\n"
	"\n"
	"Example, with SoftHSM:\n"
	"  SOFTHSM2_CONF=/srv/assay/softhsm2.conf \\\n"
	"    assay-ceremony --spec deploy/ceremony/quickstart.json --home /srv/assay\n";

struct arguments {
	const char *spec, *home, *module;
};

enum { EXIT_USAGE = 2 };

/* Returns true to go on; else *ret_status is the program's. */
static bool read_arguments(int argc, char **argv, struct arguments *args, int *ret_status)
{
	static const struct option options[] = {
		{ "spec", required_argument, NULL, 's' },
		{ "home", required_argument, NULL, 'd' },
		{ "module", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*ret_status = EXIT_USAGE;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			args->spec = optarg;
			break;
		case 'd':
			args->home = optarg;
			break;
		case 'm':
			args->module = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			*ret_status = 0;
			return false;
		default:
			fputs("Try: assay-ceremony --help\n", stderr);
			return false;
		}
	}
	if (args->spec == NULL || args->home == NULL || optind < argc) {
		fputs("assay-ceremony: needs --spec FILE and --home DIR, and nothing else\nTry: assay-ceremony "
		      "--help\n",
		      stderr);
		return false;
	}
	return true;
}

static enum reason run(const struct arguments *args, struct fault *f)
{
	AUTO(spec_freep) struct spec *spec = NULL;

	TRY(spec_load(args->spec, &spec, f));
	return ceremony_hold(spec, args->home, args->module, f);
}

int main(int argc, char **argv)
{
	struct arguments args = { 0 };
	struct fault fault = { 0 };
	int status;

	if (!read_arguments(argc, argv, &args, &status))
		return status;
	oid_init();
	setvbuf(stdout, NULL, _IOLBF, 0);
	umask(022); /* secrets get their own mode; whatever the caller's umask, public files are readable */
	if (run(&args, &fault) != REASON_OK) {
		fprintf(stderr, "assay-ceremony: %s\n",
			fault.detail[0] != '\0' ? fault.detail : reason_info(fault.reason)->name);
		return 1;
	}
	return 0;
}
