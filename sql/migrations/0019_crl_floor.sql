-- 0019: CRL numbers that never go back, and shards that stay what certificates say they are.

-- Gives out the issuer's next CRL number, as in 0004; at least the milliseconds since 1970. A ledger that was restored from
-- a backup has forgotten the numbers given out since, and relying parties keep the CRL with the highest: what is signed after
-- the restore lies above all of them without anybody having to know which they were.
create or replace function crl_next(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_issuer text)
returns table (number bigint, hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	perform lock_numbers();
	insert into crl_number as x (issuer, number, node, stream, seq, at)
	values (p_issuer, greatest((select coalesce(max(c.number), 0) + 1 from crl_number c where c.issuer = p_issuer),
	                           floor(extract(epoch from clock_timestamp()) * 1000)::bigint), p_node, p_stream,
	        p_prev_seq + 1, now())
	returning x.number, leaf(x) into number, v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'crl', array[v_leaf]);
	return next;
end $$;

-- The number of shards that an issuer's certificates have baked in. What stands here follows from the certificates'
-- CRLDP; the first number above 0 that a ca comes with stays.
create table work.crl_shards (
	issuer text primary key,
	shards integer not null check (shards > 0),
	at timestamptz not null default now()
);

-- What holds for this issuer; p_shards is what the configuration says.
create function crl_shards_hold(p_issuer text, p_shards integer) returns integer
language plpgsql security definer set search_path = public, pg_temp as $$
begin
	if p_shards > 0 then
		insert into work.crl_shards (issuer, shards) values (p_issuer, p_shards) on conflict do nothing;
	end if;
	return coalesce((select s.shards from work.crl_shards s where s.issuer = p_issuer), 0);
end $$;
revoke execute on function crl_shards_hold from public;
grant execute on function crl_shards_hold to assay_ca;
