/* line.c - see line.h. */
#include "line.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/clock.h"
#include "observe/metrics.h"

struct waiting {
	struct job *head, **tail;
	unsigned n;
};

/* One station at work: its queue and its threads. */
struct post {
	struct station station;
	struct line *line;
	struct metrics_station *metrics; /* never NULL */
	pthread_mutex_t lock;            /* of everything below */
	unsigned (*most)(void *role);    /* NULL: a thread takes as many as there are */
	pthread_cond_t some;             /* a job was put, or the post is closing */
	struct waiting lane[LINE_LANES_MAX];
	unsigned n_lanes, n_jobs;
	unsigned turn, credit; /* the lane whose turn it is, and how many jobs it still may take in this round */
	unsigned n_idle;       /* threads that wait for work */
	bool waking; /* one of them has been woken and has not looked yet: it will see what is put meanwhile */
	bool closing;
	unsigned n_threads;
	struct hand *hands;
};

struct hand {
	struct post *post;
	unsigned number;
	pthread_t thread;
};

struct line {
	void *role;
	struct metrics_station unmeasured; /* where counts go when nobody reads them */
	size_t n;
	struct post *posts;
};

static void lane_push(struct waiting *lane, struct job *job)
{
	job->next = NULL;
	*lane->tail = job;
	lane->tail = &job->next;
	lane->n++;
}

static struct job *lane_pop(struct waiting *lane)
{
	struct job *job = lane->head;

	lane->head = job->next;
	if (lane->head == NULL)
		lane->tail = &lane->head;
	lane->n--;
	return job;
}

/* The next job by weight; there is at least one. The turn outlives a batch, so that weights hold for batches of one
 * too. */
static struct job *take_one(struct post *post)
{
	while (post->credit == 0 || post->lane[post->turn].n == 0) {
		post->turn = (post->turn + 1) % post->n_lanes;
		post->credit = post->station.lanes[post->turn].weight;
	}
	post->credit--;
	post->n_jobs--;
	return lane_pop(&post->lane[post->turn]);
}

/*
 * Whether a thread has to be woken, under the lock; if so, the caller signals. One at a time: who is on its way takes
 * all that came before it looked, so that batches are large and no two threads wake for one job.
 */
static bool must_wake(struct post *post)
{
	if (post->n_jobs == 0 || post->n_idle == 0 || post->waking)
		return false;
	post->waking = true;
	return true;
}

/* Waits for work; 0 when the post is closing and nothing waits any more. */
static size_t take_batch(struct post *post, struct job **batch)
{
	size_t n = 0, most = post->station.batch;
	bool wake;

	pthread_mutex_lock(&post->lock);
	while (post->n_jobs == 0 && !post->closing) {
		post->n_idle++;
		pthread_cond_wait(&post->some, &post->lock);
		post->n_idle--;
		post->waking = false;
	}
	if (post->n_jobs > 1 && post->most != NULL)
		most = post->most(post->line->role);
	while (post->n_jobs > 0 && n < most)
		batch[n++] = take_one(post);
	atomic_store_explicit(&post->metrics->depth, post->n_jobs, memory_order_relaxed);
	wake = must_wake(post); /* more than one batch holds */
	pthread_mutex_unlock(&post->lock);
	if (wake)
		pthread_cond_signal(&post->some);
	return n;
}

static void count_jobs(struct metrics_station *m, struct job *const *batch, size_t n, int64_t now_us)
{
	uint64_t wait_us = 0;

	for (size_t i = 0; i < n; i++)
		wait_us += (uint64_t)(now_us - batch[i]->entered_us);
	atomic_fetch_add_explicit(&m->wait_us, wait_us, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->jobs, n, memory_order_relaxed);
}

static void *hand_run(void *arg)
{
	struct hand *hand = arg;
	struct post *post = hand->post;
	struct job **batch = calloc(post->station.batch, sizeof(struct job *));
	size_t n;

	if (batch == NULL) /* a few kilobytes at start: without them the role cannot work at all */
		abort();
	while ((n = take_batch(post, batch)) > 0) {
		int64_t start_us = clock_mono_us();

		count_jobs(post->metrics, batch, n, start_us);
		atomic_fetch_add_explicit(&post->metrics->batches, 1, memory_order_relaxed);
		post->station.work(post->line->role, hand->number, batch, n);
		atomic_fetch_add_explicit(&post->metrics->busy_us, (uint64_t)(clock_mono_us() - start_us),
					  memory_order_relaxed);
	}
	free(batch);
	return NULL;
}

void line_share(struct line *line, unsigned station, unsigned (*most)(void *role))
{
	struct post *post = &line->posts[station];

	pthread_mutex_lock(&post->lock);
	post->most = most;
	pthread_mutex_unlock(&post->lock);
}

static bool put(struct line *line, unsigned station, unsigned lane, struct job *job, bool wakes)
{
	struct post *post = &line->posts[station];
	bool taken, wake = false;

	assert(station < line->n && lane < post->n_lanes);
	job->entered_us = clock_mono_us();
	pthread_mutex_lock(&post->lock);
	taken = !post->closing && post->lane[lane].n < post->station.lanes[lane].cap;
	if (taken) {
		lane_push(&post->lane[lane], job);
		post->n_jobs++;
		atomic_store_explicit(&post->metrics->depth, post->n_jobs, memory_order_relaxed);
		wake = wakes && must_wake(post);
	}
	pthread_mutex_unlock(&post->lock);
	if (wake)
		pthread_cond_signal(&post->some);
	if (!taken)
		atomic_fetch_add_explicit(&post->metrics->refused, 1, memory_order_relaxed);
	return taken;
}

