/* test_anteroom.c - are newcomers taken one by one with a rest between, known ones first, strangers not starved, and
 * those who have gone not at all? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "http/anteroom.h"

#define S INT64_C(1000000)
#define GUESTS 8

/* What was done, a letter each: the newcomer's own when taken, '-' and its own when sent away, '.' for a rest. */
struct scene {
	struct anteroom *room;
	char done[64];
	int far[GUESTS]; /* the clients' ends */
	int n;
};

static void note(struct scene *scene, char c)
{
	size_t n = strlen(scene->done);

	assert_true(n + 1 < sizeof(scene->done));
	scene->done[n] = c;
}

/* Guests carry their letter where their address would be. */
static char letter(const struct newcomer *newcomer)
{
	return newcomer->from.__ss_padding[0];
}

static void take(void *user, const struct newcomer *newcomer)
{
	note(user, letter(newcomer));
	close(newcomer->fd);
}

static void leave(void *user, const struct newcomer *newcomer)
{
	note(user, '-');
	take(user, newcomer);
}

static void rest(void *user)
{
	note(user, '.');
}

static void open_scene(struct scene *scene, bool rests)
{
	*scene = (struct scene){ 0 };
	scene->room = anteroom_new(
		&(struct anteroom_ways){ .take = take, .leave = leave, .rest = rests ? rest : NULL, .user = scene });
	assert_non_null(scene->room);
}

static void close_scene(struct scene *scene)
{
	anteroom_free(scene->room);
	for (int i = 0; i < scene->n; i++)
		close(scene->far[i]);
}

/* Returns the client's end. */
static int come(struct scene *scene, char name, bool known, int64_t now_us)
{
	struct sockaddr_storage from = { .ss_family = AF_UNIX };
	int end[2];

	from.__ss_padding[0] = name;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end), 0);
	assert_true(anteroom_enter(scene->room, end[0], (struct sockaddr *)&from, sizeof(from), known, now_us));
	scene->far[scene->n++] = end[1];
	return end[1];
}

static void takes_one_at_a_time_and_rests_after_each(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, true);
	assert_false(anteroom_turn(scene.room, S));
	come(&scene, 'a', false, S);
	come(&scene, 'b', false, S);
	assert_true(anteroom_turn(scene.room, S));
	assert_string_equal(scene.done, "a.");
	assert_false(anteroom_turn(scene.room, S));
	assert_string_equal(scene.done, "a.b.");
	close_scene(&scene);
}

static void known_ones_go_first_but_each_fourth_turn_is_a_strangers(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, true);
	come(&scene, 'x', false, S);
	come(&scene, 'y', false, S);
	for (char name = 'A'; name <= 'E'; name++)
		come(&scene, name, true, S);
	while (anteroom_turn(scene.room, S))
		;
	assert_string_equal(scene.done, "A.B.C.x.D.E.y.");
	close_scene(&scene);
}

static void who_has_hung_up_is_sent_away_without_a_rest(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, true);
	assert_int_equal(shutdown(come(&scene, 'a', false, S), SHUT_RDWR), 0);
	come(&scene, 'b', false, S);
	assert_int_equal(send(come(&scene, 'c', false, S), "hello", 5, 0), 5); /* has said something, and stays */
	while (anteroom_turn(scene.room, S))
		;
	assert_string_equal(scene.done, "-ab.c.");
	close_scene(&scene);
}

static void without_rests_a_side_that_was_shut_is_no_farewell(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, false);
	assert_int_equal(shutdown(come(&scene, 'a', false, S), SHUT_WR), 0);
	assert_false(anteroom_turn(scene.room, S));
	assert_string_equal(scene.done, "a");
	close_scene(&scene);
}

static void who_has_waited_too_long_is_sent_away(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene, true);
	come(&scene, 'a', false, 1 * S);
	come(&scene, 'b', false, 2 * S);
	while (anteroom_turn(scene.room, (ANTEROOM_PATIENCE_S + 2) * S))
		;
	assert_string_equal(scene.done, "-ab.");
	close_scene(&scene);
}

static void who_still_waits_at_the_end_is_closed(void **state)
{
	struct scene scene;
	char c;
	int far;

	(void)state;
	open_scene(&scene, true);
	far = come(&scene, 'a', true, S);
	anteroom_free(scene.room);
	scene.room = NULL;
	assert_int_equal(recv(far, &c, 1, 0), 0);
	assert_string_equal(scene.done, "");
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_one_at_a_time_and_rests_after_each),
		cmocka_unit_test(known_ones_go_first_but_each_fourth_turn_is_a_strangers),
		cmocka_unit_test(who_has_hung_up_is_sent_away_without_a_rest),
		cmocka_unit_test(without_rests_a_side_that_was_shut_is_no_farewell),
		cmocka_unit_test(who_has_waited_too_long_is_sent_away),
		cmocka_unit_test(who_still_waits_at_the_end_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
