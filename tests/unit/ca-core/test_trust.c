/*
 * test_trust.c - trust.h: which paths are found, which are refused and why. Most answers are asked for twice: the
 * second comes from what the first left in the cache.
 */
#include "expect.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "oid.h"
#include "trust_tree.h"

static void a_leaf_right_under_an_anchor(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE leaf = issue(LEAF(), &root);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);
	struct trust_path path;
	uint8_t want[32];
	struct pubkey pub = make_pubkey(root.key);

	(void)state;
	assert_ok(judge(trust, &leaf, NULL, 0));
	assert_ok(judge(trust, &leaf, OTHERS(&root)));
	assert_ok(judge_at(trust, &leaf, NULL, 0, clock_wall_s(), &path));
	pubkey_hash(&pub, want);
	assert_memory_equal(path.root_spki_hash, want, 32);
	assert_memory_equal(path.issuer_hash, want, 32);
}

static void up_to_three_cas_in_any_order(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE two = issue(CA("two"), &one);
	NODE three = issue(CA("three"), &two);
	NODE four = issue(CA("four"), &three);
	NODE leaf = issue(LEAF(), &three);
	NODE deeper = issue(LEAF(), &four);
	NODE stranger = issue(CA("stranger"), NULL);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);
	struct trust_path path;
	uint8_t want[32];

	(void)state;
	assert_reason(judge(trust, &leaf, OTHERS(&three, &two)), REASON_CHAIN_UNTRUSTED); /* one is missing */
	assert_ok(judge(trust, &leaf, OTHERS(&two, &stranger, &leaf, &one, &root, &three)));
	assert_ok(judge(trust, &leaf, OTHERS(&three, &two, &one)));
	assert_ok(judge_at(trust, &leaf, OTHERS(&one, &two, &three), clock_wall_s(), &path));
	spki_hash(&three, want);
	assert_memory_equal(path.issuer_hash, want, 32);
	struct pubkey pub = make_pubkey(root.key);
	pubkey_hash(&pub, want);
	assert_memory_equal(path.root_spki_hash, want, 32);
	assert_ok(judge(trust, &leaf, OTHERS(&three))); /* remembered: what is above it need not come again */
	assert_reason(judge(trust, &deeper, OTHERS(&four, &three, &two, &one)), REASON_CHAIN_UNTRUSTED);
}

static void an_issuing_ca_may_be_the_anchor(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE issuing = issue(CA("issuing", .has_path_len = true, .path_len = 0), &root);
	NODE leaf = issue(LEAF(), &issuing);
	NODE cousin = issue(LEAF(), &root);
	AUTO(trust_freep) struct trust *trust = trust_one(&issuing);

	(void)state;
	assert_ok(judge(trust, &leaf, NULL, 0));
	assert_reason(judge(trust, &cousin, OTHERS(&root, &issuing)), REASON_CHAIN_UNTRUSTED);
}

static void strangers_are_untrusted(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE twin = issue(CA("root"), NULL); /* same name, another key */
	NODE one = issue(CA("one"), &twin);
	NODE leaf = issue(LEAF(), &one);
	NODE self = issue(LEAF(), NULL);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_reason(judge(trust, &leaf, OTHERS(&one, &twin)), REASON_CHAIN_UNTRUSTED); /* key identifiers differ */
	assert_reason(judge(trust, &self, OTHERS(&self)), REASON_CHAIN_UNTRUSTED);
	assert_reason(judge(trust, &leaf, NULL, 0), REASON_CHAIN_UNTRUSTED);
}

static void dates_of_every_certificate_count(void **state)
{
	int64_t now = clock_wall_s(), past = now - 10 * DAY, future = now + 10 * DAY, end = now + 20 * DAY;

	(void)state;
	for (int i = 0; i < 6; i++) { /* which of the three certificates is out of its dates, and on which side */
		int64_t from[3] = { past, past, past }, to[3] = { end, end, end };

		if (i % 2 == 0)
			to[i / 2] = now - DAY;
		else
			from[i / 2] = future;
		NODE root = issue(CA("root", .not_before_s = from[0], .not_after_s = to[0]), NULL);
		NODE one = issue(CA("one", .not_before_s = from[1], .not_after_s = to[1]), &root);
		NODE leaf = issue(LEAF(.not_before_s = from[2], .not_after_s = to[2]), &one);
		AUTO(trust_freep) struct trust *trust = trust_one(&root);

		assert_reason(judge(trust, &leaf, OTHERS(&one)),
			      i % 2 == 0 ? REASON_CHAIN_EXPIRED : REASON_CHAIN_FUTURE);
	}
}

