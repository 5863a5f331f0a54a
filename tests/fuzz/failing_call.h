/*
 * failing_call.h - how failing_*.c name the calls that fail: what comes back then, and how to make the real one.
 *
 * A line FAILS(type, value, name, ...) is also where CMake learns which calls the linker has to wrap, so it begins at
 * the left edge and stays one line.
 */
#ifndef ASSAY_TEST_FAILING_CALL_H
#define ASSAY_TEST_FAILING_CALL_H

#include <errno.h>

#include "failing.h"

#define FAILS(type, value, name, parameters, arguments)                                                                \
	type __real_##name parameters;                                                                                 \
	type __wrap_##name parameters;                                                                                 \
	type __wrap_##name parameters                                                                                  \
	{                                                                                                              \
		return failing_now() ? (value) : __real_##name arguments;                                              \
	}

#endif
