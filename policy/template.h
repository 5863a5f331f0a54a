/*
 * template.h - inside policy/: names with placeholders, "urn:example:{element}".
 *
 * Owns:    nothing: values.
 * Threads: pure.
 */
#ifndef ASSAY_TEMPLATE_H
#define ASSAY_TEMPLATE_H

#include "base/blob.h"
#include "base/limits.h"

enum placeholder {
	PLACE_ELEMENT,     /* {element}: the attested element's id as text */
	PLACE_FORMAT,      /* {format}: "assay.1.1" */
	PLACE_UNIT_SERIAL, /* {unit_serial}: the product's serial as the rig asserts it */
	PLACE_NAME,        /* {name}: the CSR's CN, within what the requester may ask for */
	PLACE_COUNT
};
#define USES(placeholder) (1U << (placeholder))

struct template
{
	char text[LIMIT_SAN_CHARS + 1];
	unsigned uses;   /* USES() bits */
	size_t literals; /* characters outside placeholders */
};

/* False when a brace opens no known placeholder, or the text is too long. */
MUST_CHECK bool template_parse(const char *text, struct template *ret_template);

/* False when a value that is used is missing (NULL) or empty, or the whole has more than cap - 1 characters. */
MUST_CHECK bool template_expand(const struct template *template, const char *const values[PLACE_COUNT], char *out,
				size_t cap);

/* The value that the template's one placeholder has in text; false if text is not of this form. */
MUST_CHECK bool template_match(const struct template *template, const char *text, char *out, size_t cap);

/* One trailing "*" stands for anything, also nothing; without it the name has to be equal. An empty pattern fits none.
 */
bool pattern_fits(const char *pattern, const char *name);

#endif
