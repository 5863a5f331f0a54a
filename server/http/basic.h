/*
 * basic.h - the Authorization header of HTTP Basic: user name and password out of hostile text.
 *
 * Owns:    nothing: struct basic is a value; whoever has one wipes it with basic_wipe().
 * Threads: pure.
 * Spec:    RFC 7617. The user name may be empty (RFC 7030 section 3.2.3), the password may hold colons.
 */
#ifndef ASSAY_BASIC_H
#define ASSAY_BASIC_H

#include "base/blob.h"
#include "base/limits.h"

struct basic {
	char user[LIMIT_AUTH_HEADER_BYTES];
	char password[LIMIT_AUTH_HEADER_BYTES];
};

/* Does this header carry the Basic scheme at all? Others are not ours to judge. */
bool basic_scheme(struct blob header);

/* The header's value, "Basic <base64>". REASON_AUTH_PASSWORD if malformed, over LIMIT_AUTH_HEADER_BYTES or with control
 * characters. */
MUST_CHECK enum reason basic_parse(struct blob header, struct basic *ret_basic, struct fault *f);
void basic_wipe(struct basic *basic);

#endif
