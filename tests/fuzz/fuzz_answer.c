/*
 * fuzz_answer.c - what the ca answers the ra: a certificate or a refusal. The first byte says which. The ca is not
 * hostile, but an answer cut short or of another version must be a refusal, never half a certificate.
 */
#include <assert.h>
#include <string.h>

#include "failing.h"
#include "oid.h"
#include "ra/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_enrolled(struct blob body)
{
	struct reply reply = { 0 };
	struct fault f = { 0 };

	if (answer_enrolled(body, &reply, &f) == REASON_OK)
		assert(reply.body.len > 0 && reply.type != NULL);
	else
		assert(f.reason == REASON_CHANNEL_FRAME || failing_happened());
	buf_done(&reply.body);
}

static void try_refused(struct blob body)
{
	struct fault f = answer_refused(body);

	assert(f.reason > REASON_OK && f.reason < REASON_COUNT && strlen(f.detail) < sizeof(f.detail));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	oid_init();
	if (len == 0)
		return 0;
	if (data[0] % 2 == 0)
		try_enrolled(BLOB(data + 1, len - 1));
	else
		try_refused(BLOB(data + 1, len - 1));
	return 0;
}
