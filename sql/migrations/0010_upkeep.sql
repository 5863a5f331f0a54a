-- 0010: what the server's own upkeep (autovacuum) may cost. The defaults are made for tables whose rows change: sampling
-- 30,000 wide rows column by column took a second of CPU, at every tenth of growth, in the middle of the line's work.
--
-- All that is ever asked of the hot tables goes by their keys. The columns that a reader may choose by keep a small sample
-- (3,000 rows), the rest none; an analysis at each doubling is enough for rows that are all of a kind. Rows never change:
-- a page is frozen the first time that a vacuum sees it, and no later one writes it again.

create function tune_table(t regclass, p_kept text[]) returns boolean language plpgsql as $$
declare
	v_options constant text[] := array['autovacuum_analyze_scale_factor=1', 'autovacuum_analyze_threshold=1000',
		'autovacuum_freeze_min_age=0'];
	v_changes text[] := array(
		select format('alter column %I set statistics %s', w.name, w.target)
		from (select a.attname as name, coalesce(a.attstattarget, -1) as now,
		             case when a.attname = any(p_kept) then 10 else 0 end as target, a.attnum
		      from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped) w
		where w.now <> w.target order by w.attnum);
begin
	if not exists (select from pg_class c where c.oid = t and c.reloptions @> v_options) then
		v_changes := v_changes || format('set (%s)', array_to_string(v_options, ', '));
	end if;
	if cardinality(v_changes) > 0 then
		execute format('alter table %s %s', t, array_to_string(v_changes, ', '));
	end if;
	return cardinality(v_changes) > 0;
end $$;

-- Every table of the line, or every partition of it; what has its settings already is not touched. A column that comes
-- later has no sample unless it is named here.
create function tune_tables() returns integer language sql as $$
	select count(*) filter (where tune_table(coalesce(i.inhrelid, x.name::regclass), x.kept))::integer
	from (values
		('issuance', array['serial', 'node', 'at', 'issuer', 'profile', 'requester', 'element', 'order_id', 'unit_serial',
			'batch_ca', 'not_after']),
		('signature', array['serial']),
		('claim', array['device', 'purpose', 'generation', 'serial']),
		('device_key', array['key_hash']),
		('nonce_used', array['nonce']),
		('in_use', array['serial']),
		('chain', array['node', 'stream', 'seq', 'at', 'op'])
	) x(name, kept)
	left join pg_inherits i on i.inhparent = x.name::regclass
$$;

-- As before, and new partitions are tuned: a partition takes neither from its parent.
create or replace function extend_partitions(until date) returns integer language plpgsql as $$
declare
	day date := date '2026-01-01';
	name text;
	parent text;
	added integer := 0;
begin
	while day <= until loop
		foreach parent in array array['issuance', 'signature'] loop
			name := format('%s_%sq%s', parent, extract(year from day), extract(quarter from day));
			continue when to_regclass(name) is not null;
			execute format('create table %I partition of %I for values from (%L) to (%L) with (toast_tuple_target = 8160)',
			               name, parent, serial_floor(day), serial_floor((day + interval '3 months')::date));
			execute format('create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()', name);
			added := added + 1;
		end loop;
		day := day + interval '3 months';
	end loop;
	perform tune_tables();
	return added;
end $$;
select tune_tables();
