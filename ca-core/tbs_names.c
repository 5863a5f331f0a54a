/*
 * tbs_names.c - what a renewal copies out of the TBS of an earlier certificate of ours.
 *
 * The bytes come from the ledger, that is from issuer_build(); they are checked all the same, and anything unexpected
 * is REASON_INTERNAL rather than a guess.
 */
#include "issuer.h"

#include "der.h"

/* One Extension of RFC 5280 section 4.1: its OID's content and its value. */
static bool next_extension(struct blob *list, struct blob *ret_oid, struct blob *ret_value)
{
	struct blob extension;
	bool critical;

	if (!der_take(list, DER_SEQUENCE, &extension) || !der_oid(&extension, ret_oid))
		return false;
	if (der_at(extension, DER_BOOLEAN) && !der_bool(&extension, &critical))
		return false;
	return der_take(&extension, DER_OCTET_STRING, ret_value) && extension.len == 0;
}

static bool read_extensions(struct blob explicit3, struct copied_names *names)
{
	struct blob list, oid, value;

	if (!der_only(explicit3, DER_SEQUENCE, &list))
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
	struct blob tbs, skipped, extensions;

	if (!der_only(in, DER_SEQUENCE, &tbs) || !der_take(&tbs, DER_CONTEXT_CONSTRUCTED(0), &skipped) ||
	    !der_take(&tbs, DER_INTEGER, &skipped))
		return false;
	for (int i = 0; i < 3; i++) { /* signature, issuer, validity */
		if (!der_take(&tbs, DER_SEQUENCE, &skipped))
			return false;
	}
	return der_take_whole(&tbs, DER_SEQUENCE, &names->subject, &skipped) &&
	       der_take_whole(&tbs, DER_SEQUENCE, &names->spki, &skipped) &&
	       der_take(&tbs, DER_CONTEXT_CONSTRUCTED(3), &extensions) && tbs.len == 0 &&
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
