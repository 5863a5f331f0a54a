/*
 * starved.c - every fuzz target once with all that it asks for, then with memory that runs out and calls that fail.
 *
 * A target's own entry is compiled under the name fuzz_input. libFuzzer gets one failing call an input, chosen by the
 * input's bytes, so that a finding comes again with its file alone; the replay of the corpus walks through all.
 */
#include <openssl/err.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "failing.h"

int fuzz_input(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What OpenSSL notes of an error would look like a leak, and every such input be searched for one: 30 a second. */
static void run(const uint8_t *data, size_t len)
{
	fuzz_input(data, len);
	ERR_clear_error();
}

static void starve(const uint8_t *data, size_t len, unsigned long n, enum failing_mode mode)
{
	failing_start(n, mode);
	run(data, len);
	failing_stop();
}

#ifdef ASSAY_FUZZ
/* FUZZ_FED: inputs are judged by what they reach with all they ask for, to choose those that the replay will starve. */
static void starve_some(const uint8_t *data, size_t len, unsigned long asked)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	if (getenv("FUZZ_FED") != NULL)
		return;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ data[i]) * 16777619U;
	starve(data, len, 1 + (hash >> 1) % asked, (hash & 1) != 0 ? FAILING_ONCE : FAILING_FROM);
}
#else
#define ALL_MAX 400 /* an input with more calls that can fail is walked in steps; the unit tests walk through all */

static void starve_some(const uint8_t *data, size_t len, unsigned long asked)
{
	unsigned long step = asked / ALL_MAX + 1;

	for (unsigned long n = 1; n <= asked; n += step) {
		starve(data, len, n, FAILING_ONCE);
		starve(data, len, n, FAILING_FROM);
	}
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned long asked;

	failing_start(0, FAILING_ONCE);
	run(data, len);
	asked = failing_stop();
	if (asked > 0)
		starve_some(data, len, asked);
	return 0;
}
