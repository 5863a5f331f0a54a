/* test_evidence_chain.c - the certificates of a vendor's chip: which are believed, and why the others are not. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "evidence_scene.h"

#define DAY_S 86400

/* --- the leaf --- */

static void refuses_a_leaf_that_is_a_ca(void **state)
{
	struct scene *s = scene_of(&(struct vendor_make){ .chip_is_ca = true }, UEID_HEX);

	(void)state;
	expect(s, REASON_CHAIN_LEAF);
}

static void refuses_a_leaf_without_the_purpose_or_with_another_beside_it(void **state)
{
	static const char *const ekus[] = { "", "clientAuth", KP_QUOTE ",clientAuth", "anyExtendedKeyUsage" };

	(void)state;
	for (size_t i = 0; i < sizeof(ekus) / sizeof(ekus[0]); i++) {
		struct scene *s = scene_of(&(struct vendor_make){ .chip_eku = ekus[i] }, UEID_HEX);

		expect(s, REASON_CHAIN_LEAF);
	}
}

static void refuses_a_leaf_that_may_not_sign(void **state)
{
	struct vendor_make spec = { .chip = { .bare = true,
					      .ext = { { "keyUsage", "critical,keyAgreement" },
						       { "extendedKeyUsage", KP_QUOTE } } },
				    .chip_eku = "" };
	struct scene *s = scene_of(&spec, UEID_HEX);

	(void)state;
	expect(s, REASON_CHAIN_LEAF);
}

static void refuses_two_leaves_and_none(void **state)
{
	struct scene *s = scene();

	(void)state;
	s->certs[2] = s->certs[1];
	s->n_certs = 3;
	expect(s, REASON_CHAIN_LEAF);
	s = scene();
	s->n_certs = 1; /* the batch CA alone */
	expect(s, REASON_CHAIN_LEAF);
	s = scene();
	s->n_certs = 0;
	expect(s, REASON_CHAIN_LEAF);
}

/* Once checked it is not read again, and is a leaf as little as before. */
static void knows_a_batch_ca_again(void **state)
{
	struct scene *s = scene_of(&(struct vendor_make){ .batch = { .eku = KP_QUOTE } }, UEID_HEX);
	AUTO(buf_done) struct buf altered = { 0 };

	(void)state;
	for (int again = 0; again < 2; again++) {
		assert_int_equal(assess(s), REASON_OK);
		buf_done(&s->bundle);
	}
	s->n_certs = 1;
	assert_int_equal(assess(s), REASON_CHAIN_LEAF);
	buf_done(&s->bundle);
	s->n_certs = 2;
	put_raw(&altered, s->certs[0]);
	altered.ptr[altered.len - 1] ^= 1;
	s->certs[0] = buf_blob(&altered);
	expect(s, REASON_CHAIN_SIGNATURE);
}

static void is_not_confused_by_a_batch_ca_with_the_purpose(void **state)
{
	(void)state;
	expect(scene_of(&(struct vendor_make){ .batch = { .eku = KP_QUOTE } }, UEID_HEX), REASON_OK);
}

static void refuses_a_certificate_that_is_none(void **state)
{
	static const uint8_t empty[] = { 0x30, 0x00 };
	struct scene *s = scene();

	(void)state;
	s->certs[2] = BLOB_OF(empty);
	s->n_certs = 3;
	expect(s, REASON_CHAIN_DER);
}

/* --- the chain --- */

static void refuses_a_vendor_that_is_not_configured(void **state)
{
	struct scene *s = scene(), *foreign = scene();
	struct vendors *none = NULL;

	(void)state;
	vendors_free(s->vendors);
	s->vendors = foreign->vendors;
	foreign->vendors = NULL;
	expect(s, REASON_CHAIN_UNTRUSTED);
	scene_done(foreign);
	s = scene();
	vendors_free(s->vendors);
	assert_int_equal(vendors_open(NULL, 0, &none, &s->f), REASON_OK);
	s->vendors = none;
	expect(s, REASON_CHAIN_UNTRUSTED);
}

