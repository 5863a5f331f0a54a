/*
 * files.h - files that a user of assayctl names, read with an end: a device or a pipe that never ends is told, not
 * followed.
 *
 * Threads: one.
 */
#ifndef ASSAY_CTL_FILES_H
#define ASSAY_CTL_FILES_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

int fail(const char *format, ...) __attribute__((format(printf, 1, 2))); /* tells, and is 1 */
/* After the last line that could be read: was it the file's last? Else told: a folder, a medium that fails, a line that
 * there is no memory for, or (len as line_read() gave it) one that is too long. */
bool read_whole(FILE *file, const char *path, ssize_t len, size_t max);

/* As getline(), for lines of up to `max` bytes, their end included. */
#define LINE_TOO_LONG (-2)
ssize_t line_read(FILE *file, char **line, size_t *cap, size_t max);

/* An export: gone through several times, hence no pipe and no device; its lines are up to LIMIT_AUDIT_LINE_BYTES. NULL:
 * told. */
FILE *export_open(const char *path);
ssize_t export_line(FILE *export, char **line, size_t *cap);

/* Every line of heads that were kept outside, counted from 1; false from `each` ends it, and is the answer. False too,
 * and told, when not all of it could be read. */
bool heads_lines(const char *path, bool (*each)(void *user, const char *line, size_t len, unsigned n), void *user);

/* A small file whole (certificates, a key, headers): BIO_reset() goes back to its begin. NULL: told. */
BIO *small_open(const char *path);

#endif
