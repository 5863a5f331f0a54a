/*
 * evidence_scene.h - a vendor's chip, a quote of its that would be believed, and the verdict over both.
 */
#ifndef ASSAY_TEST_EVIDENCE_SCENE_H
#define ASSAY_TEST_EVIDENCE_SCENE_H

#include "evidence.h"
#include "quote.h"
#include "quote_make.h"

#define NATIVE (QUOTE_ON_CHIP | QUOTE_NO_EXPORT)
#define UEID_HEX "01aabbccddeeff07"
extern const uint8_t ueid[8], nonce[16];

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

struct vendors *vendors_for(X509 *root);
struct scene *scene_of(const struct vendor_make *spec, const char *chip_serial);
struct scene *scene(void);
void scene_done(struct scene *s);

/* As the ra does it: assess, then check what it claims. */
enum reason assess_bundle(struct scene *s, struct blob bundle);
enum reason assess(struct scene *s);
/* Assesses, compares, and ends the scene. */
void expect(struct scene *s, enum reason why);

#endif
