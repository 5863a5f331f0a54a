/* test_ocsp_frames.c - does what the va asks for OCSP arrive as it was meant, and nothing malformed at all? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "va/va_ocsp.h"

static struct message_ocsp_ask two(void)
{
	struct message_ocsp_ask ask = { .issuer = "attested", .n = 2, .nonce_len = 3, .nonce = { 7, 8, 9 } };

	ask.item[0].sha256 = true;
	ask.item[0].serial_len = 2;
	ask.item[0].serial[0] = 1;
	ask.item[1].null_params = true;
	ask.item[1].serial_len = LIMIT_SERIAL_BYTES;
	memset(ask.item[1].serial, 0x5a, LIMIT_SERIAL_BYTES);
	return ask;
}

static void a_question_arrives_as_it_was_asked(void **state)
{
	struct message_ocsp_ask ask = two(), got;
	struct buf body = { 0 };

	(void)state;
	assert_int_equal(message_ocsp_ask_encode(&ask, &body, NULL), REASON_OK);
	assert_int_equal(message_ocsp_ask_decode(buf_blob(&body), &got, NULL), REASON_OK);
	assert_string_equal(got.issuer, "attested");
	assert_true(got.n == 2 && got.item[0].sha256 && !got.item[0].null_params && got.item[1].null_params);
	assert_memory_equal(got.item[1].serial, ask.item[1].serial, LIMIT_SERIAL_BYTES);
	assert_true(got.nonce_len == 3 && got.nonce[2] == 9);
	for (size_t len = 0; len < body.len; len++) /* cut anywhere */
		assert_int_equal(message_ocsp_ask_decode(BLOB(body.ptr, len), &got, NULL), REASON_CHANNEL_FRAME);
	assert_int_equal(buf_append(&body, BLOB("", 1), NULL), REASON_OK);
	assert_int_equal(message_ocsp_ask_decode(buf_blob(&body), &got, NULL), REASON_CHANNEL_FRAME);
	buf_done(&body);
}

/* Offsets in the body: u32 length, "attested", then n, then of each certificate its form, u32 length, serial. */
#define AT_N 12
#define AT_FORM 13
#define AT_LENGTH 17

static void refuses_numbers_out_of_their_range(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} wrong[] = { { AT_N, 0 },
		      { AT_N, LIMIT_OCSP_IDS + 1 },
		      { AT_FORM, 4 },
		      { AT_LENGTH, 0 },
		      { AT_LENGTH, LIMIT_SERIAL_BYTES + 1 } };
	struct message_ocsp_ask ask = two(), got;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct buf body = { 0 };

		assert_int_equal(message_ocsp_ask_encode(&ask, &body, NULL), REASON_OK);
		body.ptr[wrong[i].at] = wrong[i].value;
		if (message_ocsp_ask_decode(buf_blob(&body), &got, NULL) != REASON_CHANNEL_FRAME)
			fail_msg("took %u at %zu", wrong[i].value, wrong[i].at);
		buf_done(&body);
	}
}

static void an_answer_arrives_and_a_state_that_is_none_does_not(void **state)
{
	struct message_ocsp answer = { .status = OCSP_REVOKED, .this_s = 1000, .next_s = 4600, .der = BLOB("der", 3) },
			    got;
	struct buf body = { 0 };

	(void)state;
	assert_int_equal(message_ocsp_encode(&answer, &body, NULL), REASON_OK);
	assert_int_equal(message_ocsp_decode(buf_blob(&body), &got, NULL), REASON_OK);
	assert_true(got.status == OCSP_REVOKED && got.this_s == 1000 && got.next_s == 4600 && got.der.len == 3);
	for (size_t len = 0; len < body.len; len++)
		assert_int_equal(message_ocsp_decode(BLOB(body.ptr, len), &got, NULL), REASON_CHANNEL_FRAME);
	body.ptr[0] = OCSP_UNKNOWN + 1;
	assert_int_equal(message_ocsp_decode(buf_blob(&body), &got, NULL), REASON_CHANNEL_FRAME);
	buf_done(&body);
}

static void a_request_in_a_path_is_its_base64_however_it_is_escaped(void **state)
{
	static const char *const same[] = { "/ocsp/+/8=", "/ocsp//+/8=", "/ocsp/%2B%2f8%3d", "/ocsp/%2b/8%3D" };
	static const uint8_t bytes[] = { 0xfb, 0xff };
	static const char *const wrong[] = { "/ocsp",    "/ocsp/",    "/ocsp//", "/ocsp/%",
					     "/ocsp/%2", "/ocsp/%zz", "/ocsp/*", "/ocsp/%00" };
	struct buf der = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(ocsp_path_parse(same[i], &der, NULL), REASON_OK);
		assert_true(blob_equal(buf_blob(&der), BLOB_OF(bytes)));
		buf_done(&der);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (ocsp_path_parse(wrong[i], &der, NULL) == REASON_OK)
			fail_msg("took %s", wrong[i]);
	assert_null(der.ptr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_arrives_as_it_was_asked),
		cmocka_unit_test(refuses_numbers_out_of_their_range),
		cmocka_unit_test(an_answer_arrives_and_a_state_that_is_none_does_not),
		cmocka_unit_test(a_request_in_a_path_is_its_base64_however_it_is_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
