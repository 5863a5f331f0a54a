/* feed.c - see agent.h: long polls over HTTP, what comes of them, and what is said of a va that is away. */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_S 5
#define SILENCE_S 40L  /* the va answers a long poll after 25 s */
#define AGAIN_MS 1000  /* after a refusal, and when the va has no place for who waits */
#define BACKOFF_MS 250 /* doubled up to eight times that */
#define BACKOFF_MAX 3
#define TICK_MS 1000

enum kind { CERT, COMPLETE, DELTA, KINDS };

struct poll {
	struct agent *agent;
	struct issuer *issuer;
	enum kind kind;
	CURL *curl;
	struct bytes got;
	size_t room;               /* of got.ptr, if there is one; it doubles: a list is not copied for each piece */
	bool busy, failing, asked; /* asked: once, with --once */
	unsigned failures;
	int64_t next_ms, began_ms;
};

struct feed {
	struct agent *agent;
	CURLM *multi;
	size_t n;
	struct poll poll[ISSUERS_MAX * KINDS];
};

static size_t limit_of(enum kind kind)
{
	return kind == CERT ? CERT_BYTES_MAX : CRL_BYTES_MAX;
}

static bool make_room(struct poll *poll, size_t len)
{
	size_t room = poll->got.ptr == NULL ? 0 : poll->room;
	uint8_t *bigger;

	if (len <= room)
		return true;
	for (room = room == 0 ? CURL_MAX_WRITE_SIZE : room; room < len;)
		room *= 2;
	bigger = realloc(poll->got.ptr, room);
	if (bigger == NULL)
		return false;
	poll->got.ptr = bigger;
	poll->room = room;
	return true;
}

static size_t take_bytes(char *data, size_t size, size_t n, void *user)
{
	struct poll *poll = user;
	size_t len = size * n;

	if (len > limit_of(poll->kind) - poll->got.len || !make_room(poll, poll->got.len + len))
		return 0;
	if (len > 0)
		memcpy(poll->got.ptr + poll->got.len, data, len);
	poll->got.len += len;
	return len;
}

static bool poll_open(struct poll *poll)
{
	CURL *c = poll->curl = curl_easy_init();

	return c != NULL && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_WRITEDATA, poll) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_PRIVATE, poll) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_MAXREDIRS, 2L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, SILENCE_S) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(c, CURLOPT_USERAGENT, "assay-agent") == CURLE_OK;
}

/* With nginx the complete list is followed; else it is asked for when it is needed, and when half its time is over. */
static bool wants_complete(const struct agent *agent, const struct issuer *issuer)
{
	const struct crl *crl = &issuer->complete;

	return crl->der.len == 0 || issuer->wants_complete || agent->options->nginx_pid != NULL ||
	       clock_s() > crl->this_s + (crl->next_s - crl->this_s) / 2;
}

static bool wanted(const struct poll *poll)
{
	const struct issuer *issuer = poll->issuer;

	if (poll->asked || issuer->revoked)
		return false;
	switch (poll->kind) {
	case CERT:
		return issuer->cert == NULL;
	case COMPLETE:
		return issuer->cert != NULL && wants_complete(poll->agent, issuer);
	case DELTA:
	case KINDS:
	default:
		return issuer->complete.der.len > 0 && !issuer->wants_complete;
	}
}

/* With --once everything is asked for as if nothing were known: an answer comes at once. */
static void url_of(const struct poll *poll, char *out, size_t len)
{
	const struct options *o = poll->agent->options;
	const struct crl *crl = poll->kind == DELTA ? &poll->issuer->delta : &poll->issuer->complete;

	if (poll->kind == CERT)
		snprintf(out, len, "%s/ca/%s.cer", o->va, poll->issuer->name);
	else
		snprintf(out, len, "%s/feed/%s%s.crl?after=%llu", o->va, poll->issuer->name,
			 poll->kind == DELTA ? "-delta" : "", o->once ? 0ULL : (unsigned long long)crl->number);
}

