/* test_ledger_rights.c - who may do what in the ledger, and is it found out when somebody altered it all the same? */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "head.h"
#include "operators.h"
#include "status.h"

static const char *const tables[] = { "chain",         "issuance",         "signature",
				      "void",          "revocation",       "requester",
				      "policy",        "ceremony",         "crl_number",
				      "crl_intent",    "responder_intent", "responder_signature",
				      "status_intent", "operator_action",  "claim",
				      "device_key",    "nonce_used",       "in_use",
				      "unit",          "head_intent",      "head_signature",
				      "schema_version" };

static void an_ocsp_responder(struct ledger *ledger, const struct request *of)
{
	const struct responder_intent responder = { .issuer = "attested",
						    .serial = BLOB(of->serial, 16),
						    .tbs = BLOB_STR("tbs"),
						    .key_hash = of->grant.policy_hash,
						    .not_before_s = 1,
						    .not_after_s = 2 };

	assert_ok(ledger_responder_intend(ledger, &responder, f));
	assert_ok(ledger_responder_record(ledger, responder.serial, BLOB_STR("tail"), f));
}

/* At least one row in every table, for what is refused is looked at only where there is one. */
static void a_row_in_each_table(struct world *world)
{
	struct ledger *ledger = world_ledger(world, "rights", "intend", WINDOW_S);
	struct request first, next;
	const struct action_note call = { "operator:test", "GET /", "id", "ok", "" };
	struct head_intent head = { .since_s = 1, .signatures = 2, .age_s = 3600 };
	struct revocation_row *revoked;
	uint64_t number;
	size_t n;

	request_enrol(&first, "dev-rights", "key-rights");
	request_nonce(&first, "nonce-rights");
	strcpy(first.grant.unit_serial, "U-rights");
	issue(ledger, &first);
	request_reenrol(&next, &first, "key-rights");
	assert_int_equal(ask(ledger, &next), INTENT_NEW);
	assert_ok(ledger_void(ledger, BLOB(next.serial, 16), "test", f));
	assert_ok(ledger_policy(ledger, next.grant.policy_hash, "test", f));
	assert_ok(ledger_note(ledger, &call, 1, &number, f));
	assert_ok(ledger_crl(ledger, "attested", &number, &revoked, &n, f));
	free(revoked);
	assert_ok(ledger_crl_intend(ledger, "attested", number, next.grant.policy_hash, f));
	assert_ok(ledger_status_intend(ledger, BLOB(next.grant.policy_hash, 32), f));
	an_ocsp_responder(ledger, &next);
	assert_ok(ledger_head_intend(ledger, &head, f));
	assert_ok(ledger_head_record(ledger, head.number, BLOB_STR("signature"), f));
	buf_done(&head.text);
	world_sql(world,
		  "select register_requester('rig', 'r', sha256('rights'), '', ''), record_ceremony('test'), "
		  "revoke('\\x%s', 1, 'operator:test', 'test')",
		  first.hex);
	ledger_close(ledger);
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		if (world_count(world, "select count(*) from %s", tables[t]) == 0)
			fail_msg("%s is empty", tables[t]);
}

static void assert_not_allowed(PGconn *conn, const char *role, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (sqlstate == NULL || strcmp(sqlstate, "42501") != 0)
		fail_msg("%s: %s: %s", role, sql, sqlstate == NULL ? "allowed" : PQresultErrorMessage(result));
	PQclear(result);
}

/* The owner may insert, and schema_version is the owner's own note. */
static void assert_alters_nothing(struct world *world, PGconn *conn, const char *role, const char *table)
{
	const char *column = world_sql(
		world, "select attname from pg_attribute where attrelid = '%s'::regclass and attnum = 1", table);
	const bool owner = strcmp(role, "assay_owner") == 0;
	char sql[300];

	if (owner && strcmp(table, "schema_version") == 0)
		return;
	snprintf(sql, sizeof(sql), "update %s set %s = %s", table, column, column);
	assert_not_allowed(conn, role, sql);
	snprintf(sql, sizeof(sql), "delete from %s", table);
	assert_not_allowed(conn, role, sql);
	snprintf(sql, sizeof(sql), "truncate %s cascade", table);
	assert_not_allowed(conn, role, sql);
	snprintf(sql, sizeof(sql), "insert into %s select * from %s", table, table);
	if (!owner)
		assert_not_allowed(conn, role, sql);
}

