/* status.c - see agent.h: what is well and what is not; status.json, written when something changes, and how it is
 * shown. */
#include "agent.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_BYTES_MAX (1024UL * 1024)
#define OLD_S (5 * STATUS_S)

static json_t *issuer_json(const struct issuer *issuer)
{
	return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name", issuer->name, "ca_revoked",
			 issuer->revoked, "number", (json_int_t)issuer_number(issuer), "complete",
			 (json_int_t)issuer->complete.number, "delta", (json_int_t)issuer->delta.number, "revoked",
			 (json_int_t)issuer->effective.n, "good_until", (json_int_t)issuer_good_until_s(issuer),
			 "refused", (json_int_t)issuer->refused, "last_refusal", issuer->last_refusal);
}

__attribute__((format(printf, 2, 3))) static void add(json_t *list, const char *fmt, ...)
{
	char text[768];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_array_append_new(list, json_string(text));
}

static void add_issuer(json_t *list, const struct issuer *issuer)
{
	int64_t until_s = issuer_good_until_s(issuer);
	char when[TIME_CHARS];

	time_text(until_s, when);
	if (issuer->revoked)
		add(list,
		    "%s: the root has revoked its CA: nobody with a certificate of it is let in; when they all have "
		    "one "
		    "of another, leave --issuer %s out",
		    issuer->name, issuer->name);
	else if (until_s == 0)
		add(list, "%s: no list has come yet", issuer->name);
	else if (until_s <= clock_s())
		add(list, "%s: its CRLs are past their time since %s, and no newer ones have come", issuer->name, when);
}

/* What is not well, in words; the one place that judges. NULL: no memory. */
static json_t *problems_of(const struct agent *agent)
{
	enum root_crl_state state = root_crl_state(agent, clock_s());
	json_t *list = json_array();
	char text[512];

	if (agent->away)
		add(list, "va %s is away: %s", agent->options->va, agent->away_why);
	for (size_t i = 0; i < agent->n; i++)
		add_issuer(list, &agent->issuer[i]);
	if (agent->root_crl.error[0] != '\0')
		add(list, "%s; the last good one stays in use", agent->root_crl.error);
	if (state == ROOT_CRL_CLOSE || state == ROOT_CRL_ENDED) {
		root_crl_text(agent, state, text, sizeof(text));
		add(list, "%s", text);
	}
	if (agent->unwritten)
		add(list, "not in force: %s", agent->write_error);
	if (agent->nginx_error[0] != '\0')
		add(list, "nginx is not told: %s", agent->nginx_error);
	return list;
}

bool status_well(const struct agent *agent)
{
	json_t *problems = problems_of(agent);
	bool well = problems != NULL && json_array_size(problems) == 0;

	json_decref(problems);
	return well;
}

static json_t *root_crl_json(const struct agent *agent)
{
	const struct root_crl *root_crl = &agent->root_crl;

	if (agent->options->root_crl == NULL)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:b, s:s}", "file", agent->options->root_crl, "this_update",
			 (json_int_t)root_crl->this_s, "next_update", (json_int_t)root_crl->next_s, "warned_from",
			 (json_int_t)root_crl_warn_at_s(agent), "close",
			 root_crl_state(agent, clock_s()) != ROOT_CRL_GOOD, "error", root_crl->error);
}

/* Consumes problems. */
static json_t *status_json(const struct agent *agent, json_t *problems)
{
	json_t *issuers = json_array();

	for (size_t i = 0; i < agent->n; i++)
		json_array_append_new(issuers, issuer_json(&agent->issuer[i]));
	return json_pack("{s:I, s:o, s:{s:s, s:b, s:I, s:I, s:s}, s:o, s:o, s:{s:b, s:I, s:s}, s:s}", "written",
			 (json_int_t)clock_s(), "problems", problems, "va", "url", agent->options->va, "here",
			 agent->answered && !agent->away, "last_answer", (json_int_t)agent->last_answer_s, "away_since",
			 agent->away ? (json_int_t)agent->away_since_s : 0, "detail",
			 agent->away ? agent->away_why : "", "issuers", issuers, "root_crl", root_crl_json(agent),
			 "nginx", "told", agent->options->nginx_pid != NULL, "reloads", (json_int_t)agent->reloads,
			 "error", agent->nginx_error, "error", agent->write_error);
}

