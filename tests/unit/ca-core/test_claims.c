/* test_claims.c - claims.h: true signatures hold, in every algorithm and form, and nothing else does. */
#include "expect.h"

#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "make.h"
#include "oid.h"

static const struct {
	enum sig_alg alg;
	const char *md_name;
} ecdsa[] = {
	{ SIG_ECDSA_SHA256, "SHA256" },
	{ SIG_ECDSA_SHA384, "SHA384" },
	{ SIG_ECDSA_SHA512, "SHA512" },
}, rsa[] = {
	{ SIG_RSA_SHA256, "SHA256" },
	{ SIG_RSA_SHA384, "SHA384" },
	{ SIG_RSA_SHA512, "SHA512" },
};

#define MESSAGE BLOB("what was signed", 15)

static struct claim claim_of(const struct pubkey *key, enum sig_alg alg, const struct buf *signature)
{
	return (struct claim){ .key = key,
			       .alg = alg,
			       .message = MESSAGE,
			       .signature = buf_blob(signature),
			       .refusal = REASON_EVIDENCE_SIGNATURE,
			       .what = "test" };
}

static enum reason check(const struct claim *claim)
{
	struct claims *claims = calloc(1, sizeof(*claims));
	struct fault verdict = { .reason = REASON_INTERNAL };

	assert_ok(claims_add(claims, *claim, NULL));
	claims_check(&claims, 1, &verdict);
	free(claims);
	assert_int_equal(claim_holds(claim), verdict.reason == REASON_OK);
	return verdict.reason;
}

static void every_ecdsa_combination_holds_and_breaks(void **state)
{
	static const enum key_type curves[] = { KEY_EC_P256, KEY_EC_P384, KEY_EC_P521 };

	(void)state;
	for (size_t i = 0; i < N_OF(curves) * N_OF(ecdsa); i++) {
		AUTO(make_key_freep) EVP_PKEY *key = make_key(curves[i / 3]);
		struct pubkey pub = make_pubkey(key);
		AUTO(buf_done) struct buf der = make_signature(key, ecdsa[i % 3].md_name, MESSAGE);
		AUTO(buf_done) struct buf raw = make_signature_raw(key, ecdsa[i % 3].md_name, MESSAGE);
		struct claim claim = claim_of(&pub, ecdsa[i % 3].alg, &der);

		assert_ok(check(&claim));
		claim.message.len--;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
		claim = claim_of(&pub, ecdsa[i % 3].alg, &raw);
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE); /* raw is not DER */
		claim.form = SIG_FORM_RAW;
		assert_ok(check(&claim));
		claim.signature.len--;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
		claim.alg = ecdsa[(i + 1) % 3].alg;
		claim.signature.len++;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
	}
}

static void rsa_holds_with_the_right_digest_only(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_RSA);
	struct pubkey pub = make_pubkey(key);

	(void)state;
	for (size_t i = 0; i < N_OF(rsa); i++) {
		AUTO(buf_done) struct buf signature = make_signature(key, rsa[i].md_name, MESSAGE);
		struct claim claim = claim_of(&pub, rsa[i].alg, &signature);

		assert_ok(check(&claim));
		claim.alg = rsa[(i + 1) % 3].alg;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
		claim.alg = SIG_RSA_PSS_SHA256;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
	}
}

static struct buf pss_signature(EVP_PKEY *key, int salt_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pkey_ctx;
	struct buf b = { 0 };
	size_t len = 256;

	assert_int_equal(EVP_DigestSignInit_ex(ctx, &pkey_ctx, "SHA256", NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pkey_ctx, RSA_PKCS1_PSS_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey_ctx, salt_len), 1);
	assert_ok(buf_reserve(&b, len, NULL));
	assert_int_equal(EVP_DigestSign(ctx, b.ptr, &len, MESSAGE.ptr, MESSAGE.len), 1);
	b.len = len;
	EVP_MD_CTX_free(ctx);
	return b;
}

static void rsa_pss_takes_a_salt_as_long_as_the_digest(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_RSA);
	struct pubkey pub = make_pubkey(key);
	AUTO(buf_done) struct buf good = pss_signature(key, 32), bad = pss_signature(key, 20);
	struct claim claim = claim_of(&pub, SIG_RSA_PSS_SHA256, &good);

	(void)state;
	assert_ok(check(&claim));
	claim.alg = SIG_RSA_SHA256;
	assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
	claim = claim_of(&pub, SIG_RSA_PSS_SHA256, &bad);
	assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
}

