/*
 * audit.h - what an auditor takes home and checks there. Files: audit.c (export), audit_row.c (rows and their leaves),
 * audit_facts.c (what must follow from what), audit_verify.c (the verdict over an export; audit_verify.h has its
 * parts), audit_heads.c (signed heads), audit_walk.c (one certificate, back to ceremony and vendor), audit_proof.c (the
 * same as one file).
 *
 * An export is a file of JSON lines. The first is an object: {"assay_audit": 1, "at": time, "heads": [{node, stream,
 * seq, hash, at}]}. Each other one is an array: a table's name, then the values of one row in the order in which they
 * are hashed (columns[] in audit_row.c; sql/README.md, "The chain"): bytes as lower-case hex, times as microseconds
 * since 2000-01-01 UTC, null for NULL. The chain comes first, then each table in the order of its key. Nothing after
 * the heads is in it.
 *
 * Threads: one.
 */
#ifndef ASSAY_CTL_AUDIT_H
#define ASSAY_CTL_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/blob.h"

#define AUDIT_HASH 32
#define AUDIT_COLUMNS_MAX 32
#define AUDIT_TABLES_MAX 32
#define AUDIT_LABEL 160

/* audit_row.c */
struct audit_table {
	const char *name;
	const char *key;                        /* the column that names a row for people */
	const char *columns[AUDIT_COLUMNS_MAX]; /* "type name", as hashed; NULL ends them */
};
extern const struct audit_table audit_tables[];
extern const size_t n_audit_tables;
extern const struct audit_table audit_chain; /* the chain itself: no leaf, but columns */

/* One line: values[0] is the table's name. The table, or NULL if the line is no row of a known one with its columns. */
const struct audit_table *audit_row_table(const json_t *row);
/* The value of a column, NULL if the table has none of this name; `row` must have passed audit_row_table(). */
const json_t *audit_value(const struct audit_table *table, const json_t *row, const char *column);
const char *audit_text(const struct audit_table *table, const json_t *row, const char *column); /* "" for NULL */
int64_t audit_number(const struct audit_table *table, const json_t *row, const char *column);   /* 0 for NULL */
bool audit_hash_of(const struct audit_table *table, const json_t *row, const char *column, uint8_t out[AUDIT_HASH]);
/* SHA-256 of the row in PostgreSQL's binary form; false if a value is not of its column's type. */
bool audit_leaf(const struct audit_table *table, const json_t *row, uint8_t out[AUDIT_HASH]);
/* The hash of a row of the chain, over its own contents. */
bool audit_chain_hash(const json_t *row, uint8_t out[AUDIT_HASH]);
void audit_label(const struct audit_table *table, const json_t *row, char out[AUDIT_LABEL]); /* "issuance 0151..." */
/* What names and texts of an export are shown through: a forger's cut amid a character of several bytes would be no
 * string of JSON, and what steers a terminal could take back the line before. */
void audit_printable(char *text);
/* The row of a table with this text in a column, after `skip` others; column NULL: any row. NULL if there is none. */
json_t *audit_find(FILE *export, const char *table, const char *column, const char *value, unsigned skip);
bool audit_sha256(const void *bytes, size_t len, uint8_t out[AUDIT_HASH]);
bool audit_unhex(const char *hex, uint8_t *out, size_t len); /* exactly len bytes */

/* audit_verify.c: the verdict over an export, as assayctl --json audit verify prints it; NULL when it cannot be read.
 */
#define AUDIT_HEADS_MAX 16
struct outside {
	const char *file[AUDIT_HEADS_MAX]; /* heads kept elsewhere: signed ones, or lines of node, stream, row, hash */
	size_t n;
	const char *key; /* of signed heads: certificate or public key, PEM; NULL: none */
};
json_t *audit_check(const char *path, const struct outside *outside);

/* audit_heads.c: heads as rows say them and as they were kept, against what the export holds. */
struct heads;
struct heads *heads_new(const char *key_file); /* may be NULL; on failure it has been told and the result is NULL */
void heads_free(struct heads *heads);          /* accepts NULL */
bool heads_of_row(struct heads *heads, const struct audit_table *table, const json_t *row, int64_t at);
#define AUDIT_KINDS 5
/* Which kind of signature this row is the intent of, and of how many; -1: none. */
int audit_signs(const struct audit_table *table, const json_t *row, int64_t *ret_n);
struct heads_view {
	void *user;
	void (*found)(void *user, const char *format, ...) __attribute__((format(printf, 2, 3)));
	bool (*enough)(void *user); /* no more is told: nothing more has to be looked at */
	/* `head` says that this row is there; NULL: a line without signature does */
	void (*position)(void *user, const char *node, const char *stream, int64_t seq, const char *hash,
			 const char *head, bool outside);
	/* how many intents of each kind there are up to these positions; false: not to be counted again */
	bool (*counts)(void *user, const json_t *positions, int64_t *ret_counts);
};
void heads_check_own(struct heads *heads, FILE *export, const struct heads_view *view);
/* False: it has been told that the file cannot be checked at all. */
bool heads_check_file(struct heads *heads, const char *path, const struct heads_view *view);

/* audit_walk.c: a serial as openssl prints it, with or without colons, in either case, to how it stands in the ledger.
 */
#define AUDIT_SERIAL_CHARS 41
bool audit_serial(const char *text, char out[AUDIT_SERIAL_CHARS]);

/* audit_facts.c: small facts, each from one row; sorted and compared when all are there. */
struct facts;
struct facts *facts_new(void);
void facts_free(struct facts *facts); /* accepts NULL */
/* What the row says; false when short of memory. `at` is where its line begins. */
bool facts_of_row(struct facts *facts, const struct audit_table *table, const json_t *row, int64_t at);
/* Calls wrong() for each contradiction with the row that it names. False when short of memory. */
bool facts_check(struct facts *facts, void (*wrong)(void *user, int64_t at, const char *what), void *user);

/* progress.c: a bar on standard error, if that is a terminal. */
void progress(const char *what, uint64_t done, uint64_t of);
void progress_end(void);

/* Whether this is the previous certificate's key's signature over its serial (hex) and the new key's hash (hex), as
 * assay.4.1 defines it: RFC 7030 knows none, ARCHITECTURE.md has the definition. */
bool audit_continuity_holds(struct blob previous_der, const char *previous_serial, const char *key_hash,
			    struct blob signature);

#endif
