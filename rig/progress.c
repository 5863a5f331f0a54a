/*
 * progress.c - draws on standard error, so that standard output stays for results.
 */
#include "progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_CHARS_MAX 40
#define TEXT_CHARS 50 /* what stands beside the bar, at most */

void progress_init(struct progress *progress, FILE *out, size_t total, bool quiet)
{
	*progress = (struct progress){ .out = out, .total = total, .begin_ms = clock_ms() };
	progress->style = quiet ? PROGRESS_QUIET : isatty(fileno(out)) ? PROGRESS_BAR : PROGRESS_LINES;
}

static void state_text(const struct progress *p, size_t done, size_t failed, char *out, size_t len)
{
	double seconds = (clock_ms() - p->begin_ms) / 1e3;
	double rate = seconds > 0 ? (double)done / seconds : 0;
	int n = snprintf(out, len, "%zu/%zu  %.0f/s", done, p->total, rate);

	if (failed > 0)
		n += snprintf(out + n, len - (size_t)n, "  %zu failed", failed);
	if (rate > 0 && done < p->total)
		(void)snprintf(out + n, len - (size_t)n, "  %.0f s left", (double)(p->total - done) / rate);
}

static size_t bar_chars(FILE *out)
{
	struct winsize size = { 0 };

	if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return BAR_CHARS_MAX;
	if (size.ws_col <= TEXT_CHARS)
		return 0;
	return size.ws_col - TEXT_CHARS > BAR_CHARS_MAX ? BAR_CHARS_MAX : (size_t)size.ws_col - TEXT_CHARS;
}

static void draw_bar(const struct progress *p, size_t done, size_t failed)
{
	char text[160], bar[BAR_CHARS_MAX + 1];
	size_t chars = bar_chars(p->out), full = p->total == 0 ? 0 : chars * done / p->total;

	state_text(p, done, failed, text, sizeof(text));
	memset(bar, '#', full);
	memset(bar + full, '.', chars - full);
	bar[chars] = '\0';
	if (chars > 0)
		(void)fprintf(p->out, "\r[%s] %s\x1b[K", bar, text); /* to the line's end: what was longer goes */
	else
		(void)fprintf(p->out, "\r%s\x1b[K", text);
	(void)fflush(p->out);
}

void progress_show(struct progress *progress, size_t done, size_t failed)
{
	unsigned tenths = progress->total == 0 ? 10 : (unsigned)(done * 10 / progress->total);
	char text[160];

	if (progress->style == PROGRESS_BAR) {
		draw_bar(progress, done, failed);
	} else if (progress->style == PROGRESS_LINES && tenths > progress->tenths) {
		progress->tenths = tenths;
		state_text(progress, done, failed, text, sizeof(text));
		(void)fprintf(progress->out, "%3u%%  %s\n", tenths * 10, text);
	}
}

void progress_end(struct progress *progress, size_t done, size_t failed)
{
	progress_show(progress, done, failed);
	if (progress->style == PROGRESS_BAR)
		(void)fputc('\n', progress->out);
}
