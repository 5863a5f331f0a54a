/* test_underway.c - is one requester held to its places, and another left alone? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ra/ra.h"

static void a_requester_has_so_many_and_another_its_own(void **state)
{
	struct underway *u = underway_new();
	struct underway_place *place[3], *other;
	struct fault f;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(underway_enter(u, "rig:a", 3, &place[i], &f), REASON_OK);
	assert_int_equal(underway_enter(u, "rig:a", 3, &other, &f), REASON_REQUESTER_BUSY);
	assert_int_equal(underway_enter(u, "rig:b", 3, &other, &f), REASON_OK);
	assert_int_equal(underway_count(u), 4);
	underway_leave(place[1]);
	assert_int_equal(underway_enter(u, "rig:a", 3, &place[1], &f), REASON_OK);
	for (int i = 0; i < 3; i++)
		underway_leave(place[i]);
	underway_leave(other);
	underway_leave(NULL);
	assert_int_equal(underway_count(u), 0);
	underway_free(u); /* with ASan: nothing is left of who has nothing under way */
}

static void no_limit_counts_all_the_same(void **state)
{
	enum { N = 20000 };
	struct underway *u = underway_new();
	struct underway_place **place = calloc(N, sizeof(struct underway_place *));
	struct fault f;
	char id[32];

	(void)state;
	for (int i = 0; i < N; i++) {
		snprintf(id, sizeof(id), "device:%d", i % 5000);
		assert_int_equal(underway_enter(u, id, 0, &place[i], &f), REASON_OK);
	}
	assert_int_equal(underway_count(u), N);
	assert_int_equal(underway_enter(u, "device:7", 4, &place[0], &f), REASON_REQUESTER_BUSY);
	for (int i = 0; i < N; i++)
		underway_leave(place[i]);
	assert_int_equal(underway_count(u), 0);
	assert_int_equal(underway_enter(u, "device:7", 1, &place[0], &f), REASON_OK);
	underway_leave(place[0]);
	underway_free(u);
	free(place);
}

/* As who.c leaves it: each certificate is a requester of its own. */
static void ask_as(struct enrolment *e, struct cert *cert, const char *subject, const char *serial)
{
	*cert = (struct cert){ .subject = BLOB_STR(subject) };
	e->who.kind = WHO_DEVICE;
	e->who.cert = cert;
	snprintf(e->who.id, sizeof(e->who.id), "device:%s", serial);
}

static void a_device_with_many_certificates_has_the_places_of_one(void **state)
{
	const struct config config = { .est.device_under_way = 2 };
	struct ra ra = { .config = &config, .underway = underway_new() };
	const char *const serials[] = { "01", "02", "03" };
	struct enrolment *e[4];
	struct cert cert[4];
	struct fault f;

	(void)state;
	for (int i = 0; i < 4; i++) {
		e[i] = enrolment_new();
		ask_as(e[i], &cert[i], i < 3 ? "device one" : "device two", i < 3 ? serials[i] : "04");
	}
	assert_int_equal(enrolment_count(&ra, e[0], &f), REASON_OK);
	assert_int_equal(enrolment_count(&ra, e[1], &f), REASON_OK);
	assert_int_equal(enrolment_count(&ra, e[2], &f), REASON_REQUESTER_BUSY);
	assert_int_equal(enrolment_count(&ra, e[3], &f), REASON_OK);
	for (int i = 0; i < 4; i++)
		enrolment_free(e[i]);
	underway_free(ra.underway);
}

static void *come_and_go(void *user)
{
	struct underway_place *place;
	struct fault f;
	uintptr_t entered = 0;
	char id[32];

	for (int i = 0; i < 20000; i++) {
		snprintf(id, sizeof(id), "rig:%d", i % 3);
		if (underway_enter(user, id, 2, &place, &f) != REASON_OK)
			continue;
		entered++;
		underway_leave(place);
	}
	return (void *)entered;
}

static void threads_come_and_go(void **state)
{
	struct underway *u = underway_new();
	pthread_t thread[4];
	void *entered;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, come_and_go, u), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &entered), 0);
		assert_true((uintptr_t)entered > 0);
	}
	assert_int_equal(underway_count(u), 0);
	underway_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_requester_has_so_many_and_another_its_own),
		cmocka_unit_test(no_limit_counts_all_the_same),
		cmocka_unit_test(a_device_with_many_certificates_has_the_places_of_one),
		cmocka_unit_test(threads_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
