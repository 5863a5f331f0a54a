/* cert.c - assayctl cert list|show|pem, device show, actions, status. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define N(table) (sizeof(table) / sizeof(table[0]))

static const struct column list_columns[] = {
	{ "SERIAL", "serial" },       { "STATUS", "status" }, { "PROFILE", "profile" },   { "ELEMENT", "element" },
	{ "REQUESTER", "requester" }, { "ISSUED", "signed" }, { "EXPIRES", "not_after" },
};

static const struct column all_fields[] = {
	{ "serial", "serial" },
	{ "status", "status" },
	{ "issuer", "issuer" },
	{ "profile", "profile" },
	{ "kind", "kind" },
	{ "requester", "requester" },
	{ "order", "order" },
	{ "device", "device" },
	{ "element", "element" },
	{ "format", "format" },
	{ "vendor root", "vendor_root" },
	{ "batch CA", "batch_ca" },
	{ "unit serial", "unit_serial" },
	{ "level", "level" },
	{ "key", "key_hash" },
	{ "previous", "previous" },
	{ "intended", "intended" },
	{ "signed", "signed" },
	{ "not before", "not_before" },
	{ "not after", "not_after" },
	{ "seen in use", "in_use" },
	{ "revoked", "revocation.at" },
	{ "reason", "revocation.reason" },
	{ "revoked by", "revocation.who" },
	{ "policy", "policy" },
	{ "chain node", "chain.node" },
	{ "chain stream", "chain.stream" },
	{ "chain row", "chain.seq" },
};

/* Adds name=value to a query. */
static bool add_query(struct ctl *ctl, char *path, size_t path_len, const char *name, const char *value)
{
	char *escaped = api_escape(ctl, value);
	size_t len = strlen(path);
	int n = escaped == NULL ? -1
				: snprintf(path + len, path_len - len, "%c%s=%s", strchr(path, '?') == NULL ? '?' : '&',
					   name, escaped);

	free(escaped);
	return n >= 0 && (size_t)n < path_len - len;
}

static long number(const char *text, long max)
{
	char *end;
	long value = strtol(text, &end, 10);

	return *text != '\0' && *end == '\0' && value >= 1 && value <= max ? value : -1;
}

int verb_cert_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 0 },  { "requester", required_argument, NULL, 0 },
		{ "profile", required_argument, NULL, 0 }, { "issuer", required_argument, NULL, 0 },
		{ "from", required_argument, NULL, 0 },    { "until", required_argument, NULL, 0 },
		{ "limit", required_argument, NULL, 'n' }, { 0 },
	};
	char path[1024] = "certificates";
	long wanted = 20;
	json_t *rows;
	int c, at;

	while ((c = getopt_long(argc, argv, "n:", options, &at)) != -1) {
		if (c == '?')
			return usage_of("cert", "list");
		if (c == 'n' && (wanted = number(optarg, 1000000)) < 0)
			return fail("--limit must be a number from 1 to 1000000"), 2;
		if (c == 0 && !add_query(ctl, path, sizeof(path), options[at].name, optarg))
			return fail("the query is too long");
	}
	if (optind != argc)
		return usage_of("cert", "list");
	rows = api_pages(ctl, path, "certificates", "after", wanted);
	return show_answer(ctl, rows, rows, list_columns, N(list_columns));
}

static int one(struct ctl *ctl, int argc, char **argv, const char *group, const char *name, const char *what,
	       const struct column *fields, size_t n)
{
	char path[API_PATH];
	json_t *object;

	if (argc != 2)
		return usage_of(group, name);
	if (!api_path(ctl, path, what, argv[1], ""))
		return 1;
	object = api_get(ctl, path);
	if (object == NULL)
		return 1;
	if (ctl->json)
		show_json(object);
	else
		show_fields(ctl, object, fields, n);
	json_decref(object);
	return 0;
}

int verb_cert_show(struct ctl *ctl, int argc, char **argv)
{
	return one(ctl, argc, argv, "cert", "show", "certificates/", all_fields, N(all_fields));
}

