/* test_operators.c - operators.h: who may do a plan, until when, and that doing it again changes nothing. */
#include "fixture.h"

#include <string.h>

#include "base/text.h"
#include "operators.h"

struct desk {
	struct world *world;
	struct ledger *line, *ledger; /* the line's, and the operators' */
};

static struct desk open_desk(void **state, const char *node)
{
	struct desk desk = { .world = *state };

	desk.line = world_ledger(desk.world, node, "intend", WINDOW_S);
	desk.ledger = world_ledger(desk.world, node, "operate", WINDOW_S);
	return desk;
}

static void close_desk(struct desk *desk)
{
	ledger_close(desk->line);
	ledger_close(desk->ledger);
}

/* One certificate, and a plan of alice's to revoke it; the plan's id is made of `mark`. */
static struct plan planned(struct desk *desk, struct request *r, const char *element, uint8_t mark)
{
	struct plan plan = { .who = "operator:alice", .by = "serial", .note = "test", .reason = 1 };

	enrol(desk->line, r, element, element);
	memset(plan.id, mark, sizeof(plan.id));
	plan.value = r->hex;
	assert_ok(ledger_plan(desk->ledger, &plan, f));
	assert_int_equal(plan.n, 1);
	return plan;
}

static struct plan_piece piece_of(const struct plan *plan, const char *who)
{
	return (struct plan_piece){ .id = plan->id,
				    .who = who,
				    .call = "POST",
				    .request = "test",
				    .lifetime_s = 900,
				    .two_above = INT64_MAX,
				    .max = 10 };
}

static long revocations_of(struct desk *desk, const struct request *r)
{
	return world_count(desk->world, "select count(*) from revocation where serial = '\\x%s'", r->hex);
}

static void above_the_number_a_second_operator_is_needed(void **state)
{
	struct desk desk = open_desk(state, "second");
	struct request r;
	struct plan plan = planned(&desk, &r, "second-operator", 1);
	struct plan_piece piece = piece_of(&plan, "operator:alice");

	piece.two_above = 0;
	assert_int_equal(ledger_plan_do(desk.ledger, &piece, NULL), REASON_SECOND_OPERATOR);
	assert_int_equal(revocations_of(&desk, &r), 0);
	piece.who = "operator:bob";
	assert_ok(ledger_plan_do(desk.ledger, &piece, f));
	assert_int_equal(revocations_of(&desk, &r), 1);
	request_done(&r);
	close_desk(&desk);
}

static void up_to_the_number_one_operator_is_enough(void **state)
{
	struct desk desk = open_desk(state, "single");
	struct request r;
	struct plan plan = planned(&desk, &r, "one-operator", 2);
	struct plan_piece piece = piece_of(&plan, "operator:alice");

	piece.two_above = 1;
	assert_ok(ledger_plan_do(desk.ledger, &piece, f));
	assert_int_equal(revocations_of(&desk, &r), 1);
	request_done(&r);
	close_desk(&desk);
}

static void a_plan_that_is_too_old_does_nothing(void **state)
{
	struct desk desk = open_desk(state, "old");
	struct request r;
	struct plan plan = planned(&desk, &r, "old-plan", 3);
	struct plan_piece piece = piece_of(&plan, "operator:alice");

	piece.lifetime_s = 0;
	assert_int_equal(ledger_plan_do(desk.ledger, &piece, NULL), REASON_PLAN_EXPIRED);
	assert_int_equal(revocations_of(&desk, &r), 0);
	request_done(&r);
	close_desk(&desk);
}

static void doing_it_again_repeats_the_answer(void **state)
{
	struct desk desk = open_desk(state, "again");
	struct request r;
	struct plan plan = planned(&desk, &r, "again", 4);
	struct plan_piece first = piece_of(&plan, "operator:alice"), again = first;

	assert_ok(ledger_plan_do(desk.ledger, &first, f));
	again.lifetime_s = 0; /* what was begun does not expire */
	assert_ok(ledger_plan_do(desk.ledger, &again, f));
	assert_int_equal(again.action, first.action);
	assert_int_equal(again.changed, 1);
	assert_int_equal(revocations_of(&desk, &r), 1);
	request_done(&r);
	close_desk(&desk);
}

