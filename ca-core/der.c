/* der.c - see der.h. */
#include "der.h"

#include <string.h>

#include "base/clock.h"

/* Reads a definite, minimal length of at most four bytes at in[1]; *ret_head is what tag and length take. */
static bool read_length(struct blob in, size_t *ret_head, size_t *ret_len)
{
	size_t n, len = 0;

	if (in.len < 2)
		return false;
	if (in.ptr[1] < 0x80) {
		*ret_head = 2;
		*ret_len = in.ptr[1];
		return true;
	}
	n = in.ptr[1] & 0x7f;
	if (n == 0 || n > 4 || in.len < 2 + n || in.ptr[2] == 0)
		return false;
	for (size_t i = 0; i < n; i++)
		len = len << 8 | in.ptr[2 + i];
	if (len < 0x80)
		return false;
	*ret_head = 2 + n;
	*ret_len = len;
	return true;
}

bool der_any(struct blob *in, struct der *ret_item)
{
	size_t head, len;

	/* tag numbers from 31 need more bytes; nothing that Assay reads has one */
	if (in->len < 2 || (in->ptr[0] & 0x1f) == 0x1f || !read_length(*in, &head, &len) || len > in->len - head)
		return false;
	ret_item->tag = in->ptr[0];
	ret_item->whole = BLOB(in->ptr, head + len);
	ret_item->content = BLOB(in->ptr + head, len);
	*in = BLOB(in->ptr + head + len, in->len - head - len);
	return true;
}

bool der_at(struct blob in, unsigned tag)
{
	return in.len > 0 && in.ptr[0] == tag;
}

bool der_take_whole(struct blob *in, unsigned tag, struct blob *ret_whole, struct blob *ret_content)
{
	struct der item;

	if (!der_at(*in, tag) || !der_any(in, &item))
		return false;
	*ret_whole = item.whole;
	*ret_content = item.content;
	return true;
}

bool der_take(struct blob *in, unsigned tag, struct blob *ret_content)
{
	struct blob whole;

	return der_take_whole(in, tag, &whole, ret_content);
}

bool der_only(struct blob in, unsigned tag, struct blob *ret_content)
{
	return der_take(&in, tag, ret_content) && in.len == 0;
}

bool der_bool(struct blob *in, bool *ret_value)
{
	struct blob content;

	if (!der_take(in, DER_BOOLEAN, &content) || content.len != 1 ||
	    (content.ptr[0] != 0x00 && content.ptr[0] != 0xff))
		return false;
	*ret_value = content.ptr[0] != 0;
	return true;
}

bool der_integer(struct blob *in, struct blob *ret_content)
{
	struct blob c;

	if (!der_take(in, DER_INTEGER, &c) || c.len == 0)
		return false;
	if (c.len > 1 && ((c.ptr[0] == 0x00 && c.ptr[1] < 0x80) || (c.ptr[0] == 0xff && c.ptr[1] >= 0x80)))
		return false;
	*ret_content = c;
	return true;
}

bool der_unsigned(struct blob *in, struct blob *ret_magnitude)
{
	struct blob c;

	if (!der_integer(in, &c) || c.ptr[0] >= 0x80)
		return false;
	if (c.len > 1 && c.ptr[0] == 0)
		c = BLOB(c.ptr + 1, c.len - 1);
	*ret_magnitude = c;
	return true;
}

bool der_small(struct blob *in, uint32_t *ret_value)
{
	struct blob magnitude;
	uint32_t value = 0;

	if (!der_unsigned(in, &magnitude) || magnitude.len > 4 || (magnitude.len == 4 && magnitude.ptr[0] >= 0x80))
		return false;
	for (size_t i = 0; i < magnitude.len; i++)
		value = value << 8 | magnitude.ptr[i];
	*ret_value = value;
	return true;
}

bool der_bytes(struct blob *in, struct blob *ret_bytes)
{
	struct blob c;

	if (!der_take(in, DER_BIT_STRING, &c) || c.len < 1 || c.ptr[0] != 0)
		return false;
	*ret_bytes = BLOB(c.ptr + 1, c.len - 1);
	return true;
}

static bool read_flags(struct blob *in, bool lax, unsigned *ret_flags)
{
	struct blob c;
	unsigned flags = 0, unused;

	if (!der_take(in, DER_BIT_STRING, &c) || c.len < 1 || c.len > 3)
		return false;
	unused = c.ptr[0];
	if (unused > 7 || (c.len == 1 && unused != 0))
		return false;
	/* the unused bits are zero; in DER a named bit list ends with its last one bit, so the next is not */
	if (c.len > 1 && (c.ptr[c.len - 1] & ((1U << unused) - 1)) != 0)
		return false;
	if (c.len > 1 && !lax && (c.ptr[c.len - 1] & 1U << unused) == 0)
		return false;
	for (size_t bit = 0; bit < (c.len - 1) * 8; bit++) {
		if (c.ptr[1 + bit / 8] & 0x80U >> bit % 8)
			flags |= 1U << bit;
	}
	*ret_flags = flags;
	return true;
}

