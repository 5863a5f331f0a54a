/* revoke.c - assayctl revoke and release: always a dry run first; --yes does what it showed. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include "audit.h"
#include "ctl.h"

#define LINE_CHARS 256
#define LIST_PIECE 3000 /* serials in one request: the API takes 64 KiB */

/* What to select by: an option of the same name, with "-" for "_". */
static const struct {
	const char *option, *field;
} selections[] = {
	{ "serial", "serial" },   { "device", "device" },     { "order", "order" },     { "rig", "rig" },
	{ "profile", "profile" }, { "batch-ca", "batch_ca" }, { "element", "element" }, { "key-hash", "key_hash" },
};

struct wish {
	json_t *select;
	const char *reason, *note, *file;
	bool yes;
};

/* "2026-11-01T00:00:00Z,2026-11-02T00:00:00Z" */
static json_t *issued(const char *text)
{
	const char *comma = strchr(text, ',');

	return comma == NULL ? NULL
			     : json_pack("{s:{s:s%, s:s}}", "issued", "from", text, (size_t)(comma - text), "until",
					 comma + 1);
}

static bool is_hash(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

static bool take_option(struct wish *wish, const char *name, const char *value)
{
	json_t *select = NULL;
	char hash[65];

	if (strcmp(name, "batch-ca") == 0 && !is_hash(value)) {
		if (!cert_spki_hash(value, hash))
			return false;
		value = hash;
	}
	if (strcmp(name, "reason") == 0)
		wish->reason = value;
	else if (strcmp(name, "note") == 0)
		wish->note = value;
	else if (strcmp(name, "yes") == 0)
		wish->yes = true;
	else if (strcmp(name, "file") == 0)
		wish->file = value;
	else if (strcmp(name, "issued-between") == 0 && (select = issued(value)) == NULL)
		return fail("--issued-between takes FROM,UNTIL, as in 2026-11-01T00:00:00Z,2026-11-02T00:00:00Z") == 0;
	for (size_t i = 0; i < sizeof(selections) / sizeof(selections[0]); i++)
		if (strcmp(selections[i].option, name) == 0)
			select = json_pack("{s:s}", selections[i].field, value);
	if (select != NULL && wish->select != NULL) {
		json_decref(select);
		return fail("select by one thing at a time") == 0;
	}
	if (select != NULL)
		wish->select = select;
	return true;
}

static bool read_options(struct wish *wish, int argc, char **argv)
{
	static const struct option options[] = {
		{ "serial", required_argument, NULL, 0 },
		{ "device", required_argument, NULL, 0 },
		{ "order", required_argument, NULL, 0 },
		{ "rig", required_argument, NULL, 0 },
		{ "profile", required_argument, NULL, 0 },
		{ "batch-ca", required_argument, NULL, 0 },
		{ "element", required_argument, NULL, 0 },
		{ "key-hash", required_argument, NULL, 0 },
		{ "issued-between", required_argument, NULL, 0 },
		{ "file", required_argument, NULL, 0 },
		{ "reason", required_argument, NULL, 0 },
		{ "note", required_argument, NULL, 0 },
		{ "yes", no_argument, NULL, 0 },
		{ 0 },
	};
	int c, at;

	while ((c = getopt_long(argc, argv, "", options, &at)) != -1)
		if (c != 0 || !take_option(wish, options[at].name, optarg))
			return false;
	return optind == argc && (wish->select != NULL) != (wish->file != NULL);
}

/* One piece of a list; `list` is what the first piece was given, `known` how many of all so far were issued here. */
static bool send_piece(struct ctl *ctl, json_t *serials, char list[64], long *known)
{
	char path[128];
	json_t *answer;

	(void)snprintf(path, sizeof(path), list[0] == '\0' ? "lists" : "lists/%s", list);
	answer = api_post(ctl, path, json_pack("{s:O}", "serials", serials));
	if (answer == NULL)
		return false;
	(void)snprintf(list, 64, "%s", text_at(answer, "list"));
	*known = (long)json_integer_value(json_object_get(answer, "n"));
	json_decref(answer);
	return json_array_clear(serials) == 0;
}

/* False: there are no more lines. One that is longer than a serial with its remark, or no text, is not `ret_sound`. */
static bool next_line(FILE *file, char line[LINE_CHARS], bool *ret_sound)
{
	size_t n = 0;
	int c;

	*ret_sound = true;
	while ((c = getc(file)) != EOF && c != '\n' && *ret_sound) {
		line[n++] = (char)c;
		*ret_sound = c != '\0' && n + 1 < LINE_CHARS;
	}
	line[n] = '\0';
	return c != EOF || n > 0;
}

/* One serial a line, as hex; empty lines and what follows a # are passed over. Nothing is passed over because it could
 * not be read: it would not be revoked. */
static json_t *send_file(struct ctl *ctl, const char *path)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	json_t *serials = json_array();
	char line[LINE_CHARS], list[64] = "";
	bool ok = file != NULL && serials != NULL, sound;
	long n = 0, known = 0;

	if (file == NULL)
		(void)fail("%s cannot be read", path);
	while (ok && next_line(file, line, &sound)) {
		line[strcspn(line, "# \t\r\n")] = '\0';
		if (sound && line[0] == '\0')
			continue;
		ok = (sound && json_array_append_new(serials, json_string(line)) == 0) ||
		     fail("%s: the line after %ld serials is too long, or no text", path, n) == 0;
		n++;
		if (ok && json_array_size(serials) == LIST_PIECE)
			ok = send_piece(ctl, serials, list, &known);
	}
	ok = ok && read_whole(file, path, 0, 0);
	if (ok && json_array_size(serials) > 0)
		ok = send_piece(ctl, serials, list, &known);
	if (ok && n == 0)
		ok = fail("%s: no serials in it", path) == 0;
	if (ok && known < n)
		(void)fprintf(stderr, "assayctl: %ld of the %ld serials in %s were not issued here: left out\n",
			      n - known, n, path);
	if (file != NULL && file != stdin)
		(void)fclose(file);
	json_decref(serials);
	return ok ? json_pack("{s:s}", "list", list) : NULL;
}

