/* progress.c - a bar for long work, on a terminal alone; see audit.h. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"

#define WIDTH 40
#define EVERY_MS 100

static int64_t last_ms;
static bool shown;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress(const char *what, uint64_t done, uint64_t of)
{
	static const char full[WIDTH + 1] = "########################################";
	int64_t now = now_ms();
	int part = of == 0 ? WIDTH : (int)((done > of ? of : done) * WIDTH / of);

	if (now - last_ms < EVERY_MS || isatty(STDERR_FILENO) != 1)
		return;
	last_ms = now;
	shown = true;
	(void)fprintf(stderr, "\r%-10.10s [%.*s%*s] %llu of %llu", what, part, full, WIDTH - part, "",
		      (unsigned long long)done, (unsigned long long)of);
}

void progress_end(void)
{
	if (shown)
		(void)fprintf(stderr, "\r%*s\r", 10 + WIDTH + 50, "");
	shown = false;
}
