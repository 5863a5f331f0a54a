/*
 * basics.h - what every file of the rig shares: why something failed, owned bytes, text encodings, files.
 *
 * Owns:     struct bytes is always owned (bytes_done); struct trouble is a value.
 * Threads:  pure, but for the file functions.
 *
 * A function that can fail returns MUST_CHECK bool and fills a struct trouble; its ret_ outputs are touched only on
 * success.
 */
#ifndef RIG_BASICS_H
#define RIG_BASICS_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef MUST_CHECK
#define MUST_CHECK __attribute__((warn_unused_result))
#endif
/* AUTO(fn) runs fn(&variable) when the variable's scope ends; TAKE hands ownership out and leaves NULL behind. */
#ifndef AUTO
#define AUTO(fn) __attribute__((cleanup(fn)))
#define TAKE(p)                                                                                                        \
	__extension__({                                                                                                \
		__auto_type take_value = (p);                                                                          \
		(p) = NULL;                                                                                            \
		take_value;                                                                                            \
	})
#endif

/* Why: one line for the operator. */
struct trouble {
	char text[400];
};
/* Both fill *t and return false, so that `return trouble_set(t, "...")` reads well. */
__attribute__((format(printf, 2, 3))) bool trouble_set(struct trouble *t, const char *fmt, ...);
/* Adds what OpenSSL says, and empties its queue. */
bool trouble_openssl(struct trouble *t, const char *what);

struct bytes {
	uint8_t *ptr;
	size_t len;
};
MUST_CHECK bool bytes_copy(const void *ptr, size_t len, struct bytes *ret_bytes);
void bytes_done(struct bytes *bytes); /* wipes and frees; leaves it empty */

static inline void auto_free(void *p)
{
	free(*(void **)p);
}
static inline void auto_file(FILE **p)
{
	if (*p != NULL)
		(void)fclose(*p);
}
static inline void auto_pkey(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}
static inline void auto_x509(X509 **p)
{
	X509_free(*p);
}
static inline void auto_x509_list(STACK_OF(X509) * *p)
{
	sk_X509_pop_free(*p, X509_free);
}

/* Lower-case hex with NUL: out holds 2 * len + 1. */
void hex_encode(const void *ptr, size_t len, char *out);
/* Base64 on one line (RFC 8951 section 3.1: no white space needed); NULL when memory is short. The caller frees. */
char *base64_encode(const void *ptr, size_t len);
/* Skips white space; false for anything that is not padded base64. */
MUST_CHECK bool base64_decode(const char *text, size_t len, struct bytes *ret_bytes);
MUST_CHECK bool base64url_decode(const char *text, struct bytes *ret_bytes); /* without padding */

double clock_ms(void); /* monotonic */

/* Mode 0600, under a name of its own and then renamed: a reader finds the old file or the new one. */
MUST_CHECK bool file_write(const char *path, const void *ptr, size_t len, struct trouble *t);
/* At most 1 MiB; a NUL follows the bytes but does not count. */
MUST_CHECK bool file_read(const char *path, struct bytes *ret_bytes, struct trouble *t);
MUST_CHECK bool path_join(const char *folder, const char *name, char out[4096], struct trouble *t);

#endif
