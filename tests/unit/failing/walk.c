/* walk.c - see walk.h. */
#include "walk.h"

#include <stdio.h>

#define N_MAX 20000

unsigned long walk(const char *name, walked *run, const void *with, enum failing_mode mode)
{
	for (unsigned long n = 1; n < N_MAX; n++) {
		struct fault f = { 0 };
		enum reason reason;

		failing_start(n, mode);
		reason = run(with, &f);
		failing_stop();
		if (!failing_happened()) {
			if (reason != REASON_OK)
				fail_msg("%s: with nothing failing: %s", name, f.detail);
			return n - 1;
		}
		if (reason != REASON_OK && (f.reason != reason || f.detail[0] == '\0'))
			fail_msg("%s: call %lu: a refusal without a word", name, n);
	}
	fail_msg("%s: no end after %d calls", name, N_MAX);
	return 0;
}

int walk_stop(void **state)
{
	(void)state;
	failing_stop();
	return 0;
}

struct buf walk_input(const char *name)
{
	struct buf bytes = { 0 };
	uint8_t block[4096];
	FILE *file = fopen(name, "rb");
	size_t n;

	if (file == NULL)
		fail_msg("%s is missing", name);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		assert_ok(buf_append(&bytes, BLOB(block, n), NULL));
	fclose(file);
	return bytes;
}
