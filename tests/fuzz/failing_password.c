/* failing_password.c - libcrypt's calls that fail on purpose, see failing.h. A failed crypt_r() gives a token. */
#include <crypt.h>
#include <stddef.h>

#include "failing_call.h"

static char no_hash[] = "*0";

/* clang-format off */
FAILS(char *, no_hash, crypt_r, (const char *phrase, const char *setting, struct crypt_data *data), (phrase, setting, data))
FAILS(char *, NULL, crypt_gensalt_rn, (const char *prefix, unsigned long count, const char *random, int n, char *out, int size), (prefix, count, random, n, out, size))
/* clang-format on */
