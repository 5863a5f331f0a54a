/* derw.c - see derw.h. */
#include "derw.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

void derw_raw(struct derw *w, struct blob bytes)
{
	if (w->full || (size_t)(w->at - w->start) < bytes.len) {
		w->full = true;
		return;
	}
	w->at -= bytes.len;
	if (bytes.len > 0)
		memcpy(w->at, bytes.ptr, bytes.len);
}

static void put_byte(struct derw *w, uint8_t byte)
{
	derw_raw(w, BLOB(&byte, 1));
}

void derw_wrap(struct derw *w, unsigned tag, const uint8_t *mark)
{
	size_t len = (size_t)(mark - w->at);
	uint8_t octets = 0;

	if (len < 0x80) {
		put_byte(w, (uint8_t)len);
	} else {
		for (size_t left = len; left > 0; left >>= 8, octets++)
			put_byte(w, (uint8_t)left);
		put_byte(w, 0x80 | octets);
	}
	put_byte(w, (uint8_t)tag);
}

void derw_put(struct derw *w, unsigned tag, struct blob content)
{
	const uint8_t *mark = derw_mark(w);

	derw_raw(w, content);
	derw_wrap(w, tag, mark);
}

void derw_text(struct derw *w, unsigned tag, const char *text)
{
	derw_put(w, tag, BLOB_STR(text));
}

void derw_oid(struct derw *w, const struct oid *oid)
{
	derw_put(w, DER_OID, BLOB(oid->bytes, oid->len));
}

void derw_uint(struct derw *w, unsigned tag, uint64_t value)
{
	const uint8_t *mark = derw_mark(w);
	uint8_t byte;

	do {
		byte = (uint8_t)value;
		put_byte(w, byte);
		value >>= 8;
	} while (value > 0);
	if (byte & 0x80)
		put_byte(w, 0);
	derw_wrap(w, tag, mark);
}

void derw_uint_bytes(struct derw *w, struct blob magnitude)
{
	const uint8_t *mark = derw_mark(w);

	while (magnitude.len > 1 && magnitude.ptr[0] == 0)
		magnitude = BLOB(magnitude.ptr + 1, magnitude.len - 1);
	derw_raw(w, magnitude);
	if (magnitude.len == 0 || magnitude.ptr[0] & 0x80)
		put_byte(w, 0);
	derw_wrap(w, DER_INTEGER, mark);
}

void derw_bits(struct derw *w, struct blob whole_octets)
{
	const uint8_t *mark = derw_mark(w);

	derw_raw(w, whole_octets);
	put_byte(w, 0);
	derw_wrap(w, DER_BIT_STRING, mark);
}

void derw_named_bits(struct derw *w, unsigned bits)
{
	const uint8_t *mark = derw_mark(w);
	uint8_t octet[2] = { 0 };
	unsigned n = 0; /* one more than the highest bit set */

	for (unsigned i = 0; i < 16; i++) {
		if (bits & 1U << i) {
			octet[i / 8] = (uint8_t)(octet[i / 8] | 0x80 >> i % 8);
			n = i + 1;
		}
	}
	derw_raw(w, BLOB(octet, (n + 7) / 8));
	put_byte(w, (uint8_t)((8 - n % 8) % 8));
	derw_wrap(w, DER_BIT_STRING, mark);
}

void derw_time(struct derw *w, int64_t unix_s)
{
	char text[64];
	struct tm tm;
	time_t t = (time_t)unix_s;

	if (unix_s == TIME_NO_EXPIRY) {
		derw_text(w, DER_GENERALIZED_TIME, "99991231235959Z");
		return;
	}
	if (gmtime_r(&t, &tm) == NULL || tm.tm_year < 50 || tm.tm_year > 9999 - 1900) {
		w->full = true; /* no such date can be written */
		return;
	}
	strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	if (tm.tm_year < 150)
		derw_text(w, DER_UTC_TIME, text + 2); /* without the century */
	else
		derw_text(w, DER_GENERALIZED_TIME, text);
}
