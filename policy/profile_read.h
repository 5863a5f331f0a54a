/*
 * profile_read.h - inside policy/: what the readers of a profile share.
 *
 * Owns:    nothing.
 * Threads: pure.
 */
#ifndef ASSAY_PROFILE_READ_H
#define ASSAY_PROFILE_READ_H

#include "json_keys.h"
#include "profile.h"

#define N(table) (sizeof(table) / sizeof((table)[0]))

/* One entry of a list of names: what it is called in JSON, what it is here. */
struct named {
	const char *name;
	unsigned value;
};
MUST_CHECK bool profile_name(const struct named *names, size_t n, const json_t *value, unsigned *ret_value);
/* A refusal that lists the names. */
enum reason profile_refuse(const struct named *names, size_t n, const json_t *given, const struct where *where,
			   struct fault *f);

/* Readers of whole keys, as json_keys.h calls them; object is the struct profile. */
MUST_CHECK enum reason profile_read_subject(const json_t *value, void *object, const struct where *where,
					    struct fault *f);
MUST_CHECK enum reason profile_read_san(const json_t *value, void *object, const struct where *where, struct fault *f);
MUST_CHECK enum reason profile_read_unit(const json_t *value, void *object, const struct where *where, struct fault *f);

#endif
