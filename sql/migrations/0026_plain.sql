-- 0026: what nearly every batch is, new claims and signatures that come for the first time, the short way. Measured in
-- instructions of a backend, batches of 23, intent and record: 751,000 an enrolment before, 362,000 after, of which
-- 167,000 by plain inserts in fewer statements and 222,000 by tables that are not partitioned by hash.

-- ON CONFLICT looks for the key before it inserts it, announces the row, and confirms it: twice the work where there is
-- none. Sixteen partitions by hash were opened, locked and closed for a handful of rows each.
do $$
declare
	t text;
begin
	foreach t in array array['claim', 'device_key'] loop
		execute format('alter table %I rename to %I', t, t || '_hashed');
		execute format('create table %I (like %I)', t, t || '_hashed');
		execute format('insert into %I select * from %I', t, t || '_hashed');
		execute format('drop table %I', t || '_hashed');
		perform append_only(t::regclass);
		execute format('grant select on %I to assay_ca, assay_read', t);
	end loop;
	alter table claim add primary key (device, purpose, generation);
	alter table device_key add primary key (key_hash);
end $$;
select tune_tables();

-- As chain_add(), of which this is all but the root: the SHA-256 of the leaves in order, and how many they are.
create function chain_root(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_op text, p_n integer, p_root bytea)
returns bytea language plpgsql as $$
declare
	v_hash constant bytea := sha256(record_send(row(p_prev_hash, p_node, p_stream, p_prev_seq + 1, p_op, p_n, p_root, now())));
begin
	insert into chain (node, stream, seq, prev_hash, op, n_rows, root, hash, at)
	select p_node, p_stream, p_prev_seq + 1, p_prev_hash, p_op, p_n, p_root, v_hash, now()
	where p_prev_seq = 0 or exists (select from chain c where c.node = p_node and c.stream = p_stream and c.seq = p_prev_seq
	                                and c.hash = p_prev_hash)
	on conflict do nothing;
	if not found then
		raise exception 'chain %/%: row % is not there with the hash it had, or row % is there already', p_node, p_stream,
			p_prev_seq, p_prev_seq + 1 using errcode = 'ASB01';
	end if;
	return v_hash;
end $$;
create or replace function chain_add(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_op text, p_leaves bytea[])
returns bytea language plpgsql as $$
begin
	return chain_root(p_node, p_stream, p_prev_seq, p_prev_hash, p_op, cardinality(p_leaves),
		(select sha256(coalesce(string_agg(l, ''::bytea order by l), '')) from unnest(p_leaves) l));
end $$;

-- Any batch: as it was.
alter function intend rename to intend_any;
revoke execute on function intend_any from assay_ca;

-- A batch of intents, sorted by (device, purpose) by the caller. Returns a row for each entry that is not new, and,
-- if anything was written, one with idx 0 whose serial is the chain row's hash. p_new: all of them are probably first
-- generations with fresh evidence, over keys, nonces and unit serials that nobody used. Their primary keys find out what
-- is not so, then nothing of this stays and the rules decide.
create function intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_window_s bigint,
	a_kind smallint[], a_device bytea[], a_purpose bytea[], a_key bytea[], a_serial bytea[], a_tbs bytea[],
	a_issuer text[], a_profile text[], a_family text[], a_policy bytea[], a_requester text[], a_once boolean[],
	a_format text[], a_root bytea[], a_element bytea[], a_level smallint[], a_stale text[], a_nonce bytea[],
	a_evidence bytea[], a_evidence_format text[], a_continuity bytea[], a_unit text[], a_not_before bigint[],
	a_not_after bigint[], a_batch_ca bytea[], p_new boolean)
