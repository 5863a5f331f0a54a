/* test_evidence.c - a bundle from a vendor's chip, whole: what is believed, and everything that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"
#include "evidence_scene.h"

#define DAY_S 86400

static void believes_a_chip_of_a_configured_vendor(void **state)
{
	struct scene *s = scene();
	struct pubkey root = make_pubkey(s->vendor.root_key), batch = make_pubkey(s->vendor.batch_key);
	uint8_t root_hash[32], batch_hash[32];

	(void)state;
	pubkey_hash(&root, root_hash);
	pubkey_hash(&batch, batch_hash);
	assert_int_equal(assess(s), REASON_OK);
	assert_string_equal(s->verdict.format, "assay.1.1");
	assert_int_equal(s->verdict.level, LEVEL_NATIVE);
	assert_string_equal(s->verdict.device.format, "assay.1.1");
	assert_memory_equal(s->verdict.device.vendor_root, root_hash, 32);
	assert_memory_equal(s->verdict.batch_ca_hash, batch_hash, 32);
	assert_int_equal(s->verdict.device.element_len, sizeof(ueid));
	assert_memory_equal(s->verdict.device.element, ueid, sizeof(ueid));
	assert_true(pubkey_equal(&s->verdict.key, &s->csr_key));
	assert_true(s->verdict.has_freshness);
	assert_int_equal(s->verdict.nonce_len, 16);
	assert_memory_equal(s->verdict.nonce, nonce, 16);
	scene_done(s);
}

static void believes_a_p384_chip_with_es384(void **state)
{
	struct scene *s = scene_of(&(struct vendor_make){ .chip_key = KEY_EC_P384 }, UEID_HEX);

	(void)state;
	quote_header(&s->quote, -35);
	s->md_name = "SHA384";
	expect(s, REASON_OK);
}

static void a_derived_key_is_provisioned_and_no_more(void **state)
{
	static const struct {
		uint64_t flags;
		enum level level;
	} cases[] = { { NATIVE, LEVEL_NATIVE },
		      { NATIVE | QUOTE_OWN_PURPOSE, LEVEL_NATIVE },
		      { NATIVE | QUOTE_DERIVED, LEVEL_PROVISIONED },
		      { QUOTE_FLAGS, LEVEL_PROVISIONED } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene *s = scene();
		AUTO(buf_done) struct buf flags = { 0 };

		put_head(&flags, 0, cases[i].flags);
		quote_claim(&s->quote, CLAIM_FLAGS, -80000, &flags);
		assert_int_equal(assess(s), REASON_OK);
		assert_int_equal(s->verdict.level, cases[i].level);
		scene_done(s);
	}
}

static void refuses_flags_without_on_chip_or_with_export(void **state)
{
	static const uint64_t cases[] = { 0,
					  QUOTE_ON_CHIP,
					  QUOTE_NO_EXPORT,
					  QUOTE_ON_CHIP | QUOTE_OWN_PURPOSE,
					  QUOTE_NO_EXPORT | QUOTE_DERIVED,
					  16 | NATIVE };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene *s = scene();
		AUTO(buf_done) struct buf flags = { 0 };

		put_head(&flags, 0, cases[i]);
		quote_claim(&s->quote, CLAIM_FLAGS, -80000, &flags);
		expect(s, REASON_EVIDENCE_FLAGS);
	}
}

static void takes_long_ueids_by_their_base32_name(void **state)
{
	static const size_t lengths[] = { 31, 32, 33, 40 };
	uint8_t id[64] = { 1, 2, 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		AUTO(buf_done) struct buf value = { 0 };
		char hex[2 * 64 + 1], base32[128];
		struct scene *s;

		text_hex(BLOB(id, lengths[i]), hex, sizeof(hex));
		text_base32(BLOB(id, lengths[i]), base32, sizeof(base32));
		s = scene_of(&(struct vendor_make){ 0 }, lengths[i] <= 31 ? hex : base32);
		put_bytes(&value, BLOB(id, lengths[i]));
		quote_claim(&s->quote, CLAIM_UEID, 256, &value);
		expect(s, REASON_OK);
	}
}

static void refuses_evidence_for_another_key(void **state)
{
	struct scene *s = scene();
	EVP_PKEY *other = make_key(KEY_EC_P256);

	(void)state;
	s->csr_key = make_pubkey(other);
	EVP_PKEY_free(other);
	expect(s, REASON_EVIDENCE_KEY);
}

static void refuses_a_signature_by_another_key(void **state)
{
	struct scene *s = scene();

	(void)state;
	s->signer = quote_device;
	expect(s, REASON_EVIDENCE_SIGNATURE);
	s = scene();
	s->signer = s->vendor.batch_key;
	expect(s, REASON_EVIDENCE_SIGNATURE);
}

static void refuses_an_algorithm_that_is_not_the_chip_keys(void **state)
{
	struct scene *s = scene();

	(void)state;
	quote_header(&s->quote, -35); /* P-256 with SHA-384 */
	s->md_name = "SHA384";
	expect(s, REASON_EVIDENCE_SIGNATURE);
	s = scene_of(&(struct vendor_make){ .chip_key = KEY_RSA }, UEID_HEX);
	s->signer = NULL;
	expect(s, REASON_EVIDENCE_SIGNATURE);
}