static void a_prehashed_claim_gives_the_digest(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *ec = make_key(KEY_EC_P256), *rsa_key = make_key(KEY_RSA);
	EVP_PKEY *keys[] = { ec, rsa_key };
	uint8_t digest[32];

	(void)state;
	SHA256(MESSAGE.ptr, MESSAGE.len, digest);
	for (size_t i = 0; i < 2; i++) {
		struct pubkey pub = make_pubkey(keys[i]);
		AUTO(buf_done) struct buf signature = make_signature(keys[i], "SHA256", MESSAGE);
		struct claim claim = claim_of(&pub, i == 0 ? SIG_ECDSA_SHA256 : SIG_RSA_SHA256, &signature);

		claim.prehashed = true;
		claim.message = BLOB_OF(digest);
		assert_ok(check(&claim));
		claim.message.len = 31;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
		claim.message = MESSAGE;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
	}
}

static void another_key_does_not_hold(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256), *other = make_key(KEY_EC_P256);
	struct pubkey pub = make_pubkey(other);
	AUTO(buf_done) struct buf signature = make_signature(key, "SHA256", MESSAGE);
	struct claim claim = claim_of(&pub, SIG_ECDSA_SHA256, &signature);

	(void)state;
	assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
}

static void every_bit_of_a_signature_counts(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	struct pubkey pub = make_pubkey(key);
	AUTO(buf_done) struct buf der = make_signature(key, "SHA256", MESSAGE);
	struct claim claim = claim_of(&pub, SIG_ECDSA_SHA256, &der);

	(void)state;
	for (size_t bit = 0; bit < der.len * 8; bit++) {
		der.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
		der.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t len = 0; len < der.len; len++) {
		claim.signature.len = len;
		assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
	}
	assert_ok(buf_append(&der, BLOB("\0", 1), NULL));
	claim.signature = buf_blob(&der);
	assert_reason(check(&claim), REASON_EVIDENCE_SIGNATURE);
}

static void zero_r_and_s_do_not_hold(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	struct pubkey pub = make_pubkey(key);
	uint8_t zeros[64] = { 0 };
	struct claim claim = { .key = &pub,
			       .alg = SIG_ECDSA_SHA256,
			       .form = SIG_FORM_RAW,
			       .message = MESSAGE,
			       .signature = BLOB_OF(zeros),
			       .refusal = REASON_CSR_SIGNATURE,
			       .what = "test" };

	(void)state;
	assert_reason(check(&claim), REASON_CSR_SIGNATURE);
	memset(zeros, 0xff, sizeof(zeros));
	assert_reason(check(&claim), REASON_CSR_SIGNATURE);
}

static void an_algorithm_of_another_key_type_is_refused_at_once(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *ec = make_key(KEY_EC_P256), *rsa_key = make_key(KEY_RSA);
	struct pubkey ec_pub = make_pubkey(ec), rsa_pub = make_pubkey(rsa_key);
	struct buf none = { 0 };
	struct claims *claims = calloc(1, sizeof(*claims));
	struct claim claim = claim_of(&ec_pub, SIG_RSA_SHA256, &none);
	struct fault f = { 0 };

	(void)state;
	assert_reason(claims_add(claims, claim, &f), REASON_EVIDENCE_SIGNATURE);
	assert_reason(f.reason, REASON_EVIDENCE_SIGNATURE);
	claim = claim_of(&rsa_pub, SIG_ECDSA_SHA256, &none);
	assert_reason(claims_add(claims, claim, NULL), REASON_EVIDENCE_SIGNATURE);
	claim = claim_of(&rsa_pub, SIG_NONE, &none);
	assert_reason(claims_add(claims, claim, NULL), REASON_EVIDENCE_SIGNATURE);
	claim = claim_of(&rsa_pub, SIG_ALG_COUNT, &none);
	assert_reason(claims_add(claims, claim, NULL), REASON_EVIDENCE_SIGNATURE);
	assert_false(claim_holds(&claim));
	assert_int_equal(claims->n, 0);
	free(claims);
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	struct pubkey pub = make_pubkey(key);
	const struct pubkey *kept;
	struct buf none = { 0 };
	struct claims *claims = calloc(1, sizeof(*claims));

	(void)state;
	for (size_t i = 0; i < LIMIT_CLAIMS; i++)
		assert_ok(claims_add(claims, claim_of(&pub, SIG_ECDSA_SHA256, &none), NULL));
	assert_reason(claims_add(claims, claim_of(&pub, SIG_ECDSA_SHA256, &none), NULL), REASON_INTERNAL);
	for (size_t i = 0; i < LIMIT_CLAIM_KEYS; i++) {
		assert_ok(claims_keep_key(claims, &pub, &kept, NULL));
		assert_true(pubkey_equal(kept, &pub));
	}
	assert_reason(claims_keep_key(claims, &pub, &kept, NULL), REASON_INTERNAL);
	free(claims);
}

