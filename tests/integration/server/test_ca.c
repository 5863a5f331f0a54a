/* test_ca.c - does the ca keep its rules with the real ledger and the real token, whatever the other roles send? */
#include "plant.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"

#define MANY 1000

static struct peer ra, va;

static int start(void **state)
{
	struct plant *plant = *state;

	plant_start(plant);
	peer_open(&ra, plant, ROLE_RA, true);
	peer_open(&va, plant, ROLE_VA, false);
	wait_ready(plant, &ra);
	wait_ready(plant, &va);
	return 0;
}

static int stop(void **state)
{
	struct plant *plant = *state;

	peer_close(&ra);
	peer_close(&va);
	return plant->ca == 0 ? 0 : plant_stop(plant);
}

static void a_thousand_grants_give_a_thousand_recorded_certificates(void **state)
{
	struct plant *plant = *state;
	struct grant **grants = calloc(MANY, sizeof(*grants));

	for (unsigned i = 0; i < MANY; i++) {
		grants[i] = grant_for(1000 + i);
		assert_true(peer_enrol(&ra, i, grants[i]));
	}
	for (unsigned i = 0; i < MANY; i++)
		assert_false(enrolled_of(plant, peer_answer(&ra, i)).repeated);
	assert_int_equal(world_count(plant->world, "select count(*) from signature"), MANY);
	assert_int_equal(world_count(plant->world, "select count(*) from issuance i where not exists "
						   "(select from signature s where s.serial = i.serial)"),
			 0);
	for (unsigned i = 0; i < MANY; i++)
		grant_free(grants[i]);
	free(grants);
}

static void the_same_grant_gives_the_same_certificate(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(1);
	struct enrolled first, again;

	assert_true(peer_enrol(&ra, 1, grant));
	first = enrolled_of(plant, peer_answer(&ra, 1));
	assert_false(first.repeated);
	assert_true(peer_enrol(&ra, 2, grant));
	again = enrolled_of(plant, peer_answer(&ra, 2));
	assert_true(again.repeated);
	assert_true(blob_equal(first.der, again.der));
	grant_free(grant);
}

static void the_same_grant_sent_at_once_many_times_gives_one_serial(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(2);
	struct enrolled first, other;
	unsigned fresh = 0;

	for (unsigned i = 0; i < 50; i++)
		assert_true(peer_enrol(&ra, i, grant));
	first = enrolled_of(plant, peer_answer(&ra, 0));
	for (unsigned i = 0; i < 50; i++) {
		other = enrolled_of(plant, peer_answer(&ra, i));
		assert_true(blob_equal(first.der, other.der));
		fresh += !other.repeated;
	}
	assert_int_equal(fresh, 1);
	grant_free(grant);
}

static struct grant *idevid_for(unsigned element)
{
	struct grant *grant = grant_for(element);

	snprintf(grant->issuer, sizeof(grant->issuer), "idevid");
	grant->validity_s = 0;
	return grant;
}

/* What an hour's end would tear apart begins in the next one; rarely, and then for half a minute at most. */
static void within_an_hour(void)
{
	int64_t left_s = 3600 - clock_wall_s() % 3600;

	if (left_s > 30)
		return;
	for (int64_t until_s = clock_wall_s() + left_s; clock_wall_s() < until_s;) {
		const struct timespec tick = { .tv_nsec = 100000000 };

		nanosleep(&tick, NULL);
	}
}

/* plant.c lets the issuer "idevid" sign three an hour. */
static void a_repeated_grant_takes_no_place_in_the_hourly_count(void **state)
{
	struct plant *plant = *state;
	struct grant *grant[4];

	(void)plant;
	within_an_hour();
	for (unsigned i = 0; i < 4; i++)
		grant[i] = idevid_for(500 + i);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(peer_enrol(&ra, i, grant[0]));
		assert_int_equal(peer_answer(&ra, i)->type, FRAME_ENROLLED);
	}
	for (unsigned i = 1; i < 3; i++) {
		assert_true(peer_enrol(&ra, i, grant[i]));
		assert_int_equal(peer_answer(&ra, i)->type, FRAME_ENROLLED);
	}
	assert_true(peer_enrol(&ra, 3, grant[3]));
	assert_refusal(&ra, 3, REASON_ISSUER_LIMIT);
	for (unsigned i = 0; i < 4; i++)
		grant_free(grant[i]);
}

static void a_renewal_keeps_level_and_names(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(3), *again;
	struct enrolled first, next;
	char hex[64];

	assert_true(peer_enrol(&ra, 1, grant));
	first = enrolled_of(plant, peer_answer(&ra, 1));
	again = grant_again(grant, &first, false);
	assert_true(peer_enrol(&ra, 2, again));
	next = enrolled_of(plant, peer_answer(&ra, 2));
	assert_memory_not_equal(next.serial, first.serial, first.serial_len);
	assert_non_null(memmem(next.der.ptr, next.der.len, "urn:dev:3", 9));
	text_hex(BLOB(next.serial, next.serial_len), hex, sizeof(hex));
	assert_int_equal(world_count(plant->world, "select level from issuance where serial = '\\x%s'", hex),
			 LEVEL_NATIVE);
	grant_free(again);
	grant_free(grant);
}