static void dates_of_an_anchor_right_above_count(void **state)
{
	int64_t now = clock_wall_s(), past = now - 10 * DAY, end = now + 20 * DAY;
	NODE root = issue(CA("root", .not_before_s = now - DAY, .not_after_s = now + DAY), NULL);
	NODE leaf = issue(LEAF(.not_before_s = past, .not_after_s = end), &root);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);
	struct trust_path path;

	(void)state;
	assert_ok(judge(trust, &leaf, NULL, 0));
	assert_reason(judge_at(trust, &leaf, NULL, 0, now + DAY + 1, &path), REASON_CHAIN_EXPIRED);
	assert_reason(judge_at(trust, &leaf, NULL, 0, now - DAY - 1, &path), REASON_CHAIN_FUTURE);
}

static void path_lengths_bind_everything_below(void **state)
{
	NODE root = issue(CA("root", .has_path_len = true, .path_len = 1), NULL);
	NODE one = issue(CA("one"), &root);
	NODE two = issue(CA("two"), &one);
	NODE leaf1 = issue(LEAF(), &one);
	NODE leaf2 = issue(LEAF(), &two);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_ok(judge(trust, &leaf1, OTHERS(&one)));
	assert_reason(judge(trust, &leaf2, OTHERS(&two, &one)), REASON_CHAIN_PATHLEN);

	NODE batch = issue(CA("batch", .has_path_len = true, .path_len = 0), &root);
	NODE below = issue(CA("below"), &batch);
	NODE leaf3 = issue(LEAF(), &below);
	NODE leaf4 = issue(LEAF(), &batch);
	assert_ok(judge(trust, &leaf4, OTHERS(&batch)));
	assert_reason(judge(trust, &leaf3, OTHERS(&below, &batch)), REASON_CHAIN_PATHLEN);

	NODE tight = issue(CA("tight", .has_path_len = true, .path_len = 0), NULL);
	NODE under = issue(CA("under"), &tight);
	NODE leaf5 = issue(LEAF(), &under);
	AUTO(trust_freep) struct trust *tight_trust = trust_one(&tight);
	assert_reason(judge(tight_trust, &leaf5, OTHERS(&under)), REASON_CHAIN_PATHLEN);
}

static void a_self_issued_ca_does_not_count_for_path_lengths(void **state)
{
	NODE root = issue(CA("root", .has_path_len = true, .path_len = 1), NULL);
	NODE again = issue(CA("root"), &root); /* key rollover: same name, new key */
	NODE one = issue(CA("one"), &again);
	NODE leaf = issue(LEAF(), &one);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_ok(judge(trust, &leaf, OTHERS(&one, &again)));
}

static void the_leaf_is_no_ca_no_anchor_and_has_no_unknown_critical_extension(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE odd = issue(LEAF(.ext = { { "1.2.3.4", "critical,DER:0500" } }), &one);
	NODE even = issue(LEAF(.ext = { { "1.2.3.4", "DER:0500" } }), &one);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_reason(judge(trust, &one, OTHERS(&root)), REASON_CHAIN_LEAF);
	assert_reason(judge(trust, &root, NULL, 0), REASON_CHAIN_LEAF);
	assert_reason(judge(trust, &odd, OTHERS(&one)), REASON_CHAIN_LEAF);
	assert_ok(judge(trust, &even, OTHERS(&one)));
}

static void an_issuer_must_be_a_ca_that_may_sign(void **state)
{
	static const struct make_ext shapes[][2] = {
		{ { "basicConstraints", "critical,CA:FALSE" }, { "keyUsage", "critical,keyCertSign" } },
		{ { "keyUsage", "critical,keyCertSign" } },
		{ { "basicConstraints", "critical,CA:TRUE" }, { "keyUsage", "critical,digitalSignature,cRLSign" } },
		{ { "basicConstraints", "critical,CA:TRUE" }, { "1.2.3.4", "critical,DER:0500" } },
		{ { "basicConstraints", "critical,CA:TRUE" },
		  { "nameConstraints", "critical,permitted;DNS:a.example" } },
		{ { "basicConstraints", "critical,CA:TRUE" }, { "extendedKeyUsage", "critical,clientAuth" } },
	};
	NODE root = issue(CA("root"), NULL);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	for (size_t i = 0; i < N_OF(shapes); i++) {
		NODE one = issue((struct make_cert){ .cn = "one", .bare = true, .ext = { shapes[i][0], shapes[i][1] } },
				 &root);
		NODE leaf = issue(LEAF(), &one);

		assert_reason(judge(trust, &leaf, OTHERS(&one)), REASON_CHAIN_UNTRUSTED);
	}
	/* without a keyUsage a CA may sign: real vendor roots have none */
	NODE one = issue((struct make_cert){ .cn = "one", .bare = true, .ext = { { "basicConstraints", "CA:TRUE" } } },
			 &root);
	NODE leaf = issue(LEAF(), &one);
	assert_ok(judge(trust, &leaf, OTHERS(&one)));
}