bool der_flags(struct blob *in, unsigned *ret_flags)
{
	return read_flags(in, false, ret_flags);
}

bool der_flags_lax(struct blob *in, unsigned *ret_flags)
{
	return read_flags(in, true, ret_flags);
}

bool der_null(struct blob *in)
{
	struct blob content;

	return der_take(in, DER_NULL, &content) && content.len == 0;
}

bool der_oid(struct blob *in, struct blob *ret_content)
{
	struct blob c;

	if (!der_take(in, DER_OID, &c) || c.len == 0 || c.ptr[c.len - 1] >= 0x80)
		return false;
	for (size_t i = 0; i < c.len; i++) {
		if (c.ptr[i] == 0x80 && (i == 0 || c.ptr[i - 1] < 0x80))
			return false; /* an arc with a leading zero group */
	}
	*ret_content = c;
	return true;
}

static bool digits(const uint8_t *p, size_t n, unsigned *ret_value)
{
	unsigned value = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		value = value * 10 + (unsigned)(p[i] - '0');
	}
	*ret_value = value;
	return true;
}

static bool leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to the first of a year, 1950 or later, by counting leap days since year 1. */
static int64_t days_to_year(unsigned year)
{
	int64_t y = (int64_t)year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 - (1969LL * 365 + 1969 / 4 - 1969 / 100 + 1969 / 400);
}

/* MMDDHHMMSSZ after the year. */
static bool time_rest(const uint8_t *p, unsigned year, int64_t *ret_s)
{
	static const uint8_t month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	unsigned field[5]; /* month, day, hour, minute, second */
	int64_t days = days_to_year(year);

	for (size_t i = 0; i < 5; i++) {
		if (!digits(p + 2 * i, 2, &field[i]))
			return false;
	}
	if (p[10] != 'Z' || field[0] < 1 || field[0] > 12 || field[1] < 1 || field[2] > 23 || field[3] > 59 ||
	    field[4] > 59)
		return false;
	if (field[1] > month_days[field[0] - 1] + (unsigned)(field[0] == 2 && leap(year)))
		return false;
	for (unsigned m = 1; m < field[0]; m++)
		days += month_days[m - 1] + (m == 2 && leap(year));
	days += field[1] - 1;
	*ret_s = ((days * 24 + field[2]) * 60 + field[3]) * 60 + field[4];
	return true;
}

static bool read_time(struct blob *in, unsigned generalized_from, int64_t *ret_s)
{
	static const char no_expiry[] = "99991231235959Z";
	struct der item;
	unsigned year;

	if (!der_any(in, &item))
		return false;
	if (item.tag == DER_UTC_TIME) {
		if (item.content.len != 13 || !digits(item.content.ptr, 2, &year))
			return false;
		return time_rest(item.content.ptr + 2, year < 50 ? 2000 + year : 1900 + year, ret_s);
	}
	if (item.tag != DER_GENERALIZED_TIME || item.content.len != 15 || !digits(item.content.ptr, 4, &year) ||
	    year < generalized_from)
		return false;
	if (memcmp(item.content.ptr, no_expiry, 15) == 0) {
		*ret_s = TIME_NO_EXPIRY;
		return true;
	}
	return time_rest(item.content.ptr + 4, year, ret_s);
}

bool der_time(struct blob *in, int64_t *ret_s)
{
	return read_time(in, 2050, ret_s); /* dates through 2049 must be UTCTime */
}

bool der_time_lax(struct blob *in, int64_t *ret_s)
{
	return read_time(in, 1950, ret_s);
}

/* -1, 0, 1 as X.690 section 11.6 orders: the shorter one padded with zero octets at its end. */
static int compare_padded(struct blob a, struct blob b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = memcmp(a.ptr, b.ptr, common);
	struct blob rest = a.len > b.len ? a : b;

	if (order != 0)
		return order;
	for (size_t i = common; i < rest.len; i++) {
		if (rest.ptr[i] != 0)
			return a.len > b.len ? 1 : -1;
	}
	return 0;
}

bool der_set_ordered(struct blob content)
{
	struct der previous = { 0 }, item;

	while (content.len > 0) {
		if (!der_any(&content, &item))
			return false;
		if (previous.whole.ptr != NULL && compare_padded(previous.whole, item.whole) > 0)
			return false;
		previous = item;
	}
	return true;
}
