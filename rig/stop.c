/*
 * stop.c - a signal handler that sets a flag and makes a pipe readable, for ever, so that every waiter wakes.
 */
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_bool requested;
static int wake[2] = { -1, -1 };

static void on_signal(int number)
{
	int saved = errno;
	ssize_t n;

	(void)number;
	atomic_store(&requested, true);
	n = write(wake[1], "", 1); /* a full pipe is readable all the same */
	(void)n;
	errno = saved;
}

bool stop_install(struct trouble *t)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0 || sigaction(SIGINT, &action, NULL) != 0 ||
	    sigaction(SIGTERM, &action, NULL) != 0)
		return trouble_set(t, "cannot install signal handlers: %s", strerror(errno));
	return true;
}

bool stop_requested(void)
{
	return atomic_load(&requested);
}

bool stop_wait(double ms)
{
	double deadline = clock_ms() + ms;
	struct pollfd fd = { .fd = wake[0], .events = POLLIN }; /* poll ignores -1: not installed */

	while (!stop_requested()) {
		double left = deadline - clock_ms();

		if (left <= 0)
			return false;
		(void)poll(&fd, 1, left > 60e3 ? 60000 : (int)left + 1);
	}
	return true;
}
