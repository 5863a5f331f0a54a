/* test_view.c - does a role see what the ca pushed, and does it refuse when that has become old? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "channel/view.h"

#define NOW 50000000

static struct revocation_row revoked(uint32_t n, uint8_t reason)
{
	struct revocation_row row = { .number = n + 1, .serial_len = 16, .reason = reason };

	memset(row.serial, 1, 16);
	memcpy(row.serial + 12, &n, sizeof(n));
	return row;
}

static bool is_revoked(const struct view *view, uint32_t n)
{
	struct revocation_row row = revoked(n, 0);

	return view_revoked(view, BLOB(row.serial, row.serial_len));
}

static void push(struct view *view, const struct ledger_news *news, bool first, int64_t at_us)
{
	struct buf body = { 0 };
	struct fault f;

	assert_int_equal(view_encode(news, first, &body, &f), REASON_OK);
	assert_int_equal(view_apply(view, buf_blob(&body), at_us, &f), REASON_OK);
	buf_done(&body);
}

static void it_is_stale_until_everything_came_and_again_after_a_second(void **state)
{
	struct view *view = view_new();
	struct ledger_news news = { .more = true };
	struct fault f;

	(void)state;
	assert_int_equal(view_fresh(view, NOW, &f), REASON_VIEW_STALE);
	push(view, &news, true, NOW);
	assert_int_equal(view_fresh(view, NOW, &f), REASON_VIEW_STALE); /* more is to come */
	news.more = false;
	push(view, &news, false, NOW);
	assert_int_equal(view_fresh(view, NOW + 1000000, &f), REASON_OK);
	assert_int_equal(view_fresh(view, NOW + 1000001, &f), REASON_VIEW_STALE);
	push(view, &news, false, NOW + 2000000);
	assert_int_equal(view_fresh(view, NOW + 2000000, &f), REASON_OK);
	assert_int_equal(view_age_us(view, NOW + 2000007), 7);
	view_free(view);
}

static void revocations_are_seen_and_a_release_takes_one_out(void **state)
{
	struct revocation_row rows[3000];
	struct ledger_news news = { .revocation = rows, .n_revocations = 3000 };
	struct view *view = view_new();

	(void)state;
	for (uint32_t i = 0; i < 3000; i++)
		rows[i] = revoked(i * 3, 6);
	push(view, &news, true, NOW);
	for (uint32_t i = 0; i < 9000; i++)
		assert_int_equal(is_revoked(view, i), i % 3 == 0);
	rows[0] = revoked(300, 8);
	news.n_revocations = 1;
	push(view, &news, false, NOW);
	assert_false(is_revoked(view, 300));
	assert_true(is_revoked(view, 303));
	view_free(view);
}

static void a_new_start_replaces_only_when_it_is_whole(void **state)
{
	struct revocation_row row = revoked(1, 0);
	struct ledger_news with = { .revocation = &row, .n_revocations = 1 }, part = { .more = true }, rest = { 0 };
	struct view *view = view_new();

	(void)state;
	push(view, &with, true, NOW);
	push(view, &part, true, NOW);
	assert_true(is_revoked(view, 1)); /* still what was known before */
	push(view, &rest, false, NOW);
	assert_false(is_revoked(view, 1));
	view_free(view);
}

static void a_malformed_frame_makes_the_view_stale_until_a_new_start(void **state)
{
	const struct ledger_news nothing = { 0 };
	struct view *view = view_new();
	struct fault f;

	(void)state;
	push(view, &nothing, true, NOW);
	assert_int_equal(view_apply(view, BLOB("\0\0\0\0\1\0\0", 7), NOW, &f), REASON_CHANNEL_FRAME);
	assert_int_equal(view_fresh(view, NOW, &f), REASON_VIEW_STALE);
	push(view, &nothing, false, NOW); /* a heartbeat does not mend it */
	assert_int_equal(view_fresh(view, NOW, &f), REASON_VIEW_STALE);
	push(view, &nothing, true, NOW);
	assert_int_equal(view_fresh(view, NOW, &f), REASON_OK);
	view_free(view);
}

static void every_truncation_is_refused(void **state)
{
	struct revocation_row row = revoked(5, 1);
	struct requester_row who = { .name = "station-7", .kind = "rig", .labels = "line", .active = true };
	struct ledger_news news = { .revocation = &row, .n_revocations = 1, .requester = &who, .n_requesters = 1 };
	struct view *view = view_new();
	struct buf body = { 0 };
	struct fault f;

	(void)state;
	assert_int_equal(view_encode(&news, true, &body, &f), REASON_OK);
	for (size_t len = 0; len < body.len; len++)
		assert_int_equal(view_apply(view, BLOB(body.ptr, len), NOW, &f), REASON_CHANNEL_FRAME);
	assert_int_equal(view_apply(view, buf_blob(&body), NOW, &f), REASON_OK);
	assert_true(is_revoked(view, 5));
	buf_done(&body);
	view_free(view);
}

static void a_requester_is_found_by_its_key_and_the_last_row_counts(void **state)
{
	struct requester_row rows[200] = { 0 }, found;
	struct ledger_news news = { .requester = rows, .n_requesters = 200 };
	struct view *view = view_new();
	uint8_t unknown[32] = { 99 };

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		rows[i].spki_hash[0] = (uint8_t)(i / 2);
		rows[i].active = i % 2 == 1 && i != 7; /* the second row of each key replaces the first */
		strcpy(rows[i].name, i % 2 == 1 ? "second" : "first");
		strcpy(rows[i].kind, "rig");
		strcpy(rows[i].names, "legacy-*");
		strcpy(rows[i].labels, "line,idevid");
	}
	push(view, &news, true, NOW);
	assert_true(view_requester(view, rows[11].spki_hash, &found));
	assert_string_equal(found.name, "second");
	assert_string_equal(found.kind, "rig");
	assert_string_equal(found.names, "legacy-*");
	assert_string_equal(found.labels, "line,idevid");
	assert_true(found.active);
	assert_true(view_requester(view, rows[7].spki_hash, &found));
	assert_false(found.active);
	unknown[0] = 200;
	assert_false(view_requester(view, unknown, &found));
	view_free(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_stale_until_everything_came_and_again_after_a_second),
		cmocka_unit_test(revocations_are_seen_and_a_release_takes_one_out),
		cmocka_unit_test(a_new_start_replaces_only_when_it_is_whole),
		cmocka_unit_test(a_malformed_frame_makes_the_view_stale_until_a_new_start),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(a_requester_is_found_by_its_key_and_the_last_row_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
