/* fuzz_feed.c - what relying parties ask the feed for. First line: path; the rest: the query's `after`. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "va/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = len > 0 ? memchr(data, '\n', len) : NULL;
	size_t path_len = end != NULL ? (size_t)(end - data) : len;
	char *path = strndup(len > 0 ? (const char *)data : "", path_len);
	char *after = end != NULL ? strndup((const char *)end + 1, len - path_len - 1) : NULL;
	struct feed_request request;

	if (path != NULL && feed_request_parse(path, after, &request, NULL) == REASON_OK) {
		assert(feed_path(path) && request.list[0] != '\0' && strlen(request.list) <= CRL_NAME_CHARS);
		assert(after != NULL || request.after == 0);
	}
	free(path);
	free(after);
	return 0;
}
