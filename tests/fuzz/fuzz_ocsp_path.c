/* fuzz_ocsp_path.c - OCSP requests in the path of a GET: any text behind it. What is taken has no more bytes than its
 * base64. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "va/va_ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char before[] = "/ocsp/";
	char *path = malloc(sizeof(before) + len);
	struct buf der = { 0 };

	if (path == NULL)
		return 0;
	memcpy(path, before, sizeof(before) - 1);
	if (len > 0)
		memcpy(path + sizeof(before) - 1, data, len);
	path[sizeof(before) - 1 + len] = '\0';
	assert(ocsp_path(path));
	if (ocsp_path_parse(path, &der, NULL) == REASON_OK)
		assert(der.len * 4 <= strlen(path) * 3);
	else
		assert(der.ptr == NULL);
	buf_done(&der);
	free(path);
	return 0;
}