static void broken_signatures_are_told_apart(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE two = issue(CA("two"), &one);
	NODE leaf = issue(LEAF(), &two);
	NODE bad_one = broken(&one);
	NODE bad_two = broken(&two);
	NODE bad_leaf = broken(&leaf);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_reason(judge(trust, &leaf, OTHERS(&two, &bad_one)), REASON_CHAIN_SIGNATURE);
	assert_reason(judge(trust, &leaf, OTHERS(&bad_two, &one)), REASON_CHAIN_SIGNATURE);
	assert_ok(judge(trust, &leaf, OTHERS(&bad_two, &two, &bad_one, &one))); /* the good ones are there as well */
	assert_reason(judge(trust, &bad_leaf, OTHERS(&two, &one)), REASON_CHAIN_SIGNATURE);
	assert_reason(judge(trust, &leaf, OTHERS(&bad_two)),
		      REASON_CHAIN_UNTRUSTED); /* remembered is only the good one */
}

static void a_stranger_with_all_the_right_names_fails_at_the_signature(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE evil_root = issue(
		(struct make_cert){ .cn = "root", .bare = true, .ext = { { "basicConstraints", "critical,CA:TRUE" } } },
		NULL);
	NODE evil_one = issue(
		(struct make_cert){ .cn = "one", .bare = true, .ext = { { "basicConstraints", "critical,CA:TRUE" } } },
		&evil_root);
	NODE leaf = issue((struct make_cert){ .cn = "leaf", .bare = true }, &evil_one);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_reason(judge(trust, &leaf, OTHERS(&evil_one, &evil_root)), REASON_CHAIN_SIGNATURE);
	NODE direct = issue((struct make_cert){ .cn = "leaf", .bare = true }, &evil_root);
	assert_reason(judge(trust, &direct, OTHERS(&evil_root)), REASON_CHAIN_SIGNATURE);
}

