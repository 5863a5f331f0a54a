/* fixture.c - see fixture.h. */
#include "fixture.h"

#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text.h"
#include "issuer.h"

static bool run(const char *command, char *out, size_t out_len)
{
	FILE *p = popen(command, "r");
	size_t n;

	if (p == NULL)
		return false;
	n = fread(out, 1, out_len - 1, p);
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return pclose(p) == 0;
}

void world_admin(struct world *world)
{
	char conninfo[400];

	PQfinish(world->admin);
	snprintf(conninfo, sizeof(conninfo), "host=%s dbname=assay user=postgres", world->dir);
	world->admin = PQconnectdb(conninfo);
	assert_int_equal(PQstatus(world->admin), CONNECTION_OK);
}

int world_setup_at(void **state, const char *version)
{
	struct world *world = calloc(1, sizeof(*world));
	char start[100];

	oid_init();
	snprintf(start, sizeof(start), "tests/support/postgres.sh ledger %s 2>/dev/null", version);
	if (world == NULL || !run(start, world->dir, sizeof(world->dir)))
		return -1;
	snprintf(world->anchors, sizeof(world->anchors), "%s/anchors", world->dir);
	snprintf(world->ca_conninfo, sizeof(world->ca_conninfo), "host=%s dbname=assay user=assay_ca", world->dir);
	char command[400], out[8];
	snprintf(command, sizeof(command), "mkdir %s", world->anchors);
	if (!run(command, out, sizeof(out)))
		return -1;
	world_admin(world);
	*state = world;
	return 0;
}

int world_setup(void **state)
{
	return world_setup_at(state, "");
}

int world_teardown(void **state)
{
	struct world *world = *state;
	char command[400], out[8];

	PQfinish(world->admin);
	snprintf(command, sizeof(command), "tests/support/postgres.sh destroy %s", world->dir);
	bool gone = run(command, out, sizeof(out));
	free(world);
	return gone ? 0 : -1;
}

void world_postgres(struct world *world, const char *command)
{
	char line[400], out[300];

	snprintf(line, sizeof(line), "tests/support/postgres.sh %s %s", command, world->dir);
	assert_true(run(line, out, sizeof(out)));
}

/* stream NULL: both of the line. */
static struct ledger *open_ledger(struct world *world, const char *node, const char *stream, unsigned window_s)
{
	char dir[400];
	struct ledger *ledger = NULL;

	/* each node has a state directory of its own */
	snprintf(dir, sizeof(dir), "mkdir -p %s/%s", world->anchors, node);
	assert_int_equal(system(dir), 0);
	snprintf(dir, sizeof(dir), "%s/%s", world->anchors, node);
	const struct ledger_options options = {
		.conninfo = world->ca_conninfo, .node = node, .anchor_dir = dir, .retry_window_s = window_s
	};
	if (stream == NULL)
		assert_ok(ledger_open_line(&options, &ledger, f));
	else
		assert_ok(ledger_open(&options, stream, &ledger, f));
	assert_ok(ledger_ready(ledger, f));
	return ledger;
}

struct ledger *world_ledger(struct world *world, const char *node, const char *stream, unsigned window_s)
{
	return open_ledger(world, node, stream, window_s);
}

struct ledger *world_ledger_line(struct world *world, const char *node, unsigned window_s)
{
	return open_ledger(world, node, NULL, window_s);
}

static const char *query(struct world *world, const char *sql)
{
	static _Thread_local char values[4][4096];
	static _Thread_local unsigned next;
	char *value = values[next++ % 4];
	PGresult *result = PQexec(world->admin, sql);

	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(world->admin));
	snprintf(value, sizeof(values[0]), "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	return value;
}

