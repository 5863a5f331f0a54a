/*
 * failing.h - memory that runs out and libraries that fail on purpose: the n-th call of a thread that can fail does.
 *
 * A program that links test-failing has its malloc(), calloc(), realloc(), strdup(), strndup(), asprintf() and
 * regcomp() wrapped by the linker, OpenSSL's allocator replaced before main(), and each call that Assay makes of
 * OpenSSL, libcrypt, GnuTLS and the C library's threads and files and that can fail whatever its input (the tables in
 * failing_*.c). All count alike. Nothing fails until failing_start() says so.
 *
 * Threads: counts and failures are each thread's own.
 */
#ifndef ASSAY_TEST_FAILING_H
#define ASSAY_TEST_FAILING_H

#include <stdbool.h>

enum failing_mode {
	FAILING_ONCE, /* that one alone: is its own failure noticed? */
	FAILING_FROM, /* that one and all after it: does clean-up need memory? */
};

/* The n-th call from now on fails; n of 0: none, only count. */
void failing_start(unsigned long n, enum failing_mode mode);
/* Ends it; gives how many calls could have failed since the start. */
unsigned long failing_stop(void);
/* Has one failed since the start? Also after failing_stop(), until the next start. */
bool failing_happened(void);

/* For the wrappers: is it this call's turn? */
bool failing_now(void);

#endif
