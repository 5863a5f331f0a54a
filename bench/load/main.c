/*
 * main.c - the load driver's command line and its report; see --help.
 *
 * Everything that can be made beforehand is (board.h); then it prints "ready", waits for a line, drives the load, and
 * prints one JSON object. Whoever accounts CPU takes readings at both.
 */
#include <curl/curl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ask.h"
#include "drive.h"
#include "mint.h"

#define STATIONS_MAX 20000
#define DEVICES_MAX 500000
#define CHECK_EVERY 16 /* so many-th certificate is looked at */

struct options {
	const char *vendor, *label, *device_label, *rig_cert, *rig_key;
	struct wire_options wire;
	struct drive_plan plan;
};

static double cpu_us_before; /* of this process, when the clock started */

static double cpu_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void die(const char *text)
{
	fprintf(stderr, "assay-load: %s\n", text);
	exit(1);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* p50, p99, max of those done; nothing where there are none */
static void put_times(json_t *object, const char *name, double *ms, size_t n)
{
	if (n == 0)
		return;
	qsort(ms, n, sizeof(*ms), by_size);
	(void)json_object_set_new(
		object, name,
		json_pack("{s:f, s:f, s:f}", "p50", ms[n / 2], "p99", ms[(n * 99 + 99) / 100 - 1], "max", ms[n - 1]));
}

static void print_result(const struct drive_result *r)
{
	json_t *object = json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:f, s:s, s:s}", "begun", (json_int_t)r->begun, "done",
		(json_int_t)r->done, "failed", (json_int_t)r->failed, "retried", (json_int_t)r->retried, "lost",
		(json_int_t)r->lost, "seconds", r->seconds, "rate", (double)r->done / r->seconds, "driver_cpu_us",
		r->done == 0 ? 0.0 : (cpu_us() - cpu_us_before) / (double)r->done, "without_retry_after",
		(json_int_t)r->refused_without_retry_after, "retry_after_min_s", r->retry_after_min_s, "tls", r->tls,
		"first_failure", r->first.text);

	put_times(object, "whole_ms", r->whole_ms, r->done);
	put_times(object, "request_ms", r->request_ms, r->done);
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(object);
}

/* Whoever accounts CPU takes the first reading between these two. */
static void ready(void)
{
	puts("ready");
	(void)fflush(stdout);
	if (getchar() == EOF)
		exit(2);
	cpu_us_before = cpu_us();
}

/* The idle connections are looked at until another line comes. */
static void hold(const struct drive_result *r)
{
	print_result(r);
	(void)!getchar();
}

static struct board *prepare(const struct options *o, bool keep_all, struct trouble *t)
{
	struct mint_plan plan = { .vendor = o->vendor, .keep_every = keep_all ? 1 : CHECK_EVERY };
	struct est_options est = { .url = o->wire.url,
				   .cacert = o->wire.cacert,
				   .cert_file = o->rig_cert,
				   .key_file = o->rig_key,
				   .timeout_ms = 30000 };
	struct board *boards = calloc(o->plan.n, sizeof(*boards));

	if (boards == NULL)
		die("not enough memory");
	if (!ask_nonce_length(&est, o->label, &plan.nonce_len, t) || !mint(&plan, boards, o->plan.n, 2, t))
		die(t->text);
	return boards;
}

/* Devices that are to renew are enrolled first, over a rig's connections, before the clock starts. */
static void enrol_first(const struct options *o, struct trouble *t)
{
	struct drive_plan plan = o->plan;
	struct drive_result result;
	struct wire_options wire = o->wire;

	wire.cert_file = o->rig_cert;
	wire.key_file = o->rig_key;
	plan.work = WORK_ENROL;
	plan.connections = CONNECT_KEEP;
	plan.label = o->label;
	plan.stations = 64;
	plan.takt_s = plan.seconds = 0;
	plan.until_input = false;
	plan.begin = NULL;
	plan.end = NULL;
	if (!wire_context_new(&wire, &plan.context, t) || !drive_run(&plan, &result, t))
		die(t->text);
	if (result.failed > 0 || result.done != plan.n)
		die(result.first.text);
	for (size_t i = 0; i < plan.n; i++)
		if (!board_prepare_renewal(&plan.boards[i], t))
			die(t->text);
	drive_result_done(&result);
	wire_context_free(plan.context);
}

static void usage(FILE *out)
{
	(void)fputs(
		"usage: assay-load [options]\n\n"
		"Drives an EST server; reads ASSAY_EST_URL, ASSAY_CACERT, ASSAY_RIG_CERT, ASSAY_RIG_KEY and\n"
		"ASSAY_VENDOR_DIR. Prepares, prints \"ready\", waits for a line, then prints one JSON object.\n\n"
		"  --work W        enrol      nonce and attested enrolment (the default)\n"
		"                  renew      devices re-enrol, each over its own connection\n"
		"                  handshake  a TLS handshake, nothing else\n"
		"                  hold       open connections, report, keep them until another line comes\n"
		"  --connect C     keep (default), full (a new one each), resumed (a new one each, with a ticket)\n"
		"  --devices N     how many, 1 to 500000 (1000)\n"
		"  --stations N    how many at once, 1 to 20000 (64)\n"
		"  --takt S        each station begins a board every S seconds; times count from then (0: closed "
		"loop)\n"
		"  --seconds S     begin no board after so long (0: until all are done)\n"
		"  --until-input   begin no board once standard input has a line or has ended\n"
		"  --label L       EST label (line)\n"
		"  --device-label L  EST label of re-enrolments (field)\n"
		"  --url U         in place of ASSAY_EST_URL\n"
		"  --tls V --suite S --group G   1.2 or 1.3, and OpenSSL's names (default: what both ends like best)\n",
		out);
}

