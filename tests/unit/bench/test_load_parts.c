/* test_load_parts.c - the load driver's small parts: is a reply whole, and who is due? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "due.h"
#include "http.h"

static void test_a_reply_is_whole_at_its_last_byte_and_not_before(void **state)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\nRetry-After: 2\r\n"
				   "Connection: close\r\n\r\nlater";
	struct http_reply reply;

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		char part[sizeof(text)] = { 0 };

		memcpy(part, text, len);
		assert_int_equal(http_reply_parse(part, len, &reply), HTTP_MORE);
	}
	assert_int_equal(http_reply_parse(text, sizeof(text) - 1, &reply), HTTP_WHOLE);
	assert_int_equal(reply.status, 503);
	assert_true(reply.retry_after_s == 2);
	assert_true(reply.close);
	assert_int_equal(reply.body_len, 5);
	assert_memory_equal(reply.body, "later", 5);
}

static void test_what_is_not_http_is_broken(void **state)
{
	static const char *const texts[] = { "SMTP ready\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n" };
	struct http_reply reply;

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(http_reply_parse(texts[i], strlen(texts[i]), &reply), HTTP_BROKEN);
}

static void test_the_earliest_comes_first_and_nobody_too_early(void **state)
{
	enum { N = 500 };
	static int64_t at[N];
	struct due due;
	int64_t last = 0;

	(void)state;
	assert_true(due_init(&due, N));
	srand(1);
	for (size_t i = 0; i < N; i++) {
		at[i] = rand() % 1000 * 1000000LL;
		due_add(&due, at[i], &at[i]);
	}
	for (int64_t now = 0; now <= 1000000000LL; now += 10000000) {
		int64_t *who;

		while ((who = due_take(&due, now)) != NULL) {
			assert_true(*who <= now && *who >= last);
			last = *who;
		}
		if (due.n > 0)
			assert_in_range(due_timeout_ms(&due, now), 1, 1000);
	}
	assert_int_equal(due.n, 0);
	assert_int_equal(due_timeout_ms(&due, 0), -1);
	due_done(&due);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reply_is_whole_at_its_last_byte_and_not_before),
		cmocka_unit_test(test_what_is_not_http_is_broken),
		cmocka_unit_test(test_the_earliest_comes_first_and_nobody_too_early),
	};

	return cmocka_run_group_tests_name("load_parts", tests, NULL, NULL);
}
