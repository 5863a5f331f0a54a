/*
 * fuzz_message.c - the small bodies between the roles, the first byte says which: what a breached ra may say of its
 * policy, what a breached va may ask, what the va takes as a CRL, what a breached admin may ask and what it is told.
 * What decodes encodes to the same bytes.
 */
#include <assert.h>
#include <string.h>

#include "again.h"
#include "channel/message.h"
#include "channel/operate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_policy(struct blob body)
{
	struct message_policy message;
	struct buf again = { 0 };

	if (message_policy_decode(body, &message, NULL) != REASON_OK)
		return;
	for (const char *p = message.what; *p != '\0'; p++)
		assert(*p >= ' ' && *p <= '~');
	assert_same_again(message_policy_encode(&message, &again, NULL), &again, body);
}

static void try_crl_ask(struct blob body)
{
	char list[CRL_NAME_CHARS + 1];
	struct buf again = { 0 };

	if (message_crl_ask_decode(body, list, NULL) != REASON_OK)
		return;
	assert(strlen(list) <= CRL_NAME_CHARS);
	assert_same_again(message_crl_ask_encode(list, &again, NULL), &again, body);
}

static void try_crl(struct blob body)
{
	struct message_crl message;
	struct buf again = { 0 };

	if (message_crl_decode(body, &message, NULL) != REASON_OK)
		return;
	assert(strlen(message.list) <= CRL_NAME_CHARS);
	assert(message.der.len == 0 || message.der.ptr + message.der.len == body.ptr + body.len);
	assert_same_again(message_crl_encode(&message, &again, NULL), &again, body);
}

static void try_operate(struct blob body)
{
	struct operate operate;
	struct buf again = { 0 };

	memset(&operate, 0, sizeof(operate));
	if (operate_decode(body, &operate, NULL) != REASON_OK)
		return;
	assert_same_again(operate_encode(&operate, &again, NULL), &again, body);
	operate_done(&operate);
}

static void try_operated(struct blob body)
{
	struct operated operated;
	struct buf again = { 0 };

	memset(&operated, 0, sizeof(operated));
	if (operated_decode(body, &operated, NULL) != REASON_OK)
		return;
	assert_same_again(operated_encode(&operated, &again, NULL), &again, body);
	operated_done(&operated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const tries[])(struct blob body) = { try_policy, try_crl_ask, try_crl, try_operate,
							   try_operated };

	if (len > 0)
		tries[data[0] % 5](BLOB(data + 1, len - 1));
	return 0;
}
