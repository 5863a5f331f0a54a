/* failing.c - see failing.h. */
#include "failing.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Thread_local struct {
	bool started, happened;
	enum failing_mode mode;
	unsigned long n, asked;
} state;

void failing_start(unsigned long n, enum failing_mode mode)
{
	state.started = true;
	state.happened = false;
	state.mode = mode;
	state.n = n;
	state.asked = 0;
}

unsigned long failing_stop(void)
{
	state.started = false;
	return state.asked;
}

bool failing_happened(void)
{
	return state.happened;
}

bool failing_now(void)
{
	if (!state.started)
		return false;
	state.asked++;
	if (state.n == 0 || state.asked < state.n || (state.mode == FAILING_ONCE && state.asked > state.n))
		return false;
	state.happened = true;
	errno = ENOMEM;
	return true;
}

/* What the linker makes of --wrap: calls come to __wrap_, __real_ is the C library's (or the sanitizer's). */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
int __real_regcomp(regex_t *regex, const char *pattern, int flags);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
int __wrap_regcomp(regex_t *regex, const char *pattern, int flags);
__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **text, const char *format, ...);
__attribute__((format(printf, 3, 4))) int __wrap___asprintf_chk(char **text, int flag, const char *format, ...);

void *__wrap_malloc(size_t size)
{
	return failing_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return failing_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return failing_now() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return failing_now() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
	return failing_now() ? NULL : __real_strndup(text, len);
}

int __wrap_regcomp(regex_t *regex, const char *pattern, int flags)
{
	return failing_now() ? REG_ESPACE : __real_regcomp(regex, pattern, flags);
}

/* A failing asprintf() leaves the pointer undefined: here it gets one that nobody can free. */
static int format_text(char **text, const char *format, va_list arguments)
{
	if (failing_now()) {
		*text = (char *)state.asked;
		return -1;
	}
	return vasprintf(text, format, arguments);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = format_text(text, format, arguments);
	va_end(arguments);
	return len;
}

/* what asprintf() becomes with _FORTIFY_SOURCE */
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
	va_list arguments;
	int len;

	(void)flag;
	va_start(arguments, format);
	len = format_text(text, format, arguments);
	va_end(arguments);
	return len;
}

static void *crypto_malloc(size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return failing_now() ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file, (void)line;
	return failing_now() ? NULL : __real_realloc(old, size);
}

static void crypto_free(void *old, const char *file, int line)
{
	(void)file, (void)line;
	free(old);
}

/*
 * OpenSSL takes other functions only before its first allocation. jansson never fails: it writes past its buffer when
 * it is short of memory, and assayd ends rather than let that happen (server/main.c).
 */
__attribute__((constructor)) static void take_allocators(void)
{
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1) {
		fprintf(stderr, "failing: OpenSSL has allocated already\n");
		abort();
	}
	json_set_alloc_funcs(__real_malloc, free);
}