const char *world_sql(struct world *world, const char *fmt, ...)
{
	char sql[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	return query(world, sql);
}

long world_count(struct world *world, const char *fmt, ...)
{
	char sql[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sql, sizeof(sql), fmt, ap);
	va_end(ap);
	return strtol(query(world, sql), NULL, 10);
}

static void make_key(struct pubkey *key, const char *name)
{
	*key = (struct pubkey){ .type = KEY_EC_P256, .bits = 256, .len = 65 };
	key->raw[0] = 4;
	SHA256((const uint8_t *)name, strlen(name), key->raw + 1);
	SHA256(key->raw, 33, key->raw + 33);
}

/* As ca-core made them at first: 01, three bytes of day, twelve random. The ledger takes both, and these are the harder
 * ones: those of a batch lie all over the day. */
static void old_serial(uint8_t serial[16])
{
	int64_t day = clock_wall_s() / 86400;

	serial[0] = 1;
	serial[1] = (uint8_t)(day >> 16);
	serial[2] = (uint8_t)(day >> 8);
	serial[3] = (uint8_t)day;
	assert_int_equal(RAND_bytes(serial + 4, 12), 1);
}

static void offer(struct request *r, size_t serial_len)
{
	r->serial_len = serial_len;
	text_hex(BLOB(r->serial, serial_len), r->hex, sizeof(r->hex));
	snprintf(r->tbs, sizeof(r->tbs), "tbs of %s", r->hex);
	r->intent.tbs = BLOB_STR(r->tbs);
	r->intent.serial_len = serial_len;
	memcpy(r->intent.serial, r->serial, serial_len);
}

void request_tbs(struct request *r)
{
	const uint8_t start[] = { 0x30, (uint8_t)(7 + r->serial_len), 0xa0, 3, 2, 1, 2, 2, (uint8_t)r->serial_len };

	memcpy(r->tbs, start, sizeof(start));
	memcpy(r->tbs + sizeof(start), r->serial, r->serial_len);
	r->intent.tbs = BLOB(r->tbs, sizeof(start) + r->serial_len);
}

void request_serial_of_today(struct request *r)
{
	assert_ok(serial_new(clock_wall_us(), r->serial, f));
	offer(r, SERIAL_BYTES);
}

static void finish(struct request *r, const char *key)
{
	make_key(&r->grant.key, key);
	memset(r->grant.policy_hash, 0x70, sizeof(r->grant.policy_hash));
	r->intent = (struct intent){ .grant = &r->grant };
	old_serial(r->serial);
	offer(r, 16);
	r->intent.not_before_s = clock_wall_s() - 3600;
	r->intent.not_after_s = clock_wall_s() + 5 * 365 * 86400LL;
}

void request_enrol(struct request *r, const char *element, const char *key)
{
	*r = (struct request){ .grant = { .kind = GRANT_ENROL,
					  .profile = "line",
					  .family = "device",
					  .issuer = "attested",
					  .requester = "rig:station-1",
					  .level = LEVEL_NATIVE,
					  .freshness = REASON_OK } };
	strcpy(r->grant.device.format, "assay.1.1");
	memset(r->grant.device.vendor_root, 0x76, 32);
	r->grant.device.element_len = strlen(element);
	memcpy(r->grant.device.element, element, strlen(element));
	strcpy(r->grant.evidence_format, "assay.1.1");
	finish(r, key);
}

void request_reenrol(struct request *r, const struct request *previous, const char *key)
{
	*r = (struct request){ .grant = previous->grant };
	r->grant.kind = GRANT_REENROL;
	strcpy(r->grant.profile, "field");
	strcpy(r->grant.requester, "device:0102");
	r->grant.nonce_len = 0;
	r->grant.previous_len = previous->intent.serial_len;
	memcpy(r->grant.previous, previous->intent.serial, previous->intent.serial_len);
	finish(r, key);
}

void request_nonce(struct request *r, const char *nonce)
{
	r->grant.nonce_len = 32;
	SHA256((const uint8_t *)nonce, strlen(nonce), r->grant.nonce);
}

void request_done(struct request *r)
{
	buf_done(&r->intent.certificate);
}

enum intent_outcome ask(struct ledger *ledger, struct request *r)
{
	buf_done(&r->intent.certificate);
	memcpy(r->intent.serial, r->serial, sizeof(r->serial));
	r->intent.serial_len = r->serial_len;
	assert_ok(ledger_intend(ledger, &r->intent, 1, f));
	text_hex(BLOB(r->intent.serial, r->intent.serial_len), r->hex, sizeof(r->hex));
	return r->intent.outcome;
}

enum reason record_one(struct ledger *ledger, const struct request *r, const char *tail)
{
	struct signed_row row = { .serial = BLOB(r->intent.serial, r->intent.serial_len), .tail = BLOB_STR(tail) };

	assert_ok(ledger_record(ledger, &row, 1, f));
	return row.verdict;
}

void issue(struct ledger *ledger, struct request *r)
{
	if (ask(ledger, r) != INTENT_NEW)
		fail_msg("outcome %d, %s: %s", (int)r->intent.outcome, reason_info(r->intent.verdict.reason)->name,
			 r->intent.verdict.detail);
	assert_int_equal(record_one(ledger, r, "the tail"), REASON_OK);
}

void enrol(struct ledger *ledger, struct request *r, const char *element, const char *key)
{
	request_enrol(r, element, key);
	issue(ledger, r);
}

void renew(struct ledger *ledger, struct request *r, const struct request *previous, const char *key)
{
	request_reenrol(r, previous, key);
	issue(ledger, r);
}

struct pair open_pair(void **state)
{
	static unsigned count;
	struct pair p = { .world = *state };

	snprintf(p.node, sizeof(p.node), "n%u", count++);
	p.now = world_ledger(p.world, p.node, "intend", WINDOW_S);
	p.later = world_ledger(p.world, p.node, "later", 0);
	return p;
}

void close_pair(struct pair *p)
{
	ledger_close(p->now);
	ledger_close(p->later);
}

long rows_read(struct pair *p)
{
	return world_count(p->world, "select sum(idx_tup_fetch + seq_tup_read) from pg_stat_xact_user_tables "
				     "where relname ~ '^(issuance|signature)_'");
}

long issuances_of(struct world *world, const struct request *r)
{
	uint8_t device[32];
	char hex[65];

	device_hash(&r->grant.device, device);
	text_hex(BLOB_OF(device), hex, sizeof(hex));
	return world_count(world, "select count(*) from issuance where device = '\\x%s'", hex);
}

int world_verify(struct world *world, const char *heads, char out[4096])
{
	char command[700];
	FILE *p;
	size_t n;

	snprintf(command, sizeof(command),
		 "tests/integration/sql/verify_chain.py 'host=%s dbname=assay user=assay_read' %s%s", world->dir,
		 heads == NULL ? "" : "--heads ", heads == NULL ? "" : heads);
	p = popen(command, "r");
	assert_non_null(p);
	n = fread(out, 1, 4095, p);
	out[n] = '\0';
	return pclose(p);
}

void the_chain_covers_all_of_it(void **state)
{
	static char out[4096];

	if (world_verify(*state, NULL, out) != 0)
		fail_msg("%s", out);
}
