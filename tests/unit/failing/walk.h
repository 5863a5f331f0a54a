/*
 * walk.h - one operation again and again, its n-th call that can fail failing, for every n until none is left to fail.
 */
#ifndef ASSAY_TEST_WALK_H
#define ASSAY_TEST_WALK_H

#include "expect.h"

#include "base/blob.h"
#include "failing.h"

/*
 * Fails the test unless every refusal has a reason and a detail, and the operation succeeds once nothing fails. Gives
 * how many calls could fail. `run` checks that a refusal left its outputs alone, and frees what it got.
 */
typedef enum reason walked(const void *with, struct fault *f);
unsigned long walk(const char *name, walked *run, const void *with, enum failing_mode mode);

/* A file of the corpus, whole. */
struct buf walk_input(const char *path);

/* Teardown: a failed assertion must not starve the tests behind it. */
int walk_stop(void **state);

#endif
