/* heads.c - see heads.h. */
#include "ca/heads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "ca/heads_export.h"
#include "head.h"
#include "observe/log.h"

#define LOOK_SOON_US 1000000LL

struct heads_desk {
	struct ledger *ledger;
	const struct hsm_key *key; /* NULL while the token is away */
	int64_t since_s;
	struct heads_export export;
	bool begun;       /* what an earlier process left has been exported */
	enum reason told; /* why there is no head, as the log has it */
	atomic_bool under_way;
	_Atomic int64_t look_at_us;
	_Atomic int64_t signed_us;  /* when all was as it should be */
	_Atomic int64_t stuck_us;   /* since when lines wait for file or syslog; 0: they do not */
	_Atomic int64_t nowhere_us; /* since when they wait for all that is configured */
	char said[2]
		 [sizeof(((struct fault *)0)->detail)]; /* of file and syslog: why they take none, as the log has it */
};

static int64_t interval_us(const struct ca *ca)
{
	return (int64_t)ca->config->heads.interval_s * 1000000;
}

/* Said once, until it is well again or for another reason. */
static void trouble(struct heads_desk *desk, const struct fault *fault)
{
	if (desk->told != fault->reason)
		log_fault(LOG_ERROR, "heads", fault);
	desk->told = fault->reason;
}

static enum reason line_of(struct blob text, struct blob signature, struct buf *ret_line, struct fault *f)
{
	AUTO(buf_done) struct buf base64 = { 0 };
	AUTO(buf_done) struct buf line = { 0 };

	TRY(text_base64(signature, &base64, f));
	TRY(buf_append(&line, BLOB_STR("{\"head\":"), f));
	TRY(buf_append(&line, text, f));
	TRY(buf_append(&line, BLOB_STR(",\"signature\":\""), f));
	TRY(buf_append(&line, buf_blob(&base64), f));
	TRY(buf_append(&line, BLOB_STR("\"}"), f));
	*ret_line = line;
	line = (struct buf){ 0 };
	return REASON_OK;
}

static void since(_Atomic int64_t *at_us, bool so)
{
	if (!so)
		atomic_store(at_us, 0);
	else if (atomic_load(at_us) == 0)
		atomic_store(at_us, clock_mono_us());
}

/* Each reason once, until the sink takes heads again. */
static void say_sink(const struct heads_sink *sink, char *said, size_t len)
{
	const bool takes = sink->fault.reason == REASON_OK;

	if (!takes && strcmp(said, sink->fault.detail) != 0)
		log_fault(LOG_ERROR, "heads", &sink->fault);
	snprintf(said, len, "%s", takes ? "" : sink->fault.detail);
}

static void export_out(struct heads_desk *desk)
{
	since(&desk->stuck_us, !heads_export_flush(&desk->export));
	since(&desk->nowhere_us, heads_export_nowhere(&desk->export));
	say_sink(&desk->export.file, desk->said[0], sizeof(desk->said[0]));
	say_sink(&desk->export.syslog, desk->said[1], sizeof(desk->said[1]));
}

/* The newest that there is, for it may never have left the process that made it. */
static enum reason begin_export(struct heads_desk *desk, struct fault *f)
{
	AUTO(buf_done) struct buf line = { 0 };

	if (desk->begun)
		return REASON_OK;
	TRY(ledger_head_newest(desk->ledger, &line, f));
	if (line.len > 0)
		heads_export_add(&desk->export, buf_blob(&line));
	desk->begun = true;
	return REASON_OK;
}

/* Recorded: it may be signed. Nothing to sign is well, too. */
static enum reason begin(struct ca *ca, struct issue *issue, bool *ret_signs, struct fault *f)
{
	struct heads_desk *desk = ca->heads;
	struct head_intent head = { .since_s = desk->since_s,
				    .signatures = atomic_load(&ca->signatures),
				    .age_s = HEADS_AGE_S };

	*ret_signs = false;
	TRY(begin_export(desk, f));
	TRY(ledger_head_intend(desk->ledger, &head, f));
	issue->head_number = head.number;
	issue->tbs = head.text;
	*ret_signs = head.number > 0;
	return REASON_OK;
}

static enum reason record(struct ca *ca, struct issue *issue, struct fault *f)
{
	AUTO(buf_done) struct buf line = { 0 };

	if (issue->fault.reason != REASON_OK)
		return fault_set(f, issue->fault.reason, "%s", issue->fault.detail);
	TRY(ledger_head_record(ca->heads->ledger, issue->head_number, buf_blob(&issue->made), f));
	TRY(line_of(buf_blob(&issue->tbs), buf_blob(&issue->made), &line, f));
	heads_export_add(&ca->heads->export, buf_blob(&line));
	return REASON_OK;
}

