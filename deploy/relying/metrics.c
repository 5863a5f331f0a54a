/*
 * metrics.c - see agent.h: metrics.prom, in Prometheus' text format 0.0.4, for node_exporter's textfile collector
 * (--collector.textfile.directory=STATE). Times are Unix times, so that a file that is no longer written still tells.
 */
#include "agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void one(FILE *out, const char *name, const char *help, int64_t value)
{
	fprintf(out, "# HELP assay_agent_%s %s\n# TYPE assay_agent_%s gauge\nassay_agent_%s %lld\n", name, help, name,
		name, (long long)value);
}

static int64_t revoked_of(const struct issuer *issuer)
{
	return (int64_t)issuer->effective.n;
}

static int64_t number_of(const struct issuer *issuer)
{
	return (int64_t)issuer_number(issuer);
}

static int64_t refused_of(const struct issuer *issuer)
{
	return (int64_t)issuer->refused;
}

static int64_t ca_revoked(const struct issuer *issuer)
{
	return issuer->revoked;
}

static const struct {
	const char *name, *help;
	int64_t (*value)(const struct issuer *issuer);
} of_issuer[] = {
	{ "crl_next_update_seconds", "When the issuer's newest list ends; 0: none has come.", issuer_good_until_s },
	{ "crl_number", "Number of the issuer's newest list.", number_of },
	{ "revoked", "Certificates of the issuer that are revoked.", revoked_of },
	{ "ca_revoked", "1 when the root has revoked the issuer's CA.", ca_revoked },
	{ "refused", "Lists and certificates of the issuer refused since the start.", refused_of },
};

static void issuers(FILE *out, const struct agent *agent)
{
	for (size_t k = 0; k < sizeof(of_issuer) / sizeof(of_issuer[0]); k++) {
		fprintf(out, "# HELP assay_agent_%s %s\n# TYPE assay_agent_%s gauge\n", of_issuer[k].name,
			of_issuer[k].help, of_issuer[k].name);
		for (size_t i = 0; i < agent->n; i++)
			fprintf(out, "assay_agent_%s{issuer=\"%s\"} %lld\n", of_issuer[k].name, agent->issuer[i].name,
				(long long)of_issuer[k].value(&agent->issuer[i]));
	}
}

static void root_crl(FILE *out, const struct agent *agent)
{
	enum root_crl_state state = root_crl_state(agent, clock_s());

	if (state == ROOT_CRL_NONE)
		return;
	one(out, "root_crl_next_update_seconds", "When the root's CRL ends.", agent->root_crl.next_s);
	one(out, "root_crl_close", "1 when that is close, or over.", state != ROOT_CRL_GOOD);
}

void metrics_write(const struct agent *agent, size_t problems)
{
	char path[PATH_CHARS], *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct why why = { "no memory" };

	if (out != NULL) {
		one(out, "status_seconds", "When this was written; once a minute at least.", clock_s());
		one(out, "problems", "How many things are not well; assay-agent --health names them.",
		    (int64_t)problems);
		one(out, "va_up", "1 while the va answers.", agent->answered && !agent->away);
		issuers(out, agent);
		root_crl(out, agent);
		one(out, "nginx_reloads", "How often nginx was told since the start.", (int64_t)agent->reloads);
	}
	snprintf(path, sizeof(path), "%s/metrics.prom", agent->options->state);
	if (out == NULL || fclose(out) != 0 ||
	    !file_replace(path, &(struct bytes){ (uint8_t *)text, len }, 1, false, &why))
		say("metrics are not written: %s", why.text);
	free(text);
}
