/* fuzz_body.c - request bodies: base64, PEM armour, DER. What was taken must come out the same after a round. */
#include <assert.h>

#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO(buf_done) struct buf der = { 0 };
	AUTO(buf_done) struct buf text = { 0 };
	AUTO(buf_done) struct buf again = { 0 };

	if (body_der(BLOB(data, len), &der, NULL) != REASON_OK || der.len == 0 || der.ptr[0] != 0x30)
		return 0;
	if (body_base64(buf_blob(&der), &text, NULL) != REASON_OK ||
	    body_der(buf_blob(&text), &again, NULL) != REASON_OK)
		return 0;
	assert(blob_equal(buf_blob(&der), buf_blob(&again)));
	return 0;
}