static void step(struct ca *ca, struct issue *issue)
{
	struct heads_desk *desk = ca->heads;
	struct fault fault = { 0 };
	bool signs = false;
	enum reason reason = issue->came_back ? record(ca, issue, &fault) : begin(ca, issue, &signs, &fault);

	if (reason == REASON_OK && signs) {
		issue_pass(ca, CA_SIGN, issue);
		return;
	}
	if (reason == REASON_OK) {
		desk->told = REASON_OK;
		atomic_store(&desk->signed_us, clock_mono_us());
	} else {
		trouble(desk, &fault);
		atomic_store(&desk->look_at_us, clock_mono_us() + LOOK_SOON_US);
	}
	export_out(desk);
	issue_finished(ca, issue);
	atomic_store(&desk->under_way, false);
}

void station_heads(void *role, unsigned thread, struct job **batch, size_t n)
{
	(void)thread;
	for (size_t i = 0; i < n; i++)
		step(role, (struct issue *)batch[i]);
}

enum reason heads_sign(struct ca *ca, struct issue *issue, unsigned slot, struct fault *f)
{
	return signed_make(ca->heads->key, slot, buf_blob(&issue->tbs), &issue->made, f);
}

static void tell(struct ca *ca, int64_t now_us)
{
	const int64_t late_us = HEADS_LATE_BEATS * interval_us(ca) + HEADS_LATE_LEAST_S * 1000000LL;
	const int64_t stuck_us = atomic_load(&ca->heads->stuck_us), nowhere_us = atomic_load(&ca->heads->nowhere_us);

	metrics_gauge(ca->metrics, GAUGE_HEADS_LATE, now_us - atomic_load(&ca->heads->signed_us) > late_us);
	metrics_gauge(ca->metrics, GAUGE_HEADS_UNEXPORTED, stuck_us != 0 && now_us - stuck_us > late_us);
	metrics_gauge(ca->metrics, GAUGE_HEADS_NOWHERE, nowhere_us != 0 && now_us - nowhere_us > late_us);
}

void heads_nudge(struct ca *ca)
{
	struct heads_desk *desk = ca->heads;
	int64_t now_us = clock_mono_us();
	struct issue *issue;

	if (desk == NULL)
		return;
	tell(ca, now_us);
	if (!atomic_load(&ca->ledger_ready) || atomic_load(&ca->token_away) || atomic_load(&ca->stopping) ||
	    now_us < atomic_load(&desk->look_at_us) || atomic_exchange(&desk->under_way, true))
		return;
	atomic_store(&desk->look_at_us, now_us + interval_us(ca));
	if (issue_new(ca, ISSUE_HEAD, LANE_HEADS, NULL, 0, &issue, NULL) != REASON_OK) {
		atomic_store(&desk->under_way, false);
	} else if (!line_put(ca->line, CA_HEADS, LANE_HEADS, &issue->job)) {
		issue_finished(ca, issue);
		atomic_store(&desk->under_way, false);
	}
}

enum reason heads_attach(struct ca *ca, struct fault *f)
{
	struct fault none = { 0 };

	if (ca->heads == NULL || hsm_key(ca->hsm, ca->config->heads.key, &ca->heads->key, &none) == REASON_OK)
		return REASON_OK;
	return fault_set(f, none.reason,
			 "heads.key: key '%s' for signed heads: %.60s; make it with assay-ceremony (a certificate with "
			 "\"token_key\" in its spec), or leave heads out",
			 ca->config->heads.key, none.detail);
}

void heads_detach(struct heads_desk *desk)
{
	if (desk != NULL)
		desk->key = NULL;
}

enum reason heads_open(struct ca *ca, struct heads_desk **ret_desk, struct fault *f)
{
	struct heads_desk *desk;

	if (ca->config->heads.key == NULL)
		return REASON_OK;
	desk = calloc(1, sizeof(*desk));
	if (desk == NULL)
		return fault_set(f, REASON_NO_MEMORY, "signed heads");
	desk->since_s = clock_wall_s();
	atomic_init(&desk->signed_us, clock_mono_us());
	heads_export_open(&desk->export, ca->config->heads.file,
			  ca->config->heads.syslog ? ca->config->heads.syslog_socket : NULL);
	*ret_desk = desk;
	return ca_ledger(ca->config, "heads", &desk->ledger, f);
}

void heads_close(struct heads_desk *desk)
{
	if (desk == NULL)
		return;
	ledger_close(desk->ledger);
	heads_export_done(&desk->export);
	free(desk);
}
