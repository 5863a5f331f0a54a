/* test_who.c - does a client certificate stand for whom it should, and for nobody once it is revoked, expired or
 * foreign? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "make.h"
#include "ra/who.h"

#define DAY_S INT64_C(86400)

struct world {
	struct ra ra;
	struct rules rules;
	EVP_PKEY *ca_key[3];
	X509 *ca[3];   /* rigs, devices, vendors */
	EVP_PKEY *key; /* the client's */
	struct peer *peer;
	struct profile_facts facts;
	struct ledger_news news;
	struct requester_row row[1];
	struct revocation_row revoked[1];
};

enum { RIGS, DEVICES, VENDORS };

static void push_view(struct world *w)
{
	struct buf body = { 0 };
	struct fault f;

	assert_int_equal(view_encode(&w->news, true, &body, &f), REASON_OK);
	assert_int_equal(view_apply(w->ra.view, buf_blob(&body), clock_mono_us(), &f), REASON_OK);
	buf_done(&body);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	oid_init();
	for (int i = 0; i < 3; i++) {
		w->ca_key[i] = make_key(KEY_EC_P256);
		w->ca[i] = make_cert(&(struct make_cert){ .key = w->ca_key[i],
							  .cn = "ca",
							  .ca = true,
							  .not_before_s = clock_wall_s() - 1000 * DAY_S },
				     NULL, NULL);
	}
	w->key = make_key(KEY_EC_P256);
	w->rules.rigs = make_trust(&w->ca[RIGS], 1);
	w->rules.devices = make_trust(&w->ca[DEVICES], 1);
	w->rules.vendor_clients = make_trust(&w->ca[VENDORS], 1);
	w->ra.view = view_new();
	w->facts.label = "line";
	w->news.requester = w->row;
	w->news.revocation = w->revoked;
	push_view(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	peer_unref(w->peer);
	view_free(w->ra.view);
	trust_free(w->rules.rigs);
	trust_free(w->rules.devices);
	trust_free(w->rules.vendor_clients);
	for (int i = 0; i < 3; i++) {
		EVP_PKEY_free(w->ca_key[i]);
		X509_free(w->ca[i]);
	}
	EVP_PKEY_free(w->key);
	free(w);
	return 0;
}

/* The client shows this certificate, made by that CA. */
static void show(struct world *w, int ca, struct make_cert spec)
{
	struct buf der;
	struct blob chain;
	X509 *cert;

	spec.key = w->key;
	spec.cn = "client";
	cert = make_cert(&spec, w->ca[ca], w->ca_key[ca]);
	der = make_der(cert);
	chain = buf_blob(&der);
	peer_unref(w->peer);
	w->peer = peer_new(&chain, 1);
	assert_non_null(w->peer);
	buf_done(&der);
	X509_free(cert);
}

/* A new connection, the same certificate. */
static void connect_again(struct world *w)
{
	struct peer *again = peer_new(w->peer->chain, w->peer->n_chain);

	assert_non_null(again);
	peer_unref(w->peer);
	w->peer = again;
}

static void enter(struct world *w, const char *kind)
{
	struct pubkey key = make_pubkey(w->key);

	w->news.n_requesters = 1;
	strcpy(w->row[0].name, "station-7");
	strcpy(w->row[0].kind, kind);
	strcpy(w->row[0].labels, "line");
	pubkey_hash(&key, w->row[0].spki_hash);
	w->row[0].active = true;
	push_view(w);
}

static void revoke_client(struct world *w)
{
	w->news.n_revocations = 1;
	w->revoked[0].serial_len = (uint8_t)w->peer->cert.serial.len;
	memcpy(w->revoked[0].serial, w->peer->cert.serial.ptr, w->peer->cert.serial.len);
	w->revoked[0].reason = 1;
	push_view(w);
}

static enum reason who(struct world *w, enum est_op op, struct requester *ret_who)
{
	struct fault f;

	return who_certificate(&w->ra, &w->rules, w->peer, &w->facts, op, ret_who, &f);
}

static void no_certificate_is_nobody_even_without_a_view(void **state)
{
	struct world *w = *state;
	struct requester r;

	view_free(w->ra.view);
	w->ra.view = view_new();
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	assert_int_equal(r.kind, WHO_NOBODY);
}

static void a_chain_alone_makes_no_rig(void **state)
{
	struct world *w = *state;
	struct requester r;

	show(w, RIGS, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_REQUESTER_UNKNOWN);
	enter(w, "rig");
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	assert_int_equal(r.kind, WHO_RIG);
	assert_string_equal(r.id, "rig:station-7");
	assert_string_equal(r.labels, "line");
	assert_int_equal(who_lane(&r), LANE_PRODUCTION);
	w->row[0].active = false;
	push_view(w);
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_REQUESTER_UNKNOWN);
}

