/* status.c - see agent.h: status.json, written when something changes, and how it is shown. */
#include "agent.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATUS_BYTES_MAX (1024UL * 1024)

static json_t *issuer_json(const struct issuer *issuer)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "name", issuer->name, "number",
			 (json_int_t)issuer_number(issuer), "complete", (json_int_t)issuer->complete.number, "delta",
			 (json_int_t)issuer->delta.number, "revoked", (json_int_t)issuer->effective.n, "good_until",
			 (json_int_t)issuer_good_until_s(issuer), "refused", (json_int_t)issuer->refused,
			 "last_refusal", issuer->last_refusal);
}

static json_t *status_json(const struct agent *agent)
{
	json_t *issuers = json_array();

	for (size_t i = 0; i < agent->n; i++)
		json_array_append_new(issuers, issuer_json(&agent->issuer[i]));
	return json_pack("{s:I, s:{s:s, s:b, s:I, s:I, s:s}, s:o, s:{s:b, s:I, s:s}, s:s}", "written",
			 (json_int_t)clock_s(), "va", "url", agent->options->va, "here",
			 agent->answered && !agent->away, "last_answer", (json_int_t)agent->last_answer_s, "away_since",
			 agent->away ? (json_int_t)agent->away_since_s : 0, "detail",
			 agent->away ? agent->away_why : "", "issuers", issuers, "nginx", "told",
			 agent->options->nginx_pid != NULL, "reloads", (json_int_t)agent->reloads, "error",
			 agent->nginx_error, "error", agent->write_error);
}

void status_write(const struct agent *agent)
{
	json_t *status = status_json(agent);
	char *text = status == NULL ? NULL : json_dumps(status, JSON_INDENT(2));
	char path[PATH_CHARS];
	struct why why;

	snprintf(path, sizeof(path), "%s/status.json", agent->options->state);
	if (text == NULL ||
	    !file_replace(path,
			  (struct bytes[]){ { (uint8_t *)text, strlen(text) }, { (uint8_t *)(uintptr_t) "\n", 1 } }, 2,
			  false, &why))
		say("status is not written: %s", text == NULL ? "no memory" : why.text);
	free(text);
	json_decref(status);
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
	time_t until = (time_t)number_of(issuer, "good_until");
	char when[64] = "never";
	struct tm tm;

	if (until > 0 && gmtime_r(&until, &tm) != NULL)
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%SZ", &tm);
	printf("%-24s %8lld revoked  CRL %-8lld good until %s%s\n", text_of(issuer, "name"),
	       number_of(issuer, "revoked"), number_of(issuer, "number"), when,
	       until <= time(NULL) ? "  PAST ITS TIME" : "");
	if (number_of(issuer, "refused") > 0)
		printf("%-24s %8lld refused, the last: %s\n", "", number_of(issuer, "refused"),
		       text_of(issuer, "last_refusal"));
}

static void show(const json_t *status)
{
	const json_t *va = json_object_get(status, "va"), *issuers = json_object_get(status, "issuers"),
		     *nginx = json_object_get(status, "nginx");

	printf("va %s: %s%s\n", text_of(va, "url"), json_is_true(json_object_get(va, "here")) ? "here" : "AWAY, ",
	       text_of(va, "detail"));
	for (size_t i = 0; i < json_array_size(issuers); i++)
		show_issuer(json_array_get(issuers, i));
	if (json_is_true(json_object_get(nginx, "told")))
		printf("nginx: told %lld times%s%s\n", number_of(nginx, "reloads"),
		       text_of(nginx, "error")[0] != '\0' ? "; NOT TOLD: " : "", text_of(nginx, "error"));
	if (text_of(status, "error")[0] != '\0')
		printf("NOT WRITTEN: %s\n", text_of(status, "error"));
}

int status_show(const struct options *options)
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
		return 1;
	}
	status = json_loadb((const char *)text.ptr, text.len, 0, NULL);
	if (status == NULL)
		fprintf(stderr, "assay-agent: %s is not JSON\n", path);
	else if (options->json)
		fwrite(text.ptr, 1, text.len, stdout);
	else
		show(status);
	bytes_free(&text);
	json_decref(status);
	return status == NULL ? 1 : 0;
}
