/* test_lull.c - does waiting for a lull end at once when a processor is idle, and in time when none is? */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "lull.h"

#define SPINNERS_MAX 64
#define LONG_US 60000000

static struct lull *open_lull(void)
{
	struct lull *lull = NULL;
	struct fault fault = { 0 };

	if (lull_open(&lull, &fault) != REASON_OK)
		fail_msg("%s", fault.detail);
	return lull;
}

/* Even a busy machine has a moment for the lowest class within a minute. */
static void a_lull_ends_the_wait(void **state)
{
	struct lull *lull = open_lull();

	(void)state;
	for (int i = 0; i < 3; i++) {
		int64_t began_us = clock_mono_us();

		lull_wait(lull, LONG_US);
		assert_true(clock_mono_us() - began_us < LONG_US);
	}
	lull_close(lull);
}

static void *spin(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load_explicit(stop, memory_order_relaxed))
		;
	return NULL;
}

/* Every processor is busy for as long as it waits: it goes on all the same. */
static void patience_ends_the_wait(void **state)
{
	struct lull *lull = open_lull();
	atomic_bool stop = false;
	pthread_t thread[SPINNERS_MAX];
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	if (n > SPINNERS_MAX)
		n = SPINNERS_MAX;
	for (long i = 0; i < n; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, spin, &stop), 0);
	for (int i = 0; i < 20; i++)
		lull_wait(lull, 1000);
	atomic_store(&stop, true);
	for (long i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	lull_close(lull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lull_ends_the_wait),
		cmocka_unit_test(patience_ends_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
