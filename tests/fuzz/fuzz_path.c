/* fuzz_path.c - request paths and media types. First line: path; the rest: Content-Type. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = len > 0 ? memchr(data, '\n', len) : NULL;
	size_t path_len = end != NULL ? (size_t)(end - data) : len;
	char *type = strndup(end != NULL ? (const char *)end + 1 : "", end != NULL ? len - path_len - 1 : 0);
	struct route route;

	if (type != NULL && route_parse(BLOB(data, path_len), &route, NULL) == REASON_OK) {
		assert(route.op != NULL && strlen(route.label) <= LIMIT_LABEL_CHARS);
		(void)!route_check(route.op, HTTP_POST, type, NULL);
	}
	free(type);
	return 0;
}
