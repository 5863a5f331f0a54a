/*
 * due.h - who is to go on when: a binary heap of times.
 *
 * Owns:     due_done().
 * Threads:  pure.
 */
#ifndef BENCH_DUE_H
#define BENCH_DUE_H

#include <stdint.h>

#include "basics.h"

struct due_entry {
	int64_t at_ns;
	void *who;
};

struct due {
	struct due_entry *entry;
	size_t n, cap;
};

MUST_CHECK bool due_init(struct due *due, size_t cap);
void due_done(struct due *due);
void due_add(struct due *due, int64_t at_ns, void *who);   /* at most cap at once */
void *due_take(struct due *due, int64_t now_ns);           /* whose time has come, the earliest first; NULL: nobody */
int due_timeout_ms(const struct due *due, int64_t now_ns); /* for epoll_wait: -1 when nobody waits */

#endif