static void the_registry_alone_makes_no_rig_either(void **state)
{
	struct world *w = *state;
	struct requester r;

	enter(w, "rig");
	show(w, DEVICES, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	assert_int_equal(r.kind, WHO_DEVICE);
}

static void an_ra_needs_cmcra_from_the_rigs_list(void **state)
{
	struct world *w = *state;
	struct requester r;

	enter(w, "ra");
	show(w, RIGS, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_CLIENT_KIND);
	show(w, RIGS, (struct make_cert){ .eku = "clientAuth,1.3.6.1.5.5.7.3.28" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	assert_int_equal(r.kind, WHO_RA);
	show(w, DEVICES, (struct make_cert){ .eku = "clientAuth,1.3.6.1.5.5.7.3.28" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	assert_int_equal(r.kind, WHO_DEVICE);
}

static void an_operator_is_no_rig(void **state)
{
	struct world *w = *state;
	struct requester r;

	enter(w, "operator");
	show(w, RIGS, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_CLIENT_KIND);
}

static void vendors_count_only_where_the_label_lets_them(void **state)
{
	struct world *w = *state;
	struct requester r;

	show(w, VENDORS, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_CHAIN_UNTRUSTED);
	w->facts.vendor_clients = true;
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	assert_int_equal(r.kind, WHO_VENDOR);
	assert_int_equal(strlen(r.id), 7 + 64);
}

static void foreign_and_malformed_certificates_are_refused(void **state)
{
	struct world *w = *state;
	struct requester r;
	static const uint8_t junk[] = { 0x30, 0x03, 1, 2, 3 };
	struct blob chain = BLOB_OF(junk);
	X509 *own = w->ca[DEVICES];

	w->ca[DEVICES] = w->ca[VENDORS]; /* the vendor's name, another's key */
	show(w, DEVICES, (struct make_cert){ .eku = "clientAuth" });
	w->ca[DEVICES] = own;
	assert_int_not_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	peer_unref(w->peer);
	w->peer = peer_new(&chain, 1);
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_CHAIN_DER);
}

static void the_purpose_must_be_client_authentication(void **state)
{
	struct world *w = *state;
	struct requester r;

	show(w, DEVICES, (struct make_cert){ .eku = "serverAuth" });
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_CHAIN_LEAF);
	show(w, DEVICES, (struct make_cert){ .eku = NULL });
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_OK);
}

static void a_revocation_bites_on_an_open_connection(void **state)
{
	struct world *w = *state;
	struct requester r;

	show(w, DEVICES, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_OK);
	assert_int_equal(who_lane(&r), LANE_FIELD);
	revoke_client(w);
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_CLIENT_REVOKED);
}

/* Its signature is not verified again (test_peer.c); all that may change is asked again. */
static void what_may_change_bites_on_the_next_connection_of_a_known_rig(void **state)
{
	struct world *w = *state;
	struct requester r;

	enter(w, "rig");
	show(w, RIGS, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	connect_again(w);
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	w->row[0].active = false;
	push_view(w);
	connect_again(w);
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_REQUESTER_UNKNOWN);
	w->row[0].active = true;
	revoke_client(w);
	connect_again(w);
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_CLIENT_REVOKED);
}

static void a_stale_view_refuses_rather_than_guesses(void **state)
{
	struct world *w = *state;
	struct requester r;

	show(w, DEVICES, (struct make_cert){ .eku = "clientAuth" });
	view_free(w->ra.view);
	w->ra.view = view_new();
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_VIEW_STALE);
}

static void an_expired_device_may_reenrol_within_its_grace_alone(void **state)
{
	struct world *w = *state;
	struct requester r;
	struct make_cert spec = { .eku = "clientAuth",
				  .not_before_s = clock_wall_s() - 30 * DAY_S,
				  .not_after_s = clock_wall_s() - DAY_S };

	show(w, DEVICES, spec);
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_CHAIN_EXPIRED);
	w->facts.expired_grace_s = 2 * DAY_S;
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_CHAIN_EXPIRED);
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_OK);
	assert_true(r.cert_expired);
	w->facts.expired_grace_s = DAY_S / 2;
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_CHAIN_EXPIRED);
	spec.not_after_s = clock_wall_s() + 30 * DAY_S;
	spec.not_before_s = clock_wall_s() + DAY_S;
	show(w, DEVICES, spec);
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_CHAIN_FUTURE);
}

static void an_expired_rig_has_no_grace(void **state)
{
	struct world *w = *state;
	struct requester r;

	enter(w, "rig");
	w->facts.expired_grace_s = 2 * DAY_S;
	show(w, RIGS,
	     (struct make_cert){ .eku = "clientAuth",
				 .not_before_s = clock_wall_s() - 30 * DAY_S,
				 .not_after_s = clock_wall_s() - DAY_S });
	assert_int_equal(who(w, EST_SIMPLEREENROLL, &r), REASON_CHAIN_EXPIRED);
}

static void expiry_is_seen_on_an_open_connection(void **state)
{
	struct world *w = *state;
	struct requester r;

	show(w, DEVICES, (struct make_cert){ .eku = "clientAuth" });
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_OK);
	w->peer->cert.not_after_s = clock_wall_s() - 10; /* as if that much time had passed; the path stays cached */
	assert_int_equal(who(w, EST_SIMPLEENROLL, &r), REASON_CHAIN_EXPIRED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_certificate_is_nobody_even_without_a_view, setup, teardown),
		cmocka_unit_test_setup_teardown(a_chain_alone_makes_no_rig, setup, teardown),
		cmocka_unit_test_setup_teardown(the_registry_alone_makes_no_rig_either, setup, teardown),
		cmocka_unit_test_setup_teardown(an_ra_needs_cmcra_from_the_rigs_list, setup, teardown),
		cmocka_unit_test_setup_teardown(an_operator_is_no_rig, setup, teardown),
		cmocka_unit_test_setup_teardown(vendors_count_only_where_the_label_lets_them, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign_and_malformed_certificates_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_purpose_must_be_client_authentication, setup, teardown),
		cmocka_unit_test_setup_teardown(a_revocation_bites_on_an_open_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_change_bites_on_the_next_connection_of_a_known_rig, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_stale_view_refuses_rather_than_guesses, setup, teardown),
		cmocka_unit_test_setup_teardown(an_expired_device_may_reenrol_within_its_grace_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(an_expired_rig_has_no_grace, setup, teardown),
		cmocka_unit_test_setup_teardown(expiry_is_seen_on_an_open_connection, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
