/*
 * der.h - a strict reader of DER over borrowed bytes.
 *
 * A struct blob serves as the cursor: each der_ call takes one element off its front. What is not DER (indefinite,
 * non-minimal or missing lengths, high tag numbers, padded INTEGERs, BOOLEANs other than 00 and FF) is refused, so
 * that what was read has one encoding only.
 *
 * Owns:     nothing: every blob points into the input.
 * Threads:  pure.
 * Spec:     X.690 sections 8, 10 and 11; times as RFC 5280 section 4.1.2.5 narrows them.
 * Does not: report faults: false is false, the caller knows what it was reading.
 */
#ifndef ASSAY_DER_H
#define ASSAY_DER_H

#include "base/blob.h"
#include "oid.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_NULL = 0x05,
	DER_OID = 0x06,
	DER_ENUMERATED = 0x0a,
	DER_UTF8_STRING = 0x0c,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_PRINTABLE_STRING = 0x13,
	DER_IA5_STRING = 0x16,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
};
#define DER_CONTEXT(n) (0x80U | (n))             /* [n] IMPLICIT of something primitive */
#define DER_CONTEXT_CONSTRUCTED(n) (0xa0U | (n)) /* [n] EXPLICIT, or IMPLICIT of something constructed */

struct der {
	uint8_t tag;
	struct blob whole; /* tag and length included */
	struct blob content;
};

/* Takes the next element, whatever it is; on false the cursor stays where it was. */
MUST_CHECK bool der_any(struct blob *in, struct der *ret_item);
/* Takes the next element if it has this tag. */
MUST_CHECK bool der_take(struct blob *in, unsigned tag, struct blob *ret_content);
MUST_CHECK bool der_take_whole(struct blob *in, unsigned tag, struct blob *ret_whole, struct blob *ret_content);
/* Is there a next element, and has it this tag? */
bool der_at(struct blob in, unsigned tag);
/* All of `in` is one element with this tag. */
MUST_CHECK bool der_only(struct blob in, unsigned tag, struct blob *ret_content);

/* Contents by type, each taken off the cursor with its universal tag. */
MUST_CHECK bool der_bool(struct blob *in, bool *ret_value);
MUST_CHECK bool der_integer(struct blob *in, struct blob *ret_content);    /* two's complement, minimal */
MUST_CHECK bool der_unsigned(struct blob *in, struct blob *ret_magnitude); /* not negative, no leading zero but for 0 */
MUST_CHECK bool der_small(struct blob *in, uint32_t *ret_value);           /* 0 to 2^31 - 1 */
MUST_CHECK bool der_bytes(struct blob *in, struct blob *ret_bytes);        /* BIT STRING of whole bytes */
MUST_CHECK bool der_flags(struct blob *in,
			  unsigned *ret_flags); /* named BIT STRING: bit 0 is 1U << 0; 16 bits at most */
MUST_CHECK bool der_flags_lax(struct blob *in, unsigned *ret_flags); /* the same with trailing zero bits, see cert.c */
MUST_CHECK bool der_null(struct blob *in);
MUST_CHECK bool der_oid(struct blob *in, struct blob *ret_content); /* well-formed arcs, of any length */
MUST_CHECK bool der_time(struct blob *in, int64_t *ret_s); /* UTCTime or GeneralizedTime; TIME_NO_EXPIRY for 9999 */

MUST_CHECK bool der_time_lax(struct blob *in,
			     int64_t *ret_s); /* the same with GeneralizedTime before 2050, see cert.c */

/* Elements of a SET OF stand in ascending order of their encodings (X.690 section 11.6); `content` is the SET's. */
MUST_CHECK bool der_set_ordered(struct blob content);

#endif
