/*
 * names.h - inside policy/: names that a CSR asks for, held against names that policy gives.
 *
 * Owns:    nothing: values.
 * Threads: pure.
 * Spec:    RFC 5280 sections 4.1.2.4 and 4.2.1.6, RFC 4108 section 5 (hardwareModuleName).
 */
#ifndef ASSAY_NAMES_H
#define ASSAY_NAMES_H

#include "grant.h"

struct sans {
	size_t n;
	struct san san[LIMIT_SANS];
};

/* The forms that a profile can give; any other, or one that is malformed, is false. Absent DER is no names. */
MUST_CHECK bool sans_parse(struct blob general_names, struct sans *ret_sans);
bool san_equal(const struct san *a, const struct san *b);
/* Two GeneralNames with the same names, octet for octet, in any order. */
bool sans_same_set(struct blob a, struct blob b);

/* Every attribute of a Name is one of these with the same text. The empty Name is. */
bool subject_within(struct blob name, const struct name_attr *given, size_t n);

/*
 * The same attributes in the same order with the same text. PrintableString and UTF8String compare by their characters
 * (RFC 5280 section 7.1), for clients differ in which of the two they write; anything else octet for octet.
 */
bool subject_same(struct blob a, struct blob b);

/* hwSerialNum as a struct san holds it: hex. False if it does not fit. */
MUST_CHECK bool san_hw_serial(struct blob serial, struct san *san);

#endif