int verb_cert_pem(struct ctl *ctl, int argc, char **argv)
{
	char path[API_PATH], *text;

	if (argc != 2)
		return usage_of("cert", "pem");
	if (!api_path(ctl, path, "certificates/", argv[1], "/pem"))
		return 1;
	text = api_text(ctl, path);
	if (text == NULL)
		return 1;
	(void)fputs(text, stdout);
	free(text);
	return 0;
}

int verb_device_show(struct ctl *ctl, int argc, char **argv)
{
	static const struct column fields[] = {
		{ "device", "device" },           { "format", "format" },           { "element", "element" },
		{ "vendor root", "vendor_root" }, { "unit serial", "unit_serial" },
	};
	/* 64 digits are the device's own hash; anything else is the element's id */
	bool hash = argc == 2 && strlen(argv[1]) == 64;
	char path[API_PATH];
	json_t *answer, *device;
	size_t i;

	if (argc != 2)
		return usage_of("device", "show");
	if (!api_path(ctl, path, hash ? "devices/" : "devices?element=", argv[1], ""))
		return 1;
	answer = api_get(ctl, path);
	if (answer == NULL)
		return 1;
	if (ctl->json) {
		show_json(answer);
	} else if (hash) {
		show_fields(ctl, answer, fields, N(fields));
		show_table(ctl, json_object_get(answer, "certificates"), list_columns, N(list_columns));
	} else {
		json_array_foreach(json_object_get(answer, "devices"), i, device) {
			show_fields(ctl, device, fields, N(fields));
			show_table(ctl, json_object_get(device, "certificates"), list_columns, N(list_columns));
		}
		if (json_array_size(json_object_get(answer, "devices")) == 0)
			(void)puts("no device has this element");
	}
	json_decref(answer);
	return 0;
}

int verb_actions(struct ctl *ctl, int argc, char **argv)
{
	static const struct column columns[] = {
		{ "NUMBER", "number" },   { "AT", "at" },         { "WHO", "who" },   { "CALL", "call" },
		{ "OUTCOME", "outcome" }, { "DETAIL", "detail" }, { "NOTE", "note" },
	};
	static const struct option options[] = { { "who", required_argument, NULL, 'w' },
						 { "limit", required_argument, NULL, 'n' },
						 { 0 } };
	char path[512] = "actions";
	long wanted = 20;
	json_t *rows;
	int c;

	while ((c = getopt_long(argc, argv, "n:", options, NULL)) != -1) {
		if (c == '?')
			return usage_of("actions", NULL);
		if (c == 'n' && (wanted = number(optarg, 1000000)) < 0)
			return fail("--limit must be a number from 1 to 1000000"), 2;
		if (c == 'w' && !add_query(ctl, path, sizeof(path), "who", optarg))
			return fail("the query is too long");
	}
	rows = api_pages(ctl, path, "actions", "before", wanted);
	return show_answer(ctl, rows, rows, columns, N(columns));
}

int verb_status(struct ctl *ctl, int argc, char **argv)
{
	static const struct column fields[] = {
		{ "ledger's time", "at" },
		{ "schema", "schema" },
		{ "intended today", "intended_today" },
		{ "signed today", "signed_today" },
		{ "revocations", "revocations" },
		{ "operators' actions", "actions" },
	};
	static const struct column heads[] = {
		{ "NODE", "node" }, { "STREAM", "stream" }, { "ROWS", "seq" }, { "LAST", "at" }, { "HASH", "hash" }
	};
	json_t *answer;

	(void)argv;
	if (argc != 1)
		return usage_of("status", NULL);
	answer = api_get(ctl, "status");
	if (answer == NULL)
		return 1;
	if (ctl->json) {
		show_json(answer);
	} else {
		show_fields(ctl, answer, fields, N(fields));
		(void)putchar('\n');
		show_table(ctl, json_object_get(answer, "heads"), heads, N(heads));
	}
	json_decref(answer);
	return 0;
}
