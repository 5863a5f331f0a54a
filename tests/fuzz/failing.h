/*
 * failing.h - memory that runs out on purpose: the n-th allocation of a thread fails, Assay's own and those that
 * OpenSSL makes for it, and with them the calls that needed it.
 *
 * A program that links test-failing has its malloc(), calloc(), realloc(), strdup(), strndup(), asprintf() and
 * regcomp() wrapped by the linker, and OpenSSL's allocator replaced before main(). Nothing fails until
 * failing_start() says so.
 *
 * Threads: counts and failures are each thread's own.
 */
#ifndef ASSAY_TEST_FAILING_H
#define ASSAY_TEST_FAILING_H

#include <stdbool.h>

enum failing_mode {
	FAILING_ONCE, /* that allocation alone: is its own failure noticed? */
	FAILING_FROM, /* that one and all after it: does clean-up need memory? */
};

/* The n-th allocation from now on fails; n of 0: none, only count. */
void failing_start(unsigned long n, enum failing_mode mode);
/* Ends it; gives how many allocations were asked for since the start. */
unsigned long failing_stop(void);
/* Has one failed since the start? Also after failing_stop(), until the next start. */
bool failing_happened(void);

#endif
