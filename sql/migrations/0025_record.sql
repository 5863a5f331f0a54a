-- 0025: record() looks each serial of its batch up by the key, whatever the tables' statistics say.
--
-- A serial is its day and random bytes: between the lowest and the highest of a batch lies the whole day. As a join the
-- planner could read that range instead, and did once autovacuum had seen some thousand rows: PostgreSQL's CPU of an
-- enrolment went from 110 us to 360-600. OFFSET 0 keeps a subquery what it is: one
-- look-up for each row.

create or replace function record(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, a_serial bytea[],
	a_tail bytea[])
returns table (idx integer, reason text, hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_low constant bytea := (select s from unnest(a_serial) s order by s limit 1);
	v_high constant bytea := (select s from unnest(a_serial) s order by s desc limit 1);
	v_leaves bytea[];
begin
	perform lock_void_shared();
	with done as (
		insert into signature as x (serial, node, stream, seq, at, tail)
		select u.serial, p_node, p_stream, p_prev_seq + 1, now(), u.tail
		from unnest(a_serial, a_tail) u(serial, tail)
		where not exists (select from void v where v.serial = u.serial offset 0)
		and exists (select from issuance i where i.serial = u.serial and i.serial >= v_low and i.serial <= v_high offset 0)
		order by u.serial
		on conflict do nothing returning leaf(x) as leaf
	)
	select array_agg(done.leaf) into v_leaves from done;
	if coalesce(cardinality(v_leaves), 0) < cardinality(a_serial) then
		return query
		select u.ord::integer, case when v.serial is not null then 'claim_revoked' else 'ledger_refused' end, null::bytea
		from unnest(a_serial, a_tail) with ordinality u(serial, tail, ord)
		left join void v on v.serial = u.serial
		left join lateral (select s.tail from signature s
		                   where s.serial = u.serial and s.serial >= v_low and s.serial <= v_high offset 0) s on true
		where s.tail is distinct from u.tail;
	end if;
	if v_leaves is not null then
		return query select 0, null::text, chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'record', v_leaves);
	end if;
end $$;
