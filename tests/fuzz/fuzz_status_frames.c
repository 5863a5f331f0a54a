/*
 * fuzz_status_frames.c - what a breached va may ask for OCSP, and what the va takes as an answer; the first byte says
 * which. What decodes encodes to the same bytes.
 */
#include <assert.h>

#include "again.h"
#include "channel/status_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_ask(struct blob body)
{
	struct message_ocsp_ask ask;
	struct buf again = { 0 };

	if (message_ocsp_ask_decode(body, &ask, NULL) != REASON_OK)
		return;
	assert(ask.n >= 1 && ask.n <= LIMIT_OCSP_IDS && ask.nonce_len <= LIMIT_OCSP_NONCE_BYTES);
	for (size_t i = 0; i < ask.n; i++)
		assert(ask.item[i].serial_len >= 1 && ask.item[i].serial_len <= LIMIT_SERIAL_BYTES);
	assert_same_again(message_ocsp_ask_encode(&ask, &again, NULL), &again, body);
}

static void try_answer(struct blob body)
{
	struct message_ocsp answer;
	struct buf again = { 0 };

	if (message_ocsp_decode(body, &answer, NULL) != REASON_OK)
		return;
	assert(answer.status <= OCSP_UNKNOWN && answer.der.len > 0);
	assert(answer.der.ptr + answer.der.len == body.ptr + body.len);
	assert_same_again(message_ocsp_encode(&answer, &again, NULL), &again, body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	if (data[0] % 2 == 0)
		try_ask(BLOB(data + 1, len - 1));
	else
		try_answer(BLOB(data + 1, len - 1));
	return 0;
}
