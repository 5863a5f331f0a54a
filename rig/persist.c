/*
 * persist.c - back-off with jitter: so that a thousand rigs that lost one server do not come back in step.
 */
#include "persist.h"

#include <openssl/rand.h>
#include <string.h>

#include "stop.h"

#define BACKOFF_FIRST_MS 200.0
#define BACKOFF_LAST_MS 5000.0
#define JITTER_OF_WAIT 0.25 /* what is added to a Retry-After, at most */

/* Evenly in [0, 1) */
static double chance(void)
{
	uint32_t random = 0;

	(void)RAND_bytes((unsigned char *)&random, sizeof(random)); /* without it: no jitter */
	return random / 4294967296.0;
}

/* What the server asks for is the least; otherwise between half and all of a step that doubles. */
static double next_wait_ms(const struct est_reply *reply, unsigned attempt)
{
	double step = BACKOFF_FIRST_MS * (double)(1U << (attempt < 10 ? attempt : 10));

	if (reply->retry_after_s > 0)
		return reply->retry_after_s * 1e3 * (1 + JITTER_OF_WAIT * chance());
	if (step > BACKOFF_LAST_MS)
		step = BACKOFF_LAST_MS;
	return step * (0.5 + 0.5 * chance());
}

static void add_text(struct est_reply *reply, const char *why)
{
	size_t len = strlen(reply->text);

	(void)snprintf(reply->text + len, sizeof(reply->text) - len, " (%s)", why);
}

void est_persist(struct est *est, const char *label, enum est_operation operation, const struct bytes *der,
		 double patience_s, unsigned *retries, struct est_reply *ret_reply)
{
	double deadline = clock_ms() + patience_s * 1e3;

	for (unsigned attempt = 0;; attempt++) {
		double wait;

		est_send(est, label, operation, der, ret_reply);
		if (ret_reply->outcome != EST_RETRY)
			return;
		wait = next_wait_ms(ret_reply, attempt);
		if (clock_ms() + wait > deadline) {
			add_text(ret_reply, ret_reply->retry_after_s > patience_s
						    ? "asks for a longer wait than --patience"
						    : "--patience is used up");
			return;
		}
		if (stop_wait(wait)) {
			add_text(ret_reply, "stopped while waiting to try again");
			return;
		}
		est_reply_done(ret_reply);
		(*retries)++;
	}
}
