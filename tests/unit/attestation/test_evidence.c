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
#include "evidence.h"
#include "quote.h"
#include "quote_make.h"

#define NATIVE (QUOTE_ON_CHIP | QUOTE_NO_EXPORT)
#define DAY_S 86400

static const uint8_t ueid[] = { 1, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 7 };
#define UEID_HEX "01aabbccddeeff07"
static const uint8_t nonce[] = "0123456789abcdef";

/* A chip, a quote that would be believed, and what is configured. Each test changes one of them. */
struct scene {
	struct vendor vendor;
	struct quote_make quote;
	struct vendors *vendors;
	EVP_PKEY *signer; /* of the quote */
	const char *md_name;
	struct blob certs[LIMIT_BUNDLE_CERTS];
	size_t n_certs;
	int64_t now_s;
	struct pubkey csr_key;
	struct buf bundle; /* when present, instead of one made from the quote */
	struct verdict verdict;
	struct fault f;
};

static struct vendors *vendors_for(X509 *root)
{
	char path[] = "/tmp/assay-vendor-XXXXXX";
	struct vendor_options options = { "assay.1.1", "acme", path };
	struct vendors *vendors = NULL;
	AUTO(buf_done) struct buf pem = make_pem(&root, 1);
	struct fault f = { 0 };
	FILE *file = fdopen(mkstemp(path), "w");

	assert_int_equal(fwrite(pem.ptr, 1, pem.len, file), pem.len);
	fclose(file);
	if (vendors_open(&options, 1, &vendors, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	unlink(path);
	return vendors;
}

static struct scene *scene_of(const struct vendor_make *spec, const char *chip_serial)
{
	struct scene *s = calloc(1, sizeof(*s));

	vendor_make(&s->vendor, spec, chip_serial);
	s->vendors = vendors_for(s->vendor.root);
	quote_start(&s->quote, quote_device, BLOB_OF(ueid), BLOB(nonce, 16), NATIVE);
	s->signer = s->vendor.chip_key;
	s->md_name = "SHA256";
	s->certs[0] = buf_blob(&s->vendor.batch_der); /* in no order: the leaf is not the first */
	s->certs[1] = buf_blob(&s->vendor.chip_der);
	s->n_certs = 2;
	s->now_s = clock_wall_s();
	s->csr_key = make_pubkey(quote_device);
	return s;
}

static struct scene *scene(void)
{
	return scene_of(&(struct vendor_make){ 0 }, UEID_HEX);
}

static void scene_done(struct scene *s)
{
	vendor_done(&s->vendor);
	quote_done(&s->quote);
	vendors_free(s->vendors);
	buf_done(&s->bundle);
	free(s);
}

/* As the ra does it: assess, then check what it claims. */
static enum reason assess_bundle(struct scene *s, struct blob bundle)
{
	AUTO(evidence_freep) struct evidence *evidence = evidence_new();
	struct claims claims = { 0 }, *batch = &claims;
	struct fault checked = { 0 };

	TRY(evidence_assess(evidence, s->vendors, bundle, &s->csr_key, s->now_s, &claims, &s->verdict, &s->f));
	assert_true(claims.n >= 2); /* the chip certificate's signature and the quote's */
	claims_check(&batch, 1, &checked);
	s->f = checked;
	return checked.reason;
}

static enum reason assess(struct scene *s)
{
	if (s->bundle.len == 0) {
		AUTO(buf_done) struct buf cose = quote_sign(&s->quote, s->signer, s->md_name);

		s->bundle = bundle_of_quote(buf_blob(&cose), s->certs, s->n_certs);
	}
	return assess_bundle(s, buf_blob(&s->bundle));
}

/* Assesses, compares, and ends the scene. */
static void expect(struct scene *s, enum reason why)
{
	enum reason got = assess(s);

	if (got != why)
		fail_msg("%s, expected %s: %s", reason_info(got)->name, reason_info(why)->name, s->f.detail);
	scene_done(s);
}

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
		cmocka_unit_test(ignores_statements_it_does_not_know_beside_one_it_does),
		cmocka_unit_test(refuses_two_known_statements_and_none),
		cmocka_unit_test(refuses_a_bundle_that_is_none),
		cmocka_unit_test(explains_a_vendor_that_cannot_be_configured),
		cmocka_unit_test(believes_each_of_several_vendors),
	};

	oid_init();
	return cmocka_run_group_tests(tests, quote_device_make, quote_device_free);
}
