/*
 * test_crl.c - does OpenSSL read each kind of CRL as what it is, and take it for the certificates that it is for?
 */
#include "openssl_x509v3.h"

#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "issuer_fixture.h"

#define SHARDS 8
#define BASE "http://127.0.0.1:8445/crl/attested"

static int set_up(void **state)
{
	struct issuer_options options = fixture_options();
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	options.crl_base_url = BASE;
	options.crl_shards = SHARDS;
	fixture_open_with(fixture, FIXTURE_NOW_S + INT64_C(15) * 365 * 86400, &options);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

static struct revoked_entry entry_of(uint8_t last, uint8_t reason)
{
	struct revoked_entry entry = { .serial_len = SERIAL_BYTES, .reason = reason, .at_s = FIXTURE_NOW_S };

	memset(entry.serial, 1, SERIAL_BYTES);
	entry.serial[SERIAL_BYTES - 1] = last;
	return entry;
}

static X509_CRL *make(const struct fixture *fixture, struct crl_scope scope, uint64_t number,
		      const struct revoked_entry *revoked, size_t n)
{
	AUTO(buf_done) struct buf tbs = { 0 };
	AUTO(buf_done) struct buf der = { 0 };
	const uint8_t *p;
	X509_CRL *crl;

	assert_int_equal(issuer_build_crl(fixture->issuer, &scope, number, FIXTURE_NOW_S - 300, FIXTURE_NOW_S + 86400,
					  revoked, n, &tbs, NULL),
			 REASON_OK);
	der = fixture_sign(fixture, buf_blob(&tbs));
	p = der.ptr;
	crl = d2i_X509_CRL(NULL, &p, (long)der.len);
	assert_non_null(crl);
	assert_ptr_equal(p, der.ptr + der.len);
	assert_int_equal(X509_CRL_verify(crl, fixture->ca_key), 1);
	assert_int_equal(X509_CRL_get_version(crl), X509_CRL_VERSION_2);
	return crl;
}

static X509 *leaf_of(const struct fixture *fixture, enum grant_crl how, uint8_t last)
{
	AUTO(grant_freep) struct grant *grant = fixture_grant();
	AUTO(buf_done) struct buf tbs = { 0 };
	AUTO(buf_done) struct buf der = { 0 };
	struct revoked_entry serial = entry_of(last, 0);
	int64_t before, after;

	grant->crl = how;
	if (how == GRANT_CRL_NONE)
		grant->validity_s = GRANT_UNREVOKED_MAX_S;
	assert_int_equal(issuer_check(fixture->issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
	assert_int_equal(
		issuer_build(fixture->issuer, grant, NULL, serial.serial, FIXTURE_NOW_S, &tbs, &before, &after, NULL),
		REASON_OK);
	der = fixture_sign(fixture, buf_blob(&tbs));
	return fixture_x509(buf_blob(&der));
}

/* The one URL of a DistributionPoints extension, or NULL. */
static char *url_in(STACK_OF(DIST_POINT) * points)
{
	const GENERAL_NAME *name;
	char *url;

	if (points == NULL)
		return NULL;
	assert_int_equal(sk_DIST_POINT_num(points), 1);
	name = sk_GENERAL_NAME_value(sk_DIST_POINT_value(points, 0)->distpoint->name.fullname, 0);
	assert_int_equal(name->type, GEN_URI);
	url = strdup((const char *)ASN1_STRING_get0_data(name->d.ia5));
	CRL_DIST_POINTS_free(points);
	return url;
}

static void assert_crldp(X509 *leaf, const char *wanted)
{
	char *url = url_in(X509_get_ext_d2i(leaf, NID_crl_distribution_points, NULL, NULL));

	assert_string_equal(url, wanted);
	free(url);
	X509_free(leaf);
}

/* -crl_check with these lists, the way of who knows IDP and deltas; X509_V_OK or the error. */
static int check(const struct fixture *fixture, X509 *leaf, X509_CRL *one, X509_CRL *two)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *ca = fixture_x509(buf_blob(&fixture->ca_der));
	int error;

	X509_STORE_add_cert(store, ca);
	X509_STORE_add_crl(store, one);
	if (two != NULL)
		X509_STORE_add_crl(store, two);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_EXTENDED_CRL_SUPPORT |
					      X509_V_FLAG_USE_DELTAS | X509_V_FLAG_X509_STRICT |
					      X509_V_FLAG_PARTIAL_CHAIN);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)FIXTURE_NOW_S);
	error = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(ca);
	return error;
}