static void nobody_alters_what_is_written(void **state)
{
	static const char *const roles[] = { "assay_read", "assay_ca", "assay_owner" };
	struct world *world = *state;
	char conninfo[400];

	a_row_in_each_table(world);
	for (size_t role = 0; role < sizeof(roles) / sizeof(roles[0]); role++) {
		PGconn *conn;

		snprintf(conninfo, sizeof(conninfo), "host=%s dbname=assay user=%s", world->dir, roles[role]);
		conn = PQconnectdb(conninfo);
		assert_int_equal(PQstatus(conn), CONNECTION_OK);
		for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
			assert_alters_nothing(world, conn, roles[role], tables[t]);
		PQfinish(conn);
	}
}

static void the_reading_role_may_call_nothing_that_writes(void **state)
{
	struct world *world = *state;

	assert_string_equal(
		world_sql(world, "select string_agg(proname, ' ' order by proname) from pg_proc where pronamespace = "
				 "'public'::regnamespace and proowner = 'assay_owner'::regrole and "
				 "has_function_privilege('assay_read', oid, 'execute')"),
		"api_actions api_audit api_certificate api_certificates api_device api_devices_of api_evidence "
		"api_heads api_level api_pem "
		"api_plan api_reason api_requesters api_status api_time audit_print audit_read audit_tables "
		"certificate certificates_of chain_positions crl_entries der_length head_line revoked "
		"serial_floor");
	assert_string_equal(
		world_sql(world, "select string_agg(proname, ' ' order by proname) from pg_proc where pronamespace = "
				 "'public'::regnamespace and proowner = 'assay_owner'::regrole and "
				 "has_function_privilege('assay_ca', oid, 'execute')"),
		"certificate crl_delta_entries crl_entries crl_intend crl_next crl_shard_entries crl_shards_hold "
		"der_length "
		"head_intend head_newest head_record "
		"intend "
		"issuer_hour operate_lapse operate_note "
		"operate_register operate_renew plan_do plan_list plan_make plans_begun previous record record_policy "
		"responder_certificate "
		"responder_intend responder_record revoked serial_floor status_intend status_of_all "
		"void_serials void_unsigned");
}

/* What runs with the owner's rights must not be led to somebody's tables or functions, nor be anybody's to call. */
static void what_runs_as_the_owner_looks_where_it_is_told(void **state)
{
	struct world *world = *state;

	assert_true(world_count(world, "select count(*) from pg_proc where prosecdef and "
				       "pronamespace in ('public'::regnamespace, 'work'::regnamespace)") > 20);
	assert_int_equal(world_count(world, "select count(*) from pg_proc where prosecdef and "
					    "pronamespace in ('public'::regnamespace, 'work'::regnamespace) and "
					    "not coalesce('search_path=public, pg_temp' = any(proconfig), false)"),
			 0);
	assert_int_equal(world_count(world, "select count(*) from pg_proc, aclexplode(coalesce(proacl, "
					    "acldefault('f', proowner))) a where prosecdef and a.grantee = 0 and "
					    "pronamespace in ('public'::regnamespace, 'work'::regnamespace)"),
			 0);
}

static void partitions_reach_ten_years_ahead(void **state)
{
	static const char *const last =
		"select split_part(pg_get_expr(c.relpartbound, c.oid), '''', 4)::bytea > serial_floor(current_date + "
		"3652) "
		"from pg_class c join pg_inherits on inhrelid = c.oid where inhparent = '%s'::regclass "
		"order by split_part(pg_get_expr(c.relpartbound, c.oid), '''', 4) desc limit 1";
	struct world *world = *state;

	assert_string_equal(world_sql(world, last, "issuance"), "t");
	assert_string_equal(world_sql(world, last, "signature"), "t");
	assert_int_equal(world_count(world, "select extend_partitions(current_date)"), 0);
}

/* Else one analysis of the wide rows takes a second of CPU; a partition takes its settings from nobody. */
static void the_upkeep_of_a_new_partition_is_bounded_like_that_of_the_others(void **state)
{
	static const char *const unbounded =
		"select count(*) from pg_class c left join pg_inherits i on i.inhrelid = c.oid "
		"where c.relkind = 'r' and coalesce(i.inhparent, c.oid) = any "
		"('{issuance,signature,claim,device_key,nonce_used,in_use,chain}'::regclass[]) "
		"and (not coalesce(c.reloptions @> '{autovacuum_analyze_scale_factor=1}', false) "
		"or exists (select from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 "
		"and coalesce(a.attstattarget, -1) not between 0 and 10))";
	struct world *world = *state;
	long before = world_count(world, "select count(*) from pg_inherits where inhparent = 'issuance'::regclass");

	assert_int_equal(world_count(world, "select extend_partitions(current_date + 3652 + 200)") > 0, 1);
	assert_int_equal(world_count(world, "select count(*) from pg_inherits where inhparent = 'issuance'::regclass") >
				 before,
			 1);
	assert_int_equal(world_count(world, unbounded), 0);
	assert_int_equal(world_count(world, "select tune_tables()"), 0);
}

