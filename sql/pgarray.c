/* pgarray.c - see pgarray.h. */
#include "pgarray.h"

#include <limits.h>
#include <string.h>

static void append(struct params *p, const void *bytes, size_t len)
{
	if (p->failed || p->n == 0 || buf_append(&p->value[p->n - 1], BLOB(bytes, len), NULL) != REASON_OK)
		p->failed = true;
}

static void append_be(struct params *p, uint64_t value, size_t len)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
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

void param_array(struct params *p, enum pg_type element, size_t n)
{
	begin(p);
	append_be(p, 1, 4); /* dimensions */
	append_be(p, 1, 4); /* may hold NULLs */
	append_be(p, (uint64_t)element, 4);
	append_be(p, n, 4);
	append_be(p, 1, 4); /* lower bound */
}

static void element(struct params *p, uint64_t value, size_t len)
{
	append_be(p, len, 4);
	append_be(p, value, len);
}

void array_bool(struct params *p, bool value)
{
	element(p, value, 1);
}

void array_int2(struct params *p, int value)
{
	element(p, (uint64_t)value, 2);
}

void array_int8(struct params *p, int64_t value)
{
	element(p, (uint64_t)value, 8);
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