static void a_new_key_without_evidence_gets_nothing(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(4), *again;
	struct enrolled first;
	long before;

	assert_true(peer_enrol(&ra, 1, grant));
	first = enrolled_of(plant, peer_answer(&ra, 1));
	before = world_count(plant->world, "select count(*) from issuance");
	again = grant_again(grant, &first, true);
	assert_true(peer_enrol(&ra, 2, again));
	assert_refusal(&ra, 2, REASON_EVIDENCE_MISSING);
	again->previous[5] ^= 1;
	assert_true(peer_enrol(&ra, 3, again));
	assert_refusal(&ra, 3, REASON_PREVIOUS_UNKNOWN);
	assert_int_equal(world_count(plant->world, "select count(*) from issuance"), before);
	grant_free(again);
	grant_free(grant);
}

static void its_own_rules_hold_whatever_it_is_asked(void **state)
{
	struct plant *plant = *state;
	long before = world_count(plant->world, "select count(*) from issuance");
	struct grant *g;

	g = grant_for(5);
	g->level = g->level_needed = LEVEL_NONE; /* under the attested issuer */
	assert_true(peer_enrol(&ra, 1, g));
	assert_refusal(&ra, 1, REASON_GRANT_REFUSED);
	g->level = LEVEL_NATIVE;
	g->key_usage = KU_KEY_CERT_SIGN;
	assert_true(peer_enrol(&ra, 2, g));
	assert_refusal(&ra, 2, REASON_GRANT_REFUSED);
	g->key_usage = KU_DIGITAL_SIGNATURE;
	strcpy(g->issuer, "root"); /* in the token, and nobody's to ask for */
	assert_true(peer_enrol(&ra, 3, g));
	assert_refusal(&ra, 3, REASON_GRANT_REFUSED);
	strcpy(g->issuer, "attested");
	g->policy_hash[3] ^= 1; /* of no policy that was announced */
	assert_true(peer_enrol(&ra, 4, g));
	assert_refusal(&ra, 4, REASON_GRANT_REFUSED);
	assert_int_equal(world_count(plant->world, "select count(*) from issuance"), before);
	grant_free(g);
}

static void wait_downs(struct peer *peer, unsigned n)
{
	pthread_mutex_lock(&peer->lock);
	while (peer->downs < n)
		pthread_cond_wait(&peer->changed, &peer->lock);
	pthread_mutex_unlock(&peer->lock);
}

static void wait_ups(struct peer *peer, unsigned n)
{
	pthread_mutex_lock(&peer->lock);
	while (peer->ups < n)
		pthread_cond_wait(&peer->changed, &peer->lock);
	pthread_mutex_unlock(&peer->lock);
}

static void what_is_not_a_roles_to_ask_ends_its_connection(void **state)
{
	struct plant *plant = *state;
	long before = world_count(plant->world, "select count(*) from issuance");
	struct grant *grant = grant_for(6);
	unsigned ups = va.ups, downs = va.downs;

	assert_true(peer_enrol(&va, 1, grant)); /* a good grant, on the va's socket */
	wait_downs(&va, downs + 1);
	wait_ups(&va, ups + 1);
	downs = ra.downs;
	ups = ra.ups;
	while (!peer_send(&ra, FRAME_ENROL, 1, BLOB("hostile", 7)))
		sched_yield();
	wait_downs(&ra, downs + 1);
	wait_ups(&ra, ups + 1);
	assert_true(plant_logged(plant, "frame of type 1 is not va's to send"));
	assert_false(peer_has(&va, 1));
	assert_int_equal(world_count(plant->world, "select count(*) from issuance"), before);
	grant_free(grant);
}

static X509_CRL *crl_of(const struct answer *answer, uint64_t *ret_number)
{
	struct pack_reader r = { .left = buf_blob(&answer->body) };
	char name[64];
	struct blob der;
	const uint8_t *p;
	X509_CRL *crl;

	assert_int_equal(answer->type, FRAME_CRL);
	pack_get_text(&r, name, sizeof(name));
	assert_string_equal(name, "attested");
	*ret_number = pack_get_u64(&r);
	der = pack_get_bytes(&r);
	assert_true(pack_done(&r));
	p = der.ptr;
	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	assert_non_null(crl);
	return crl;
}

static void ask_crl(uint64_t id)
{
	struct buf body = { 0 };

	assert_int_equal(pack_text(&body, "attested", NULL), REASON_OK);
	while (!peer_send(&va, FRAME_CRL_ASK, id, buf_blob(&body)))
		sched_yield();
	buf_done(&body);
}