/* A batch of four: empty, good, false at its second claim, good. */
static void verdicts_of_a_batch_do_not_mix(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	struct pubkey pub = make_pubkey(key);
	AUTO(buf_done) struct buf good = make_signature(key, "SHA256", MESSAGE);
	AUTO(buf_done) struct buf bad = make_signature(key, "SHA256", BLOB("x", 1));
	struct claims *batch[4];
	struct claim claim = claim_of(&pub, SIG_ECDSA_SHA256, &bad);
	struct fault verdict[4];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		batch[i] = calloc(1, sizeof(*batch[i]));
		verdict[i] = (struct fault){ REASON_INTERNAL, "left from before" };
		if (i > 0)
			assert_ok(claims_add(batch[i], claim_of(&pub, SIG_ECDSA_SHA256, &good), NULL));
	}
	claim.refusal = REASON_CHAIN_SIGNATURE;
	claim.what = "the second";
	assert_ok(claims_add(batch[2], claim, NULL));
	claim.refusal = REASON_CSR_SIGNATURE;
	assert_ok(claims_add(batch[2], claim, NULL));
	claims_check(batch, 4, verdict);
	assert_ok(verdict[0].reason);
	assert_ok(verdict[1].reason);
	assert_string_equal(verdict[1].detail, "");
	assert_reason(verdict[2].reason, REASON_CHAIN_SIGNATURE);
	assert_non_null(strstr(verdict[2].detail, "the second"));
	assert_ok(verdict[3].reason);
	for (size_t i = 0; i < 4; i++)
		free(batch[i]);
}

struct thread_work {
	struct claims *claims;
	enum reason want;
};

static void *check_often(void *arg)
{
	const struct thread_work *work = arg;
	struct fault verdict;

	for (int i = 0; i < 100; i++) {
		claims_check(&work->claims, 1, &verdict);
		if (verdict.reason != work->want)
			return (void *)1;
	}
	return NULL;
}

static void threads_check_side_by_side(void **state)
{
	AUTO(make_key_freep) EVP_PKEY *key = make_key(KEY_EC_P256);
	struct pubkey pub = make_pubkey(key);
	AUTO(buf_done) struct buf good = make_signature(key, "SHA256", MESSAGE);
	AUTO(buf_done) struct buf bad = make_signature(key, "SHA256", BLOB("x", 1));
	struct thread_work work[4];
	pthread_t thread[4];
	void *failed;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		work[i].claims = calloc(1, sizeof(*work[i].claims));
		work[i].want = i % 2 == 0 ? REASON_OK : REASON_EVIDENCE_SIGNATURE;
		assert_ok(
			claims_add(work[i].claims, claim_of(&pub, SIG_ECDSA_SHA256, i % 2 == 0 ? &good : &bad), NULL));
		assert_int_equal(pthread_create(&thread[i], NULL, check_often, &work[i]), 0);
	}
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &failed), 0);
		assert_null(failed);
		free(work[i].claims);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_ecdsa_combination_holds_and_breaks),
		cmocka_unit_test(rsa_holds_with_the_right_digest_only),
		cmocka_unit_test(rsa_pss_takes_a_salt_as_long_as_the_digest),
		cmocka_unit_test(a_prehashed_claim_gives_the_digest),
		cmocka_unit_test(another_key_does_not_hold),
		cmocka_unit_test(every_bit_of_a_signature_counts),
		cmocka_unit_test(zero_r_and_s_do_not_hold),
		cmocka_unit_test(an_algorithm_of_another_key_type_is_refused_at_once),
		cmocka_unit_test(there_is_room_for_so_many_and_no_more),
		cmocka_unit_test(verdicts_of_a_batch_do_not_mix),
		cmocka_unit_test(threads_check_side_by_side),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
