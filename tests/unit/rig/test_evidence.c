/*
 * test_evidence.c - two implementations meet: what the rig composes, the server's parsers accept, and what is altered
 * on the way they refuse.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "csr.h"
#include "evidence.h"
#include "fixture.h"
#include "make.h"
#include "request.h"

static const uint8_t nonce[24] = "twenty-four bytes long!!";

static struct vendors *open_vendors(const struct fixture *fixture)
{
	char path[4096];
	struct trouble t;
	struct fault f = { 0 };
	struct vendors *vendors = NULL;

	assert_true(path_join(fixture->folder, "root.pem", path, &t));
	if (vendors_open(&(struct vendor_options){ .format = "assay.1.1", .name = "test", .roots = path }, 1, &vendors,
			 &f) != REASON_OK)
		fail_msg("%s", f.detail);
	return vendors;
}

static struct bytes compose(struct element *e)
{
	AUTO(element_evidence_done) struct element_evidence evidence = { 0 };
	struct request request = { .evidence = &evidence };
	struct bytes der = { 0 };
	struct trouble t;

	if (!e->ops->attest(e, nonce, sizeof(nonce), &evidence, &t) || !request_build(e, &request, &der, &t))
		fail_msg("%s", t.text);
	return der;
}

/* The whole of what the server does with a request's bytes, but for freshness and policy. */
static enum reason judge(const struct bytes *der, const struct vendors *vendors, struct verdict *ret_verdict)
{
	AUTO(evidence_freep) struct evidence *evidence = evidence_new();
	struct claims claims = { 0 };
	struct claims *batch[] = { &claims };
	struct fault f = { 0 };
	struct csr csr;

	TRY(csr_parse(BLOB(der->ptr, der->len), &csr, &claims, &f));
	TRY(evidence_assess(evidence, vendors, csr.evidence, &csr.key, clock_wall_s(), &claims, ret_verdict, &f));
	claims_check(batch, 1, &f);
	return f.reason;
}

static void the_server_takes_what_the_rig_composes(void **state)
{
	static const enum element_key kinds[] = { ELEMENT_EC_P256, ELEMENT_EC_P384 };
	AUTO(vendors_freep) struct vendors *vendors = open_vendors(*state);

	for (size_t signer = 0; signer < 2; signer++) {
		for (size_t key = 0; key < 2; key++) {
			AUTO(auto_element) struct element *e = fixture_element(*state, NULL, kinds[signer]);
			struct verdict verdict;
			struct trouble t;
			char id[ELEMENT_ID_CHARS + 1];

			assert_true(e->ops->generate_keypair(e, kinds[key], &t));
			AUTO(bytes_done) struct bytes der = compose(e);
			assert_string_equal(reason_info(judge(&der, vendors, &verdict))->name, "ok");
			assert_string_equal(verdict.format, "assay.1.1");
			assert_int_equal(verdict.level, LEVEL_NATIVE);
			assert_int_equal(verdict.nonce_len, sizeof(nonce));
			assert_memory_equal(verdict.nonce, nonce, sizeof(nonce));
			text_hex(BLOB(verdict.device.element, verdict.device.element_len), id, sizeof(id));
			assert_string_equal(id, e->id);
		}
	}
}

/* Every single byte counts: none can be changed and the request still be taken for the same. */
static void no_byte_can_be_altered(void **state)
{
	AUTO(vendors_freep) struct vendors *vendors = open_vendors(*state);
	AUTO(auto_element) struct element *e = fixture_element(*state, NULL, ELEMENT_EC_P256);
	struct verdict verdict;
	struct trouble t;

	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	AUTO(bytes_done) struct bytes der = compose(e);
	for (size_t i = 0; i < der.len; i++) {
		der.ptr[i] ^= 1;
		if (judge(&der, vendors, &verdict) == REASON_OK)
			fail_msg("byte %zu of %zu altered and nobody noticed", i, der.len);
		der.ptr[i] ^= 1;
	}
	assert_int_equal(judge(&der, vendors, &verdict), REASON_OK);
}

static void another_vendors_root_does_not_vouch(void **state)
{
	struct fixture other;
	struct verdict verdict;
	struct trouble t;

	fixture_init(&other);
	AUTO(vendors_freep) struct vendors *vendors = open_vendors(&other);
	AUTO(auto_element) struct element *e = fixture_element(*state, NULL, ELEMENT_EC_P256);
	assert_true(e->ops->generate_keypair(e, ELEMENT_EC_P256, &t));
	AUTO(bytes_done) struct bytes der = compose(e);
	assert_int_not_equal(judge(&der, vendors, &verdict), REASON_OK);
	fixture_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_server_takes_what_the_rig_composes),
		cmocka_unit_test(no_byte_can_be_altered),
		cmocka_unit_test(another_vendors_root_does_not_vouch),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
