/*
 * load.c - the load driver: attested enrolments over EST, as many stations at once as asked, nothing else.
 *
 * Elements, their attestation certificates and key pairs are made before the clock starts; what is measured is nonce,
 * quote, CSR and enrolment over real connections. Prints one JSON object.
 *
 * Threads: one a station, each with a connection of its own (--fresh: a new one for each enrolment).
 */
#include <curl/curl.h>
#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "est.h"
#include "request.h"
#include "se_soft.h"

#define STATIONS_MAX 1024
#define DEVICES_MAX 1000000

struct options {
	struct est_options est;
	const char *vendor, *label;
	size_t devices;
	unsigned stations;
	bool fresh;
};

struct load {
	const struct options *options;
	struct element **element;
	double *ms; /* of the enrolment request, by device; negative: not done */
	atomic_size_t next, failed, retried;
	pthread_barrier_t start;
	pthread_mutex_t lock;
	struct trouble first; /* failure */
};

static void fail(struct load *load, const char *what, const char *text)
{
	if (atomic_fetch_add(&load->failed, 1) > 0)
		return;
	(void)pthread_mutex_lock(&load->lock);
	(void)trouble_set(&load->first, "%s: %s", what, text);
	(void)pthread_mutex_unlock(&load->lock);
}

static void pause_s(double s)
{
	struct timespec t = { (time_t)s, (long)((s - (double)(time_t)s) * 1e9) };

	(void)nanosleep(&t, NULL);
}

/* Sends until the server has answered for good: a refusal for overload is part of the load. */
static void send_until(struct load *load, struct est *est, enum est_operation operation, const struct bytes *der,
		       struct est_reply *ret_reply)
{
	for (;;) {
		est_send(est, load->options->label, operation, der, ret_reply);
		if (ret_reply->outcome != EST_RETRY)
			return;
		atomic_fetch_add(&load->retried, 1);
		pause_s(ret_reply->retry_after_s > 0 ? ret_reply->retry_after_s : 0.1);
		est_reply_done(ret_reply);
	}
}

static bool ask_nonce(struct load *load, struct est *est, struct bytes *ret_nonce, struct trouble *t)
{
	struct est_reply reply;
	bool ok;

	send_until(load, est, EST_NONCE, NULL, &reply);
	ok = reply.outcome == EST_DONE ? est_nonce(&reply.body, ret_nonce, t) : trouble_set(t, "%s", reply.text);
	est_reply_done(&reply);
	return ok;
}

static bool build(struct element *element, const struct bytes *nonce, struct bytes *ret_der, struct trouble *t)
{
	struct element_evidence evidence = { 0 };
	struct request request = { .evidence = &evidence };
	bool ok = element->ops->attest(element, nonce->ptr, nonce->len, &evidence, t) &&
		  request_build(element, &request, ret_der, t);

	element_evidence_done(&evidence);
	return ok;
}

static bool enrol(struct load *load, struct est *est, size_t index, struct trouble *t)
{
	AUTO(bytes_done) struct bytes nonce = { 0 }, der = { 0 };
	struct est_reply reply;
	double began_ms;
	bool ok;

	if (!ask_nonce(load, est, &nonce, t) || !build(load->element[index], &nonce, &der, t))
		return false;
	began_ms = clock_ms();
	send_until(load, est, EST_ENROL, &der, &reply);
	load->ms[index] = clock_ms() - began_ms;
	ok = reply.outcome == EST_DONE || trouble_set(t, "%s", reply.text);
	est_reply_done(&reply);
	return ok;
}

static void one(struct load *load, struct est **est, size_t index)
{
	struct trouble t = { 0 };

	if (*est == NULL && !est_open(&load->options->est, est, &t))
		fail(load, "connection", t.text);
	else if (!enrol(load, *est, index, &t))
		fail(load, "enrolment", t.text);
	if (load->options->fresh) {
		est_close(*est);
		*est = NULL;
	}
}

static void *station(void *user)
{
	struct load *load = user;
	struct est *est = NULL;
	size_t index;

	(void)pthread_barrier_wait(&load->start);
	while ((index = atomic_fetch_add(&load->next, 1)) < load->options->devices)
		one(load, &est, index);
	est_close(est);
	return NULL;
}

