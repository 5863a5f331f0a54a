/* walk.c - see walk.h. */
#include "walk.h"

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
