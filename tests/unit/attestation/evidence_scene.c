/* evidence_scene.c - see evidence_scene.h. */
#include "expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "evidence_scene.h"

const uint8_t ueid[8] = { 1, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 7 };
const uint8_t nonce[16] = "0123456789abcdef";

struct vendors *vendors_for(X509 *root)
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

struct scene *scene_of(const struct vendor_make *spec, const char *chip_serial)
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

struct scene *scene(void)
{
	return scene_of(&(struct vendor_make){ 0 }, UEID_HEX);
}

void scene_done(struct scene *s)
{
	vendor_done(&s->vendor);
	quote_done(&s->quote);
	vendors_free(s->vendors);
	buf_done(&s->bundle);
	free(s);
}

enum reason assess_bundle(struct scene *s, struct blob bundle)
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

enum reason assess(struct scene *s)
{
	if (s->bundle.len == 0) {
		AUTO(buf_done) struct buf cose = quote_sign(&s->quote, s->signer, s->md_name);

		s->bundle = bundle_of_quote(buf_blob(&cose), s->certs, s->n_certs);
	}
	return assess_bundle(s, buf_blob(&s->bundle));
}

void expect(struct scene *s, enum reason why)
{
	enum reason got = assess(s);

	if (got != why)
		fail_msg("%s, expected %s: %s", reason_info(got)->name, reason_info(why)->name, s->f.detail);
	scene_done(s);
}
