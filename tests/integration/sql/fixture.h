/*
 * fixture.h - a private PostgreSQL with a fresh ledger in it, and short ways to ask it for things.
 *
 * Names in tests are free text: a device, a key and a nonce are made from the word that a test gives them.
 */
#ifndef ASSAY_TEST_FIXTURE_H
#define ASSAY_TEST_FIXTURE_H

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>
#include <libpq-fe.h>

#include "base/clock.h"
#include "ledger.h"

#define WINDOW_S (7 * 86400)

struct world {
	char dir[256]; /* of the cluster */
	char anchors[300];
	char ca_conninfo[400]; /* of the writing role */
	PGconn *admin;         /* superuser */
};

/* cmocka group fixtures; *state is a struct world. */
int world_setup(void **state);
int world_setup_at(void **state, const char *version); /* of the schema; "": the newest */
int world_teardown(void **state);
void world_admin(struct world *world); /* connects again after a restart */
/* Runs a command of tests/support/postgres.sh on the world's cluster. */
void world_postgres(struct world *world, const char *command);

struct ledger *world_ledger(struct world *world, const char *node, const char *stream, unsigned window_s);
struct ledger *world_ledger_line(struct world *world, const char *node,
				 unsigned window_s); /* both streams of the line */
/* One value as text by SQL of the superuser ("" for NULL or no row); valid until the next call but three. */
__attribute__((format(printf, 2, 3))) const char *world_sql(struct world *world, const char *fmt, ...);
/* The same, as a number. */
__attribute__((format(printf, 2, 3))) long world_count(struct world *world, const char *fmt, ...);

/* The chain, checked by a program that has nothing of ours in it: its exit status, and what it says. heads: a file of
 * what it said before, or NULL. */
int world_verify(struct world *world, const char *heads, char out[4096]);
/* A test, the last of a file: whatever the others did, the chain covers it. */
void the_chain_covers_all_of_it(void **state);

/* A ledger with the usual window, and one for which every certificate is past it. */
struct pair {
	struct world *world;
	char node[16]; /* a new one for each test, so that one that fails leaves no stream locked for the next */
	struct ledger *now, *later;
};
struct pair open_pair(void **state);
void close_pair(struct pair *p);
/* Rows of issuances and signatures that the superuser's connection has read in this transaction. */
long rows_read(struct pair *p);

/* One request on its way, with everything that the ledger borrows. */
struct request {
	struct grant grant;
	struct intent intent;
	uint8_t serial[LIMIT_SERIAL_BYTES]; /* as offered */
	size_t serial_len;
	char tbs[80], hex[2 * LIMIT_SERIAL_BYTES + 1]; /* hex: of the serial that counts, after ask() */
};
void request_enrol(struct request *r, const char *element, const char *key);
void request_reenrol(struct request *r, const struct request *previous, const char *key);
void request_nonce(struct request *r, const char *nonce);
void request_serial_of_today(struct request *r); /* as ca-core makes them; otherwise shorter ones, as it once did */
void request_tbs(struct request *r); /* DER with version and serial, which an auditor compares; otherwise any text */
void request_done(struct request *r); /* frees the certificate */

long issuances_of(struct world *world, const struct request *r); /* to its device */

/* intend for one; asserts that the call itself succeeds. */
enum intent_outcome ask(struct ledger *ledger, struct request *r);
/* intend and record: asserts that it was new. */
void issue(struct ledger *ledger, struct request *r);
/* A request made and issued in one. */
void enrol(struct ledger *ledger, struct request *r, const char *element, const char *key);
void renew(struct ledger *ledger, struct request *r, const struct request *previous, const char *key);
enum reason record_one(struct ledger *ledger, const struct request *r, const char *tail);

#define WAIT_US 120000000 /* for something that must come; far more than it takes */

/* Looks again and again until the condition holds: for states of another process, which cannot notify us. */
#define await(condition)                                                                                               \
	do {                                                                                                           \
		int64_t await_until_us = clock_mono_us() + WAIT_US;                                                    \
		while (!(condition)) {                                                                                 \
			if (clock_mono_us() > await_until_us)                                                          \
				fail_msg("never: %s", #condition);                                                     \
			nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);                                     \
		}                                                                                                      \
	} while (0)

#define assert_refused(ledger, r, expected)                                                                            \
	do {                                                                                                           \
		assert_int_equal(ask(ledger, r), INTENT_REFUSED);                                                      \
		assert_string_equal(reason_info((r)->intent.verdict.reason)->name, reason_info(expected)->name);       \
	} while (0)
#define assert_ok(call)                                                                                                \
	do {                                                                                                           \
		struct fault assert_fault = { 0 };                                                                     \
		struct fault *f = &assert_fault;                                                                       \
		if ((call) != REASON_OK)                                                                               \
			fail_msg("%s: %s: %s", #call, reason_info(assert_fault.reason)->name, assert_fault.detail);    \
	} while (0)

#endif
