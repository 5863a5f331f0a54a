/*
 * users.h - inside policy/: who may use HTTP Basic, and which names they may enrol.
 *
 * Owns:    users_free() frees what users_parse() made.
 * Threads: read-only after parsing, but for the cache of verified passwords, which has its own lock.
 */
#ifndef ASSAY_USERS_H
#define ASSAY_USERS_H

#include "policy.h"

struct users;

MUST_CHECK enum reason users_parse(const char *file, struct blob bytes, struct users **ret_users, struct fault *f);
void users_free(struct users *users); /* accepts NULL */
AUTO_FREE(struct users, users_freep, users_free)

/* `users` may be NULL: then nobody is known. */
MUST_CHECK enum reason users_verify(struct users *users, const char *user, const char *password,
				    struct requester *ret_who, struct fault *f);
/* Every label that a user names has to exist. */
MUST_CHECK enum reason users_check_labels(const struct users *users, const char *file, const struct policy *policy,
					  struct fault *f);

#endif