static void refuses_a_quote_altered_in_any_octet(void **state)
{
	struct scene *s = scene();
	AUTO(buf_done) struct buf cose = quote_sign(&s->quote, s->signer, s->md_name);

	(void)state;
	for (size_t i = 0; i < cose.len; i++) {
		AUTO(buf_done) struct buf bundle = { 0 };

		cose.ptr[i] ^= 1;
		bundle = bundle_of_quote(buf_blob(&cose), s->certs, s->n_certs);
		assert_int_not_equal(assess_bundle(s, buf_blob(&bundle)), REASON_OK);
		cose.ptr[i] ^= 1;
	}
	scene_done(s);
}

static void refuses_every_signed_value_altered(void **state)
{
	static const struct {
		const char *what;
		unsigned slot;
		size_t from_end; /* octet of the claim, counted from its end */
		enum reason reason;
	} cases[] = {
		{ "nonce", CLAIM_NONCE, 1, REASON_EVIDENCE_SIGNATURE },
		{ "flags", CLAIM_FLAGS, 1, REASON_EVIDENCE_SIGNATURE }, /* 3 becomes 7 */
		{ "ueid", CLAIM_UEID, 1, REASON_EVIDENCE_IDENTITY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene *s = scene();
		AUTO(buf_done) struct buf signed_quote = quote_sign(&s->quote, s->signer, s->md_name), altered = { 0 };
		struct buf *claim = &s->quote.claim[cases[i].slot];

		claim->ptr[claim->len - cases[i].from_end] ^= 4;
		altered = quote_sign(&s->quote, NULL, NULL);
		/* the altered payload under the first quote's signature */
		memcpy(altered.ptr + altered.len - 64, signed_quote.ptr + signed_quote.len - 64, 64);
		s->bundle = bundle_of_quote(buf_blob(&altered), s->certs, s->n_certs);
		expect(s, cases[i].reason);
	}
}

static void refuses_a_signature_of_another_length(void **state)
{
	struct scene *s = scene();
	AUTO(buf_done) struct buf cose = quote_sign(&s->quote, s->signer, s->md_name), shorter = { 0 };

	(void)state;
	put_raw(&shorter, BLOB(cose.ptr, cose.len - 66));
	put_bytes(&shorter, BLOB(cose.ptr + cose.len - 64, 63));
	s->bundle = bundle_of_quote(buf_blob(&shorter), s->certs, s->n_certs);
	expect(s, REASON_EVIDENCE_SIGNATURE);
}

static void refuses_a_ueid_unlike_the_leafs(void **state)
{
	static const char *const names[] = { "01aabbccddeeff08", "01AABBCCDDEEFF07", "01aabbccddeeff0",
					     "01aabbccddeeff0700", NULL };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct scene *s = scene_of(&(struct vendor_make){ 0 }, names[i]);

		expect(s, REASON_EVIDENCE_IDENTITY);
	}
}

static void refuses_a_ueid_that_fits_no_certificate(void **state)
{
	struct scene *s = scene();
	AUTO(buf_done) struct buf value = { 0 };
	uint8_t id[41] = { 1 };

	(void)state;
	put_bytes(&value, BLOB_OF(id));
	quote_claim(&s->quote, CLAIM_UEID, 256, &value);
	expect(s, REASON_EVIDENCE_IDENTITY);
}

/* --- the bundle --- */

static struct buf quote_statement(struct scene *s, const char *oid)
{
	AUTO(buf_done)
	struct buf cose = quote_sign(&s->quote, s->signer, s->md_name), stmt = make_element(0x04, buf_blob(&cose));

	return bundle_statement(oid, buf_blob(&stmt));
}

static void ignores_statements_it_does_not_know_beside_one_it_does(void **state)
{
	struct scene *s = scene();
	AUTO(buf_done) struct buf known = quote_statement(s, QUOTE_OID), unknown = quote_statement(s, "1.2.3.4");
	struct blob statements[] = { buf_blob(&unknown), buf_blob(&known) };

	(void)state;
	s->bundle = bundle_of(statements, 2, s->certs, s->n_certs);
	expect(s, REASON_OK);
}