static double number(const char *name, const char *text, double min, double max)
{
	char *end;
	double value = strtod(text, &end);

	if (*text != '\0' && *end == '\0' && value >= min && value <= max)
		return value;
	fprintf(stderr, "assay-load: --%s: a number from %.0f to %.0f, not '%s'\n", name, min, max, text);
	exit(2);
}

static unsigned choice(const char *name, const char *text, const char *const *choices)
{
	for (unsigned i = 0; choices[i] != NULL; i++)
		if (strcmp(text, choices[i]) == 0)
			return i;
	fprintf(stderr, "assay-load: --%s: '%s' is not one of those that --help names\n", name, text);
	exit(2);
}

static const char *const works[] = { "enrol", "renew", "handshake", "hold", NULL };
static const char *const connects[] = { "keep", "full", "resumed", NULL };

static const struct option longs[] = {
	{ "work", required_argument, NULL, 'w' },
	{ "connect", required_argument, NULL, 'c' },
	{ "devices", required_argument, NULL, 'd' },
	{ "stations", required_argument, NULL, 's' },
	{ "takt", required_argument, NULL, 't' },
	{ "seconds", required_argument, NULL, 'S' },
	{ "until-input", no_argument, NULL, 'u' },
	{ "label", required_argument, NULL, 'l' },
	{ "device-label", required_argument, NULL, 'L' },
	{ "url", required_argument, NULL, 'U' },
	{ "tls", required_argument, NULL, 'T' },
	{ "suite", required_argument, NULL, 'C' },
	{ "group", required_argument, NULL, 'G' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void take_option(struct options *o, int c)
{
	switch (c) {
	case 'w':
		o->plan.work = (enum work)choice("work", optarg, works);
		break;
	case 'c':
		o->plan.connections = (enum connections)choice("connect", optarg, connects);
		break;
	case 'd':
		o->plan.n = (size_t)number("devices", optarg, 1, DEVICES_MAX);
		break;
	case 's':
		o->plan.stations = (unsigned)number("stations", optarg, 1, STATIONS_MAX);
		break;
	case 't':
		o->plan.takt_s = number("takt", optarg, 0, 3600);
		break;
	case 'S':
		o->plan.seconds = number("seconds", optarg, 0, 86400);
		break;
	case 'u':
		o->plan.until_input = true;
		break;
	case 'l':
		o->label = optarg;
		break;
	case 'L':
		o->device_label = optarg;
		break;
	case 'U':
		o->wire.url = optarg;
		break;
	case 'T':
		o->wire.tls = optarg;
		break;
	case 'C':
		o->wire.suite = optarg;
		break;
	case 'G':
		o->wire.group = optarg;
		break;
	default:
		usage(c == 'h' ? stdout : stderr);
		exit(c == 'h' ? 0 : 2);
	}
}

static void read_options(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		take_option(o, c);
	if (optind < argc) {
		fprintf(stderr, "assay-load: '%s': there are only options; see --help\n", argv[optind]);
		exit(2);
	}
	if (o->wire.url == NULL || o->wire.cacert == NULL || o->vendor == NULL)
		die("ASSAY_EST_URL, ASSAY_CACERT and ASSAY_VENDOR_DIR are needed: source a home's env");
	o->plan.label = o->plan.work == WORK_RENEW ? o->device_label : o->label;
	if (o->plan.work != WORK_RENEW) {
		o->wire.cert_file = o->rig_cert;
		o->wire.key_file = o->rig_key;
	}
	o->plan.begin = ready;
	o->plan.end = o->plan.work == WORK_HOLD ? hold : print_result;
}

/* A connection is a file: as many as the system lets us have. */
static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

int main(int argc, char **argv)
{
	struct options o = { .wire = { .url = getenv("ASSAY_EST_URL"), .cacert = getenv("ASSAY_CACERT") },
			     .rig_cert = getenv("ASSAY_RIG_CERT"),
			     .rig_key = getenv("ASSAY_RIG_KEY"),
			     .vendor = getenv("ASSAY_VENDOR_DIR"),
			     .label = "line",
			     .device_label = "field",
			     .plan = { .n = 1000, .stations = 64 } };
	struct drive_result result = { 0 };
	struct trouble t = { 0 };

	(void)signal(SIGPIPE, SIG_IGN); /* a connection that the server has reset is an error of its station */
	read_options(argc, argv, &o);
	raise_limits();
	curl_global_init(CURL_GLOBAL_DEFAULT); /* the rig's library asks for the first nonce */
	if (o.plan.work == WORK_ENROL || o.plan.work == WORK_RENEW)
		o.plan.boards = prepare(&o, o.plan.work == WORK_RENEW, &t);
	if (o.plan.work == WORK_RENEW)
		enrol_first(&o, &t);
	if (!wire_context_new(&o.wire, &o.plan.context, &t) || !drive_run(&o.plan, &result, &t))
		die(t.text);
	return result.failed == 0 ? 0 : 1;
}
