/* template.c - see template.h. */
#include "template.h"

#include <string.h>

static const char *const places[PLACE_COUNT] = {
	[PLACE_ELEMENT] = "{element}",
	[PLACE_FORMAT] = "{format}",
	[PLACE_UNIT_SERIAL] = "{unit_serial}",
	[PLACE_NAME] = "{name}",
};

/* Which placeholder text begins with; PLACE_COUNT if none. */
static enum placeholder place_at(const char *text)
{
	enum placeholder place = 0;

	while (place < PLACE_COUNT && strncmp(text, places[place], strlen(places[place])) != 0)
		place++;
	return place;
}

bool template_parse(const char *text, struct template *ret_template)
{
	struct template template = { 0 };
	size_t len = strlen(text);

	if (len >= sizeof(template.text))
		return false;
	memcpy(template.text, text, len);
	for (const char *at = text; *at != '\0';) {
		enum placeholder place = place_at(at);

		if (place == PLACE_COUNT && (*at == '{' || *at == '}'))
			return false;
		if (place == PLACE_COUNT) {
			template.literals++;
			at++;
		} else {
			template.uses |= USES(place);
			at += strlen(places[place]);
		}
	}
	*ret_template = template;
	return true;
}

bool template_expand(const struct template *template, const char *const values[PLACE_COUNT], char *out, size_t cap)
{
	size_t len = 0;

	for (const char *at = template->text; *at != '\0';) {
		enum placeholder place = place_at(at);
		const char *piece = place == PLACE_COUNT ? at : values[place];
		size_t n = place == PLACE_COUNT ? 1 : piece == NULL ? 0 : strlen(piece);

		if (n == 0 || n >= cap - len)
			return false;
		memcpy(out + len, piece, n);
		len += n;
		at += place == PLACE_COUNT ? 1 : strlen(places[place]);
	}
	out[len] = '\0';
	return true;
}

bool template_match(const struct template *template, const char *text, char *out, size_t cap)
{
	size_t before = strcspn(template->text, "{");
	const char *tail = strchr(template->text, '}');
	size_t len = strlen(text), after, value;

	if (tail == NULL)
		return false;
	after = strlen(tail + 1);
	if (len <= before + after || strncmp(text, template->text, before) != 0 ||
	    strcmp(text + len - after, tail + 1) != 0)
		return false;
	value = len - before - after;
	if (value >= cap)
		return false;
	memcpy(out, text + before, value);
	out[value] = '\0';
	return true;
}

bool pattern_fits(const char *pattern, const char *name)
{
	size_t len = strlen(pattern);

	if (len == 0)
		return false;
	if (pattern[len - 1] == '*')
		return strncmp(pattern, name, len - 1) == 0;
	return strcmp(pattern, name) == 0;
}