/* What a superuser could do, how it is undone, and what the check says of it. */
static const struct {
	const char *alter, *undo, *says;
} alterations[] = {
	{ "update issuance set requester = 'rig:other' where convert_from(element, 'UTF8') = 'dev-chain'",
	  "update issuance set requester = 'rig:station-1' where convert_from(element, 'UTF8') = 'dev-chain'",
	  "its rows are not what was written" },
	{ "update signature s set tail = 'other' from issuance i where i.serial = s.serial and i.element = "
	  "'dev-chain'",
	  "update signature s set tail = 'the tail' from issuance i where i.serial = s.serial and i.element = "
	  "'dev-chain'",
	  "its rows are not what was written" },
	{ "update chain set at = at + interval '1 us' where node = 'chain' and seq = 1",
	  "update chain set at = at - interval '1 us' where node = 'chain' and seq = 1",
	  "its hash is not that of its contents" },
	{ "create table kept as select * from signature where node = 'chain'; delete from signature where node "
	  "= 'chain'",
	  "insert into signature select * from kept; drop table kept", "0 rows, 1 were written" },
	{ "create table kept as select * from chain where node = 'chain' and seq = 1; delete from chain where "
	  "node = 'chain' and seq = 1",
	  "insert into chain select * from kept; drop table kept", "row 1 is missing" },
	{ "insert into signature select serial_floor(current_date), node, stream, seq, at, tail from signature "
	  "where node = 'chain'",
	  "delete from signature where serial = serial_floor(current_date)", "signed or void without an intent" },
	{ "update claim set key_hash = sha256('x') where serial in (select serial from issuance where element "
	  "= 'dev-chain')",
	  "update claim c set key_hash = i.key_hash from issuance i where i.serial = c.serial and element = "
	  "'dev-chain'",
	  "follows from no issuance" },
	{ "insert into device_key values (sha256('x'), sha256('y'))",
	  "delete from device_key where key_hash = sha256('x')", "follows from no issuance" },
};

static void the_chain_covers_every_row_and_alteration_is_found(void **state)
{
	struct world *world = *state;
	struct ledger *ledger = world_ledger(world, "chain", "intend", WINDOW_S);
	struct request r;
	static char out[4096];
	char path[320];
	FILE *file;

	request_enrol(&r, "dev-chain", "key-chain");
	request_nonce(&r, "nonce-chain");
	issue(ledger, &r);
	ledger_close(ledger);
	if (world_verify(world, NULL, out) != 0)
		fail_msg("%s", out);
	snprintf(path, sizeof(path), "%s/heads", world->anchors);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(out, file);
	fclose(file);
	world_sql(world, "set session_replication_role = replica"); /* a superuser gets past the triggers */
	for (size_t i = 0; i < sizeof(alterations) / sizeof(alterations[0]); i++) {
		world_sql(world, "%s", alterations[i].alter);
		assert_int_not_equal(world_verify(world, NULL, out), 0);
		if (strstr(out, alterations[i].says) == NULL)
			fail_msg("%s: %s", alterations[i].alter, out);
		world_sql(world, "%s", alterations[i].undo);
		if (world_verify(world, path, out) != 0)
			fail_msg("%s: %s", alterations[i].undo, out);
	}
	/* cut short: only an exported head tells */
	world_sql(world, "delete from signature where node = 'chain'");
	world_sql(world, "delete from chain where node = 'chain' and seq = 2");
	assert_int_equal(world_verify(world, NULL, out), 0);
	assert_int_not_equal(world_verify(world, path, out), 0);
	assert_non_null(strstr(out, "not there any more"));
	world_sql(world, "set session_replication_role = origin");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_alters_what_is_written),
		cmocka_unit_test(the_reading_role_may_call_nothing_that_writes),
		cmocka_unit_test(what_runs_as_the_owner_looks_where_it_is_told),
		cmocka_unit_test(partitions_reach_ten_years_ahead),
		cmocka_unit_test(the_upkeep_of_a_new_partition_is_bounded_like_that_of_the_others),
		cmocka_unit_test(the_chain_covers_every_row_and_alteration_is_found),
	};

	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
