/* test_listener.c - does a request live and die as exchange.h says: suspended, answered once, stopped without loss? */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/listener.h"
#include "http/listener_impl.h"
#include "observe/log.h"

/* A role that answers /now at once, and keeps /later for the test to answer. */
struct desk {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct exchange *kept;
	size_t last_body;
	char last_request[17];
};

static void begin(void *role, struct exchange *x)
{
	(void)role;
	x->op = "test";
}

static bool run(void *role, struct exchange *x)
{
	struct desk *desk = role;

	desk->last_body = x->body.len;
	memcpy(desk->last_request, x->request, sizeof(desk->last_request));
	exchange_known(x);
	if (strcmp(x->path, "/later") != 0) {
		x->reply = reply_fixed("text/plain", BLOB("now", 3));
		return true;
	}
	exchange_suspend(x);
	pthread_mutex_lock(&desk->lock);
	desk->kept = x;
	pthread_cond_broadcast(&desk->changed);
	pthread_mutex_unlock(&desk->lock);
	return false;
}

static const struct http_app app = { .event = "test", .begin = begin, .run = run };

static struct exchange *take_kept(struct desk *desk)
{
	struct exchange *x;

	pthread_mutex_lock(&desk->lock);
	while (desk->kept == NULL)
		pthread_cond_wait(&desk->changed, &desk->lock);
	x = desk->kept;
	desk->kept = NULL;
	pthread_mutex_unlock(&desk->lock);
	return x;
}

static void answer_kept(struct desk *desk)
{
	struct reply reply = reply_fixed("text/plain", BLOB("later", 5));

	exchange_answer(take_kept(desk), &reply);
}

struct world {
	struct desk desk;
	struct metrics metrics;
	struct listener *listener;
};

static int setup_with(void **state, unsigned threads, unsigned idle_s)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct listener_options options = { .name = (char *)(uintptr_t) "test",
						  .address = (char *)(uintptr_t) "127.0.0.1",
						  .threads = threads,
						  .connections = 50,
						  .idle_s = idle_s };
	struct fault f;

	if (w == NULL)
		return -1;
	log_init("test", LOG_ERROR + 1);
	pthread_mutex_init(&w->desk.lock, NULL);
	pthread_cond_init(&w->desk.changed, NULL);
	if (listener_open(&options, NULL, &app, &w->desk, &w->metrics, &w->listener, &f) != REASON_OK)
		fail_msg("%s", f.detail);
	*state = w;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 2, 60);
}

static int setup_short(void **state)
{
	return setup_with(state, 2, 1);
}

static int setup_unasked(void **state)
{
	return setup_with(state, 0, 60);
}

static int teardown(void **state)
{
	struct world *w = *state;

	listener_stop(w->listener);
	free(w);
	return 0;
}

static bool connects(const struct world *w, int fd)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(listener_port(w->listener)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	assert_true(fd >= 0);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
}

static int dial(const struct world *w)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(connects(w, fd));
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void ask(int fd, const char *path)
{
	char text[256];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	say(fd, text);
}

/* One response: its status; body goes to `out`. -1 when the connection ended before. */
static int hear(int fd, char *out, size_t out_len)
{
	char text[4096];
	size_t n = 0, len = 0;
	char *end = NULL, *length;

	while (end == NULL || n < (size_t)(end - text) + 4 + len) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got;

		assert_int_equal(poll(&p, 1, 20000), 1);
		got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
		if (got <= 0)
			return -1;
		n += (size_t)got;
		text[n] = '\0';
		end = strstr(text, "\r\n\r\n");
		length = strstr(text, "Content-Length: ");
		len = end != NULL && length != NULL ? strtoul(length + 16, NULL, 10) : 0;
	}
	snprintf(out, out_len, "%.*s", (int)len, end + 4);
	return atoi(text + 9);
}

static void answers_at_once_and_later_on_one_connection(void **state)
{
	struct world *w = *state;
	int fd = dial(w);
	char body[64];

	for (int i = 0; i < 20; i++) {
		ask(fd, "/now");
		assert_int_equal(hear(fd, body, sizeof(body)), 200);
		assert_string_equal(body, "now");
		ask(fd, "/later");
		answer_kept(&w->desk);
		assert_int_equal(hear(fd, body, sizeof(body)), 200);
		assert_string_equal(body, "later");
	}
	close(fd);
}

