/*
 * decide_support.h - a scene for policy_decide(): profiles of the test's own, a requester, a CSR, a verdict.
 *
 * scene_open() gives an ask that is granted on label "line"; each test changes one thing and asks again.
 */
#ifndef ASSAY_TEST_DECIDE_SUPPORT_H
#define ASSAY_TEST_DECIDE_SUPPORT_H

#include "policy.h"

struct scene {
	struct policy *policy;
	struct requester who;
	struct cert cert; /* the TLS client certificate of WHO_DEVICE */
	struct csr csr;
	struct verdict verdict;
	struct ask ask;
	struct fault f;
	struct grant *grant; /* of the last scene_decide(); NULL when refused */
	struct buf kept[32]; /* DER that the structs point to */
	size_t n_kept;
};

#define ELEMENT_HEX "0102030405060708090a0b0c0d0e0f10"

/* One profile "<label>.json" with ' for ". */
void scene_profile(const char *label, const char *json);
int scene_remove_profiles(void **state); /* of a group */

/* The profiles of first certificates, of a group. */
int scene_enrol_profiles(void **state);

struct scene *scene_open(void);
int scene_setup(void **state);    /* scene_open() for a test */
int scene_teardown(void **state); /* of a test: *state is the scene */

/* DER that lives as long as the scene. */
struct blob scene_keep(struct scene *scene, struct buf der);
struct blob scene_name(struct scene *scene, const char *cn, const char *serial_number);
/* GeneralNames: "uri:...", "dns:...", "hw:<hex>" (under assay.5.1), "hwx:<hex>" (another hwType), "email:..."; ends
 * with NULL. */
struct blob scene_san(struct scene *scene, ...);

/* The requester of a kind, with the id and pattern it would have. */
void scene_who(struct scene *scene, enum requester_kind kind, const char *names);
enum reason scene_decide(struct scene *scene, const char *label, enum est_op op);

#define scene_refuses(s, label, op, why)                                                                               \
	do {                                                                                                           \
		assert_int_equal(scene_decide(s, label, op), why);                                                     \
		assert_null((s)->grant);                                                                               \
	} while (0)
#define scene_grants(s, label, op)                                                                                     \
	do {                                                                                                           \
		if (scene_decide(s, label, op) != REASON_OK)                                                           \
			fail_msg("%s: %s", reason_info((s)->f.reason)->name, (s)->f.detail);                           \
		assert_non_null((s)->grant);                                                                           \
	} while (0)

#endif
