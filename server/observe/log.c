/* log.c - see log.h. */
#include "observe/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_BYTES 8192 /* a line that would be longer ends early, but stays whole JSON */
#define VALUE_CHARS 512
#define TAIL_ROOM 8 /* for the closing quote, brace and newline */

static struct {
	char role[16];
	enum log_level least;
} state = { "assayd", LOG_INFO };

static const char *const level_names[] = { "debug", "info", "warn", "error" };

struct text {
	char bytes[LINE_BYTES];
	size_t len;
};

void log_init(const char *role, enum log_level least)
{
	snprintf(state.role, sizeof(state.role), "%s", role);
	state.least = least;
}

static bool put(struct text *t, const char *s, size_t len)
{
	if (t->len + len + TAIL_ROOM > sizeof(t->bytes))
		return false;
	memcpy(t->bytes + t->len, s, len);
	t->len += len;
	return true;
}

/* One character of a JSON string. What is not printable ASCII is escaped byte by byte: a log is no place for trust in
 * UTF-8. */
static bool put_char(struct text *t, unsigned char c)
{
	char escaped[8];

	if (c == '"' || c == '\\') {
		snprintf(escaped, sizeof(escaped), "\\%c", c);
		return put(t, escaped, 2);
	}
	if (c < 0x20 || c >= 0x7f) {
		snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned)c);
		return put(t, escaped, 6);
	}
	return put(t, (const char *)&c, 1);
}

static void put_string(struct text *t, const char *s)
{
	(void)put(t, "\"", 1);
	for (size_t i = 0; s[i] != '\0' && i < VALUE_CHARS; i++)
		if (!put_char(t, (unsigned char)s[i]))
			break;
	t->bytes[t->len++] = '"'; /* TAIL_ROOM keeps a place */
}

/* A field, unless there is no room for it to begin. */
static bool put_key(struct text *t, const char *key)
{
	if (t->len + strlen(key) + 64 > sizeof(t->bytes))
		return false;
	t->bytes[t->len] = t->len == 0 ? '{' : ',';
	t->len++;
	put_string(t, key);
	return put(t, ":", 1);
}

static void put_str(struct text *t, const char *key, const char *value)
{
	if (put_key(t, key))
		put_string(t, value == NULL ? "" : value);
}

static void put_int(struct text *t, const char *key, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, value);
	if (put_key(t, key))
		(void)put(t, digits, strlen(digits));
}

static void put_time(struct text *t)
{
	char ts[48];
	int64_t now_us = clock_wall_us();
	time_t s = (time_t)(now_us / 1000000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ts + n, sizeof(ts) - n, ".%03dZ", (int)(now_us / 1000 % 1000));
	put_str(t, "ts", ts);
}

static void begin(struct text *t, enum log_level level, const char *event)
{
	t->len = 0;
	put_time(t);
	put_str(t, "level", level_names[level]);
	put_str(t, "role", state.role);
	put_str(t, "event", event);
}

/* One write a line, so that lines of four processes never mix. A log that cannot be written must not stop the work. */
static void end(struct text *t)
{
	ssize_t written;

	t->bytes[t->len++] = '}';
	t->bytes[t->len++] = '\n';
	written = write(STDERR_FILENO, t->bytes, t->len);
	(void)written;
}

void log_event(enum log_level level, const char *event, ...)
{
	struct text t;
	const char *key;
	va_list ap;

	if (level < state.least)
		return;
	begin(&t, level, event);
	va_start(ap, event);
	while ((key = va_arg(ap, const char *)) != NULL) {
		if (va_arg(ap, int) == LOG_INT)
			put_int(&t, key, va_arg(ap, int64_t));
		else
			put_str(&t, key, va_arg(ap, const char *));
	}
	va_end(ap);
	end(&t);
}

void log_fault(enum log_level level, const char *event, const struct fault *fault)
{
	log_event(level, event, "reason", LOG_STR, reason_info(fault->reason)->name, "detail", LOG_STR, fault->detail,
		  NULL);
}