static void start(struct feed *feed, struct poll *poll, int64_t now_ms)
{
	char url[PATH_CHARS];

	url_of(poll, url, sizeof(url));
	bytes_free(&poll->got);
	poll->began_ms = now_ms;
	poll->busy = curl_easy_setopt(poll->curl, CURLOPT_URL, url) == CURLE_OK &&
		     curl_multi_add_handle(feed->multi, poll->curl) == CURLM_OK;
	if (!poll->busy)
		poll->next_ms = now_ms + AGAIN_MS;
}

/* The first poll that fails says that the va is away, the last that succeeds again that it is back. */
static void failed(struct feed *feed, struct poll *poll, const char *why)
{
	struct agent *agent = feed->agent;
	unsigned doublings = poll->failures < BACKOFF_MAX ? poll->failures : BACKOFF_MAX;

	poll->failing = true;
	poll->failures++;
	poll->next_ms = clock_ms() + ((int64_t)BACKOFF_MS << doublings);
	snprintf(agent->away_why, sizeof(agent->away_why), "%s", why);
	if (agent->away)
		return;
	agent->away = true;
	agent->away_since_s = clock_s();
	say("va away: %s: %s; what is known stays in force, asked again until it is back", agent->options->va, why);
	status_write(agent);
}

static void answered(struct feed *feed, struct poll *poll)
{
	struct agent *agent = feed->agent;
	bool failing = false;

	poll->failing = false;
	poll->failures = 0;
	poll->next_ms = 0;
	agent->answered = true;
	agent->last_answer_s = clock_s();
	for (size_t i = 0; i < feed->n; i++)
		failing = failing || feed->poll[i].failing;
	if (!agent->away || failing)
		return;
	agent->away = false;
	say("va is back after %lld s", (long long)(clock_s() - agent->away_since_s));
	status_write(agent);
}

static void refuse(struct poll *poll, const char *what, const struct why *why)
{
	struct issuer *issuer = poll->issuer;

	poll->next_ms = clock_ms() + AGAIN_MS;
	issuer->refused++;
	if (strncmp(issuer->last_refusal, why->text, sizeof(issuer->last_refusal) - 1) != 0)
		say("refused %s of %s: %s", what, issuer->name, why->text);
	snprintf(issuer->last_refusal, sizeof(issuer->last_refusal), "%s", why->text);
	status_write(poll->agent);
}

static void take_cert(struct poll *poll)
{
	struct why why;

	if (!issuer_take_cert(poll->agent, poll->issuer, &poll->got, true, &why) ||
	    !outputs_save_cert(poll->agent, poll->issuer, &poll->got, &why))
		refuse(poll, "certificate", &why);
	else
		say("%s: CA certificate fetched, it is under the root", poll->issuer->name);
}

static void take_crl(struct poll *poll)
{
	struct issuer *issuer = poll->issuer;
	const bool delta = poll->kind == DELTA;
	struct why why;
	enum taken taken = issuer_take_crl(issuer, &poll->got, delta, clock_s(), &why);

	if (taken == TAKEN_NOT && delta && issuer->wants_complete) {
		say("%s: fetching the complete list: %s", issuer->name, why.text);
	} else if (taken == TAKEN_NOT) {
		refuse(poll, delta ? "delta" : "complete list", &why);
	} else if (taken != TAKEN_SAME) {
		outputs_apply(poll->agent, issuer, delta, taken == TAKEN_CHANGED);
		say("%s: %s %llu, %zu revoked%s", issuer->name, delta ? "delta" : "complete list",
		    (unsigned long long)(delta ? issuer->delta.number : issuer->complete.number), issuer->effective.n,
		    taken == TAKEN_CHANGED ? "" : " as before");
		status_write(poll->agent);
	}
}

