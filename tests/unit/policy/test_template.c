/* test_template.c - placeholders in names, and patterns of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "template.h"

static struct template parse(const char *text)
{
	struct template template;

	assert_true(template_parse(text, &template));
	return template;
}

static void fills_placeholders_in(void **state)
{
	const char *values[PLACE_COUNT] = { [PLACE_ELEMENT] = "0a0b", [PLACE_FORMAT] = "assay.1.1" };
	struct template template = parse("urn:{format}:{element}:x");
	char out[64];

	(void)state;
	assert_int_equal(template.uses, USES(PLACE_ELEMENT) | USES(PLACE_FORMAT));
	assert_int_equal(template.literals, strlen("urn:::x"));
	assert_true(template_expand(&template, values, out, sizeof(out)));
	assert_string_equal(out, "urn:assay.1.1:0a0b:x");
}

static void refuses_an_unknown_or_broken_placeholder(void **state)
{
	struct template template;

	(void)state;
	assert_false(template_parse("{serial}", &template));
	assert_false(template_parse("{element", &template));
	assert_false(template_parse("element}", &template));
	assert_false(template_parse("{}", &template));
}

static void refuses_a_missing_or_empty_value(void **state)
{
	const char *values[PLACE_COUNT] = { [PLACE_NAME] = "" };
	struct template element = parse("x{element}"), name = parse("x{name}");
	char out[64];

	(void)state;
	assert_false(template_expand(&element, values, out, sizeof(out)));
	assert_false(template_expand(&name, values, out, sizeof(out)));
}

static void takes_what_just_fits_and_refuses_one_character_more(void **state)
{
	const char *values[PLACE_COUNT] = { [PLACE_NAME] = "abcd" };
	struct template template = parse("1{name}2");
	char out[7];

	(void)state;
	assert_true(template_expand(&template, values, out, 7));
	assert_string_equal(out, "1abcd2");
	assert_false(template_expand(&template, values, out, 6));
	assert_false(template_expand(&template, values, out, 5));
}

static void finds_the_value_in_a_text_of_its_form(void **state)
{
	struct template template = parse("urn:unit:{unit_serial}/end");
	char out[8];

	(void)state;
	assert_true(template_match(&template, "urn:unit:A-17/end", out, sizeof(out)));
	assert_string_equal(out, "A-17");
	assert_false(template_match(&template, "urn:unit:/end", out, sizeof(out)));
	assert_false(template_match(&template, "urn:unit:A-17", out, sizeof(out)));
	assert_false(template_match(&template, "urn:other:A-17/end", out, sizeof(out)));
	assert_false(template_match(&template, "urn:unit:12345678/end", out, sizeof(out)));
}

static void a_pattern_has_one_star_at_its_end(void **state)
{
	(void)state;
	assert_true(pattern_fits("legacy-*", "legacy-1"));
	assert_true(pattern_fits("legacy-*", "legacy-"));
	assert_false(pattern_fits("legacy-*", "legacy1"));
	assert_false(pattern_fits("legacy-*", "xlegacy-1"));
	assert_true(pattern_fits("gate", "gate"));
	assert_false(pattern_fits("gate", "gate2"));
	assert_true(pattern_fits("*", "anything"));
	assert_false(pattern_fits("", ""));
	assert_false(pattern_fits("", "anything"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_placeholders_in),
		cmocka_unit_test(refuses_an_unknown_or_broken_placeholder),
		cmocka_unit_test(refuses_a_missing_or_empty_value),
		cmocka_unit_test(takes_what_just_fits_and_refuses_one_character_more),
		cmocka_unit_test(finds_the_value_in_a_text_of_its_form),
		cmocka_unit_test(a_pattern_has_one_star_at_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
