/* trust_tree.c - see trust_tree.h. */
#include "expect.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "trust_tree.h"

struct node issue_with(EVP_PKEY *key, struct make_cert spec, const struct node *issuer)
{
	struct node node = { .key = key };

	spec.key = key;
	node.x = make_cert(&spec, issuer == NULL ? NULL : issuer->x, issuer == NULL ? NULL : issuer->key);
	node.der = make_der(node.x);
	return node;
}

struct node issue(struct make_cert spec, const struct node *issuer)
{
	return issue_with(make_key(KEY_EC_P256), spec, issuer);
}

void node_done(struct node *node)
{
	EVP_PKEY_free(node->key);
	X509_free(node->x);
	buf_done(&node->der);
}

struct trust *trust_in(const struct node *const *anchors, size_t n)
{
	X509 *certs[8];

	for (size_t i = 0; i < n; i++)
		certs[i] = anchors[i]->x;
	return make_trust(certs, n);
}

struct trust *trust_one(const struct node *anchor)
{
	return trust_in(&anchor, 1);
}

enum reason judge_at(struct trust *trust, const struct node *leaf, const struct node *const *others, size_t n,
		     int64_t at_s, struct trust_path *ret_path)
{
	struct claims *claims = calloc(1, sizeof(*claims));
	struct fault f = { 0 };
	struct blob untrusted[LIMIT_BUNDLE_CERTS + 1];
	struct cert cert;
	enum reason reason;

	for (size_t i = 0; i < n; i++)
		untrusted[i] = buf_blob(&others[i]->der);
	assert_ok(cert_parse(buf_blob(&leaf->der), &cert, NULL));
	reason = trust_path(trust, &cert, untrusted, n, at_s, claims, ret_path, &f);
	if (reason == REASON_OK) {
		assert_int_equal(claims->n, 1);
		claims_check(&claims, 1, &f);
		reason = f.reason;
	} else {
		assert_reason(f.reason, reason);
		assert_true(strstr(f.detail, "test anchors") != NULL || reason == REASON_CHAIN_SIGNATURE);
		assert_int_equal(claims->n, 0);
	}
	free(claims);
	return reason;
}

enum reason judge(struct trust *trust, const struct node *leaf, const struct node *const *others, size_t n)
{
	struct trust_path path = { .root_spki_hash = "untouched" };
	enum reason first = judge_at(trust, leaf, others, n, clock_wall_s(), &path);

	if (first != REASON_OK && first != REASON_CHAIN_SIGNATURE)
		assert_string_equal((const char *)path.root_spki_hash, "untouched");
	assert_reason(judge_at(trust, leaf, others, n, clock_wall_s(), &path), first);
	return first;
}

void spki_hash(const struct node *node, uint8_t out[32])
{
	struct pubkey key = make_pubkey(node->key);

	pubkey_hash(&key, out);
}

struct node broken(const struct node *whole)
{
	struct node copy = { 0 };

	assert_ok(buf_copy(buf_blob(&whole->der), &copy.der, NULL));
	copy.der.ptr[copy.der.len - 1] ^= 1;
	return copy;
}
