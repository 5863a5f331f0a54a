/*
 * pgarray.h - parameters of a prepared statement in PostgreSQL's binary form, single values and arrays alike.
 *
 * Owns:     struct params owns the bytes of every value; params_done() frees them.
 * Threads:  pure.
 * Spec:     PostgreSQL: array_recv() reads int32 dimensions, flags, element type, then length and lower bound per
 *           dimension, then each element as int32 length (-1: NULL) and bytes. record_recv() reads int32 columns, then
 * of each int32 type, int32 length (-1: NULL) and bytes.
 */
#ifndef ASSAY_PGARRAY_H
#define ASSAY_PGARRAY_H

#include "base/blob.h"

/* Types by their fixed numbers in pg_type. */
enum pg_type { PG_BOOL = 16, PG_BYTEA = 17, PG_INT8 = 20, PG_INT2 = 21, PG_INT4 = 23, PG_TEXT = 25 };

#define PARAMS_MAX 32

/* Zero-initialised is empty. A failed addition leaves it `failed`, so that one check at the end is enough. */
struct params {
	int n;
	bool failed; /* out of memory, or more than PARAMS_MAX */
	struct buf value[PARAMS_MAX];
	size_t row_at; /* where the row that is being written begins */
	const char *ptr[PARAMS_MAX];
	int len[PARAMS_MAX], format[PARAMS_MAX]; /* what PQexecPrepared takes; set by params_ready() */
};

void param_int8(struct params *p, int64_t value);
void param_text(struct params *p, const char *value);
void param_bytea(struct params *p, struct blob value);

/* An array parameter of n elements, then exactly n elements by the functions below it. */
void param_array(struct params *p, enum pg_type element, size_t n);
void array_text(struct params *p, const char *value);  /* NULL: SQL NULL */
void array_bytea(struct params *p, struct blob value); /* ptr NULL: SQL NULL */

/* An array parameter of n rows of a composite type, whose number only the database knows; then for each row
 * row_begin(), exactly its columns in their order, row_end(). */
void param_rows(struct params *p, uint32_t row_type, size_t n);
void row_begin(struct params *p, unsigned columns);
void row_bool(struct params *p, bool value);
void row_int2(struct params *p, int value);
void row_int8(struct params *p, int64_t value);
void row_text(struct params *p, const char *value);  /* NULL: SQL NULL */
void row_bytea(struct params *p, struct blob value); /* ptr NULL: SQL NULL */
void row_end(struct params *p);

MUST_CHECK enum reason params_ready(struct params *p, struct fault *f);
void params_done(struct params *p);

#endif
