/*
 * seccomp_calls.h - the tables of system calls that seccomp.c makes its filters from.
 *
 * Threads: constant.
 */
#ifndef ASSAY_SECCOMP_CALLS_H
#define ASSAY_SECCOMP_CALLS_H

#include <limits.h>
#include <seccomp.h>
#include <stdbool.h>

#include "config.h"

/* One call, or one use of it: `argument` has to hold when it is there, or, with own_pid, the first argument has to be the
 * caller's process. */
struct sealed_call {
	int number;
	struct scmp_arg_cmp argument;
	bool own_pid;
};
#define SEALED_END INT_MAX

extern const struct sealed_call sealed_never[];    /* of nobody, not even while starting: ends the process */
extern const struct sealed_call sealed_programs[]; /* of the supervisor alone: ends the process */
extern const struct sealed_call sealed_unseen[];   /* what a filter cannot look into: "no such call" */
extern const struct sealed_call sealed_common[];   /* of every role */
extern const struct sealed_call sealed_network[];  /* of a ca whose token or ledger is behind a network */
extern const struct sealed_call *const sealed_role[ROLE_COUNT];

#endif
