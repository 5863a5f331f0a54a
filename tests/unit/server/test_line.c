/* test_line.c - does a line keep line.h's promises: batches, lanes, refusal when full, nothing lost at the end? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "line.h"
#include "observe/metrics.h"

#define JOBS 2000

struct item {
	struct job job;
	unsigned lane, number;
};

/* What the stations of a test share. */
struct plant {
	struct line *line;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;          /* station 0 waits while this is set */
	bool waiting;       /* station 0 has a batch in hand */
	size_t batch[JOBS]; /* sizes of batches, in order */
	size_t n_batches;
	struct item *done[JOBS];
	size_t n_done;
};

static void plant_init(struct plant *p)
{
	memset(p, 0, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
}

static void plant_done(struct plant *p)
{
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->changed);
}

static void hold(struct plant *p, bool held)
{
	pthread_mutex_lock(&p->lock);
	p->held = held;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void wait_until_in_hand(struct plant *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->waiting)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* Notes the batch, waits while held, notes its jobs as done. */
static void work_gate(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct plant *p = role;

	(void)thread;
	pthread_mutex_lock(&p->lock);
	p->batch[p->n_batches++] = n;
	p->waiting = true;
	pthread_cond_broadcast(&p->changed);
	while (p->held)
		pthread_cond_wait(&p->changed, &p->lock);
	p->waiting = false;
	for (size_t i = 0; i < n; i++)
		p->done[p->n_done++] = (struct item *)batch[i];
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

static void work_pass(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct plant *p = role;

	(void)thread;
	for (size_t i = 0; i < n; i++)
		assert_true(line_put(p->line, 1, 0, batch[i]));
}

static struct line *open_line(const struct station *stations, size_t n, struct plant *p, struct metrics *m)
{
	struct fault f;
	struct line *line;

	assert_int_equal(line_open(stations, n, p, m, &line, &f), REASON_OK);
	p->line = line;
	return line;
}

/* The station has the first job in hand and stays so; what is put from here on waits. `share`: for line_share(). */
static struct line *open_held(const struct station *station, unsigned (*share)(void *role), struct plant *p,
			      struct metrics *m, struct item *first)
{
	struct line *line;

	plant_init(p);
	p->held = true;
	line = open_line(station, 1, p, m);
	line_share(line, 0, share);
	assert_true(line_put(line, 0, 0, &first->job));
	wait_until_in_hand(p);
	return line;
}

static void put_all(struct line *line, struct item *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(line_put(line, 0, items[i].lane, &items[i].job));
}

static void let_go(struct plant *p)
{
	hold(p, false);
	line_close(p->line);
}

static void batches_are_one_under_light_load_and_grow_under_load(void **state)
{
	const struct station stations[] = { { "gate", work_gate, 1, 64, { { "only", 1, JOBS } } } };
	struct item *items = calloc(101, sizeof(*items));
	struct plant p;

	(void)state;
	put_all(open_held(stations, NULL, &p, NULL, &items[0]), items + 1, 100);
	let_go(&p);
	assert_int_equal(p.n_done, 101);
	assert_int_equal(p.n_batches, 3);
	assert_int_equal(p.batch[0], 1);  /* alone: it did not wait for company */
	assert_int_equal(p.batch[1], 64); /* all that waited, up to the cap */
	assert_int_equal(p.batch[2], 36);
	plant_done(&p);
	free(items);
}

/* Through another station and back: who was woken before has had time to look. */
static void go_round(struct plant *other, struct item *item)
{
	pthread_mutex_lock(&other->lock);
	other->n_done = other->n_batches = 0;
	pthread_mutex_unlock(&other->lock);
	assert_true(line_put(other->line, 0, 0, &item->job));
	pthread_mutex_lock(&other->lock);
	while (other->n_done == 0)
		pthread_cond_wait(&other->changed, &other->lock);
	pthread_mutex_unlock(&other->lock);
}

/* Two are laid with time between them. A thread that comes back just then may find the first alone, but seldom. */
static void what_is_laid_is_taken_together(void **state)
{
	const struct station stations[] = { { "gate", work_gate, 1, 64, { { "only", 1, JOBS } } } };
	struct item items[2] = { 0 }, ball = { 0 };
	struct plant p, other;
	unsigned together = 0;

	(void)state;
	plant_init(&p);
	plant_init(&other);
	open_line(stations, 1, &p, NULL);
	open_line(stations, 1, &other, NULL);
	for (unsigned round = 0; round < 100; round++) {
		go_round(&other, &ball);
		assert_true(line_lay(p.line, 0, 0, &items[0].job));
		go_round(&other, &ball);
		assert_true(line_lay(p.line, 0, 0, &items[1].job));
		line_wake(p.line, 0);
		pthread_mutex_lock(&p.lock);
		while (p.n_done < 2)
			pthread_cond_wait(&p.changed, &p.lock);
		together += p.n_batches == 1;
		p.n_done = p.n_batches = 0;
		pthread_mutex_unlock(&p.lock);
	}
	assert_in_range(together, 50, 100);
	line_close(p.line);
	line_close(other.line);
	plant_done(&p);
	plant_done(&other);
}

static unsigned most_of_five(void *role)
{
	(void)role;
	return 5;
}

/* So that the station's other threads find the rest. */
static void a_thread_takes_no_more_than_its_share(void **state)
{
	const struct station stations[] = { { "gate", work_gate, 1, 64, { { "only", 1, JOBS } } } };
	struct item items[13] = { 0 };
	struct plant p;

	(void)state;
	put_all(open_held(stations, most_of_five, &p, NULL, &items[0]), items + 1, 12);
	let_go(&p);
	assert_int_equal(p.n_done, 13);
	assert_int_equal(p.n_batches, 4);
	assert_int_equal(p.batch[1], 5);
	assert_int_equal(p.batch[2], 5);
	assert_int_equal(p.batch[3], 2);
	plant_done(&p);
}

/* Whatever the batch size, turns go by weight. */
static void check_weights(unsigned batch_max)
{
	const struct station stations[] = {
		{ "gate", work_gate, 1, batch_max, { { "line", 3, JOBS }, { "field", 1, JOBS } } }
	};
	struct item *items = calloc(801, sizeof(*items));
	unsigned seen[2] = { 0 };
	struct plant p;

	for (unsigned i = 400; i < 800; i++)
		items[i].lane = 1; /* the busy lane was there first */
	put_all(open_held(stations, NULL, &p, NULL, &items[800]), items, 800);
	let_go(&p);
	assert_int_equal(p.n_done, 801);
	for (unsigned i = 1; i <= 400; i++)
		seen[p.done[i]->lane]++;
	assert_in_range(seen[1], 99, 101); /* a quarter of the turns while both wait */
	plant_done(&p);
	free(items);
}

static void lanes_take_turns_by_weight(void **state)
{
	(void)state;
	check_weights(1);
	check_weights(7);
	check_weights(64);
}

static void a_full_lane_refuses_and_another_still_takes(void **state)
{
	const struct station stations[] = { { "gate", work_gate, 1, 1, { { "line", 1, 5 }, { "field", 1, 5 } } } };
	struct metrics *m = calloc(1, sizeof(*m));
	struct item items[20] = { 0 };
	struct plant p;
	struct line *line;

	(void)state;
	line = open_held(stations, NULL, &p, m, &items[0]);
	put_all(line, items + 1, 5);
	assert_false(line_put(line, 0, 0, &items[6].job));
	assert_true(line_put(line, 0, 1, &items[7].job));
	assert_int_equal(m->station[0].refused, 1);
	assert_int_equal(m->station[0].depth, 6);
	let_go(&p);
	assert_int_equal(p.n_done, 7);
	assert_string_equal(m->station[0].name, "gate");
	assert_int_equal(m->station[0].jobs, 7);
	plant_done(&p);
	free(m);
}

/* Notes how many it had and how many had come meanwhile. */
static void work_more(void *role, unsigned thread, struct job **batch, size_t n)
{
	struct plant *p = role;
	size_t came;

	(void)thread;
	pthread_mutex_lock(&p->lock);
	p->waiting = true;
	pthread_cond_broadcast(&p->changed);
	while (p->held)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	came = line_more(p->line, 0, batch + n, 4 - n);
	pthread_mutex_lock(&p->lock);
	p->batch[p->n_batches++] = n + came;
	for (size_t i = 0; i < n + came; i++)
		p->done[p->n_done++] = (struct item *)batch[i];
	pthread_mutex_unlock(&p->lock);
}

static void a_station_at_work_takes_what_has_come_meanwhile(void **state)
{
	const struct station stations[] = { { "more", work_more, 1, 4, { { "only", 1, JOBS } } } };
	struct metrics *m = calloc(1, sizeof(*m));
	struct item items[6] = { 0 };
	struct plant p;

	(void)state;
	put_all(open_held(stations, NULL, &p, m, &items[0]), items + 1, 5);
	let_go(&p);
	assert_int_equal(p.n_done, 6);
	assert_int_equal(p.batch[0], 4);
	assert_int_equal(p.batch[1], 2);
	for (unsigned i = 0; i < 6; i++)
		assert_ptr_equal(p.done[i], &items[i]);
	assert_int_equal(m->station[0].jobs, 6);
	assert_int_equal(m->station[0].batches, 2);
	plant_done(&p);
	free(m);
}

static void close_drains_every_station_in_order(void **state)
{
	const struct station stations[] = {
		{ "pass", work_pass, 4, 8, { { "only", 1, JOBS } } },
		{ "gate", work_gate, 1, 16, { { "only", 1, JOBS } } },
	};
	struct item *items = calloc(JOBS, sizeof(*items));
	struct plant p;
	struct line *line;
	struct item late = { 0 };

	(void)state;
	plant_init(&p);
	line = open_line(stations, 2, &p, NULL);
	for (unsigned i = 0; i < JOBS; i++)
		assert_true(line_put(line, 0, 0, &items[i].job));
	line_drain(line);
	assert_int_equal(p.n_done, JOBS);
	assert_false(line_put(line, 0, 0, &late.job));
	line_close(line);
	plant_done(&p);
	free(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batches_are_one_under_light_load_and_grow_under_load),
		cmocka_unit_test(what_is_laid_is_taken_together),
		cmocka_unit_test(a_thread_takes_no_more_than_its_share),
		cmocka_unit_test(lanes_take_turns_by_weight),
		cmocka_unit_test(a_full_lane_refuses_and_another_still_takes),
		cmocka_unit_test(a_station_at_work_takes_what_has_come_meanwhile),
		cmocka_unit_test(close_drains_every_station_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
