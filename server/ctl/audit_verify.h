/*
 * audit_verify.h - what the files of assayctl audit verify share. Reading an export: audit_read.c; its commits, and
 * heads against them: audit_commits.c; the verdict: audit_verify.c.
 *
 * Owns:    struct verify owns all that it points to.
 * Threads: one.
 */
#ifndef ASSAY_CTL_AUDIT_VERIFY_H
#define ASSAY_CTL_AUDIT_VERIFY_H

#include <stdarg.h>

#include "audit.h"
#include "base/limits.h"

#define STREAM_NAME 32

struct stream {
	char node[STREAM_NAME * 4 + 1], name[STREAM_NAME * 4 + 1];
	int64_t seq; /* the newest row */
	uint8_t hash[AUDIT_HASH];
	int64_t proven; /* up to here by heads from outside */
};

struct commit {
	size_t stream;
	int64_t seq, n_rows, at;
	uint8_t root[AUDIT_HASH], hash[AUDIT_HASH];
};

struct leaf {
	size_t stream;
	int64_t seq, at;
	uint8_t hash[AUDIT_HASH];
	int64_t line_at; /* where its line begins */
	int kind;        /* of signature that it is the intent of; -1: none */
	int64_t signs;   /* how many */
};

/* A growing array; `size` bytes an element. */
struct list {
	void *items;
	size_t n, cap;
};

struct verify {
	const char *path;
	FILE *file;
	struct list streams, commits, leaves;
	struct facts *facts;
	struct heads *heads;
	int64_t last_number[AUDIT_TABLES_MAX]; /* of audit_tables[] */
	char last_key[AUDIT_TABLES_MAX][96];
	uint64_t rows;
	json_t *header;
	json_t *findings; /* strings */
	json_t *unproven; /* strings */
	bool short_of_memory;
};

/* audit_verify.c: to the findings, and to what could not be shown. */
void verify_found(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
void verify_vfound(struct verify *v, const char *format, va_list args);
void verify_unproven(struct verify *v, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* audit_read.c */
struct stream *verify_stream(const struct verify *v, size_t i);
/* The stream's index; v->streams.n if no row has named it yet. */
size_t verify_stream_known(const struct verify *v, const char *node, const char *name);
/* The same, but it is known from then on; SIZE_MAX when short of memory, or if it is named as no stream can be. */
size_t verify_stream_of(struct verify *v, const char *node, const char *name);
/* Each row by itself and after the one before it. False: it has been told why it cannot be read to its end. */
bool verify_read(struct verify *v);

/* audit_commits.c, in this order, once all is read. */
void verify_commits(struct verify *v); /* the rows of each commit against its row of the chain */
void verify_contradiction(void *user, int64_t at, const char *what);
/* Signed heads among the rows, and all that was kept elsewhere. False: it has been told why not. */
bool verify_heads(struct verify *v, const struct outside *outside);

#endif
