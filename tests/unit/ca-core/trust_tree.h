/*
 * trust_tree.h - certificates under each other, and the verdict of a trust list over a leaf of theirs.
 */
#ifndef ASSAY_TEST_TRUST_TREE_H
#define ASSAY_TEST_TRUST_TREE_H

#include "make.h"
#include "trust.h"

#define DAY 86400L

/* One certificate with its key, as every test needs several. */
struct node {
	EVP_PKEY *key;
	X509 *x;
	struct buf der;
};

struct node issue(struct make_cert spec, const struct node *issuer);
struct node issue_with(EVP_PKEY *key, struct make_cert spec, const struct node *issuer); /* consumes the key */
struct node broken(const struct node *whole); /* the same certificate with its last signature byte changed */
void node_done(struct node *node);
#define NODE AUTO(node_done) struct node

struct trust *trust_in(const struct node *const *anchors, size_t n);
struct trust *trust_one(const struct node *anchor);

/* The verdict over a leaf with these certificates beside it, its claim checked. */
enum reason judge_at(struct trust *trust, const struct node *leaf, const struct node *const *others, size_t n,
		     int64_t at_s, struct trust_path *ret_path);
/* Twice: the second time out of the cache, where there is something to remember. */
enum reason judge(struct trust *trust, const struct node *leaf, const struct node *const *others, size_t n);
void spki_hash(const struct node *node, uint8_t out[32]);

#define OTHERS(...) (const struct node *const[]){ __VA_ARGS__ }, N_OF(((const struct node *const[]){ __VA_ARGS__ }))
#define CA(name, ...) ((struct make_cert){ .cn = name, .ca = true, __VA_ARGS__ })
#define LEAF(...) ((struct make_cert){ .cn = "leaf", __VA_ARGS__ })

#endif
