/*
 * basic.c - see basic.h.
 */
#include "http/basic.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define SCHEME "Basic "
#define SCHEME_LEN (sizeof(SCHEME) - 1)

bool basic_scheme(struct blob header)
{
	return header.len >= SCHEME_LEN && strncasecmp((const char *)header.ptr, SCHEME, SCHEME_LEN) == 0;
}

/* RFC 7617 section 2: no control characters in either part. */
static bool has_control(struct blob text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
			return true;
	return false;
}

/* "user:password": the first colon parts them. Both fit, for their whole is shorter than either array. */
static enum reason split(struct blob pair, struct basic *ret_basic, struct fault *f)
{
	const uint8_t *colon = pair.len > 0 ? memchr(pair.ptr, ':', pair.len) : NULL;
	size_t user_len, password_len;

	if (colon == NULL || has_control(pair))
		return fault_set(f, REASON_AUTH_PASSWORD, "Authorization: no user:password in it");
	user_len = (size_t)(colon - pair.ptr);
	password_len = pair.len - user_len - 1;
	memset(ret_basic, 0, sizeof(*ret_basic));
	memcpy(ret_basic->user, pair.ptr, user_len);
	memcpy(ret_basic->password, colon + 1, password_len);
	return REASON_OK;
}

enum reason basic_parse(struct blob header, struct basic *ret_basic, struct fault *f)
{
	AUTO(buf_wipe) struct buf pair = { 0 };

	if (header.len > LIMIT_AUTH_HEADER_BYTES || !basic_scheme(header))
		return fault_set(f, REASON_AUTH_PASSWORD, "Authorization: not Basic, or %zu bytes long", header.len);
	if (memchr(header.ptr + SCHEME_LEN, '\n', header.len - SCHEME_LEN) != NULL ||
	    text_unbase64(BLOB(header.ptr + SCHEME_LEN, header.len - SCHEME_LEN), &pair, NULL) != REASON_OK)
		return fault_set(f, REASON_AUTH_PASSWORD, "Authorization: not base64");
	return split(buf_blob(&pair), ret_basic, f);
}

void basic_wipe(struct basic *basic)
{
	OPENSSL_cleanse(basic, sizeof(*basic));
}
