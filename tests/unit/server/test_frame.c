/* test_frame.c - does a grant survive the channel, and does a hostile one not? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "channel/channel.h"
#include "oid.h"

static void set_oid(struct oid *oid, const char *dotted)
{
	assert_true(oid_parse(dotted, oid));
}

/* A grant with something in every field. */
static struct grant *full_grant(void)
{
	struct grant *g = grant_new();
	struct fault f;

	assert_non_null(g);
	g->kind = GRANT_REENROL;
	strcpy(g->profile, "field");
	strcpy(g->family, "device");
	strcpy(g->issuer, "attested");
	memset(g->policy_hash, 7, sizeof(g->policy_hash));
	strcpy(g->requester, "device:01ab");
	g->once = true;
	strcpy(g->device.format, "assay.1.1");
	memset(g->device.vendor_root, 9, sizeof(g->device.vendor_root));
	g->device.element_len = LIMIT_ELEMENT_BYTES;
	memset(g->device.element, 3, sizeof(g->device.element));
	g->key = (struct pubkey){ .type = KEY_RSA, .bits = 4096, .rsa_e = 65537, .len = LIMIT_PUBKEY_BYTES };
	memset(g->key.raw, 0xc3, sizeof(g->key.raw));
	g->level = LEVEL_NATIVE;
	g->level_needed = LEVEL_VOUCHED;
	g->rekey_needs_evidence = true;
	g->n_subject = LIMIT_NAME_ATTRS;
	for (size_t i = 0; i < g->n_subject; i++) {
		g->subject[i].type = i % 2 == 0 ? OID_AT_CN : OID_AT_ORG_UNIT;
		memset(g->subject[i].value, 'a' + (int)i, LIMIT_NAME_CHARS);
	}
	g->n_sans = 2;
	g->san[0].type = SAN_URI;
	memset(g->san[0].value, 'u', LIMIT_SAN_CHARS);
	g->san[1].type = SAN_HW_MODULE;
	strcpy(g->san[1].value, "00ff");
	set_oid(&g->san[1].hw_type, "1.2.840.113556.1.8000.2554.41601.63272.62968.18038.45442.3653042.8531877.5.1");
	strcpy(g->unit_serial, "SN-1");
	g->validity_s = UINT64_MAX;
	g->key_usage = 0x1ff;
	g->n_ekus = 1;
	set_oid(&g->eku[0], "1.3.6.1.5.5.7.3.2");
	g->stamp_result = true;
	g->crl = GRANT_CRL_SHARD;
	strcpy(g->evidence_format, "assay.1.1");
	memset(g->batch_ca, 0xba, sizeof(g->batch_ca));
	g->nonce_len = LIMIT_NONCE_BYTES_MAX;
	memset(g->nonce, 5, sizeof(g->nonce));
	g->freshness = REASON_NONCE_STALE;
	g->previous_len = 16;
	memset(g->previous, 1, 16);
	assert_int_equal(buf_copy(BLOB_STR("evidence"), &g->evidence, &f), REASON_OK);
	assert_int_equal(buf_copy(BLOB_STR("continuity"), &g->continuity, &f), REASON_OK);
	return g;
}

static struct buf encoded(const struct grant *g)
{
	struct buf body = { 0 };
	struct fault f;

	assert_int_equal(grant_encode(g, &body, &f), REASON_OK);
	return body;
}

static void check_same(const struct grant *a, const struct grant *b)
{
	struct grant x = *a, y = *b;

	assert_true(blob_equal(buf_blob(&a->evidence), buf_blob(&b->evidence)));
	assert_true(blob_equal(buf_blob(&a->continuity), buf_blob(&b->continuity)));
	x.evidence = x.continuity = y.evidence = y.continuity = (struct buf){ 0 };
	assert_memory_equal(&x, &y, sizeof(x)); /* both began as zeros, so padding is equal too */
}

static void a_grant_comes_out_as_it_went_in(void **state)
{
	struct grant *g = full_grant(), *back;
	struct buf body = encoded(g);
	struct fault f;

	(void)state;
	assert_int_equal(grant_decode(buf_blob(&body), &back, &f), REASON_OK);
	check_same(g, back);
	grant_free(back);
	grant_free(g);
	buf_done(&body);
}

static void every_truncation_and_every_byte_more_is_refused(void **state)
{
	struct grant *g = full_grant(), *back = NULL;
	struct buf body = encoded(g);
	struct fault f;

	(void)state;
	for (size_t len = 0; len < body.len; len++) {
		uint8_t *copy = malloc(len + 1); /* exact, so that a sanitizer sees a read beyond */

		memcpy(copy, body.ptr, len);
		assert_int_equal(grant_decode(BLOB(copy, len), &back, &f), REASON_CHANNEL_FRAME);
		free(copy);
	}
	assert_int_equal(buf_append(&body, BLOB("", 1), &f), REASON_OK);
	assert_int_equal(grant_decode(buf_blob(&body), &back, &f), REASON_CHANNEL_FRAME);
	assert_null(back);
	grant_free(g);
	buf_done(&body);
}