static void finished(struct feed *feed, struct poll *poll, CURLcode result)
{
	char why[256];
	long code = 0;

	curl_easy_getinfo(poll->curl, CURLINFO_RESPONSE_CODE, &code);
	poll->asked = feed->agent->options->once;
	if (result != CURLE_OK) {
		failed(feed, poll, curl_easy_strerror(result));
	} else if (code == 200) {
		answered(feed, poll);
		if (poll->kind == CERT)
			take_cert(poll);
		else if (!poll->issuer->revoked) /* since this was asked for */
			take_crl(poll);
	} else if (code == 204) {
		answered(feed, poll);
		if (clock_ms() - poll->began_ms < AGAIN_MS)
			poll->next_ms = clock_ms() + AGAIN_MS;
	} else {
		snprintf(why, sizeof(why), "HTTP status %ld for %s%s", code, poll->issuer->name,
			 poll->kind == CERT    ? ".cer"
			 : poll->kind == DELTA ? "-delta.crl"
					       : ".crl");
		failed(feed, poll, why);
	}
	bytes_free(&poll->got);
}

static void take_finished(struct feed *feed)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(feed->multi, &left)) != NULL) {
		CURLcode result = message->data.result;
		struct poll *poll = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &poll);
		curl_multi_remove_handle(feed->multi, poll->curl);
		poll->busy = false;
		finished(feed, poll, result);
	}
}

/* Starts what is due; gives the time until something else is, or -1 when with --once nothing is left to ask. */
static int64_t start_due(struct feed *feed)
{
	int64_t now_ms = clock_ms(), wait_ms = TICK_MS;
	bool busy = false;

	for (size_t i = 0; i < feed->n; i++) {
		struct poll *poll = &feed->poll[i];

		if (!poll->busy && wanted(poll)) {
			if (poll->next_ms <= now_ms)
				start(feed, poll, now_ms);
			else if (poll->next_ms - now_ms < wait_ms)
				wait_ms = poll->next_ms - now_ms;
			busy = true;
		}
		busy = busy || poll->busy;
	}
	if (outputs_wait_ms(feed->agent) < wait_ms)
		wait_ms = outputs_wait_ms(feed->agent);
	return busy || feed->agent->reload_due || !feed->agent->options->once ? wait_ms : -1;
}

static bool feed_open(struct feed *feed)
{
	feed->multi = curl_multi_init();
	for (size_t i = 0; i < feed->agent->n; i++) {
		for (int kind = 0; kind < KINDS; kind++) {
			struct poll *poll = &feed->poll[feed->n++];

			*poll = (struct poll){ .agent = feed->agent,
					       .issuer = &feed->agent->issuer[i],
					       .kind = (enum kind)kind };
			if (feed->multi == NULL || !poll_open(poll))
				return false;
		}
	}
	return true;
}

static void feed_close(struct feed *feed)
{
	for (size_t i = 0; i < feed->n; i++) {
		if (feed->poll[i].busy)
			curl_multi_remove_handle(feed->multi, feed->poll[i].curl);
		curl_easy_cleanup(feed->poll[i].curl);
		bytes_free(&feed->poll[i].got);
	}
	curl_multi_cleanup(feed->multi);
	free(feed);
}

static bool all_well(const struct agent *agent)
{
	bool well = status_well(agent);

	for (size_t i = 0; i < agent->n; i++)
		well = well && agent->issuer[i].refused == 0;
	return well;
}

int feed_follow(struct agent *agent)
{
	struct feed *feed = calloc(1, sizeof(*feed));
	int running = 0, status = 1;
	int64_t wait_ms;

	if (feed == NULL)
		return 1;
	feed->agent = agent;
	if (!feed_open(feed)) {
		say("no memory");
	} else {
		while ((wait_ms = start_due(feed)) >= 0) {
			curl_multi_perform(feed->multi, &running);
			curl_multi_poll(feed->multi, NULL, 0, (int)wait_ms, NULL);
			curl_multi_perform(feed->multi, &running);
			take_finished(feed);
			outputs_tick(agent);
			root_crl_tick(agent);
			status_tick(agent);
		}
		status = all_well(agent) ? 0 : 1;
	}
	feed_close(feed);
	return status;
}
