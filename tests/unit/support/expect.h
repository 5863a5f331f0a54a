/*
 * expect.h - cmocka with what it needs before it, and assertions in Assay's terms.
 */
#ifndef ASSAY_TEST_EXPECT_H
#define ASSAY_TEST_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/reason.h"

/* By name, so that a failure reads "csr_der != ok". */
#define assert_reason(got, want) assert_string_equal(reason_info(got)->name, reason_info(want)->name)
#define assert_ok(got) assert_reason(got, REASON_OK)

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