void status_write(struct agent *agent)
{
	json_t *problems = problems_of(agent);
	size_t n = json_array_size(problems);
	json_t *status = status_json(agent, problems);
	char *text = status == NULL ? NULL : json_dumps(status, JSON_INDENT(2));
	char path[PATH_CHARS];
	struct why why;

	agent->status_ms = clock_ms();
	snprintf(path, sizeof(path), "%s/status.json", agent->options->state);
	if (text == NULL ||
	    !file_replace(path,
			  (struct bytes[]){ { (uint8_t *)text, strlen(text) }, { (uint8_t *)(uintptr_t) "\n", 1 } }, 2,
			  false, &why))
		say("status is not written: %s", text == NULL ? "no memory" : why.text);
	metrics_write(agent, n);
	free(text);
	json_decref(status);
}

void status_tick(struct agent *agent)
{
	if (clock_ms() - agent->status_ms >= STATUS_S * 1000)
		status_write(agent);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "" : text;
}

static long long number_of(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void show_issuer(const json_t *issuer)
{
	int64_t until_s = number_of(issuer, "good_until");
	char when[TIME_CHARS];

	time_text(until_s, when);
	printf("%-24s %8lld revoked  CRL %-8lld good until %s%s\n", text_of(issuer, "name"),
	       number_of(issuer, "revoked"), number_of(issuer, "number"), when,
	       json_is_true(json_object_get(issuer, "ca_revoked")) ? "  ITS CA IS REVOKED"
	       : until_s <= clock_s()                              ? "  PAST ITS TIME"
								   : "");
	if (number_of(issuer, "refused") > 0)
		printf("%-24s %8lld refused, the last: %s\n", "", number_of(issuer, "refused"),
		       text_of(issuer, "last_refusal"));
}

static void show_root_crl(const json_t *root_crl)
{
	int64_t until_s = number_of(root_crl, "next_update");
	char when[TIME_CHARS];

	if (!json_is_object(root_crl))
		return;
	time_text(until_s, when);
	printf("%-24s %40s %s%s\n", "the root's CRL", "good until", when,
	       until_s <= clock_s()                              ? "  PAST ITS TIME"
	       : number_of(root_crl, "warned_from") <= clock_s() ? "  ENDS SOON"
								 : "");
}

static void show(const json_t *status)
{
	const json_t *va = json_object_get(status, "va"), *issuers = json_object_get(status, "issuers"),
		     *nginx = json_object_get(status, "nginx"), *problem;
	size_t i;

	printf("va %s: %s%s\n", text_of(va, "url"), json_is_true(json_object_get(va, "here")) ? "here" : "AWAY, ",
	       text_of(va, "detail"));
	json_array_foreach(issuers, i, problem)
		show_issuer(problem);
	show_root_crl(json_object_get(status, "root_crl"));
	if (json_is_true(json_object_get(nginx, "told")))
		printf("nginx: told %lld times\n", number_of(nginx, "reloads"));
	json_array_foreach(json_object_get(status, "problems"), i, problem)
		printf("NOT WELL: %s\n", json_string_value(problem));
}

/* What an agent has written there; NULL: told. */
static json_t *status_read(const struct options *options)
{
	struct bytes text = { 0 };
	char path[PATH_CHARS];
	struct why why;
	json_t *status;
	bool missing;

	snprintf(path, sizeof(path), "%s/status.json", options->state);
	if (!file_read(path, STATUS_BYTES_MAX, &text, &missing, &why)) {
		fprintf(stderr, "assay-agent: %s%s\n", why.text,
			missing ? "; has an agent run with this --state?" : "");
		return NULL;
	}
	status = json_loadb((const char *)text.ptr, text.len, 0, NULL);
	bytes_free(&text);
	if (status == NULL)
		fprintf(stderr, "assay-agent: %s is not JSON\n", path);
	return status;
}

int status_show(const struct options *options)
{
	json_t *status = status_read(options);

	if (status == NULL)
		return 1;
	if (options->json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		show(status);
	}
	json_decref(status);
	return 0;
}

int status_health(const struct options *options)
{
	json_t *status = status_read(options), *problem;
	long long age_s = clock_s() - number_of(status, "written");
	size_t i, n = 0;

	if (status == NULL)
		return 1;
	if (age_s > OLD_S && ++n > 0)
		printf("the agent has written no status for %lld s: it does not run\n", age_s);
	json_array_foreach(json_object_get(status, "problems"), i, problem) {
		printf("%s\n", json_string_value(problem));
		n++;
	}
	json_decref(status);
	return n == 0 ? 0 : 1;
}
