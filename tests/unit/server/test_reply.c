/* test_reply.c - does every reason become one honest answer, and do bodies come in and go out as base64? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/body.h"
#include "http/reply.h"

static const char *header_of(const struct reply *reply, const char *name)
{
	for (size_t i = 0; i < reply->n_headers; i++)
		if (strcmp(reply->header[i].name, name) == 0)
			return reply->header[i].value;
	return NULL;
}

static struct reply refusal(enum reason reason)
{
	struct fault f;
	struct reply reply;

	(void)fault_set(&f, reason, "%s", "SECRET-DETAIL");
	reply = reply_fault(&f);
	reply_finish(&reply, "0123456789abcdef");
	return reply;
}

static void every_refusal_has_status_text_and_request_id(void **state)
{
	(void)state;
	for (unsigned r = REASON_OK + 1; r < REASON_COUNT; r++) {
		const struct reason_info *info = reason_info((enum reason)r);
		struct reply reply = refusal((enum reason)r);
		char text[512];

		snprintf(text, sizeof(text), "%s (%s, request 0123456789abcdef)\n", info->text, info->name);
		assert_int_equal(reply.status, info->http);
		assert_in_range(reply.status, 400, 599);
		assert_string_equal(reply.type, "text/plain");
		assert_true(blob_equal(buf_blob(&reply.body), BLOB_STR(text)));
		reply_done(&reply);
	}
}

static void detail_is_for_the_log_alone(void **state)
{
	(void)state;
	for (unsigned r = REASON_OK + 1; r < REASON_COUNT; r++) {
		struct reply reply = refusal((enum reason)r);

		assert_null(memmem(reply.body.ptr, reply.body.len, "SECRET-DETAIL", 13));
		reply_done(&reply);
	}
}

static void retry_after_is_an_integer_and_only_where_a_retry_helps(void **state)
{
	(void)state;
	for (unsigned r = 0; r < REASON_COUNT; r++) {
		struct reply reply = refusal((enum reason)r);
		const char *after = header_of(&reply, "Retry-After");

		if (reason_info((enum reason)r)->class == REASON_CLASS_RETRY)
			assert_string_equal(after, "1");
		else
			assert_null(after);
		reply_done(&reply);
	}
}

static void success_keeps_its_body_and_type(void **state)
{
	struct reply reply = reply_fixed("application/pkcs7-mime", BLOB("abc", 3));

	(void)state;
	reply_finish(&reply, "x");
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.type, "application/pkcs7-mime");
	assert_int_equal(reply.fixed.len, 3);
	assert_null(reply.body.ptr);
}

static void a_status_of_its_own_stands(void **state)
{
	struct reply reply = reply_fixed(NULL, (struct blob){ 0 });

	(void)state;
	reply.status = 204;
	reply_finish(&reply, "x");
	assert_int_equal(reply.status, 204);
	assert_null(reply.type);
}

static void headers_are_bounded(void **state)
{
	struct reply reply = { 0 };

	(void)state;
	for (int i = 0; i < REPLY_HEADERS + 3; i++)
		reply_header(&reply, "X", "%0300d", i);
	assert_int_equal(reply.n_headers, REPLY_HEADERS);
	assert_int_equal(strlen(reply.header[0].value), REPLY_HEADER_CHARS - 1);
}

static void takes_base64_pem_and_der(void **state)
{
	static const uint8_t der[] = { 0x30, 0x03, 0x02, 0x01, 0x00 };
	static const char *const forms[] = {
		"MAMCAQA=",
		"MAMCAQA=\n",
		"\r\n\r\nMA\r\nMC\tAQ A=\r\n\r\n",
		"-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQA=\n-----END CERTIFICATE REQUEST-----\n",
		"\n-----BEGIN NEW CERTIFICATE REQUEST-----\r\nMAMC\r\nAQA=\r\n-----END NEW CERTIFICATE REQUEST-----",
		"\x30\x03\x02\x01",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct buf out = { 0 };
		struct blob in = i < 5 ? BLOB_STR(forms[i]) : BLOB_OF(der);
		struct fault f;

		if (body_der(in, &out, &f) != REASON_OK)
			fail_msg("form %zu: %s", i, f.detail);
		assert_true(blob_equal(buf_blob(&out), BLOB_OF(der)));
		buf_done(&out);
	}
}

static void refuses_other_bodies(void **state)
{
	static const struct {
		const char *body;
		enum reason reason;
	} cases[] = {
		{ "", REASON_HTTP_BODY },
		{ " \r\n\t", REASON_HTTP_BODY },
		{ "MAMCAQA", REASON_BASE64 },
		{ "MAMC*QA=", REASON_BASE64 },
		{ "MAMCAQA=MAMC", REASON_BASE64 },
		{ "MAMCAQB=", REASON_BASE64 },
		{ "{\"csr\":1}", REASON_BASE64 },
		{ "-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n", REASON_BASE64 },
		{ "-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQA=\n", REASON_BASE64 },
		{ "-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQA=\n-----END NEW CERTIFICATE REQUEST-----\n",
		  REASON_BASE64 },
		{ "-----BEGIN CERTIFICATE REQUEST-----\nMAMCAQA=\n-----END CERTIFICATE REQUEST-----\nMAMC",
		  REASON_BASE64 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = { 0 };

		if (body_der(BLOB_STR(cases[i].body), &out, NULL) != cases[i].reason)
			fail_msg("\"%s\"", cases[i].body);
		assert_null(out.ptr);
	}
}

static void answers_are_one_line_with_a_line_feed(void **state)
{
	uint8_t der[3000] = { 0x30 };
	struct buf text = { 0 };

	(void)state;
	assert_int_equal(body_base64(BLOB_OF(der), &text, NULL), REASON_OK);
	assert_int_equal(text.len, 4001);
	assert_ptr_equal(memchr(text.ptr, '\n', text.len), text.ptr + 4000);
	buf_done(&text);
}

static void lines_of_64_hold_the_same_text(void **state)
{
	uint8_t der[100] = { 0x30 }; /* 136 characters: two whole lines and eight */
	AUTO(buf_done) struct buf text = { 0 };
	AUTO(buf_done) struct buf lines = { 0 };

	(void)state;
	assert_int_equal(body_base64(BLOB_OF(der), &text, NULL), REASON_OK);
	assert_int_equal(body_lines(buf_blob(&text), &lines, NULL), REASON_OK);
	assert_int_equal(lines.len, 136 + 3);
	assert_memory_equal(lines.ptr, text.ptr, 64);
	assert_memory_equal(lines.ptr + 65, text.ptr + 64, 64);
	assert_memory_equal(lines.ptr + 130, text.ptr + 128, 9);
	assert_true(lines.ptr[64] == '\n' && lines.ptr[129] == '\n' && lines.ptr[138] == '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_refusal_has_status_text_and_request_id),
		cmocka_unit_test(detail_is_for_the_log_alone),
		cmocka_unit_test(retry_after_is_an_integer_and_only_where_a_retry_helps),
		cmocka_unit_test(success_keeps_its_body_and_type),
		cmocka_unit_test(lines_of_64_hold_the_same_text),
		cmocka_unit_test(a_status_of_its_own_stands),
		cmocka_unit_test(headers_are_bounded),
		cmocka_unit_test(takes_base64_pem_and_der),
		cmocka_unit_test(refuses_other_bodies),
		cmocka_unit_test(answers_are_one_line_with_a_line_feed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
