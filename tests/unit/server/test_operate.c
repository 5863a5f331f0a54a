/* test_operate.c - operate.h: does what an operator asks survive the channel, and does a hostile frame not? */
#include "expect.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "channel/channel.h"
#include "channel/operate.h"

static struct operate full(void)
{
	struct operate o = { .op = OPERATE_PLAN, .outcome = REASON_CLIENT_REVOKED, .by = SELECT_ISSUED, .reason = 10 };

	memset(o.who, 'w', LIMIT_REQUESTER_CHARS);
	memset(o.call, 'c', OPERATE_CALL_CHARS);
	memset(o.request, 'r', 16);
	memset(o.note, 'n', OPERATE_NOTE_CHARS);
	memset(o.plan, 7, sizeof(o.plan));
	memset(o.value, 'v', OPERATE_VALUE_CHARS);
	o.from_s = -5;
	o.until_s = INT64_MAX;
	assert_ok(buf_copy(BLOB("\x02\x01\x02", 3), &o.serials, NULL));
	strcpy(o.kind, "rig");
	strcpy(o.name, "rig-1");
	memset(o.names, 'p', LIMIT_NAME_CHARS);
	memset(o.labels, 'l', 127);
	memset(o.spki_hash, 9, sizeof(o.spki_hash));
	return o;
}

static void a_question_comes_back_whole(void **state)
{
	AUTO(operate_done) struct operate in = full(), out = { 0 };
	AUTO(buf_done) struct buf body = { 0 };
	struct buf in_list, out_list;

	(void)state;
	assert_ok(operate_encode(&in, &body, NULL));
	assert_ok(operate_decode(buf_blob(&body), &out, NULL));
	assert_true(blob_equal(buf_blob(&in.serials), buf_blob(&out.serials)));
	assert_int_equal(out.from_s, -5);
	in_list = in.serials;
	out_list = out.serials;
	memset(&in.serials, 0, sizeof(in.serials));
	memset(&out.serials, 0, sizeof(out.serials));
	assert_memory_equal(&in, &out, sizeof(in));
	in.serials = in_list;
	out.serials = out_list;
}

static void an_answer_comes_back_whole(void **state)
{
	AUTO(operated_done)
	struct operated in = {
		.reason = REASON_OVERLOADED, .action = UINT64_MAX, .n = 1, .already = 2, .expires_s = 3
	};
	AUTO(operated_done) struct operated out = { 0 };
	AUTO(buf_done) struct buf body = { 0 };

	(void)state;
	memset(in.detail, 'd', sizeof(in.detail) - 1);
	memset(in.plan, 8, sizeof(in.plan));
	assert_ok(buf_copy(BLOB("[]", 2), &in.sample, NULL));
	assert_ok(operated_encode(&in, &body, NULL));
	assert_ok(operated_decode(buf_blob(&body), &out, NULL));
	assert_string_equal(in.detail, out.detail);
	assert_memory_equal(in.plan, out.plan, sizeof(in.plan));
	assert_int_equal(out.reason, REASON_OVERLOADED);
	assert_true(out.action == UINT64_MAX && out.n == 1 && out.already == 2 && out.expires_s == 3);
	assert_true(blob_equal(buf_blob(&out.sample), BLOB("[]", 2)));
}

static void values_out_of_their_range_are_refused(void **state)
{
	static const struct operate wrong[] = {
		{ .op = 0 },
		{ .op = OPERATE_OPS },
		{ .op = OPERATE_NOTE, .outcome = REASON_COUNT },
		{ .op = OPERATE_PLAN, .by = SELECT_COUNT },
		{ .op = OPERATE_PLAN, .reason = 11 },
	};
	struct operate out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		AUTO(buf_done) struct buf body = { 0 };

		assert_ok(operate_encode(&wrong[i], &body, NULL));
		assert_reason(operate_decode(buf_blob(&body), &out, NULL), REASON_CHANNEL_FRAME);
	}
	assert_int_equal(out.op, 0);
}

static void a_frame_cut_short_or_too_long_is_refused(void **state)
{
	AUTO(operate_done) struct operate in = full();
	AUTO(buf_done) struct buf body = { 0 };
	struct operate out = { 0 };

	(void)state;
	assert_ok(operate_encode(&in, &body, NULL));
	for (size_t len = 0; len < body.len; len++)
		assert_reason(operate_decode(BLOB(body.ptr, len), &out, NULL), REASON_CHANNEL_FRAME);
	assert_ok(pack_u8(&body, 0, NULL));
	assert_reason(operate_decode(buf_blob(&body), &out, NULL), REASON_CHANNEL_FRAME);
}

/* Flipped octets: refused, or a value that can be encoded again. */
static void octets_at_random_do_no_harm(void **state)
{
	AUTO(operate_done) struct operate in = full();
	AUTO(buf_done) struct buf body = { 0 };
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	print_message("seed %u\n", seed);
	srand(seed);
	assert_ok(operate_encode(&in, &body, NULL));
	for (int i = 0; i < 20000; i++) {
		AUTO(operate_done) struct operate out = { 0 };
		AUTO(buf_done) struct buf again = { 0 };
		size_t at = (size_t)rand() % body.len;
		uint8_t was = body.ptr[at];

		body.ptr[at] = (uint8_t)rand();
		if (operate_decode(buf_blob(&body), &out, NULL) == REASON_OK) {
			assert_ok(operate_encode(&out, &again, NULL));
			assert_true(blob_equal(buf_blob(&again), buf_blob(&body)));
		}
		body.ptr[at] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_comes_back_whole),
		cmocka_unit_test(an_answer_comes_back_whole),
		cmocka_unit_test(values_out_of_their_range_are_refused),
		cmocka_unit_test(a_frame_cut_short_or_too_long_is_refused),
		cmocka_unit_test(octets_at_random_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
