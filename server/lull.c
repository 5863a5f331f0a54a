/* lull.c - see lull.h. */
#include "lull.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/blob.h"

struct lull {
	pthread_t thread;
	pthread_mutex_t lock;    /* of what follows */
	pthread_cond_t asked;    /* wanted, or stop */
	pthread_cond_t answered; /* ready, or not wanted any more */
	bool ready, wanted, stop;
};

/* It holds the lock for a few instructions only: pushed aside in between, it would hold up who waits. */
static void *lull_run(void *arg)
{
	struct lull *lull = arg;

	(void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 });
	pthread_mutex_lock(&lull->lock);
	lull->ready = true;
	pthread_cond_signal(&lull->answered);
	while (!lull->stop) {
		if (lull->wanted) {
			lull->wanted = false;
			pthread_cond_signal(&lull->answered);
		}
		pthread_cond_wait(&lull->asked, &lull->lock);
	}
	pthread_mutex_unlock(&lull->lock);
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

	pthread_mutex_lock(&lull->lock);
	lull->wanted = true;
	pthread_cond_signal(&lull->asked);
	while (lull->wanted && pthread_cond_timedwait(&lull->answered, &lull->lock, &until) == 0)
		;
	lull->wanted = false;
	pthread_mutex_unlock(&lull->lock);
}

static void lull_free(struct lull *lull)
{
	pthread_mutex_destroy(&lull->lock);
	pthread_cond_destroy(&lull->asked);
	pthread_cond_destroy(&lull->answered);
	free(lull);
}

/* Its class is set before anybody goes on, for a sealed process may not set it any more. */
enum reason lull_open(struct lull **ret_lull, struct fault *f)
{
	struct lull *lull = calloc(1, sizeof(*lull));
	pthread_condattr_t attr;

	if (lull == NULL)
		return fault_set(f, REASON_NO_MEMORY, "lull");
	pthread_mutex_init(&lull->lock, NULL);
	pthread_cond_init(&lull->asked, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lull->answered, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&lull->thread, NULL, lull_run, lull) != 0) {
		lull_free(lull);
		return fault_set(f, REASON_NO_MEMORY, "thread of the lull");
	}
	pthread_mutex_lock(&lull->lock);
	while (!lull->ready)
		pthread_cond_wait(&lull->answered, &lull->lock);
	pthread_mutex_unlock(&lull->lock);
	*ret_lull = lull;
	return REASON_OK;
}

void lull_close(struct lull *lull)
{
	if (lull == NULL)
		return;
	pthread_mutex_lock(&lull->lock);
	lull->stop = true;
	pthread_cond_signal(&lull->asked);
	pthread_mutex_unlock(&lull->lock);
	pthread_join(lull->thread, NULL);
	lull_free(lull);
}