static bool mint(struct load *load, const struct soft_vendor *vendor, struct trouble *t)
{
	struct soft_options soft = { .vendor = vendor, .attestation_key = ELEMENT_EC_P256 };

	for (size_t i = 0; i < load->options->devices; i++)
		if (!soft_mint(&soft, &load->element[i], t) || !load->element[i]->ops->power_up(load->element[i], t) ||
		    !load->element[i]->ops->generate_keypair(load->element[i], ELEMENT_EC_P256, t))
			return false;
	return true;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(const struct load *load, double seconds)
{
	size_t devices = load->options->devices, failed = atomic_load(&load->failed);
	json_t *object;

	qsort(load->ms, devices, sizeof(*load->ms), by_size);
	object = json_pack("{s:I, s:i, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:s}", "devices", (json_int_t)devices,
			   "stations", (int)load->options->stations, "failed", (json_int_t)failed, "retried",
			   (json_int_t)atomic_load(&load->retried), "seconds", seconds, "rate",
			   (double)(devices - failed) / seconds, "p50_ms", load->ms[devices / 2], "p99_ms",
			   load->ms[(devices - 1) * 99 / 100], "max_ms", load->ms[devices - 1], "first_failure",
			   load->first.text);
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	(void)putchar('\n');
	json_decref(object);
}

/* The driver's own signal that the clock starts: whoever accounts CPU takes its first reading then, and answers. */
static void wait_for_go(void)
{
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		exit(2);
}

static bool run(struct load *load, struct trouble *t)
{
	static pthread_t thread[STATIONS_MAX];
	unsigned n = load->options->stations;
	double began_ms;

	(void)pthread_barrier_init(&load->start, NULL, n + 1);
	for (unsigned i = 0; i < n; i++)
		if (pthread_create(&thread[i], NULL, station, load) != 0)
			return trouble_set(t, "thread %u cannot be started", i);
	wait_for_go();
	(void)pthread_barrier_wait(&load->start);
	began_ms = clock_ms();
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(thread[i], NULL);
	report(load, (clock_ms() - began_ms) / 1000);
	return atomic_load(&load->failed) == 0 || trouble_set(t, "%s", load->first.text);
}

static void usage(FILE *out)
{
	(void)fputs("usage: assay-load [--devices N] [--stations N] [--label L] [--fresh]\n\n"
		    "Attested enrolments as fast as they go; reads ASSAY_EST_URL, ASSAY_CACERT, ASSAY_RIG_CERT,\n"
		    "ASSAY_RIG_KEY and ASSAY_VENDOR_DIR. Prints \"ready\", waits for a line, then one JSON object.\n\n"
		    "  --devices N   how many, 1 to 1000000 (1000)\n"
		    "  --stations N  how many at once, 1 to 1024 (64)\n"
		    "  --label L     EST label (line)\n"
		    "  --fresh       a new connection with a full handshake for each\n",
		    out);
}

static long number(const char *name, const char *text, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text != '\0' && *end == '\0' && value >= 1 && value <= max)
		return value;
	fprintf(stderr, "assay-load: --%s: a number from 1 to %ld, not '%s'\n", name, max, text);
	exit(2);
}

static void read_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "devices", required_argument, NULL, 'd' }, { "stations", required_argument, NULL, 's' },
		{ "label", required_argument, NULL, 'l' },   { "fresh", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },          { 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 'd':
			options->devices = (size_t)number("devices", optarg, DEVICES_MAX);
			break;
		case 's':
			options->stations = (unsigned)number("stations", optarg, STATIONS_MAX);
			break;
		case 'l':
			options->label = optarg;
			break;
		case 'f':
			options->fresh = true;
			break;
		default:
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	if (options->est.url == NULL || options->est.cacert == NULL || options->vendor == NULL) {
		fputs("assay-load: ASSAY_EST_URL, ASSAY_CACERT and ASSAY_VENDOR_DIR are needed: source a home's env\n",
		      stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options options = { .est = { .url = getenv("ASSAY_EST_URL"),
					    .cacert = getenv("ASSAY_CACERT"),
					    .cert_file = getenv("ASSAY_RIG_CERT"),
					    .key_file = getenv("ASSAY_RIG_KEY"),
					    .timeout_ms = 30000 },
				   .vendor = getenv("ASSAY_VENDOR_DIR"),
				   .label = "line",
				   .devices = 1000,
				   .stations = 64 };
	struct load load = { .options = &options, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct soft_vendor *vendor = NULL;
	struct trouble t = { 0 };

	read_options(argc, argv, &options);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	load.element = calloc(options.devices, sizeof(struct element *));
	load.ms = calloc(options.devices, sizeof(*load.ms));
	if (load.element == NULL || load.ms == NULL || !soft_vendor_open(options.vendor, &vendor, &t) ||
	    !mint(&load, vendor, &t) || !run(&load, &t)) {
		fprintf(stderr, "assay-load: %s\n", t.text);
		return 1;
	}
	return 0;
}