static void show_plan(const struct ctl *ctl, const json_t *plan, bool done)
{
	static const struct column columns[] = {
		{ "SERIAL", "serial" },   { "STATUS", "status" },       { "PROFILE", "profile" },
		{ "ELEMENT", "element" }, { "REQUESTER", "requester" }, { "ISSUED", "signed" },
	};
	long long n = json_integer_value(json_object_get(plan, "n"));
	long long already = json_integer_value(json_object_get(plan, "already"));
	long long unknown = json_integer_value(json_object_get(plan, "unknown"));
	size_t shown = json_array_size(json_object_get(plan, "sample"));

	if (ctl->json) {
		show_json(plan);
		return;
	}
	if (done) {
		(void)printf("done: %s changed of %lld certificates by %s, reason %s\n", text_at(plan, "changed"), n,
			     text_at(plan, "what"), text_at(plan, "reason"));
		if (json_object_get(plan, "notice") != NULL)
			(void)printf("%s\n", text_at(plan, "notice"));
		return;
	}
	show_table(ctl, json_object_get(plan, "sample"), columns, sizeof(columns) / sizeof(columns[0]));
	if ((long long)shown < n)
		(void)printf("... and %lld more\n", n - (long long)shown);
	(void)printf("\ndry run: %lld certificates by %s, %lld of them need nothing; reason %s\n", n,
		     text_at(plan, "what"), already, text_at(plan, "reason"));
	if (unknown > 0)
		(void)printf("not among them: %lld attested certificates from before batch CAs were recorded; their "
			     "evidence names it\n",
			     unknown);
}

/* Very many are answered before they are done, and go on by themselves: looked at until they are. */
static json_t *do_plan(struct ctl *ctl, const char *path)
{
	const struct timespec second = { .tv_sec = 1 };
	json_t *plan = api_post(ctl, path, json_object());
	json_t *notice = json_incref(json_object_get(plan, "notice"));

	while (plan != NULL && !json_is_true(json_object_get(plan, "done"))) {
		progress("revoking", (uint64_t)json_integer_value(json_object_get(plan, "changed")),
			 (uint64_t)json_integer_value(json_object_get(plan, "n")));
		json_decref(plan);
		(void)nanosleep(&second, NULL);
		plan = api_get(ctl, path);
	}
	progress_end();
	if (plan != NULL && notice != NULL)
		(void)json_object_set(plan, "notice", notice);
	json_decref(notice);
	return plan;
}

static int plan_and_do(struct ctl *ctl, struct wish *wish)
{
	json_t *plan = api_post(
		ctl, "revocations",
		json_pack("{s:o, s:s, s:s}", "select", wish->select, "reason", wish->reason, "note", wish->note));
	char path[128];

	wish->select = NULL;
	if (plan == NULL)
		return 1;
	if (!wish->yes) {
		show_plan(ctl, plan, false);
		if (!ctl->json)
			(void)puts("nothing was changed; the same command with --yes does it");
		json_decref(plan);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "revocations/%.64s", text_at(plan, "plan"));
	json_decref(plan);
	plan = do_plan(ctl, path);
	if (plan == NULL)
		return 1;
	show_plan(ctl, plan, true);
	json_decref(plan);
	return 0;
}

/* After good options: what is still wrong with them; NULL: nothing. Each verb does its own thing alone. */
static const char *wrong_wish(const struct wish *wish, const char *reason)
{
	if (wish->reason == NULL)
		return "--reason REASON is missing";
	if (wish->note == NULL)
		return "--note WHY is missing";
	if (reason != NULL && strcmp(wish->reason, reason) != 0)
		return "it takes no --reason";
	if (reason == NULL && strcmp(wish->reason, "removeFromCRL") == 0)
		return "removeFromCRL is what assayctl release does";
	return NULL;
}

static int run(struct ctl *ctl, int argc, char **argv, const char *verb, const char *reason)
{
	struct wish wish = { .reason = reason };
	const char *wrong;
	int status;

	if (!read_options(&wish, argc, argv)) {
		json_decref(wish.select);
		return usage_of(verb, NULL);
	}
	wrong = wrong_wish(&wish, reason);
	if (wrong != NULL) {
		json_decref(wish.select);
		return fail("%s: %s; assayctl %s --help tells more", verb, wrong, verb) + 1;
	}
	if (wish.file != NULL)
		wish.select = send_file(ctl, wish.file);
	status = wish.select == NULL ? 1 : plan_and_do(ctl, &wish);
	json_decref(wish.select);
	return status;
}

int verb_revoke(struct ctl *ctl, int argc, char **argv)
{
	return run(ctl, argc, argv, "revoke", NULL);
}

int verb_release(struct ctl *ctl, int argc, char **argv)
{
	return run(ctl, argc, argv, "release", "removeFromCRL");
}