/* By name: libmicrohttpd's call themselves "MHD-worker", or "MHD-single" where there is one alone. */
static void count_threads(unsigned *ret_mhd, unsigned *ret_others)
{
	DIR *tasks = opendir("/proc/self/task");

	assert_non_null(tasks);
	*ret_mhd = *ret_others = 0;
	for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
		char path[300], name[32];
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task->d_name);
		file = fopen(path, "r"); /* "." and ".." have none, nor has one that has just ended */
		if (file == NULL)
			continue;
		if (fgets(name, sizeof(name), file) != NULL)
			(*(strncmp(name, "MHD-", 4) == 0 ? ret_mhd : ret_others))++;
		fclose(file);
	}
	closedir(tasks);
}

static unsigned threads_before; /* any listener: the test's own */

#ifdef __SANITIZE_THREAD__
#define THREADS_MORE 1 /* the sanitizer's, which comes with the first of ours */
#else
#define THREADS_MORE 0
#endif

/* Each names itself once it runs; the listener has two more, which accept and watch. */
static void await_threads(unsigned expected)
{
	int64_t until_us = clock_mono_us() + 120 * 1000000LL;
	unsigned mhd, others;

	do
		count_threads(&mhd, &others);
	while ((mhd != expected || others > threads_before + 2 + THREADS_MORE) && clock_mono_us() < until_us);
	assert_int_equal(mhd, expected);
	assert_in_range(others, threads_before + 2, threads_before + 2 + THREADS_MORE);
}

static void has_the_threads_it_was_told_to_have(void **state)
{
	(void)state;
	await_threads(2);
}

static void untold_it_has_as_many_threads_as_processors(void **state)
{
	(void)state;
	await_threads((unsigned)sysconf(_SC_NPROCESSORS_ONLN));
}

/* The id that the log has; a client sees by it how often it asked itself, and nothing of others. */
static uint64_t id_of_request(struct world *w, int fd)
{
	char body[64], *end;
	uint64_t id;

	ask(fd, "/now");
	assert_int_equal(hear(fd, body, sizeof(body)), 200);
	assert_int_equal(strlen(w->desk.last_request), 16);
	id = strtoull(w->desk.last_request, &end, 16);
	assert_int_equal(*end, '\0');
	return id;
}

static void every_request_has_an_id_of_its_own(void **state)
{
	struct world *w = *state;
	int one = dial(w), other = dial(w);
	uint64_t first = id_of_request(w, one), others = id_of_request(w, other);

	assert_true(first - others > 1000 && others - first > 1000); /* by chance closer once in 10^16 runs */
	for (uint64_t i = 1; i < 4; i++) {
		assert_true(id_of_request(w, one) == first + i);
		assert_true(id_of_request(w, other) == others + i);
	}
	close(one);
	close(other);
}

/* Newcomers wait for who is at work over such a one, and for nobody else. */
static void a_connection_lasts_from_its_fifth_request_on(void **state)
{
	struct world *w = *state;
	char body[64];
	int fd;

	for (int i = 0; i < 10; i++) {
		fd = dial(w);
		ask(fd, "/now");
		assert_int_equal(hear(fd, body, sizeof(body)), 200);
		close(fd);
	}
	fd = dial(w);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(atomic_load(&w->metrics.gauge[GAUGE_LASTING_MS]), 0);
		ask(fd, "/now");
		assert_int_equal(hear(fd, body, sizeof(body)), 200);
	}
	assert_in_range(atomic_load(&w->metrics.gauge[GAUGE_LASTING_MS]), 1, clock_mono_us() / 1000);
	close(fd);
}

static void await_beginners(const struct world *w, unsigned expected)
{
	int64_t until_us = clock_mono_us() + 120 * 1000000LL;

	while (listener_beginners(w->listener) != expected && clock_mono_us() < until_us)
		(void)sched_yield();
	assert_int_equal(listener_beginners(w->listener), expected);
}

/* Newcomers wait while there are many (pace.h). */
static void a_connection_begins_until_it_asks_or_ends(void **state)
{
	struct world *w = *state;
	int fd[3] = { dial(w), dial(w), dial(w) };
	char body[64];

	await_beginners(w, 3);
	for (int i = 0; i < 2; i++) { /* counted once */
		ask(fd[0], "/now");
		assert_int_equal(hear(fd[0], body, sizeof(body)), 200);
	}
	assert_int_equal(listener_beginners(w->listener), 2);
	close(fd[1]);
	await_beginners(w, 1);
	close(fd[0]);
	close(fd[2]);
	await_beginners(w, 0);
}