static void sha1_signs_nothing_but_a_root_itself(void **state)
{
	NODE root = issue_with(make_key(KEY_RSA), CA("root", .md_name = "SHA1"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE weak = issue(CA("weak", .md_name = "SHA1"), &root);
	NODE leaf = issue(LEAF(), &one);
	NODE under_weak = issue(LEAF(), &weak);
	NODE weak_leaf = issue_with(make_key(KEY_EC_P256), LEAF(.md_name = "SHA1"), &root);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_ok(judge(trust, &leaf, OTHERS(&one)));
	assert_reason(judge(trust, &under_weak, OTHERS(&weak)), REASON_CHAIN_SIGNATURE);
	assert_reason(judge(trust, &weak_leaf, NULL, 0), REASON_CHAIN_SIGNATURE);
}

static void several_of_one_name_are_all_tried(void **state)
{
	const struct make_ext ca[] = { { "basicConstraints", "critical,CA:TRUE" } };
	struct make_cert spec = { .cn = "one", .bare = true, .ext = { ca[0] } };
	NODE root_a = issue((struct make_cert){ .cn = "root", .bare = true, .ext = { ca[0] } }, NULL);
	NODE root_b = issue((struct make_cert){ .cn = "root", .bare = true, .ext = { ca[0] } }, NULL);
	NODE one = issue(spec, &root_b); /* no key identifiers anywhere: only signatures tell */
	NODE other = issue(spec, &root_b);
	NODE leaf = issue((struct make_cert){ .cn = "leaf", .bare = true }, &one);
	NODE leaf_b = issue((struct make_cert){ .cn = "leaf", .bare = true }, &root_b);
	const struct node *anchors[] = { &root_a, &root_b };
	AUTO(trust_freep) struct trust *trust = trust_in(anchors, 2);
	struct trust_path path;
	uint8_t want[32];

	(void)state;
	assert_ok(judge(trust, &leaf, OTHERS(&other, &one)));
	assert_ok(judge_at(trust, &leaf, OTHERS(&other, &one), clock_wall_s(), &path));
	spki_hash(&one, want);
	assert_memory_equal(path.issuer_hash, want, 32);
	assert_ok(judge(trust, &leaf_b, NULL, 0));
	assert_reason(judge(trust, &leaf, OTHERS(&other)), REASON_CHAIN_SIGNATURE);
}

/* What is known by its name alone, or by its key alone, is not taken for the one that both name. */
static void key_identifiers_tell_issuers_of_one_name_apart(void **state)
{
	const struct make_ext ca = { "basicConstraints", "critical,CA:TRUE" };
	NODE root_a = issue(CA("root"), NULL);
	NODE root_b = issue(CA("root"), NULL);
	NODE nameless = issue((struct make_cert){ .cn = "one", .bare = true, .ext = { ca } }, &root_a);
	NODE one = issue(CA("one"), &root_a);
	NODE twin = issue(CA("one"), &root_a);
	EVP_PKEY_up_ref(one.key);
	NODE renamed = issue_with(one.key, CA("two"), &root_a);
	NODE renamed_leaf = issue(LEAF(), &renamed);
	NODE under_twin = issue(LEAF(), &twin);
	NODE under_nameless = issue((struct make_cert){ .cn = "leaf", .bare = true }, &nameless);
	NODE leaf = issue(LEAF(), &one);
	NODE leaf_b = issue(LEAF(), &root_b);
	const struct node *anchors[] = { &root_a, &root_b };
	AUTO(trust_freep) struct trust *trust = trust_in(anchors, 2);

	(void)state;
	assert_ok(judge(trust, &under_nameless, OTHERS(&nameless)));
	assert_true(trust_has_ca(trust, buf_blob(&nameless.der)));
	assert_ok(judge(trust, &leaf, OTHERS(&nameless, &one)));
	assert_ok(judge(trust, &leaf_b, NULL, 0));
	assert_ok(judge(trust, &leaf, OTHERS(&one)));
	assert_ok(judge(trust, &under_twin, OTHERS(&one, &twin)));
	assert_reason(judge(trust, &renamed_leaf, OTHERS(&one)), REASON_CHAIN_UNTRUSTED); /* the same key */
}

/* Cross-certified: the same CA key under an expired root and under a good one. */
static void an_expired_path_does_not_hide_a_good_one(void **state)
{
	int64_t now = clock_wall_s();
	NODE old_root = issue(CA("old", .not_before_s = now - 9 * DAY, .not_after_s = now - DAY), NULL);
	NODE new_root = issue(CA("new"), NULL);
	NODE by_old = issue(CA("one"), &old_root);
	EVP_PKEY_up_ref(by_old.key);
	NODE by_new = issue_with(by_old.key, CA("one"), &new_root);
	NODE leaf = issue(LEAF(), &by_old);
	const struct node *anchors[] = { &old_root, &new_root };
	AUTO(trust_freep) struct trust *trust = trust_in(anchors, 2);

	(void)state;
	assert_reason(judge(trust, &leaf, OTHERS(&by_old)), REASON_CHAIN_EXPIRED);
	assert_ok(judge(trust, &leaf, OTHERS(&by_old, &by_new)));
}

static void loops_end(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE a = issue(CA("a"), NULL);
	NODE b = issue(CA("b"), &a);
	EVP_PKEY_up_ref(a.key);
	NODE a_by_b = issue_with(a.key, CA("a"), &b);
	NODE leaf = issue(LEAF(), &a);
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_reason(judge(trust, &leaf, OTHERS(&a, &b, &a_by_b, &a, &b, &a_by_b)), REASON_CHAIN_UNTRUSTED);
}

static void broken_extras_do_no_harm_and_too_many_are_refused(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE one = issue(CA("one"), &root);
	NODE leaf = issue(LEAF(), &one);
	NODE cut = { 0 };
	const struct node *many[LIMIT_BUNDLE_CERTS + 1];
	AUTO(trust_freep) struct trust *trust = trust_one(&root);

	(void)state;
	assert_ok(buf_copy(BLOB(one.der.ptr, one.der.len - 1), &cut.der, NULL));
	assert_reason(judge(trust, &leaf, OTHERS(&cut)), REASON_CHAIN_DER);
	assert_ok(judge(trust, &leaf, OTHERS(&cut, &one)));
	for (size_t i = 0; i <= LIMIT_BUNDLE_CERTS; i++)
		many[i] = &one;
	assert_ok(judge(trust, &leaf, many, LIMIT_BUNDLE_CERTS));
	assert_reason(judge(trust, &leaf, many, LIMIT_BUNDLE_CERTS + 1), REASON_CHAIN_DER);
}

static enum reason open_text(const char *text, struct fault *f)
{
	struct trust *trust = NULL;
	enum reason reason = trust_open_pem("rigs", BLOB_STR(text), &trust, f);

	trust_free(trust);
	return reason;
}

static void lists_without_usable_anchors_are_refused_by_name(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE leaf = issue(LEAF(), &root);
	AUTO(buf_done) struct buf leaf_pem = make_pem(&leaf.x, 1), root_pem = make_pem(&root.x, 1);
	struct fault f = { 0 };
	char text[8192];

	(void)state;
	assert_reason(open_text("", &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "rigs"));
	assert_reason(open_text("no PEM here\n", &f), REASON_CONFIG);
	snprintf(text, sizeof(text), "%.*s", (int)leaf_pem.len, leaf_pem.ptr);
	assert_reason(open_text(text, &f), REASON_CONFIG); /* not a CA */
	assert_non_null(strstr(f.detail, "certificate 1"));
	snprintf(text, sizeof(text), "%.*s%.*s", (int)root_pem.len, root_pem.ptr, (int)leaf_pem.len, leaf_pem.ptr);
	assert_reason(open_text(text, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "certificate 2"));
	snprintf(text, sizeof(text), "%.*s", (int)root_pem.len - 40, root_pem.ptr);
	assert_reason(open_text(text, &f), REASON_CONFIG); /* cut off */
	snprintf(text, sizeof(text), "# my roots\n%.*s\n%.*s", (int)root_pem.len, root_pem.ptr, (int)root_pem.len,
		 root_pem.ptr);
	assert_ok(open_text(text, &f)); /* twice the same is once */
	assert_reason(open_text("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", &f), REASON_CONFIG);
}

static void files_are_read_and_missing_ones_named(void **state)
{
	NODE root = issue(CA("root"), NULL);
	NODE leaf = issue(LEAF(), &root);
	AUTO(buf_done) struct buf pem = make_pem(&root.x, 1);
	char path[] = "/tmp/test_trust.XXXXXX";
	struct trust *trust = NULL;
	struct fault f = { 0 };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, pem.ptr, pem.len), (ssize_t)pem.len);
	close(fd);
	assert_ok(trust_open("test anchors", path, &trust, &f));
	assert_ok(judge(trust, &leaf, NULL, 0));
	trust_free(trust);
	unlink(path);
	trust = NULL;
	assert_reason(trust_open("rigs", path, &trust, &f), REASON_CONFIG);
	assert_null(trust);
	assert_non_null(strstr(f.detail, path));
	assert_non_null(strstr(f.detail, "rigs"));
	trust_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_right_under_an_anchor),
		cmocka_unit_test(up_to_three_cas_in_any_order),
		cmocka_unit_test(an_issuing_ca_may_be_the_anchor),
		cmocka_unit_test(strangers_are_untrusted),
		cmocka_unit_test(dates_of_every_certificate_count),
		cmocka_unit_test(dates_of_an_anchor_right_above_count),
		cmocka_unit_test(path_lengths_bind_everything_below),
		cmocka_unit_test(a_self_issued_ca_does_not_count_for_path_lengths),
		cmocka_unit_test(the_leaf_is_no_ca_no_anchor_and_has_no_unknown_critical_extension),
		cmocka_unit_test(an_issuer_must_be_a_ca_that_may_sign),
		cmocka_unit_test(broken_signatures_are_told_apart),
		cmocka_unit_test(a_stranger_with_all_the_right_names_fails_at_the_signature),
		cmocka_unit_test(sha1_signs_nothing_but_a_root_itself),
		cmocka_unit_test(several_of_one_name_are_all_tried),
		cmocka_unit_test(key_identifiers_tell_issuers_of_one_name_apart),
		cmocka_unit_test(an_expired_path_does_not_hide_a_good_one),
		cmocka_unit_test(loops_end),
		cmocka_unit_test(broken_extras_do_no_harm_and_too_many_are_refused),
		cmocka_unit_test(lists_without_usable_anchors_are_refused_by_name),
		cmocka_unit_test(files_are_read_and_missing_ones_named),
	};

	oid_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