/* Good to a relying party whose clock is minutes behind, and for a day. */
static void assert_dates(const X509_CRL *crl)
{
	int days, seconds;

	assert_int_equal(ASN1_TIME_diff(&days, &seconds, X509_CRL_get0_lastUpdate(crl), NULL), 1);
	assert_true(days == 0 && seconds >= 5 * 60 && seconds < 10 * 60);
	assert_int_equal(ASN1_TIME_diff(&days, &seconds, NULL, X509_CRL_get0_nextUpdate(crl)), 1);
	assert_true(days == 1 ? seconds == 0 : seconds > 23 * 3600);
}

static void a_crl_is_signed_and_a_revocation_is_in_it_and_in_every_view(void **state)
{
	struct plant *plant = *state;
	struct grant *grant = grant_for(7);
	struct enrolled e;
	uint64_t number, later;
	X509_REVOKED *revoked;
	X509_CRL *crl;
	char hex[64];

	e = enrol_patiently(plant, &ra, 1, grant);
	ask_crl(1);
	crl = crl_of(peer_answer(&va, 1), &number);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(plant->attested)), 1);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), -1);
	assert_dates(crl);
	X509_CRL_free(crl);
	text_hex(BLOB(e.serial, e.serial_len), hex, sizeof(hex));
	world_sql(plant->world, "select revoke('\\x%s', 1, 'test')", hex);
	while (!view_revoked(ra.view, BLOB(e.serial, e.serial_len)) ||
	       !view_revoked(va.view, BLOB(e.serial, e.serial_len)))
		sched_yield(); /* the test's time limit is its limit */
	ask_crl(2);
	crl = crl_of(peer_answer(&va, 2), &later);
	assert_true(later > number);
	assert_int_equal(X509_CRL_verify(crl, X509_get0_pubkey(plant->attested)), 1);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 1);
	revoked = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), 0);
	assert_memory_equal(ASN1_STRING_get0_data(X509_REVOKED_get0_serialNumber(revoked)), e.serial, e.serial_len);
	X509_CRL_free(crl);
	assert_true(peer_enrol(&ra, 2, grant)); /* the retry of a revoked one */
	assert_refusal(&ra, 2, REASON_CLAIM_REVOKED);
	grant_free(grant);
}

static void a_requester_that_is_registered_is_seen(void **state)
{
	struct plant *plant = *state;
	struct requester_row row;
	uint8_t hash[32];

	memset(hash, 0x42, sizeof(hash));
	assert_false(view_requester(ra.view, hash, &row));
	world_sql(plant->world,
		  "select register_requester('rig', 'station-9', decode(repeat('42', 32), 'hex'), '', 'line')");
	while (!view_requester(ra.view, hash, &row))
		sched_yield();
	assert_string_equal(row.name, "station-9");
	assert_string_equal(row.labels, "line");
	assert_true(row.active);
}

static void an_orderly_stop_answers_everything_in_hand(void **state)
{
	struct plant *plant = *state;
	struct grant *grants[500];
	unsigned done = 0;

	for (unsigned i = 0; i < 500; i++) {
		grants[i] = grant_for(20000 + i);
		assert_true(peer_enrol(&ra, i, grants[i]));
	}
	(void)peer_answer(&ra, 0);
	assert_int_equal(plant_stop(plant), 0);
	for (unsigned i = 0; i < 500; i++)
		if (peer_has(&ra, i) && ra.answer[i].type == FRAME_ENROLLED) {
			(void)enrolled_of(plant, &ra.answer[i]);
			done++;
		}
	assert_int_equal(world_count(plant->world,
				     "select count(*) from signature s join issuance i using (serial) "
				     "where i.tbs::text like '%%%s%%'",
				     "6465762d3230"), /* "dev-20" */
			 done);
	assert_int_equal(world_count(plant->world, "select count(*) from issuance i where not exists "
						   "(select from signature s where s.serial = i.serial)"),
			 0);
	for (unsigned i = 0; i < 500; i++)
		grant_free(grants[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_thousand_grants_give_a_thousand_recorded_certificates, start, stop),
		cmocka_unit_test_setup_teardown(the_same_grant_gives_the_same_certificate, start, stop),
		cmocka_unit_test_setup_teardown(the_same_grant_sent_at_once_many_times_gives_one_serial, start, stop),
		cmocka_unit_test_setup_teardown(a_repeated_grant_takes_no_place_in_the_hourly_count, start, stop),
		cmocka_unit_test_setup_teardown(a_renewal_keeps_level_and_names, start, stop),
		cmocka_unit_test_setup_teardown(a_new_key_without_evidence_gets_nothing, start, stop),
		cmocka_unit_test_setup_teardown(its_own_rules_hold_whatever_it_is_asked, start, stop),
		cmocka_unit_test_setup_teardown(what_is_not_a_roles_to_ask_ends_its_connection, start, stop),
		cmocka_unit_test_setup_teardown(a_crl_is_signed_and_a_revocation_is_in_it_and_in_every_view, start,
						stop),
		cmocka_unit_test_setup_teardown(a_requester_that_is_registered_is_seen, start, stop),
		cmocka_unit_test_setup_teardown(an_orderly_stop_answers_everything_in_hand, start, stop),
	};

	return cmocka_run_group_tests(tests, plant_setup, plant_teardown);
}
