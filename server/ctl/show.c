/* show.c - tables for people, JSON for programs; see ctl.h. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define RED "\033[31m"
#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static const struct {
	const char *value, *colour;
} colours[] = {
	{ "valid", GREEN },     { "revoked", RED },    { "held", YELLOW }, { "void", YELLOW },
	{ "unsigned", YELLOW }, { "expired", YELLOW }, { "ok", GREEN },
};

const char *text_at(const json_t *object, const char *key)
{
	static char number[4][32];
	static unsigned turn;
	const char *dot = strchr(key, '.');
	const json_t *value;
	char first[64];

	if (dot != NULL && (size_t)(dot - key) < sizeof(first)) {
		memcpy(first, key, (size_t)(dot - key));
		first[dot - key] = '\0';
		return text_at(json_object_get(object, first), dot + 1);
	}
	value = json_object_get(object, key);
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_boolean(value))
		return json_is_true(value) ? "yes" : "no";
	if (!json_is_integer(value))
		return "";
	turn = (turn + 1) % 4;
	(void)snprintf(number[turn], sizeof(number[turn]), "%lld", (long long)json_integer_value(value));
	return number[turn];
}

static const char *colour_of(const struct ctl *ctl, const char *value)
{
	for (size_t i = 0; ctl->colour && i < sizeof(colours) / sizeof(colours[0]); i++)
		if (strcmp(colours[i].value, value) == 0)
			return colours[i].colour;
	return NULL;
}

static void cell(const struct ctl *ctl, const char *value, size_t width)
{
	const char *colour = colour_of(ctl, value);

	(void)fputs(colour == NULL ? "" : colour, stdout);
	for (const char *p = value; *p != '\0'; p++) /* names come from devices: a terminal must not obey them */
		(void)putchar((unsigned char)*p < ' ' || *p == 0x7f ? '?' : *p);
	(void)printf("%s%*s", colour == NULL ? "" : PLAIN, width > strlen(value) ? (int)(width - strlen(value)) : 0,
		     "");
}

#define COLUMNS_MAX 12

void show_table(const struct ctl *ctl, const json_t *rows, const struct column *columns, size_t n)
{
	size_t width[COLUMNS_MAX], i;
	json_t *row;

	for (size_t c = 0; c < n; c++) {
		width[c] = strlen(columns[c].title);
		json_array_foreach(rows, i, row) {
			size_t len = strlen(text_at(row, columns[c].key));

			width[c] = len > width[c] ? len : width[c];
		}
	}
	for (size_t c = 0; c < n; c++)
		(void)printf("%s%s%-*s%s", c == 0 ? "" : "  ", ctl->colour ? BOLD : "", c + 1 == n ? 0 : (int)width[c],
			     columns[c].title, ctl->colour ? PLAIN : "");
	(void)putchar('\n');
	json_array_foreach(rows, i, row) {
		for (size_t c = 0; c < n; c++) {
			(void)fputs(c == 0 ? "" : "  ", stdout);
			cell(ctl, text_at(row, columns[c].key), c + 1 == n ? 0 : width[c]);
		}
		(void)putchar('\n');
	}
}

void show_fields(const struct ctl *ctl, const json_t *object, const struct column *fields, size_t n)
{
	size_t width = 0;

	for (size_t i = 0; i < n; i++)
		width = strlen(fields[i].title) > width ? strlen(fields[i].title) : width;
	for (size_t i = 0; i < n; i++) {
		const char *value = text_at(object, fields[i].key);

		if (value[0] == '\0')
			continue;
		(void)printf("  %-*s  ", (int)width, fields[i].title);
		cell(ctl, value, 0);
		(void)putchar('\n');
	}
}

void show_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_INDENT(1));
	(void)putchar('\n');
}

int show_answer(const struct ctl *ctl, json_t *answer, const json_t *rows, const struct column *columns, size_t n)
{
	if (answer == NULL)
		return 1;
	if (ctl->json)
		show_json(answer);
	else
		show_table(ctl, rows, columns, n);
	json_decref(answer);
	return 0;
}
