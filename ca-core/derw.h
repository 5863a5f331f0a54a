/*
 * derw.h - DER, written from the end of a buffer to its start.
 *
 * Lengths stand before contents in DER, so a writer that goes backwards knows every length when it comes to it and
 * needs neither a second pass nor memory. The price: fields are written last one first. What was written since a
 * mark is wrapped into one element by derw_wrap().
 *
 * Owns:     nothing: the buffer is the caller's.
 * Threads:  pure.
 * Spec:     X.690 section 8 with the restrictions of section 10; times: RFC 5280 section 4.1.2.5.
 */
#ifndef ASSAY_DERW_H
#define ASSAY_DERW_H

#include "der.h"

struct derw {
	uint8_t *start, *at, *end; /* written so far: at..end */
	bool full; /* something did not fit, or cannot be written; what is there does not count any more */
};

static inline struct derw derw_over(uint8_t *buffer, size_t len)
{
	return (struct derw){ buffer, buffer + len, buffer + len, false };
}

static inline struct blob derw_blob(const struct derw *w)
{
	return BLOB(w->at, (size_t)(w->end - w->at));
}

/* Where the next element's content will end: give it to derw_wrap() when the content has been written. */
static inline const uint8_t *derw_mark(const struct derw *w)
{
	return w->at;
}

void derw_raw(struct derw *w, struct blob bytes); /* bytes as they are */
void derw_wrap(struct derw *w, unsigned tag, const uint8_t *mark);
void derw_put(struct derw *w, unsigned tag, struct blob content);
void derw_text(struct derw *w, unsigned tag, const char *text);
void derw_oid(struct derw *w, const struct oid *oid);
void derw_uint(struct derw *w, unsigned tag, uint64_t value); /* INTEGER or ENUMERATED */
void derw_uint_bytes(struct derw *w, struct blob magnitude);  /* INTEGER, not negative, big endian */
void derw_bits(struct derw *w, struct blob whole_octets);     /* BIT STRING without unused bits */
void derw_named_bits(struct derw *w, unsigned bits);          /* named bits 0 to 15; trailing zeros cut, X.690 11.2.2 */
/* UTCTime through 2049, GeneralizedTime from 2050; TIME_NO_EXPIRY is 99991231235959Z. */
void derw_time(struct derw *w, int64_t unix_s);

#endif
