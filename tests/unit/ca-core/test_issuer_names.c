/* test_issuer_names.c - which subjects and subjectAltNames the ca signs, and each that it refuses. */
#include "expect.h"

#include <string.h>

#include "issuer_fixture.h"

static void cn_missing(struct grant *g)
{
	g->subject[0].type = OID_AT_ORG;
}
static void serial_number_missing(struct grant *g)
{
	g->n_subject = 1;
}
static void subject_empty(struct grant *g)
{
	g->n_subject = 0;
}
static void cn_empty(struct grant *g)
{
	g->subject[0].value[0] = '\0';
}
static void cn_with_comma(struct grant *g)
{
	strcpy(g->subject[0].value, "a,O=b");
}
static void cn_with_star(struct grant *g)
{
	strcpy(g->subject[0].value, "*.example");
}
static void cn_endless(struct grant *g)
{
	memset(g->subject[0].value, 'a', sizeof(g->subject[0].value));
}
static void cn_twice(struct grant *g)
{
	g->subject[g->n_subject++] = g->subject[0];
}
static void serial_not_printable_string(struct grant *g)
{
	strcpy(g->subject[1].value, "a@b");
}
static void country_lower_case(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_COUNTRY, .value = "de" };
}
static void country_long(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_COUNTRY, .value = "DEU" };
}
static void org_not_ascii(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_ORG, .value = "M\xc3\xbcller" };
}
static void unknown_attribute(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_PKCS9_CHALLENGE, .value = "x" };
}
static void attribute_beyond(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = (enum oid_id)9999, .value = "x" };
}
static void too_many_attributes(struct grant *g)
{
	g->n_subject = LIMIT_NAME_ATTRS + 1;
}
static void one_san(struct grant *g, enum san_type type, const char *value)
{
	g->n_sans = 1;
	g->san[0].type = type;
	strcpy(g->san[0].value, value);
	g->san[0].hw_type = *oid_of(OID_ASSAY_HW_TYPE);
}
static void uri_relative(struct grant *g)
{
	one_san(g, SAN_URI, "path/only");
}
static void uri_empty_scheme(struct grant *g)
{
	one_san(g, SAN_URI, "://x");
}
static void uri_nothing_after(struct grant *g)
{
	one_san(g, SAN_URI, "urn:");
}
static void uri_with_blank(struct grant *g)
{
	one_san(g, SAN_URI, "urn:a b");
}
static void dns_blank(struct grant *g)
{
	one_san(g, SAN_DNS, " ");
}
static void dns_star(struct grant *g)
{
	one_san(g, SAN_DNS, "*.example");
}
static void dns_empty_label(struct grant *g)
{
	one_san(g, SAN_DNS, "a..b");
}
static void dns_dot_at_end(struct grant *g)
{
	one_san(g, SAN_DNS, "a.b.");
}
static void dns_hyphen(struct grant *g)
{
	one_san(g, SAN_DNS, "-a.b");
}
static void dns_label_of_64(struct grant *g)
{
	one_san(g, SAN_DNS, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}
static void hw_not_hex(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "0g");
}
static void hw_odd(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "0ab");
}
static void hw_empty(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "");
}
static void hw_no_type(struct grant *g)
{
	one_san(g, SAN_HW_MODULE, "0a");
	g->san[0].hw_type.len = 0;
}
static void san_endless(struct grant *g)
{
	one_san(g, SAN_URI, "urn:a");
	memset(g->san[0].value + 4, 'a', sizeof(g->san[0].value) - 4);
}
static void san_unknown_type(struct grant *g)
{
	one_san(g, (enum san_type)7, "x");
}
static void too_many_sans(struct grant *g)
{
	g->n_sans = LIMIT_SANS + 1;
}
static const struct hostile cases[] = {
	HOSTILE(cn_missing, "lacks CN"),
	HOSTILE(serial_number_missing, "lacks CN or serialNumber"),
	HOSTILE(subject_empty, "lacks CN"),
	HOSTILE(cn_empty, "attribute 0 is not clean"),
	HOSTILE(cn_with_comma, "attribute 0 is not clean"),
	HOSTILE(cn_with_star, "attribute 0 is not clean"),
	HOSTILE(cn_endless, "attribute 0 is not clean"),
	HOSTILE(cn_twice, "attribute 2 is repeated"),
	HOSTILE(serial_not_printable_string, "attribute 1 is not clean"),
	HOSTILE(country_lower_case, "attribute 2 is not clean"),
	HOSTILE(country_long, "attribute 2 is not clean"),
	HOSTILE(org_not_ascii, "attribute 2 is not clean"),
	HOSTILE(unknown_attribute, "attribute 2 is not clean"),
	HOSTILE(attribute_beyond, "attribute 2 is not clean"),
	HOSTILE(too_many_attributes, "past its limit"),
	HOSTILE(uri_relative, "subjectAltName 0"),
	HOSTILE(uri_empty_scheme, "subjectAltName 0"),
	HOSTILE(uri_nothing_after, "subjectAltName 0"),
	HOSTILE(uri_with_blank, "subjectAltName 0"),
	HOSTILE(dns_blank, "subjectAltName 0"),
	HOSTILE(dns_star, "subjectAltName 0"),
	HOSTILE(dns_empty_label, "subjectAltName 0"),
	HOSTILE(dns_dot_at_end, "subjectAltName 0"),
	HOSTILE(dns_hyphen, "subjectAltName 0"),
	HOSTILE(dns_label_of_64, "subjectAltName 0"),
	HOSTILE(hw_not_hex, "subjectAltName 0"),
	HOSTILE(hw_odd, "subjectAltName 0"),
	HOSTILE(hw_empty, "subjectAltName 0"),
	HOSTILE(hw_no_type, "subjectAltName 0"),
	HOSTILE(san_endless, "subjectAltName 0"),
	HOSTILE(san_unknown_type, "subjectAltName 0"),
	HOSTILE(too_many_sans, "past its limit"),
};

static void refuses_each_hostile_name_for_its_own_fault(void **state)
{
	(void)state;
	fixture_refuses(cases, N_OF(cases));
}

static void rich_sans(struct grant *g)
{
	g->n_sans = 3;
	g->san[0] = (struct san){ .type = SAN_URI, .value = "urn:assay:element:01a5" };
	g->san[1] = (struct san){ .type = SAN_DNS, .value = "d-1.devices.example" };
	g->san[2] = (struct san){ .type = SAN_HW_MODULE, .value = "01a5", .hw_type = *oid_of(OID_ASSAY_HW_TYPE) };
}
static void rich_subject(struct grant *g)
{
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_COUNTRY, .value = "DE" };
	g->subject[g->n_subject++] = (struct name_attr){ .type = OID_AT_ORG, .value = "Maker & Sons" };
	memset(g->subject[0].value, 'a', LIMIT_NAME_CHARS);
}

static void takes_names_that_a_profile_may_give(void **state)
{
	void (*const changes[])(struct grant *) = { rich_sans, rich_subject };

	(void)state;
	fixture_takes(changes, N_OF(changes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_each_hostile_name_for_its_own_fault),
		cmocka_unit_test(takes_names_that_a_profile_may_give),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