static int criticals(const X509_CRL *crl)
{
	int n = 0;

	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++)
		n += X509_EXTENSION_get_critical(X509_CRL_get_ext(crl, i));
	return n;
}

static void a_certificate_names_its_list(void **state)
{
	const struct fixture *fixture = *state;
	X509 *none = leaf_of(fixture, GRANT_CRL_NONE, 13);
	ASN1_OBJECT *no_rev_avail = OBJ_txt2obj("2.5.29.56", 1);
	const ASN1_OCTET_STRING *value;
	int at;

	assert_crldp(leaf_of(fixture, GRANT_CRL_COMPLETE, 13), BASE ".crl");
	assert_crldp(leaf_of(fixture, GRANT_CRL_SHARD, 13), BASE "/5.crl");
	assert_crldp(leaf_of(fixture, GRANT_CRL_SHARD, 0xf8), BASE "/0.crl");
	assert_int_equal(X509_get_ext_by_NID(none, NID_crl_distribution_points, -1), -1);
	at = X509_get_ext_by_OBJ(none, no_rev_avail, -1);
	assert_true(at >= 0);
	assert_false(X509_EXTENSION_get_critical(X509_get_ext(none, at)));
	value = X509_EXTENSION_get_data(X509_get_ext(none, at));
	assert_int_equal(ASN1_STRING_length(value), 2);
	assert_memory_equal(ASN1_STRING_get0_data(value), "\x05\x00", 2); /* NULL */
	ASN1_OBJECT_free(no_rev_avail);
	X509_free(none);
}

static void a_complete_list_is_critical_in_nothing_and_names_its_delta(void **state)
{
	X509_CRL *crl = make(*state, (struct crl_scope){ .kind = CRL_COMPLETE }, 7, NULL, 0);
	char *url = url_in(X509_CRL_get_ext_d2i(crl, NID_freshest_crl, NULL, NULL));

	assert_int_equal(criticals(crl), 0);
	assert_string_equal(url, BASE "-delta.crl");
	free(url);
	X509_CRL_free(crl);
}

static void a_shard_revokes_its_own_and_no_others(void **state)
{
	const struct fixture *fixture = *state;
	struct revoked_entry mine = entry_of(13, 1);
	X509_CRL *shard = make(fixture, (struct crl_scope){ .kind = CRL_SHARD, .shard = 5 }, 8, &mine, 1);
	ISSUING_DIST_POINT *idp = X509_CRL_get_ext_d2i(shard, NID_issuing_distribution_point, NULL, NULL);
	X509 *revoked = leaf_of(fixture, GRANT_CRL_SHARD, 13), *good = leaf_of(fixture, GRANT_CRL_SHARD, 21),
	     *elsewhere = leaf_of(fixture, GRANT_CRL_SHARD, 14);
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(shard, NID_crl_number, NULL, NULL);
	AUTHORITY_KEYID *aki = X509_CRL_get_ext_d2i(shard, NID_authority_key_identifier, NULL, NULL);

	assert_int_equal(criticals(shard), 1);
	assert_int_equal(ASN1_INTEGER_get(number), 8);
	assert_non_null(aki->keyid);
	assert_true(idp->onlyuser <= 0 && idp->onlyCA <= 0 && idp->onlysomereasons == NULL && idp->indirectCRL <= 0);
	assert_int_equal(check(fixture, revoked, shard, NULL), X509_V_ERR_CERT_REVOKED);
	assert_int_equal(check(fixture, good, shard, NULL), X509_V_OK);
	assert_int_equal(check(fixture, elsewhere, shard, NULL), X509_V_ERR_DIFFERENT_CRL_SCOPE);
	ASN1_INTEGER_free(number);
	AUTHORITY_KEYID_free(aki);
	ISSUING_DIST_POINT_free(idp);
	X509_free(revoked);
	X509_free(good);
	X509_free(elsewhere);
	X509_CRL_free(shard);
}

