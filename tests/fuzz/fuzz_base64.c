/* fuzz_base64.c - text_unbase64(): no crash, and what it accepts is the only text for those bytes but for white space.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "failing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(buf_done) struct buf bytes = { 0 }, text = { 0 };
	size_t at = 0;

	if (text_unbase64(BLOB(data, len), &bytes, NULL) != REASON_OK)
		return 0;
	if (text_base64(buf_blob(&bytes), &text, NULL) != REASON_OK) {
		if (!failing_happened())
			abort();
		return 0;
	}
	for (size_t i = 0; i < len; i++) {
		if (strchr(" \t\r\n", data[i]) != NULL && data[i] != 0)
			continue;
		if (at == text.len || text.ptr[at++] != data[i])
			abort();
	}
	if (at != text.len)
		abort();
	return 0;
}
