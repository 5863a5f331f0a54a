/*
 * lull.c - see lull.h.
 *
 * The thread of the lowest class holds no lock that anybody waits for: pushed aside with one in hand it would hold up
 * who waits beyond all patience. Semaphores go both ways instead. An answer that comes after patience ended stays until
 * the next wait throws it away.
 */
#include "lull.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/blob.h"

struct lull {
	pthread_t thread;
	sem_t asked, answered;
	atomic_bool stop;
};

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		; /* a signal came between */
}

/* Answers once at the start: its class has been set. */
static void *lull_run(void *arg)
{
	struct lull *lull = arg;

	(void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 });
	do {
		(void)sem_post(&lull->answered);
		wait_for(&lull->asked);
	} while (!atomic_load(&lull->stop));
	return NULL;
}

static struct timespec after(int64_t us)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	us += t.tv_nsec / 1000;
	t.tv_sec += us / 1000000;
	t.tv_nsec = us % 1000000 * 1000;
	return t;
}

void lull_wait(struct lull *lull, int64_t patience_us)
{
	struct timespec until = after(patience_us);

	while (sem_trywait(&lull->answered) == 0)
		;
	(void)sem_post(&lull->asked);
	while (sem_clockwait(&lull->answered, CLOCK_MONOTONIC, &until) != 0 && errno == EINTR)
		;
}

static void lull_free(struct lull *lull)
{
	(void)sem_destroy(&lull->asked);
	(void)sem_destroy(&lull->answered);
	free(lull);
}

/* Its class is set before anybody goes on, for a sealed process may not set it any more. */
enum reason lull_open(struct lull **ret_lull, struct fault *f)
{
	struct lull *lull = calloc(1, sizeof(*lull));

	if (lull == NULL)
		return fault_set(f, REASON_NO_MEMORY, "lull");
	(void)sem_init(&lull->asked, 0, 0);
	(void)sem_init(&lull->answered, 0, 0);
	if (pthread_create(&lull->thread, NULL, lull_run, lull) != 0) {
		lull_free(lull);
		return fault_set(f, REASON_NO_MEMORY, "thread of the lull");
	}
	wait_for(&lull->answered);
	*ret_lull = lull;
	return REASON_OK;
}

void lull_close(struct lull *lull)
{
	if (lull == NULL)
		return;
	atomic_store(&lull->stop, true);
	(void)sem_post(&lull->asked);
	pthread_join(lull->thread, NULL);
	lull_free(lull);
}
