/* crl.c - assayctl crl publish: CRLs signed anew. */
#include <getopt.h>

#include "ctl.h"

int verb_crl_publish(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = { { "issuer", required_argument, NULL, 'i' }, { 0 } };
	static const struct column columns[] = { { "ISSUER", "issuer" }, { "LIST", "list" }, { "NUMBER", "number" } };
	const char *issuer = NULL;
	json_t *answer;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return usage_of("crl", "publish");
		issuer = optarg;
	}
	if (optind != argc)
		return usage_of("crl", "publish");
	answer = api_post(ctl, "crls", issuer == NULL ? json_object() : json_pack("{s:s}", "issuer", issuer));
	return show_answer(ctl, answer, json_object_get(answer, "crls"), columns, sizeof(columns) / sizeof(columns[0]));
}