static void *stop_it(void *user)
{
	struct world *w = user;

	listener_stop(w->listener);
	w->listener = NULL;
	return NULL;
}

static void stop_waits_for_the_answer_and_refuses_newcomers(void **state)
{
	struct world *w = *state;
	int waiting = dial(w), other = dial(w);
	struct exchange *x;
	struct reply reply = reply_fixed("text/plain", BLOB("later", 5));
	pthread_t stopper;
	char body[128];

	ask(other, "/now");
	assert_int_equal(hear(other, body, sizeof(body)), 200);
	ask(waiting, "/later");
	x = take_kept(&w->desk);
	listener_quiesce(w->listener);
	ask(other, "/now");
	assert_int_equal(hear(other, body, sizeof(body)), 503);
	assert_non_null(strstr(body, "(stopping, request "));
	assert_int_equal(pthread_create(&stopper, NULL, stop_it, w), 0);
	exchange_answer(x, &reply);
	assert_int_equal(hear(waiting, body, sizeof(body)), 200);
	assert_string_equal(body, "later");
	pthread_join(stopper, NULL);
	assert_null(w->listener);
	close(waiting);
	close(other);
}

static void outlives_a_client_that_leaves_while_it_waits(void **state)
{
	struct world *w = *state;
	int fd = dial(w);
	struct exchange *x;
	struct reply reply = reply_fixed("text/plain", BLOB("later", 5));
	char body[64];

	ask(fd, "/later");
	x = take_kept(&w->desk);
	close(fd);
	exchange_answer(x, &reply);
	fd = dial(w);
	ask(fd, "/now");
	assert_int_equal(hear(fd, body, sizeof(body)), 200);
	close(fd);
}

static void send_body(int fd, size_t len)
{
	char head[128], piece[4096];

	memset(piece, 'A', sizeof(piece));
	snprintf(head, sizeof(head), "POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", len);
	say(fd, head);
	while (len > 0) {
		size_t n = len < sizeof(piece) ? len : sizeof(piece);
		ssize_t sent = send(fd, piece, n, MSG_NOSIGNAL);

		if (sent < 0)
			return; /* cut off: what the test is about */
		len -= (size_t)sent;
	}
}

static void a_megabyte_gets_413_and_the_connection_lives(void **state)
{
	struct world *w = *state;
	int fd = dial(w);
	char body[128];

	send_body(fd, 1 << 20);
	assert_int_equal(hear(fd, body, sizeof(body)), 413);
	send_body(fd, LIMIT_BODY_BYTES);
	assert_int_equal(hear(fd, body, sizeof(body)), 200);
	assert_int_equal(w->desk.last_body, LIMIT_BODY_BYTES);
	send_body(fd, LIMIT_BODY_BYTES + 1);
	assert_int_equal(hear(fd, body, sizeof(body)), 413);
	close(fd);
}

static void ask_with_header(int fd, size_t len)
{
	static char text[65536];
	int n = snprintf(text, sizeof(text), "GET /now HTTP/1.1\r\nHost: x\r\nX-Long: ");

	memset(text + n, 'a', len);
	strcpy(text + n + len, "\r\n\r\n");
	(void)send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void long_headers_are_read_and_longer_ones_refused(void **state)
{
	struct world *w = *state;
	int fd = dial(w), status;
	char body[512];

	ask_with_header(fd, 8 * 1024);
	assert_int_equal(hear(fd, body, sizeof(body)), 200);
	ask_with_header(fd, 40 * 1024);
	status = hear(fd, body, sizeof(body));
	assert_true(status == 431 || status == -1);
	close(fd);
}

static void a_body_without_end_is_cut_off(void **state)
{
	struct world *w = *state;
	int fd = dial(w);
	char body[128];

	send_body(fd, LIMIT_BODY_DROPPED_BYTES * 4UL);
	assert_int_equal(hear(fd, body, sizeof(body)), -1);
	close(fd);
}

/* libmicrohttpd's timeout starts again with each byte: the listener's does not. */
static void a_client_that_drips_is_shut_after_its_idle_time(void **state)
{
	struct world *w = *state;
	int fd = dial(w);
	int64_t began_us;
	char body[64];
	bool shut = false;

	began_us = clock_mono_us(); /* before the listener's own: what it counts is no longer */
	ask(fd, "/now"); /* makes it known: 1 s from here */
	assert_int_equal(hear(fd, body, sizeof(body)), 200);
	while (!shut && clock_mono_us() - began_us < 60000000) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		(void)send(fd, "G", 1, MSG_NOSIGNAL);
		shut = poll(&p, 1, 50) == 1; /* the drip's pace */
	}
	assert_true(shut);
	assert_true(clock_mono_us() - began_us > 900000);
	close(fd);
}

