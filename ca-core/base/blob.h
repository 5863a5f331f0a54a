/*
 * blob.h - bytes: struct blob is always borrowed, struct buf is always owned.
 *
 * Threads: pure.
 */
#ifndef ASSAY_BLOB_H
#define ASSAY_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

/* Borrowed bytes; {NULL, 0} means absent. */
struct blob {
	const uint8_t *ptr;
	size_t len;
};

#define BLOB(p, n) ((struct blob){ (const uint8_t *)(p), (n) })
#define BLOB_STR(s) BLOB((s), strlen(s))
#define BLOB_OF(array) BLOB((array), sizeof(array))

bool blob_equal(struct blob a, struct blob b); /* ordinary compare: for public bytes */
bool blob_equal_secret(struct blob a, struct blob b); /* constant time in the contents */

/* Owned bytes on the heap. Zero-initialised is empty. */
struct buf {
	uint8_t *ptr;
	size_t len;
	size_t cap;
};

MUST_CHECK enum reason buf_append(struct buf *b, struct blob bytes, struct fault *f);
MUST_CHECK enum reason buf_reserve(struct buf *b, size_t cap, struct fault *f);
MUST_CHECK enum reason buf_copy(struct blob bytes, struct buf *ret_buf, struct fault *f); /* exact copy */
void buf_done(struct buf *b); /* frees; leaves it empty; accepts an empty one */
void buf_wipe(struct buf *b); /* overwrites, then frees: for secrets */
static inline struct blob buf_blob(const struct buf *b)
{
	return (struct blob){ b->ptr, b->len };
}

/* AUTO(fn) runs fn(&variable) when the variable's scope ends; TAKE hands ownership out and leaves NULL behind. */
#define AUTO(fn) __attribute__((cleanup(fn)))
#define TAKE(p)                                                                                                        \
	__extension__({                                                                                                \
		__auto_type take_value = (p);                                                                          \
		(p) = NULL;                                                                                            \
		take_value;                                                                                            \
	})
/* Declares a cleanup function `name` that calls `destroy` on a non-NULL pointer. */
#define AUTO_FREE(type, name, destroy)                                                                                 \
	static inline void name(type **p)                                                                              \
	{                                                                                                              \
		if (*p != NULL)                                                                                        \
			destroy(*p);                                                                                   \
	}

#endif