/* Changes one field to something it may not be, and expects the whole grant to be refused. */
static void refuse_with(void (*spoil)(struct grant *g), const char *what)
{
	struct grant *g = full_grant(), *back;
	struct buf body;
	struct fault f;
	enum reason reason;

	spoil(g);
	body = encoded(g);
	reason = grant_decode(buf_blob(&body), &back, &f);
	if (reason != REASON_CHANNEL_FRAME)
		fail_msg("%s was taken", what);
	grant_free(g);
	buf_done(&body);
}

static void spoil_kind(struct grant *g)
{
	g->kind = (enum grant_kind)3;
}
static void spoil_level(struct grant *g)
{
	g->level = (enum level)4;
}
static void spoil_level_needed(struct grant *g)
{
	g->level_needed = (enum level)255;
}
static void spoil_key_type(struct grant *g)
{
	g->key.type = KEY_NONE;
}
static void spoil_key_type_high(struct grant *g)
{
	g->key.type = KEY_TYPE_COUNT;
}
static void spoil_attribute(struct grant *g)
{
	g->subject[1].type = OID_KP_ANY;
}
static void spoil_san_type(struct grant *g)
{
	g->san[0].type = (enum san_type)3;
}
static void spoil_usage(struct grant *g)
{
	g->key_usage = 0x200;
}
static void spoil_evidence(struct grant *g)
{
	buf_done(&g->evidence);
	assert_int_equal(buf_reserve(&g->evidence, LIMIT_BUNDLE_BYTES + 1, NULL), REASON_OK);
	memset(g->evidence.ptr, 0, LIMIT_BUNDLE_BYTES + 1);
	g->evidence.len = LIMIT_BUNDLE_BYTES + 1;
}

static void a_value_out_of_range_is_refused(void **state)
{
	(void)state;
	refuse_with(spoil_kind, "kind 3");
	refuse_with(spoil_level, "level 4");
	refuse_with(spoil_level_needed, "needed level 255");
	refuse_with(spoil_key_type, "no key type");
	refuse_with(spoil_key_type_high, "an unknown key type");
	refuse_with(spoil_attribute, "a purpose as a name attribute");
	refuse_with(spoil_san_type, "SAN type 3");
	refuse_with(spoil_usage, "a key usage bit that X.509 does not have");
	refuse_with(spoil_evidence, "evidence that is too long");
}

static void text_with_a_nul_or_too_long_is_refused(void **state)
{
	const struct {
		const char *text;
		size_t len;
		bool good;
	} cases[] = {
		{ "abc", 3, true }, { "", 0, true }, { "a\0c", 3, false }, { "\0", 1, false }, { "abcd", 4, false }
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = { 0 };
		struct pack_reader r;
		char out[4] = "old";

		assert_int_equal(pack_bytes(&b, BLOB(cases[i].text, cases[i].len), NULL), REASON_OK);
		r = (struct pack_reader){ .left = buf_blob(&b) };
		pack_get_text(&r, out, sizeof(out));
		assert_int_equal(pack_done(&r), cases[i].good);
		assert_string_equal(out, cases[i].good ? cases[i].text : "");
		buf_done(&b);
	}
}

static void a_reader_that_ran_over_stays_failed(void **state)
{
	struct pack_reader r = { .left = BLOB("\x01\x02", 2) };

	(void)state;
	assert_int_equal(pack_get_u32(&r), 0);
	assert_int_equal(pack_get_u8(&r), 0); /* though a byte is there */
	assert_false(pack_done(&r));
}

/* Random damage: never a crash; what is taken encodes to the same bytes. */
static void random_damage_is_refused_or_means_the_same_again(void **state)
{
	unsigned seed = (unsigned)time(NULL);
	struct grant *g = full_grant();
	struct buf body = encoded(g);
	unsigned taken = 0;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 20000; round++) {
		size_t at = (size_t)rand_r(&seed) % body.len;
		uint8_t old = body.ptr[at];
		struct grant *back;

		body.ptr[at] = (uint8_t)rand_r(&seed);
		if (grant_decode(buf_blob(&body), &back, NULL) == REASON_OK) {
			struct buf again = encoded(back);

			assert_true(blob_equal(buf_blob(&again), buf_blob(&body)));
			buf_done(&again);
			grant_free(back);
			taken++;
		}
		body.ptr[at] = old;
	}
	assert_in_range(taken, 1, 19999);
	grant_free(g);
	buf_done(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_grant_comes_out_as_it_went_in),
		cmocka_unit_test(every_truncation_and_every_byte_more_is_refused),
		cmocka_unit_test(a_value_out_of_range_is_refused),
		cmocka_unit_test(text_with_a_nul_or_too_long_is_refused),
		cmocka_unit_test(a_reader_that_ran_over_stays_failed),
		cmocka_unit_test(random_damage_is_refused_or_means_the_same_again),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
