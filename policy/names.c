/* names.c - see names.h. */
#include "names.h"

#include <string.h>
#include <strings.h>

#include "der.h"
#include "base/text.h"

/* GeneralName, RFC 5280 section 4.2.1.6 (IMPLICIT TAGS) */
#define NAME_OTHER DER_CONTEXT_CONSTRUCTED(0)
#define NAME_DNS DER_CONTEXT(2)
#define NAME_URI DER_CONTEXT(6)

/* Printable ASCII, at least one character. */
static bool copy_text(struct blob bytes, char *out, size_t cap)
{
	if (bytes.len == 0 || bytes.len >= cap)
		return false;
	for (size_t i = 0; i < bytes.len; i++)
		if (bytes.ptr[i] < 0x20 || bytes.ptr[i] > 0x7e)
			return false;
	memcpy(out, bytes.ptr, bytes.len);
	out[bytes.len] = '\0';
	return true;
}

bool san_hw_serial(struct blob serial, struct san *san)
{
	if (serial.len == 0 || 2 * serial.len + 1 > sizeof(san->value))
		return false;
	text_hex(serial, san->value, sizeof(san->value));
	return true;
}

/* otherName: type-id, [0] EXPLICIT HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING
 * } */
static bool parse_hw_module(struct blob in, struct san *san)
{
	struct blob type, value, fields, hw_type, serial;

	if (!der_oid(&in, &type) || !oid_is(type, oid_of(OID_ON_HW_MODULE)))
		return false;
	if (!der_only(in, DER_CONTEXT_CONSTRUCTED(0), &value) || !der_only(value, DER_SEQUENCE, &fields))
		return false;
	if (!der_oid(&fields, &hw_type) || hw_type.len > LIMIT_OID_BYTES ||
	    !der_only(fields, DER_OCTET_STRING, &serial) || !san_hw_serial(serial, san))
		return false;
	san->type = SAN_HW_MODULE;
	san->hw_type.len = (uint8_t)hw_type.len;
	memcpy(san->hw_type.bytes, hw_type.ptr, hw_type.len);
	return true;
}

static bool parse_san(const struct der *item, struct san *san)
{
	switch (item->tag) {
	case NAME_URI:
		san->type = SAN_URI;
		return copy_text(item->content, san->value, sizeof(san->value));
	case NAME_DNS:
		san->type = SAN_DNS;
		return copy_text(item->content, san->value, sizeof(san->value));
	case NAME_OTHER:
		return parse_hw_module(item->content, san);
	default:
		return false;
	}
}

bool sans_parse(struct blob general_names, struct sans *ret_sans)
{
	struct sans sans = { 0 };
	struct blob in;
	struct der item;

	if (general_names.len == 0) {
		*ret_sans = sans;
		return true;
	}
	if (!der_only(general_names, DER_SEQUENCE, &in) || in.len == 0)
		return false;
	while (in.len > 0)
		if (sans.n == LIMIT_SANS || !der_any(&in, &item) || !parse_san(&item, &sans.san[sans.n++]))
			return false;
	*ret_sans = sans;
	return true;
}

bool san_equal(const struct san *a, const struct san *b)
{
	if (a->type != b->type)
		return false;
	if (a->type == SAN_DNS) /* RFC 4343: without regard to case */
		return strcasecmp(a->value, b->value) == 0;
	return strcmp(a->value, b->value) == 0 && (a->type != SAN_HW_MODULE || oid_equal(&a->hw_type, &b->hw_type));
}

/* How often an element stands in a list of them; a malformed list counts as none. */
static size_t count(struct blob list, struct blob element)
{
	struct der item;
	size_t n = 0;

	while (list.len > 0 && der_any(&list, &item))
		n += blob_equal(item.whole, element);
	return n;
}

bool sans_same_set(struct blob a, struct blob b)
{
	struct blob in, others, rest;
	struct der item;
	size_t n = 0;

	if (a.len == 0 || b.len == 0)
		return a.len == b.len;
	/* equal lengths and every element equally often: the one is the other in another order */
	if (!der_only(a, DER_SEQUENCE, &in) || !der_only(b, DER_SEQUENCE, &others) || in.len != others.len)
		return false;
	for (rest = in; rest.len > 0; n++)
		if (n == 4 * LIMIT_SANS || !der_any(&rest, &item) || count(in, item.whole) != count(others, item.whole))
			return false;
	return true;
}

/* DirectoryString forms that hold ASCII as it is. */
static bool is_text(uint8_t tag)
{
	return tag == DER_UTF8_STRING || tag == DER_PRINTABLE_STRING || tag == DER_IA5_STRING;
}

static bool is_given(struct blob type, const char *value, const struct name_attr *given, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (oid_is(type, oid_of(given[i].type)) && strcmp(given[i].value, value) == 0)
			return true;
	return false;
}

/* AttributeTypeAndValue ::= SEQUENCE { type OBJECT IDENTIFIER, value ANY } */
static bool attribute_within(struct blob attribute, const struct name_attr *given, size_t n)
{
	char value[LIMIT_NAME_CHARS + 1];
	struct der text;
	struct blob type;

	return der_oid(&attribute, &type) && der_any(&attribute, &text) && attribute.len == 0 && is_text(text.tag) &&
	       copy_text(text.content, value, sizeof(value)) && is_given(type, value, given, n);
}

static bool rdn_same(struct blob a, struct blob b)
{
	struct blob attribute_a, attribute_b, type_a, type_b;
	struct der text_a, text_b;

	if (blob_equal(a, b))
		return true;
	if (!der_take(&a, DER_SEQUENCE, &attribute_a) || !der_take(&b, DER_SEQUENCE, &attribute_b) || a.len > 0 ||
	    b.len > 0)
		return false; /* of several attributes, or malformed */
	return der_oid(&attribute_a, &type_a) && der_oid(&attribute_b, &type_b) && blob_equal(type_a, type_b) &&
	       der_any(&attribute_a, &text_a) && der_any(&attribute_b, &text_b) && attribute_a.len == 0 &&
	       attribute_b.len == 0 && is_text(text_a.tag) && is_text(text_b.tag) &&
	       blob_equal(text_a.content, text_b.content);
}

bool subject_same(struct blob a, struct blob b)
{
	struct blob rdns_a, rdns_b, rdn_a, rdn_b;

	if (!der_only(a, DER_SEQUENCE, &rdns_a) || !der_only(b, DER_SEQUENCE, &rdns_b))
		return false;
	while (rdns_a.len > 0 && rdns_b.len > 0)
		if (!der_take(&rdns_a, DER_SET, &rdn_a) || !der_take(&rdns_b, DER_SET, &rdn_b) ||
		    !rdn_same(rdn_a, rdn_b))
			return false;
	return rdns_a.len == rdns_b.len; /* both at their end */
}

bool subject_within(struct blob name, const struct name_attr *given, size_t n)
{
	struct blob rdns, rdn, attribute;
	size_t seen = 0;

	if (name.len == 0)
		return true;
	if (!der_only(name, DER_SEQUENCE, &rdns))
		return false;
	while (rdns.len > 0) {
		if (!der_take(&rdns, DER_SET, &rdn) || rdn.len == 0)
			return false;
		while (rdn.len > 0)
			if (++seen > n || !der_take(&rdn, DER_SEQUENCE, &attribute) ||
			    !attribute_within(attribute, given, n))
				return false;
	}
	return true;
}