static void a_delta_adds_to_its_base_and_takes_holds_off_it(void **state)
{
	const struct fixture *fixture = *state;
	struct revoked_entry held = entry_of(2, 6), news[] = { entry_of(1, 1), entry_of(2, 8) };
	X509_CRL *base = make(fixture, (struct crl_scope){ .kind = CRL_COMPLETE }, 7, &held, 1);
	X509_CRL *delta = make(fixture, (struct crl_scope){ .kind = CRL_DELTA, .base = 7 }, 9, news, 2);
	ASN1_INTEGER *indicator = X509_CRL_get_ext_d2i(delta, NID_delta_crl, NULL, NULL);
	X509 *new = leaf_of(fixture, GRANT_CRL_COMPLETE, 1), *released = leaf_of(fixture, GRANT_CRL_COMPLETE, 2);

	assert_int_equal(ASN1_INTEGER_get(indicator), 7);
	assert_int_equal(criticals(delta), 1);
	assert_int_equal(check(fixture, new, base, NULL), X509_V_OK);
	assert_int_equal(check(fixture, new, base, delta), X509_V_ERR_CERT_REVOKED);
	assert_int_equal(check(fixture, released, base, NULL), X509_V_ERR_CERT_REVOKED);
	assert_int_equal(check(fixture, released, base, delta), X509_V_OK);
	ASN1_INTEGER_free(indicator);
	X509_free(new);
	X509_free(released);
	X509_CRL_free(base);
	X509_CRL_free(delta);
}

/* RFC 5280 section 5.1.2.6: absent, not empty */
static void leaves_the_list_out_of_an_empty_crl(void **state)
{
	struct fixture *fixture = *state;
	X509_CRL *crl = make(fixture, (struct crl_scope){ .kind = CRL_COMPLETE }, 1, NULL, 0);
	ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	AUTHORITY_KEYID *aki = X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, NULL, NULL);

	assert_null(X509_CRL_get_REVOKED(crl));
	assert_int_equal(ASN1_INTEGER_get(number), 1);
	assert_memory_equal(ASN1_STRING_get0_data(aki->keyid), issuer_cert(fixture->issuer)->ski.ptr, 20);
	assert_string_equal((const char *)ASN1_STRING_get0_data(X509_CRL_get0_nextUpdate(crl)), "261122000000Z");
	ASN1_INTEGER_free(number);
	AUTHORITY_KEYID_free(aki);
	X509_CRL_free(crl);
}

static void lists_what_is_revoked_with_its_reason(void **state)
{
	struct revoked_entry revoked[] = {
		{ .serial = { 1, 2, 3 }, .serial_len = 3, .reason = 1, .at_s = FIXTURE_NOW_S },
		{ .serial = { 1, 2, 4 }, .serial_len = 3, .reason = 0, .at_s = FIXTURE_NOW_S },
		{ .serial = { 0x7f, 2, 4 }, .serial_len = 3, .reason = 6, .at_s = INT64_C(2524608000) },
	};
	X509_CRL *crl = make(*state, (struct crl_scope){ .kind = CRL_COMPLETE }, UINT64_MAX, revoked, 3);
	STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(crl);
	ASN1_ENUMERATED *why = X509_REVOKED_get_ext_d2i(sk_X509_REVOKED_value(list, 0), NID_crl_reason, NULL, NULL);

	assert_int_equal(sk_X509_REVOKED_num(list), 3);
	assert_memory_equal(ASN1_STRING_get0_data(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(list, 0))),
			    "\1\2\3", 3);
	assert_int_equal(ASN1_ENUMERATED_get(why), 1);
	assert_int_equal(X509_REVOKED_get_ext_count(sk_X509_REVOKED_value(list, 1)), 0); /* unspecified is left out */
	assert_int_equal(ASN1_STRING_type(X509_REVOKED_get0_revocationDate(sk_X509_REVOKED_value(list, 2))),
			 V_ASN1_GENERALIZEDTIME);
	ASN1_ENUMERATED_free(why);
	X509_CRL_free(crl);
}

static void has_room_for_the_largest_entries(void **state)
{
	enum { N = 5000 };
	struct revoked_entry *revoked = test_calloc(N, sizeof(*revoked));
	X509_CRL *crl;

	for (size_t i = 0; i < N; i++) {
		revoked[i] = (struct revoked_entry){ .serial_len = 20, .reason = 10, .at_s = INT64_C(2524608000) };
		memset(revoked[i].serial, 0xff, 20);
	}
	crl = make(*state, (struct crl_scope){ .kind = CRL_COMPLETE }, 2, revoked, N);
	assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), N);
	X509_CRL_free(crl);
	test_free(revoked);
}

static void refuses_crl_entries_that_a_full_crl_cannot_have(void **state)
{
	static const uint8_t wrong[] = { 7, 8, 11, 255 };
	struct fixture *fixture = *state;
	struct revoked_entry entry = { .serial = { 1 }, .serial_len = 1, .at_s = FIXTURE_NOW_S };
	struct buf tbs = { 0 };

	for (size_t i = 0; i < sizeof(wrong); i++) {
		entry.reason = wrong[i];
		assert_int_equal(issuer_build_crl(fixture->issuer, &(struct crl_scope){ 0 }, 1, FIXTURE_NOW_S,
						  FIXTURE_NOW_S + 1, &entry, 1, &tbs, NULL),
				 REASON_INTERNAL);
	}
	entry.reason = 1;
	assert_int_equal(issuer_build_crl(fixture->issuer, &(struct crl_scope){ 0 }, 1, FIXTURE_NOW_S, FIXTURE_NOW_S,
					  &entry, 1, &tbs, NULL),
			 REASON_INTERNAL);
	assert_null(tbs.ptr);
}

