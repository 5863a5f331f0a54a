-- 0021: what a presented certificate was, by its key. As a join of three the planner, which counts on all partitions,
-- read every row between the lowest and the highest serial of the batch: 8 ms a renewal in a ledger of 140,000 rows,
-- on the connection that all of the line waits for. So each serial is looked up by itself: 0.07 ms, whatever the ledger
-- holds.
create or replace function previous(a_serial bytea[])
returns table (idx integer, revoked boolean, profile text, family text, issuer text, device_format text, vendor_root bytea,
               element bytea, level smallint, key_hash bytea, tbs bytea, batch_ca bytea)
language plpgsql stable security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_low constant bytea := (select s from unnest(a_serial) s order by s limit 1);
	v_high constant bytea := (select s from unnest(a_serial) s order by s desc limit 1);
begin
	return query
	select u.ord::integer, revoked(u.serial) is not null, i.profile, i.family, i.issuer, i.device_format, i.vendor_root,
		i.element, i.level, i.key_hash, i.tbs, i.batch_ca
	from unnest(a_serial) with ordinality u(serial, ord)
	cross join lateral (select x.* from issuance x where x.serial = u.serial and x.serial >= v_low and x.serial <= v_high
	                    limit 1) i -- the limit keeps it a look-up of its own
	where (select s.serial from signature s where s.serial = u.serial and s.serial >= v_low and s.serial <= v_high) is not null;
end $$;