bool line_put(struct line *line, unsigned station, unsigned lane, struct job *job)
{
	return put(line, station, lane, job, true);
}

bool line_lay(struct line *line, unsigned station, unsigned lane, struct job *job)
{
	return put(line, station, lane, job, false);
}

void line_wake(struct line *line, unsigned station)
{
	struct post *post = &line->posts[station];
	bool wake;

	pthread_mutex_lock(&post->lock);
	wake = must_wake(post);
	pthread_mutex_unlock(&post->lock);
	if (wake)
		pthread_cond_signal(&post->some);
}

size_t line_more(struct line *line, unsigned station, struct job **batch, size_t n)
{
	struct post *post = &line->posts[station];
	size_t taken = 0;

	pthread_mutex_lock(&post->lock);
	while (post->n_jobs > 0 && taken < n)
		batch[taken++] = take_one(post);
	atomic_store_explicit(&post->metrics->depth, post->n_jobs, memory_order_relaxed);
	pthread_mutex_unlock(&post->lock);
	count_jobs(post->metrics, batch, taken, clock_mono_us());
	return taken;
}

static void post_init(struct post *post, struct line *line, const struct station *station, struct metrics_station *m)
{
	post->station = *station;
	post->line = line;
	post->metrics = m;
	pthread_mutex_init(&post->lock, NULL);
	pthread_cond_init(&post->some, NULL);
	for (unsigned i = 0; i < LINE_LANES_MAX; i++)
		post->lane[i].tail = &post->lane[i].head;
	while (post->n_lanes < LINE_LANES_MAX && station->lanes[post->n_lanes].name != NULL)
		post->n_lanes++;
	assert(post->n_lanes > 0 && station->batch > 0 && station->threads > 0);
	for (unsigned i = 0; i < post->n_lanes; i++)
		assert(station->lanes[i].weight > 0 && station->lanes[i].cap > 0);
	post->credit = station->lanes[0].weight;
}

static enum reason post_start(struct post *post, struct fault *f)
{
	post->hands = calloc(post->station.threads, sizeof(*post->hands));
	if (post->hands == NULL)
		return fault_set(f, REASON_NO_MEMORY, "threads of station %s", post->station.name);
	for (unsigned i = 0; i < post->station.threads; i++) {
		struct hand *hand = &post->hands[i];

		hand->post = post;
		hand->number = i;
		if (pthread_create(&hand->thread, NULL, hand_run, hand) != 0)
			return fault_set(f, REASON_NO_MEMORY, "thread %u of station %s", i, post->station.name);
		post->n_threads++;
	}
	return REASON_OK;
}

static struct line *line_new(const struct station *stations, size_t n, void *role, struct metrics *metrics)
{
	struct line *line = calloc(1, sizeof(*line));

	if (line == NULL)
		return NULL;
	line->role = role;
	line->posts = calloc(n, sizeof(*line->posts));
	if (line->posts == NULL) {
		free(line);
		return NULL;
	}
	line->n = n;
	for (size_t i = 0; i < n; i++) {
		struct metrics_station *m = metrics == NULL ? &line->unmeasured : &metrics->station[i];

		snprintf(m->name, sizeof(m->name), "%s", stations[i].name);
		post_init(&line->posts[i], line, &stations[i], m);
	}
	return line;
}

AUTO_FREE(struct line, line_closep, line_close)

enum reason line_open(const struct station *stations, size_t n, void *role, struct metrics *metrics,
		      struct line **ret_line, struct fault *f)
{
	AUTO(line_closep) struct line *line = NULL;

	assert(n > 0 && n <= METRICS_STATIONS);
	line = line_new(stations, n, role, metrics);
	if (line == NULL)
		return fault_set(f, REASON_NO_MEMORY, "line of %zu stations", n);
	for (size_t i = 0; i < n; i++)
		TRY(post_start(&line->posts[i], f));
	*ret_line = TAKE(line);
	return REASON_OK;
}

static void post_close(struct post *post)
{
	pthread_mutex_lock(&post->lock);
	post->closing = true;
	pthread_cond_broadcast(&post->some);
	pthread_mutex_unlock(&post->lock);
	for (unsigned i = 0; i < post->n_threads; i++)
		pthread_join(post->hands[i].thread, NULL);
	post->n_threads = 0;
}

void line_drain(struct line *line)
{
	for (size_t i = 0; i < line->n; i++)
		post_close(&line->posts[i]);
}

void line_close(struct line *line)
{
	if (line == NULL)
		return;
	line_drain(line);
	for (size_t i = 0; i < line->n; i++) {
		pthread_mutex_destroy(&line->posts[i].lock);
		pthread_cond_destroy(&line->posts[i].some);
		free(line->posts[i].hands);
	}
	free(line->posts);
	free(line);
}