static void refuses_lists_that_would_mislead(void **state)
{
	const struct fixture *fixture = *state;
	const struct revoked_entry foreign = entry_of(14, 0), release = entry_of(13, 8);
	const struct {
		struct crl_scope scope;
		const struct revoked_entry *entry;
	} bad[] = {
		{ { .kind = CRL_SHARD, .shard = 5 }, &foreign },  { { .kind = CRL_SHARD, .shard = 5 }, &release },
		{ { .kind = CRL_SHARD, .shard = SHARDS }, NULL }, { { .kind = CRL_DELTA, .base = 0 }, NULL },
		{ { .kind = CRL_DELTA, .base = 9 }, NULL }, /* its own number */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buf tbs = { 0 };

		assert_int_equal(issuer_build_crl(fixture->issuer, &bad[i].scope, 9, FIXTURE_NOW_S, FIXTURE_NOW_S + 60,
						  bad[i].entry, bad[i].entry != NULL, &tbs, NULL),
				 REASON_INTERNAL);
		assert_null(tbs.ptr);
	}
}

static void refuses_to_be_silent_about_revocation_for_long(void **state)
{
	struct fixture *fixture = *state;
	AUTO(grant_freep) struct grant *grant = fixture_grant();

	grant->crl = GRANT_CRL_NONE;
	grant->validity_s = GRANT_UNREVOKED_MAX_S + 1;
	assert_int_equal(issuer_check(fixture->issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	grant->validity_s = GRANT_UNREVOKED_MAX_S;
	assert_int_equal(issuer_check(fixture->issuer, grant, FIXTURE_NOW_S, NULL), REASON_OK);
}

static void refuses_a_shard_where_there_are_none(void **state)
{
	AUTO(grant_freep) struct grant *grant = fixture_grant();
	struct fixture plain;

	(void)state;
	fixture_open(&plain);
	grant->crl = GRANT_CRL_SHARD;
	assert_int_equal(issuer_check(plain.issuer, grant, FIXTURE_NOW_S, NULL), REASON_GRANT_REFUSED);
	fixture_close(&plain);
}

static void names_of_lists_are_read_as_they_are_written(void **state)
{
	static const char *const none[] = { "attested/8",       "attested/01", "attested/", "attested/-1",
					    "attested-delta/1", "ATTESTED",    "",          "attested/1/" };
	struct crl_scope scope;
	char name[CRL_NAME_CHARS + 1];

	(void)state;
	for (unsigned i = 0; i < SHARDS + 2; i++) {
		const struct crl_scope one = { .kind = i < 2 ? (enum crl_kind)i : CRL_SHARD,
					       .shard = i < 2 ? 0 : i - 2 };

		crl_name("attested", &one, name);
		assert_true(crl_name_parse(name, "attested", SHARDS, &scope));
		assert_true(scope.kind == one.kind && scope.shard == one.shard);
		assert_false(crl_name_parse(name, "other", SHARDS, &scope));
		assert_int_equal(crl_name_parse(name, "attested", 0, &scope), i < 2);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_false(crl_name_parse(none[i], "attested", SHARDS, &scope));
}

int main(void)
{
#define WITH_SHARDS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WITH_SHARDS(a_certificate_names_its_list),
		WITH_SHARDS(a_complete_list_is_critical_in_nothing_and_names_its_delta),
		WITH_SHARDS(a_shard_revokes_its_own_and_no_others),
		WITH_SHARDS(a_delta_adds_to_its_base_and_takes_holds_off_it),
		WITH_SHARDS(leaves_the_list_out_of_an_empty_crl),
		WITH_SHARDS(lists_what_is_revoked_with_its_reason),
		WITH_SHARDS(has_room_for_the_largest_entries),
		WITH_SHARDS(refuses_crl_entries_that_a_full_crl_cannot_have),
		WITH_SHARDS(refuses_lists_that_would_mislead),
		WITH_SHARDS(refuses_to_be_silent_about_revocation_for_long),
		cmocka_unit_test(refuses_a_shard_where_there_are_none),
		cmocka_unit_test(names_of_lists_are_read_as_they_are_written),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
