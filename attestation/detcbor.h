/*
 * detcbor.h - deterministically encoded CBOR, read one data item head at a time.
 *
 * libcbor's streaming decoder does the decoding: it allocates nothing and points into the bytes given. Added here is
 * what RFC 8949 section 4.2.1 asks of an encoder: shortest heads, definite lengths, map keys in bytewise order. Depth
 * is bounded by the readers, who ask for each level by name; there is no recursion.
 *
 * Owns:    nothing: blobs point into the input.
 * Threads: pure.
 */
#ifndef ASSAY_DETCBOR_H
#define ASSAY_DETCBOR_H

#include "base/blob.h"

/* Each takes one item off `in`; false, with `in` in no particular place, if it is anything else. */
MUST_CHECK bool detcbor_uint(struct blob *in, uint64_t *ret_value);
MUST_CHECK bool detcbor_int(struct blob *in, int64_t *ret_value); /* either sign */
MUST_CHECK bool detcbor_bytes(struct blob *in, struct blob *ret_bytes);
MUST_CHECK bool detcbor_text(struct blob *in, struct blob *ret_text); /* valid UTF-8 */
MUST_CHECK bool detcbor_tag(struct blob *in, uint64_t tag);
MUST_CHECK bool detcbor_array(struct blob *in, size_t items);    /* the head of an array of exactly so many */
MUST_CHECK bool detcbor_map(struct blob *in, size_t *ret_pairs); /* the head of a map */

/*
 * A map's fields as a table. detcbor_fields() reads a map's head and all its pairs; its keys are integers, each in
 * the table, in the order that the encoding demands, none twice, none required one missing.
 */
struct detcbor_field {
	int64_t key;
	bool required;
	const char *name; /* for refusals */
	enum reason (*read)(struct blob *in, void *object, struct fault *f);
};
/* `refusal` is the reason for a map that is not as the table says; a field's own reader returns what it likes. */
MUST_CHECK enum reason detcbor_fields(struct blob *in, const struct detcbor_field *fields, size_t n, const char *what,
				      enum reason refusal, void *object, struct fault *f);

#endif
