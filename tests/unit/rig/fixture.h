/*
 * fixture.h - a scratch folder with a software vendor in it, made at run time, for the tests of rig/.
 *
 * Owns:    fixture_free() removes the folder and everything in it.
 * Threads: one.
 */
#ifndef RIG_TEST_FIXTURE_H
#define RIG_TEST_FIXTURE_H

#include "se_soft.h"

struct fixture {
	char folder[64]; /* root.pem, batch-ca.pem, batch-ca.key in it */
	EVP_PKEY *batch_key;
	X509 *root, *batch_ca;
	struct soft_vendor *vendor;
};

/* Each ends the program with a message when something is not as it must be. */
void fixture_init(struct fixture *fixture);
void fixture_free(struct fixture *fixture);
/* A new element in memory, or kept in a folder of its own below `parent`. */
struct element *fixture_element(const struct fixture *fixture, const char *parent, enum element_key attestation_key);
/* A certificate for the key in NEXT, by the fixture's batch CA (any issuer does for these tests). */
X509 *fixture_certify(const struct fixture *fixture, struct element *element);
/* setup and teardown for cmocka groups: *state is a struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

#endif