returns table (idx integer, outcome smallint, reason text, detail text, serial bytea, certificate bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_root bytea;
	v_claims bigint;
	v_keys bigint;
	v_nonces bigint;
begin
	if p_new then
		begin
			-- one statement: the arrays are read once, and the tables are opened once
			with u as materialized (
				select * from unnest(a_device, a_purpose, a_key, a_serial, a_tbs, a_issuer, a_profile, a_family, a_policy,
					a_requester, a_format, a_root, a_element, a_level, a_nonce, a_evidence, a_evidence_format, a_continuity,
					a_unit, a_not_before, a_not_after, a_batch_ca, a_kind, a_stale)
					x(device, purpose, key, serial, tbs, issuer, profile, family, policy, requester, format, root, element,
					  level, nonce, evidence, evidence_format, continuity, unit, not_before, not_after, batch_ca, kind, stale)
				where x.kind = 1 and x.stale is null
			), claims as (
				insert into claim (device, purpose, generation, key_hash, serial)
				select u.device, u.purpose, 1, u.key, u.serial from u returning 1
			), keys as (
				insert into device_key (key_hash, device) select u.key, u.device from u order by u.key returning 1
			), nonces as (
				insert into nonce_used (nonce, device, purpose, key_hash)
				select u.nonce, u.device, u.purpose, u.key from u where u.nonce is not null order by u.nonce returning 1
			), hours as (
				insert into work.issuer_hour as h (hour, issuer, node, n)
				select floor(extract(epoch from now()))::bigint / 3600, u.issuer, p_node, count(*) from u
				group by u.issuer order by u.issuer
				on conflict on constraint issuer_hour_pkey do update set n = h.n + excluded.n
			), intents as (
				insert into issuance as x (serial, node, stream, seq, at, kind, issuer, profile, family, policy_hash, requester,
					device, device_format, vendor_root, element, key_hash, level, nonce, evidence, evidence_format, continuity,
					unit_serial, not_before, not_after, tbs, batch_ca)
				select u.serial, p_node, p_stream, p_prev_seq + 1, now(), 1, u.issuer, u.profile, u.family, u.policy, u.requester,
					u.device, u.format, u.root, u.element, u.key, u.level, u.nonce, u.evidence, u.evidence_format, u.continuity,
					u.unit, to_timestamp(u.not_before), to_timestamp(u.not_after), u.tbs, u.batch_ca
				from u returning leaf(x) as leaf
			)
			-- in this order, whatever node: who waits for whom is the same everywhere
			select (select count(*) from claims), (select count(*) from keys), (select count(*) from nonces),
				(select sha256(string_agg(i.leaf, ''::bytea order by i.leaf)) from intents i)
			into v_claims, v_keys, v_nonces, v_root;
			if v_claims < cardinality(a_serial) then
				raise exception 'odd' using errcode = 'ASD01';
			end if;
			if array_to_string(a_unit, '') <> '' then
				insert into unit (unit_serial, device)
				select u.unit, u.device from unnest(a_unit, a_device) u(unit, device) where u.unit is not null order by u.unit;
			end if;
			idx := 0;
		exception when sqlstate 'ASD01' or unique_violation then
			idx := null;
		end;
	end if;
	if idx = 0 then
		serial := chain_root(p_node, p_stream, p_prev_seq, p_prev_hash, 'intend', cardinality(a_serial), v_root);
		return next;
	else
		return query select * from intend_any(p_node, p_stream, p_prev_seq, p_prev_hash, p_window_s, a_kind, a_device,
			a_purpose, a_key, a_serial, a_tbs, a_issuer, a_profile, a_family, a_policy, a_requester, a_once, a_format,
			a_root, a_element, a_level, a_stale, a_nonce, a_evidence, a_evidence_format, a_continuity, a_unit,
			a_not_before, a_not_after, a_batch_ca);
	end if;
end $$;
grant execute on function intend to assay_ca;

-- Any batch of signatures: as it was.
alter function record rename to record_any;
revoke execute on function record_any from assay_ca;

-- Records a batch of signatures, as record_any() does; here those whose intents are there, that are not void and come for
-- the first time, which is nearly all there ever are. Each is looked up by its key, whatever the planner thinks of ranges.
create function record(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, a_serial bytea[], a_tail bytea[])
returns table (idx integer, reason text, hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_lock constant text := pg_advisory_xact_lock_shared(4177, 2)::text; -- lock_void_shared(), without a statement of its own
	v_sorted constant bytea[] := array(select s from unnest(a_serial) s order by s);
	v_low constant bytea := v_sorted[1];
	v_high constant bytea := v_sorted[cardinality(v_sorted)];
	v_n integer;
	v_root bytea;
begin
	begin
		with done as (
			insert into signature as x (serial, node, stream, seq, at, tail)
			select u.serial, p_node, p_stream, p_prev_seq + 1, now(), u.tail
			from unnest(a_serial, a_tail) u(serial, tail)
			where (select v.serial from void v where v.serial = u.serial) is null
			and (select i.serial from issuance i where i.serial = u.serial and i.serial >= v_low and i.serial <= v_high) is not null
			order by u.serial
			returning leaf(x) as leaf
		)
		select count(*), sha256(string_agg(d.leaf, ''::bytea order by d.leaf)) into v_n, v_root from done d;
		if v_n < cardinality(a_serial) then
			raise exception 'odd' using errcode = 'ASD01';
		end if;
	exception when sqlstate 'ASD01' or unique_violation then
		v_n := null;
	end;
	if v_n is null then
		return query select * from record_any(p_node, p_stream, p_prev_seq, p_prev_hash, a_serial, a_tail);
	else
		idx := 0;
		hash := chain_root(p_node, p_stream, p_prev_seq, p_prev_hash, 'record', v_n, v_root);
		return next;
	end if;
end $$;
grant execute on function record to assay_ca;

-- Repeats: each looked up by its key, too; as a join the planner may read all between the lowest and the highest serial.
do $$
declare
	v_old constant text := pg_get_functiondef('intend_any'::regproc);
	v_new constant text := replace(replace(v_old,
		'join issuance i on i.serial = u.serial and i.serial >= v_low and i.serial <= v_high',
		'cross join lateral (select y.serial, y.tbs, y.not_after, y.at from issuance y '
		'where y.serial = u.serial and y.serial >= v_low and y.serial <= v_high offset 0) i'),
		'join signature s on s.serial = u.serial and s.serial >= v_low and s.serial <= v_high',
		'cross join lateral (select y.tail from signature y '
		'where y.serial = u.serial and y.serial >= v_low and y.serial <= v_high offset 0) s');
begin
	if v_new = v_old then
		raise exception 'intend_any() is not what it was taken for';
	end if;
	execute v_new;
end $$;
