/*
 * test_peer.c - is a client certificate's signature verified, once for all connections that show the same bytes, and
 * everything else about its path each time?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "claims.h"
#include "http/peer.h"
#include "make.h"
#include "oid.h"

#define DAY_S INT64_C(86400)

static int n_checked; /* claims that were verified, by the linker's --wrap */

void __real_claims_check(struct claims *const *batch, size_t n, struct fault *verdict);
void __wrap_claims_check(struct claims *const *batch, size_t n, struct fault *verdict);

void __wrap_claims_check(struct claims *const *batch, size_t n, struct fault *verdict)
{
	for (size_t i = 0; i < n; i++)
		n_checked += (int)batch[i]->n;
	__real_claims_check(batch, n, verdict);
}

struct plant {
	EVP_PKEY *ca_key, *key;
	X509 *ca;
	struct buf rig; /* a rig's certificate, DER */
	struct trust *trust;
	int64_t now_s;
};

static int setup(void **state)
{
	struct plant *p = calloc(1, sizeof(*p));
	struct make_cert spec = { .cn = "ca", .ca = true };
	X509 *rig;

	oid_init();
	p->now_s = clock_wall_s();
	p->ca_key = spec.key = make_key(KEY_EC_P256);
	spec.not_before_s = p->now_s - 9 * DAY_S;
	spec.not_after_s = p->now_s + 9 * DAY_S;
	p->ca = make_cert(&spec, NULL, NULL);
	p->key = make_key(KEY_EC_P256);
	spec = (struct make_cert){ .cn = "rig", .key = p->key };
	spec.not_before_s = p->now_s - 2 * DAY_S;
	spec.not_after_s = p->now_s + 20 * DAY_S;
	rig = make_cert(&spec, p->ca, p->ca_key);
	p->rig = make_der(rig);
	X509_free(rig);
	p->trust = make_trust(&p->ca, 1);
	n_checked = 0;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct plant *p = *state;

	EVP_PKEY_free(p->ca_key);
	EVP_PKEY_free(p->key);
	X509_free(p->ca);
	buf_done(&p->rig);
	trust_free(p->trust);
	free(p);
	return 0;
}

/* A new connection shows it; the verdict as of `at_s`. */
static enum reason connect_at(struct plant *p, struct trust *trust, int64_t at_s)
{
	struct blob chain = buf_blob(&p->rig);
	struct peer *peer = peer_new(&chain, 1);
	enum reason reason;
	struct fault f;

	assert_non_null(peer);
	assert_int_equal(peer->malformed.reason, REASON_OK);
	reason = peer_verify(peer, trust, at_s, &f);
	if (reason != REASON_OK)
		assert_int_equal(f.reason, reason);
	peer_unref(peer);
	return reason;
}

static void a_rig_that_comes_again_is_not_verified_again(void **state)
{
	struct plant *p = *state;

	for (int i = 0; i < 5; i++)
		assert_int_equal(connect_at(p, p->trust, p->now_s), REASON_OK);
	assert_int_equal(n_checked, 1);
}

static void its_dates_and_its_issuers_count_each_time(void **state)
{
	struct plant *p = *state;

	assert_int_equal(connect_at(p, p->trust, p->now_s), REASON_OK);
	assert_int_equal(connect_at(p, p->trust, p->now_s - 3 * DAY_S), REASON_CHAIN_FUTURE);
	assert_int_equal(connect_at(p, p->trust, p->now_s + 9 * DAY_S), REASON_OK);
	assert_int_equal(connect_at(p, p->trust, p->now_s + 9 * DAY_S + 1), REASON_CHAIN_EXPIRED); /* the CA's */
	assert_int_equal(connect_at(p, p->trust, p->now_s + 21 * DAY_S), REASON_CHAIN_EXPIRED);
	assert_int_equal(n_checked, 1);
}

static void a_changed_list_of_anchors_begins_anew(void **state)
{
	struct plant *p = *state;
	struct make_cert spec = { .cn = "ca", .ca = true, .key = p->key }; /* the same name, another key */
	X509 *other = make_cert(&spec, NULL, NULL);
	struct trust *without = make_trust(&other, 1), *same = make_trust(&p->ca, 1);

	assert_int_equal(connect_at(p, p->trust, p->now_s), REASON_OK);
	assert_int_not_equal(connect_at(p, without, p->now_s), REASON_OK);
	n_checked = 0;
	assert_int_equal(connect_at(p, same, p->now_s), REASON_OK);
	assert_int_equal(n_checked, 1);
	trust_free(without);
	trust_free(same);
	X509_free(other);
}

/* Neither is a forged one remembered, nor does one octet of a known one's differ unseen. */
static void a_forged_one_is_refused_each_time(void **state)
{
	struct plant *p = *state;
	uint8_t *last = &p->rig.ptr[p->rig.len - 1];

	*last ^= 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(connect_at(p, p->trust, p->now_s), REASON_CHAIN_SIGNATURE);
	assert_int_equal(n_checked, 3);
	*last ^= 1;
	assert_int_equal(connect_at(p, p->trust, p->now_s), REASON_OK);
	*last ^= 1;
	assert_int_equal(connect_at(p, p->trust, p->now_s), REASON_CHAIN_SIGNATURE);
	assert_int_equal(n_checked, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_rig_that_comes_again_is_not_verified_again, setup, teardown),
		cmocka_unit_test_setup_teardown(its_dates_and_its_issuers_count_each_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_list_of_anchors_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_forged_one_is_refused_each_time, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
