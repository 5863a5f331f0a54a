/*
 * tbs_names.c - what a renewal copies out of the TBS of an earlier certificate of ours.
 *
 * The bytes come from the ledger, that is from issuer_build(); they are checked all the same, and anything unexpected
 * is REASON_INTERNAL rather than a guess.
 */
#include "issuer.h"

#include "der.h"

/* One Extension of RFC 5280 section 4.1: its OID's content and its value's content. */
static bool next_extension(struct blob *list, struct blob *ret_oid, struct blob *ret_value)
{
	struct blob extension;

	if (!der_next(list, DER_SEQUENCE, &extension, NULL) || !der_next(&extension, DER_OID, ret_oid, NULL))
		return false;
	if (der_peek(extension, DER_BOOLEAN) && !der_next(&extension, DER_BOOLEAN, NULL, NULL))
		return false;
	return der_next(&extension, DER_OCTET_STRING, ret_value, NULL) && extension.len == 0;
}

static bool read_extensions(struct blob explicit3, struct copied_names *names)
{
	struct blob list, oid, value;

	if (!der_next(&explicit3, DER_SEQUENCE, &list, NULL) || explicit3.len != 0)
		return false;
	while (list.len > 0) {
		if (!next_extension(&list, &oid, &value))
			return false;
		if (oid_is(oid, oid_of(OID_CE_SAN)))
			names->san = value;
		else if (oid_is(oid, oid_of(OID_ASSAY_RESULT)))
			names->result = value;
	}
	return true;
}

static bool read_names(struct blob in, struct copied_names *names)
{
	struct blob tbs, extensions;

	return der_next(&in, DER_SEQUENCE, &tbs, NULL) && in.len == 0 &&
	       der_next(&tbs, DER_CONTEXT_CONS(0), NULL, NULL) && /* version */
	       der_next(&tbs, DER_INTEGER, NULL, NULL) &&         /* serialNumber */
	       der_next(&tbs, DER_SEQUENCE, NULL, NULL) &&        /* signature */
	       der_next(&tbs, DER_SEQUENCE, NULL, NULL) &&        /* issuer */
	       der_next(&tbs, DER_SEQUENCE, NULL, NULL) &&        /* validity */
	       der_next(&tbs, DER_SEQUENCE, NULL, &names->subject) &&
	       der_next(&tbs, DER_SEQUENCE, NULL, &names->spki) &&
	       der_next(&tbs, DER_CONTEXT_CONS(3), &extensions, NULL) && tbs.len == 0 &&
	       read_extensions(extensions, names);
}

enum reason tbs_names(struct blob tbs, struct copied_names *ret_names, struct fault *f)
{
	struct copied_names names = { 0 };

	if (!read_names(tbs, &names))
		return fault_set(f, REASON_INTERNAL, "recorded TBS of %zu bytes is not one of ours", tbs.len);
	*ret_names = names;
	return REASON_OK;
}