static void refuses_two_known_statements_and_none(void **state)
{
	struct scene *s = scene();
	AUTO(buf_done) struct buf known = quote_statement(s, QUOTE_OID), unknown = quote_statement(s, "1.2.3.4");
	struct blob twice[] = { buf_blob(&known), buf_blob(&known) }, none = buf_blob(&unknown);

	(void)state;
	s->bundle = bundle_of(twice, 2, s->certs, s->n_certs);
	assert_int_equal(assess(s), REASON_EVIDENCE_DUPLICATE);
	buf_done(&s->bundle);
	s->bundle = bundle_of(&none, 1, s->certs, s->n_certs);
	expect(s, REASON_EVIDENCE_FORMAT);
}

static void refuses_a_bundle_that_is_none(void **state)
{
	struct scene *s = scene();

	(void)state;
	s->bundle = make_element(0x04, BLOB_OF(ueid));
	expect(s, REASON_EVIDENCE_DER);
}

/* --- vendors --- */

static void explains_a_vendor_that_cannot_be_configured(void **state)
{
	char path[] = "/tmp/assay-vendor-XXXXXX";
	struct vendor_options unknown = { "assay.9.9", "acme", path },
			      missing = { "assay.1.1", "acme", "/nonexistent/roots.pem" },
			      empty = { "assay.1.1", "acme", path };
	struct vendors *vendors = NULL;
	struct fault f = { 0 };

	(void)state;
	close(mkstemp(path));
	assert_int_equal(vendors_open(&unknown, 1, &vendors, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "assay.9.9"));
	assert_non_null(strstr(f.detail, "allowed: assay.1.1"));
	assert_int_equal(vendors_open(&missing, 1, &vendors, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "/nonexistent/roots.pem"));
	assert_int_equal(vendors_open(&empty, 1, &vendors, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "acme"));
	assert_null(vendors);
	unlink(path);
}

static void believes_each_of_several_vendors(void **state)
{
	struct scene *a = scene(), *b = scene();
	char paths[2][32] = { "/tmp/assay-vendor-XXXXXX", "/tmp/assay-vendor-XXXXXX" };
	struct vendor_options options[2] = { { "assay.1.1", "a", paths[0] }, { "assay.1.1", "b", paths[1] } };
	struct vendors *both = NULL;
	struct fault f;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		AUTO(buf_done) struct buf pem = make_pem(i == 0 ? &a->vendor.root : &b->vendor.root, 1);
		FILE *file = fdopen(mkstemp(paths[i]), "w");

		fwrite(pem.ptr, 1, pem.len - 1, file); /* without its last newline */
		fclose(file);
	}
	assert_int_equal(vendors_open(options, 2, &both, &f), REASON_OK);
	vendors_free(a->vendors);
	vendors_free(b->vendors);
	a->vendors = b->vendors = both;
	assert_int_equal(assess(a), REASON_OK);
	assert_int_equal(assess(b), REASON_OK);
	/* one id under two roots is two devices */
	assert_memory_equal(a->verdict.device.element, b->verdict.device.element, sizeof(ueid));
	assert_memory_not_equal(a->verdict.device.vendor_root, b->verdict.device.vendor_root, 32);
	b->vendors = NULL;
	scene_done(a);
	scene_done(b);
	unlink(paths[0]);
	unlink(paths[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(believes_a_chip_of_a_configured_vendor),
		cmocka_unit_test(believes_a_p384_chip_with_es384),
		cmocka_unit_test(a_derived_key_is_provisioned_and_no_more),
		cmocka_unit_test(refuses_flags_without_on_chip_or_with_export),
		cmocka_unit_test(takes_long_ueids_by_their_base32_name),
		cmocka_unit_test(refuses_evidence_for_another_key),
		cmocka_unit_test(refuses_a_signature_by_another_key),
		cmocka_unit_test(refuses_an_algorithm_that_is_not_the_chip_keys),
		cmocka_unit_test(refuses_a_quote_altered_in_any_octet),
		cmocka_unit_test(refuses_every_signed_value_altered),
		cmocka_unit_test(refuses_a_signature_of_another_length),
		cmocka_unit_test(refuses_a_ueid_unlike_the_leafs),
		cmocka_unit_test(refuses_a_ueid_that_fits_no_certificate),
		cmocka_unit_test(ignores_statements_it_does_not_know_beside_one_it_does),
		cmocka_unit_test(refuses_two_known_statements_and_none),
		cmocka_unit_test(refuses_a_bundle_that_is_none),
		cmocka_unit_test(explains_a_vendor_that_cannot_be_configured),
		cmocka_unit_test(believes_each_of_several_vendors),
	};

	oid_init();
	return cmocka_run_group_tests(tests, quote_device_make, quote_device_free);
}
