/* pgarray.c - see pgarray.h. */
#include "pgarray.h"

#include <limits.h>
#include <string.h>

static void append(struct params *p, const void *bytes, size_t len)
{
	if (p->failed || p->n == 0 || buf_append(&p->value[p->n - 1], BLOB(bytes, len), NULL) != REASON_OK)
		p->failed = true;
}

static void put_be(uint8_t *out, uint64_t value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
}

static void append_be(struct params *p, uint64_t value, size_t len)
{
	uint8_t bytes[8];

	put_be(bytes, value, len);
	append(p, bytes, len);
}

static void begin(struct params *p)
{
	if (p->n == PARAMS_MAX)
		p->failed = true;
	else
		p->n++;
}

void param_int8(struct params *p, int64_t value)
{
	begin(p);
	append_be(p, (uint64_t)value, 8);
}

void param_text(struct params *p, const char *value)
{
	begin(p);
	append(p, value, strlen(value));
}

void param_bytea(struct params *p, struct blob value)
{
	begin(p);
	append(p, value.ptr, value.len);
}

static void begin_array(struct params *p, uint64_t element, size_t n)
{
	begin(p);
	append_be(p, 1, 4); /* dimensions */
	append_be(p, 1, 4); /* may hold NULLs */
	append_be(p, element, 4);
	append_be(p, n, 4);
	append_be(p, 1, 4); /* lower bound */
}

void param_array(struct params *p, enum pg_type element, size_t n)
{
	begin_array(p, (uint64_t)element, n);
}

static void element(struct params *p, uint64_t value, size_t len)
{
	append_be(p, len, 4);
	append_be(p, value, len);
}

void array_bytea(struct params *p, struct blob value)
{
	append_be(p, value.ptr == NULL ? UINT32_MAX : value.len, 4);
	append(p, value.ptr, value.ptr == NULL ? 0 : value.len);
}

void array_text(struct params *p, const char *value)
{
	array_bytea(p, value == NULL ? (struct blob){ 0 } : BLOB_STR(value));
}

void param_rows(struct params *p, uint32_t row_type, size_t n)
{
	begin_array(p, row_type, n);
}

void row_begin(struct params *p, unsigned columns)
{
	append_be(p, 0, 4); /* its length: row_end() knows */
	p->row_at = p->n == 0 ? 0 : p->value[p->n - 1].len;
	append_be(p, columns, 4);
}

void row_bool(struct params *p, bool value)
{
	append_be(p, PG_BOOL, 4);
	element(p, value, 1);
}

void row_int2(struct params *p, int value)
{
	append_be(p, PG_INT2, 4);
	element(p, (uint64_t)value, 2);
}

void row_int8(struct params *p, int64_t value)
{
	append_be(p, PG_INT8, 4);
	element(p, (uint64_t)value, 8);
}

void row_text(struct params *p, const char *value)
{
	append_be(p, PG_TEXT, 4);
	array_text(p, value);
}

void row_bytea(struct params *p, struct blob value)
{
	append_be(p, PG_BYTEA, 4);
	array_bytea(p, value);
}

void row_end(struct params *p)
{
	struct buf *value = &p->value[p->n - 1];

	if (!p->failed)
		put_be(value->ptr + p->row_at - 4, value->len - p->row_at, 4);
}

enum reason params_ready(struct params *p, struct fault *f)
{
	for (int i = 0; i < p->n && !p->failed; i++) {
		p->failed = p->value[i].len > INT_MAX;
		/* an empty value is not NULL */
		p->ptr[i] = p->value[i].ptr == NULL ? "" : (const char *)p->value[i].ptr;
		p->len[i] = (int)p->value[i].len;
		p->format[i] = 1;
	}
	return p->failed ? fault_set(f, REASON_NO_MEMORY, "%d parameters of a batch", p->n) : REASON_OK;
}

void params_done(struct params *p)
{
	for (int i = 0; i < PARAMS_MAX; i++)
		buf_done(&p->value[i]);
	p->n = 0;
}