static void a_taken_port_gives_a_clear_refusal(void **state)
{
	struct world *w = *state;
	struct listener_options options = { .name = (char *)(uintptr_t) "second",
					    .address = (char *)(uintptr_t) "127.0.0.1",
					    .port = listener_port(w->listener),
					    .threads = 1,
					    .connections = 5,
					    .idle_s = 1 };
	struct listener *second = NULL;
	struct fault f;

	assert_int_equal(listener_open(&options, NULL, &app, &w->desk, &w->metrics, &second, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "Address already in use"));
	options.address = (char *)(uintptr_t) "localhost";
	assert_int_equal(listener_open(&options, NULL, &app, &w->desk, &w->metrics, &second, &f), REASON_CONFIG);
	assert_non_null(strstr(f.detail, "not an IPv4 or IPv6 address"));
	assert_null(second);
}

/* Reset by the server, before connect() returns or after; false when nothing is heard for long. */
static bool refused(const struct world *w, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	if (!connects(w, fd))
		return errno == ECONNRESET;
	return poll(&p, 1, 20000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

/* They used to wait in the kernel's backlog, and nobody told them. */
static void newcomers_beyond_the_limit_are_refused_at_once(void **state)
{
	struct world *w = *state;
	int fd[50], late;
	char body[64];

	for (int i = 0; i < 50; i++) { /* the limit; an answer shows that it is counted */
		fd[i] = dial(w);
		ask(fd[i], "/now");
		assert_int_equal(hear(fd[i], body, sizeof(body)), 200);
	}
	for (int i = 0; i < 20; i++) {
		late = socket(AF_INET, SOCK_STREAM, 0);
		assert_true(refused(w, late));
		close(late);
	}
	assert_int_equal(atomic_load(&w->metrics.gauge[GAUGE_CONNECTIONS_FULL]), 20);
	ask(fd[7], "/now"); /* those that are in stay served */
	assert_int_equal(hear(fd[7], body, sizeof(body)), 200);
	close(fd[0]);
	while (atomic_load(&w->metrics.gauge[GAUGE_CONNECTIONS]) == 50)
		(void)poll(NULL, 0, 1);
	late = dial(w);
	ask(late, "/now");
	assert_int_equal(hear(late, body, sizeof(body)), 200);
	close(late);
	for (int i = 1; i < 50; i++)
		close(fd[i]);
}

/* A process without descriptors still tells newcomers so. */
static void newcomers_are_refused_when_descriptors_run_out(void **state)
{
	struct world *w = *state;
	int fd[3], taken[256], n = 0;
	struct rlimit before, low;
	char body[64];

	for (int i = 0; i < 3; i++)
		fd[i] = socket(AF_INET, SOCK_STREAM, 0); /* the clients' side, while there are some */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){ 128, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (n < 256 && (taken[n] = dup(0)) >= 0)
		n++;
	assert_int_equal(errno, EMFILE);
	for (int i = 0; i < 3; i++)
		assert_true(refused(w, fd[i]));
	while (n > 0)
		close(taken[--n]);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fd[0] = dial(w);
	ask(fd[0], "/now");
	assert_int_equal(hear(fd[0], body, sizeof(body)), 200);
	close(fd[0]);
}

int main(void)
{
	unsigned none;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_at_once_and_later_on_one_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(has_the_threads_it_was_told_to_have, setup, teardown),
		cmocka_unit_test_setup_teardown(untold_it_has_as_many_threads_as_processors, setup_unasked, teardown),
		cmocka_unit_test_setup_teardown(every_request_has_an_id_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_lasts_from_its_fifth_request_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_begins_until_it_asks_or_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(stop_waits_for_the_answer_and_refuses_newcomers, setup, teardown),
		cmocka_unit_test_setup_teardown(outlives_a_client_that_leaves_while_it_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_megabyte_gets_413_and_the_connection_lives, setup, teardown),
		cmocka_unit_test_setup_teardown(long_headers_are_read_and_longer_ones_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_body_without_end_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_drips_is_shut_after_its_idle_time, setup_short, teardown),
		cmocka_unit_test_setup_teardown(newcomers_beyond_the_limit_are_refused_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(newcomers_are_refused_when_descriptors_run_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_taken_port_gives_a_clear_refusal, setup, teardown),
	};

	count_threads(&none, &threads_before);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
