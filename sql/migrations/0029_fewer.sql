-- 0029: less for each commit. In instructions of a backend beside SHA-256, 20 enrolments a commit: 254,900 an enrolment before,
-- 242,400 after; about 2 us of 65 in twelve pairs.

-- As 0027 has it, but that nobody counts what was written of keys and nonces: one that is taken ends the statement.
create or replace function intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_window_s bigint,
	a_rows intent_row[], p_new boolean)
returns table (idx integer, outcome smallint, reason text, detail text, serial bytea, certificate bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_claims bigint;
	v_units bigint;
begin
	if p_new then
		begin
			-- One statement: the rows are read once, and the tables are opened once. Claims come first, for a repeat is to
			-- end here; what nothing asks for is written when all else is, the last first: keys, then nonces. In this
			-- order, whatever node, by intend_any() too: who waits for whom is the same everywhere.
			with u as materialized (
				select x.* from unnest(a_rows) x where x.kind = 1 and x.stale is null
			), hours as (
				insert into work.issuer_hour as h (hour, issuer, node, n)
				select floor(extract(epoch from now()))::bigint / 3600, u.issuer, p_node, count(*) from u
				group by u.issuer order by u.issuer
				on conflict on constraint issuer_hour_pkey do update set n = h.n + excluded.n
			), nonces as (
				insert into nonce_used (nonce, device, purpose, key_hash)
				select u.nonce, u.device, u.purpose, u.key from u where u.nonce is not null order by u.nonce
			), keys as (
				insert into device_key (key_hash, device) select u.key, u.device from u order by u.key
			), claims as (
				insert into claim (device, purpose, generation, key_hash, serial)
				select u.device, u.purpose, 1, u.key, u.serial from u returning 1
			), intents as (
				insert into issuance as x (serial, node, stream, seq, at, kind, issuer, profile, family, policy_hash, requester,
					device, device_format, vendor_root, element, key_hash, level, nonce, evidence, evidence_format, continuity,
					unit_serial, not_before, not_after, tbs, batch_ca)
				select u.serial, p_node, p_stream, p_prev_seq + 1, now(), 1, u.issuer, u.profile, u.family, u.policy, u.requester,
					u.device, u.format, u.root, u.element, u.key, u.level, u.nonce, u.evidence, u.evidence_format, u.continuity,
					u.unit, to_timestamp(u.not_before), to_timestamp(u.not_after), u.tbs, u.batch_ca
				from u returning leaf(x) as leaf
			), link as (
				insert into chain (node, stream, seq, prev_hash, op, n_rows, root, hash, at)
				select p_node, p_stream, p_prev_seq + 1, p_prev_hash, 'intend', r.n, r.root,
					chain_hash(p_prev_hash, p_node, p_stream, p_prev_seq + 1, 'intend', r.n, r.root), now()
				from (select count(*)::integer as n, sha256(string_agg(i.leaf, ''::bytea order by i.leaf)) as root from intents i) r
				where r.n = cardinality(a_rows) and (p_prev_seq = 0 or exists (select from chain c where c.node = p_node and c.stream = p_stream
					and c.seq = p_prev_seq and c.hash = p_prev_hash))
				returning hash
			)
			select (select count(*) from claims), (select l.hash from link l), (select count(u.unit) from u)
			into v_claims, serial, v_units;
			if v_claims < cardinality(a_rows) or serial is null then
				raise exception 'odd' using errcode = 'ASD01';
			end if;
			if v_units > 0 then
				insert into unit (unit_serial, device)
				select x.unit, x.device from unnest(a_rows) x where x.unit is not null order by x.unit;
			end if;
			idx := 0;
			return next;
			return;
		exception when sqlstate 'ASD01' or unique_violation then
			null; -- the rules, below
		end;
	end if;
	return query
	select r.* from (
		select array_agg(x.kind) as kind, array_agg(x.device) as device, array_agg(x.purpose) as purpose,
			array_agg(x.key) as key, array_agg(x.serial) as serial, array_agg(x.tbs) as tbs, array_agg(x.issuer) as issuer,
			array_agg(x.profile) as profile, array_agg(x.family) as family, array_agg(x.policy) as policy,
			array_agg(x.requester) as requester, array_agg(x.once) as once, array_agg(x.format) as format,
			array_agg(x.root) as root, array_agg(x.element) as element, array_agg(x.level) as level,
			array_agg(x.stale) as stale, array_agg(x.nonce) as nonce, array_agg(x.evidence) as evidence,
			array_agg(x.evidence_format) as evidence_format, array_agg(x.continuity) as continuity, array_agg(x.unit) as unit,
			array_agg(x.not_before) as not_before, array_agg(x.not_after) as not_after, array_agg(x.batch_ca) as batch_ca
		from unnest(a_rows) x -- in the order of the batch
	) a, lateral intend_any(p_node, p_stream, p_prev_seq, p_prev_hash, p_window_s, a.kind, a.device, a.purpose, a.key, a.serial,
		a.tbs, a.issuer, a.profile, a.family, a.policy, a.requester, a.once, a.format, a.root, a.element, a.level, a.stale,
		a.nonce, a.evidence, a.evidence_format, a.continuity, a.unit, a.not_before, a.not_after, a.batch_ca) r;
end $$;

-- As 0027 has it, but that all intents of a batch are looked up by one scan of their keys; a subquery for each chose the
-- partition for each.
create or replace function record(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, a_serial bytea[],
	a_tail bytea[])
returns table (idx integer, reason text, hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_lock constant text := pg_advisory_xact_lock_shared(4177, 2)::text; -- lock_void_shared(), without a statement of its own
	v_sorted constant bytea[] := array(select s from unnest(a_serial) s order by s);
	v_low constant bytea := v_sorted[1];
	v_high constant bytea := v_sorted[cardinality(v_sorted)];
begin
	begin
		with done as (
			insert into signature as x (serial, node, stream, seq, at, tail)
			select u.serial, p_node, p_stream, p_prev_seq + 1, now(), u.tail
			from unnest(a_serial, a_tail) u(serial, tail)
			where (select count(*) from issuance i where i.serial = any(v_sorted) and i.serial >= v_low and i.serial <= v_high)
				= cardinality(a_serial)
			and ((select v.serial from void v where v.serial >= v_low and v.serial <= v_high limit 1) is null
				or (select v.serial from void v where v.serial = any(v_sorted) limit 1) is null)
			order by u.serial
			returning leaf(x) as leaf
		), root as (
			select count(*)::integer as n, sha256(string_agg(d.leaf, ''::bytea order by d.leaf)) as root from done d
		), link as (
			insert into chain (node, stream, seq, prev_hash, op, n_rows, root, hash, at)
			select p_node, p_stream, p_prev_seq + 1, p_prev_hash, 'record', r.n, r.root,
				chain_hash(p_prev_hash, p_node, p_stream, p_prev_seq + 1, 'record', r.n, r.root), now()
			from root r where r.n = cardinality(a_serial) and (p_prev_seq = 0 or exists (select from chain c where c.node = p_node and c.stream = p_stream
					and c.seq = p_prev_seq and c.hash = p_prev_hash))
			returning hash
		)
		select l.hash into hash from link l;
		if hash is null then
			raise exception 'odd' using errcode = 'ASD01';
		end if;
		idx := 0;
		return next;
		return;
	exception when sqlstate 'ASD01' or unique_violation then
		null; -- one by one, below
	end;
	return query select * from record_any(p_node, p_stream, p_prev_seq, p_prev_hash, a_serial, a_tail);
end $$;