/* One of the element's batch CA, and one of which the ledger does not know it, as those from before it was recorded. */
static void a_batch_ca_selects_its_own_and_counts_what_is_not_known(void **state)
{
	struct desk desk = open_desk(state, "batches");
	struct request known, unknown;
	struct plan plan = { .who = "operator:alice", .by = "batch_ca", .note = "test", .reason = 1 };
	char hash[65];
	long before;

	memset(plan.id, 5, sizeof(plan.id));
	request_enrol(&known, "batch-known", "batch-known");
	memset(known.grant.batch_ca, 0xb1, sizeof(known.grant.batch_ca));
	text_hex(BLOB_OF(known.grant.batch_ca), hash, sizeof(hash));
	plan.value = hash;
	before = world_count(desk.world, "select batch_ca_unknown(null, null)");
	issue(desk.line, &known);
	enrol(desk.line, &unknown, "batch-unknown", "batch-unknown");
	assert_ok(ledger_plan(desk.ledger, &plan, f));
	assert_int_equal(plan.n, 1);
	assert_string_equal(
		world_sql(desk.world, "select api_plan('\\x%s')->>'unknown'", "05050505050505050505050505050505"),
		world_sql(desk.world, "select %ld", before + 1));
	assert_string_equal(world_sql(desk.world, "select api_plan('\\x%s')->'sample'->0->>'serial'",
				      "05050505050505050505050505050505"),
			    known.hex);
	/* what is hashed is what was hashed before there was a batch CA, unless there is one */
	assert_int_equal(
		world_count(desk.world,
			    "select count(*) from issuance i where i.serial = '\\x%s' and leaf(i) = "
			    "sha256(record_send(row('issuance'::text, i.serial, i.node, i.stream, i.seq, i.at, i.kind, "
			    "i.issuer, "
			    "i.profile, i.family, i.policy_hash, i.requester, i.device, i.device_format, "
			    "i.vendor_root, i.element, "
			    "i.key_hash, i.level, i.nonce, i.evidence, i.evidence_format, i.continuity, i.previous, "
			    "i.unit_serial, i.order_id, i.not_before, i.not_after, i.tbs)))",
			    unknown.hex),
		1);
	request_done(&known);
	request_done(&unknown);
	close_desk(&desk);
}

static enum reason renewed(struct desk *desk, const char *who, const uint8_t *old_key, const uint8_t *new_key)
{
	struct renewal renewal = { .who = who,
				   .call = "POST",
				   .request = "test",
				   .old_key = old_key,
				   .new_key = new_key,
				   .until_s = 4000000000 };

	return ledger_renew(desk->ledger, &renewal, NULL);
}

static void assert_renews_nothing(struct desk *desk, const char *who, const uint8_t *old_key, const uint8_t *new_key)
{
	const long before = world_count(desk->world, "select count(*) from requester");

	assert_int_equal(renewed(desk, who, old_key, new_key), REASON_REQUESTER_UNKNOWN);
	assert_int_equal(world_count(desk->world, "select count(*) from requester"), before);
}

/* Whoever speaks for the admin role says who asks: rights go on under the name that has them, and while it has them. */
static void a_key_renews_for_whose_it_is_while_it_has_rights(void **state)
{
	struct desk desk = open_desk(state, "renew");
	uint8_t old_key[32], new_key[32], another[32];
	struct registration r = { .who = "administrator:carol",
				  .call = "POST",
				  .request = "test",
				  .note = "test",
				  .kind = "operator",
				  .name = "alice",
				  .names = "",
				  .labels = "",
				  .spki_hash = old_key,
				  .active = true,
				  .reason = 5 };

	memset(old_key, 0xa1, sizeof(old_key));
	memset(new_key, 0xa2, sizeof(new_key));
	memset(another, 0xa3, sizeof(another));
	assert_ok(ledger_register(desk.ledger, &r, f));
	assert_renews_nothing(&desk, "operator:bob", old_key, new_key);
	assert_renews_nothing(&desk, "administrator:alice", old_key, new_key);
	assert_renews_nothing(&desk, "operator:alice", another, new_key);
	assert_int_equal(renewed(&desk, "operator:alice", old_key, new_key), REASON_OK);
	r.active = false;
	assert_ok(ledger_register(desk.ledger, &r, f));
	assert_renews_nothing(&desk, "operator:alice", old_key, old_key);
	assert_renews_nothing(&desk, "operator:alice", old_key, new_key);
	assert_renews_nothing(&desk, "operator:alice", new_key, another);
	close_desk(&desk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(above_the_number_a_second_operator_is_needed),
		cmocka_unit_test(up_to_the_number_one_operator_is_enough),
		cmocka_unit_test(a_plan_that_is_too_old_does_nothing),
		cmocka_unit_test(doing_it_again_repeats_the_answer),
		cmocka_unit_test(a_batch_ca_selects_its_own_and_counts_what_is_not_known),
		cmocka_unit_test(a_key_renews_for_whose_it_is_while_it_has_rights),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