static void refuses_a_chain_without_its_batch_ca(void **state)
{
	struct scene *s = scene();

	(void)state;
	s->certs[0] = buf_blob(&s->vendor.root_der);
	expect(s, REASON_CHAIN_UNTRUSTED);
}

static void does_not_mind_the_root_among_the_certificates(void **state)
{
	struct scene *s = scene();

	(void)state;
	s->certs[2] = buf_blob(&s->vendor.root_der);
	s->n_certs = 3;
	expect(s, REASON_OK);
}

static void refuses_expired_and_future_certificates(void **state)
{
	int64_t now = clock_wall_s();
	const struct make_cert expired = { .not_before_s = now - 10 * DAY_S, .not_after_s = now - DAY_S };
	const struct make_cert future = { .not_before_s = now + DAY_S, .not_after_s = now + 10 * DAY_S };

	(void)state;
	expect(scene_of(&(struct vendor_make){ .chip = expired }, UEID_HEX), REASON_CHAIN_EXPIRED);
	expect(scene_of(&(struct vendor_make){ .batch = expired }, UEID_HEX), REASON_CHAIN_EXPIRED);
	expect(scene_of(&(struct vendor_make){ .chip = future }, UEID_HEX), REASON_CHAIN_FUTURE);
	expect(scene_of(&(struct vendor_make){ .batch = future }, UEID_HEX), REASON_CHAIN_FUTURE);
}

/* Root, batch CA with pathLen 0, a second CA below it, chip. */
static void refuses_a_ca_below_a_batch_ca(void **state)
{
	struct scene *s = scene();
	EVP_PKEY *sub_key = make_key(KEY_EC_P256);
	struct make_cert sub = { .key = sub_key, .cn = "Sub CA", .ca = true },
			 chip = { .key = s->vendor.chip_key, .cn = "Chip", .serial_number = UEID_HEX, .eku = KP_QUOTE };
	X509 *sub_cert = make_cert(&sub, s->vendor.batch, s->vendor.batch_key),
	     *chip_cert = make_cert(&chip, sub_cert, sub_key);
	AUTO(buf_done) struct buf sub_der = make_der(sub_cert), chip_der = make_der(chip_cert);

	(void)state;
	s->certs[0] = buf_blob(&s->vendor.batch_der);
	s->certs[1] = buf_blob(&sub_der);
	s->certs[2] = buf_blob(&chip_der);
	s->n_certs = 3;
	expect(s, REASON_CHAIN_PATHLEN);
	X509_free(sub_cert);
	X509_free(chip_cert);
	EVP_PKEY_free(sub_key);
}

static void refuses_a_chip_certificate_that_its_batch_ca_did_not_sign(void **state)
{
	struct scene *s = scene();

	(void)state;
	s->vendor.chip_der.ptr[s->vendor.chip_der.len - 1] ^= 1;
	expect(s, REASON_CHAIN_SIGNATURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_a_leaf_that_is_a_ca),
		cmocka_unit_test(refuses_a_leaf_without_the_purpose_or_with_another_beside_it),
		cmocka_unit_test(refuses_a_leaf_that_may_not_sign),
		cmocka_unit_test(refuses_two_leaves_and_none),
		cmocka_unit_test(knows_a_batch_ca_again),
		cmocka_unit_test(is_not_confused_by_a_batch_ca_with_the_purpose),
		cmocka_unit_test(refuses_a_certificate_that_is_none),
		cmocka_unit_test(refuses_a_vendor_that_is_not_configured),
		cmocka_unit_test(refuses_a_chain_without_its_batch_ca),
		cmocka_unit_test(does_not_mind_the_root_among_the_certificates),
		cmocka_unit_test(refuses_expired_and_future_certificates),
		cmocka_unit_test(refuses_a_ca_below_a_batch_ca),
		cmocka_unit_test(refuses_a_chip_certificate_that_its_batch_ca_did_not_sign),
	};

	oid_init();
	return cmocka_run_group_tests(tests, quote_device_make, quote_device_free);
}
