/*
 * sign.c - the sign station by itself: prepared intents go through the ca's own station, as fast as its token signs.
 *
 * On two cores a network token of 32 sessions signs more than the whole line delivers; this shows what the station
 * can take. The station, its threads and its issuer are the daemon's own code; what lies before it (the ledger's
 * intents) is made here, and what lies after it is counted. Prints one JSON object.
 */
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ca/ca.h"
#include "ca/keys.h"
#include "oid.h"

#define TBS_BYTES 700
#define IN_HAND_MAX 512 /* waiting at the station: more than it has sessions */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned in_hand;
	size_t done, failed;
} count = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static const char usage[] =
	"usage: assay-sign CONFIG SIGNATURES\n"
	"\n"
	"Has the ca's sign station make that many signatures with the token of an assay.json, for its first issuer, "
	"as\n"
	"fast as they come, and prints how long it took as JSON. No ledger, no certificate. bench/run calls it.\n"
	"\n"
	"example, with a quickstart home:\n"
	"  . .assay/env\n"
	"  assay-sign $ASSAY_CONFIG 5000\n";

static void die(const char *what, const struct fault *fault)
{
	fprintf(stderr, "assay-sign: %s%s%s\n", what, fault == NULL ? "" : ": ", fault == NULL ? "" : fault->detail);
	exit(1);
}

/* In the place of the stations around it. */
static void station_count(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct ca *ca = role;

	(void)thread;
	(void)pthread_mutex_lock(&count.lock);
	for (size_t i = 0; i < n; i++) {
		struct issue *issue = (struct issue *)batch[i];

		count.done += issue->fault.reason == REASON_OK;
		count.failed += issue->fault.reason != REASON_OK;
		count.in_hand--;
		issue_finished(ca, issue);
	}
	(void)pthread_cond_signal(&count.changed);
	(void)pthread_mutex_unlock(&count.lock);
}

static void feed(struct ca *ca, size_t n)
{
	struct fault fault = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct issue *issue;

		(void)pthread_mutex_lock(&count.lock);
		while (count.in_hand == IN_HAND_MAX)
			(void)pthread_cond_wait(&count.changed, &count.lock);
		count.in_hand++;
		(void)pthread_mutex_unlock(&count.lock);
		if (issue_new(ca, ISSUE_CERTIFICATE, LANE_LINE, NULL, 0, &issue, &fault) != REASON_OK)
			die("an issue", &fault);
		issue->issuer = ca->issuer[0];
		issue->tbs = (struct buf){ malloc(TBS_BYTES), TBS_BYTES, TBS_BYTES };
		if (issue->tbs.ptr == NULL || RAND_bytes(issue->tbs.ptr, TBS_BYTES) != 1)
			die("no memory", NULL);
		issue_pass(ca, CA_SIGN, issue);
	}
	(void)pthread_mutex_lock(&count.lock);
	while (count.in_hand > 0)
		(void)pthread_cond_wait(&count.changed, &count.lock);
	(void)pthread_mutex_unlock(&count.lock);
}

/* Whatever the sign station passes its issues to counts them. */
static void open_line(struct ca *ca)
{
	struct fault fault = { 0 };
	const struct lane lane = { "line", 1, CA_LINE_MAX };
	struct station line[CA_STATIONS];

	for (size_t i = 0; i < CA_STATIONS; i++)
		line[i] = (struct station){ "count", station_count, 1, CA_BATCH, { lane } };
	line[CA_SIGN] = (struct station){ "sign", station_sign, ca->config->token.sessions, CA_SIGN_MOST, { lane } };
	if (line_open(line, CA_STATIONS, ca, ca->metrics, &ca->line, &fault) != REASON_OK)
		die("the line", &fault);
	line_share(ca->line, CA_SIGN, sign_most);
}

static int64_t cpu_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	static struct ca ca;
	size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	struct fault fault = { 0 };
	struct config *config = NULL;
	int64_t began_us, began_cpu_us;

	if (n == 0) {
		bool helps = argc == 2 && strcmp(argv[1], "--help") == 0;

		fputs(usage, helps ? stdout : stderr);
		return helps ? 0 : 2;
	}
	oid_init();
	if (config_load(argv[1], &config, &fault) != REASON_OK ||
	    metrics_open(config->state_dir, "sign", &ca.metrics, &fault) != REASON_OK ||
	    issuer_open(&config->issuer[0], NULL, &ca.issuer[0], &fault) != REASON_OK)
		die("cannot start", &fault);
	ca.config = config;
	ca.n_issuers = 1;
	if (keys_open(&ca, &ca.keys, &fault) != REASON_OK)
		die("token", &fault);
	proving_init(&ca.proving);
	open_line(&ca);
	began_us = clock_mono_us();
	began_cpu_us = cpu_us();
	feed(&ca, n);
	printf("{\"done\":%zu,\"failed\":%zu,\"seconds\":%.6f,\"cpu_us\":%.1f}\n", count.done, count.failed,
	       (double)(clock_mono_us() - began_us) / 1e6, (double)(cpu_us() - began_cpu_us) / (double)n);
	line_close(ca.line);
	keys_close(ca.keys);
	issuer_free(ca.issuer[0]);
	return count.failed == 0 ? 0 : 1;
}
