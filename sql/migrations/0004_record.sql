-- 0004: signatures, void intents, and what a ca asks and records beside them.

-- A serial is signed or void, never both: whoever records a signature holds this lock shared, whoever voids holds it
-- alone, both until their commit.
create function lock_void_shared() returns void language sql as $$ select pg_advisory_xact_lock_shared(4177, 2) $$;
create function lock_void() returns void language sql as $$ select pg_advisory_xact_lock(4177, 2) $$;

-- Records a batch of signatures. The first recorded one of a serial is the only one; the same one again is no fault.
-- Returns a row for each entry that was not recorded by this call or an earlier one: 'claim_revoked' if the serial is
-- void, 'ledger_refused' if it has another signature or no intent; and, if anything was written, one with idx 0 and
-- the chain row's hash. The batch's lowest and highest serial are named so that other partitions are not even opened.
create function record(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, a_serial bytea[], a_tail bytea[])
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
		where not exists (select from void v where v.serial = u.serial)
		and exists (select from issuance i where i.serial = u.serial and i.serial >= v_low and i.serial <= v_high)
		order by u.serial
		on conflict do nothing returning leaf(x) as leaf
	)
	select array_agg(done.leaf) into v_leaves from done;
	if coalesce(cardinality(v_leaves), 0) < cardinality(a_serial) then
		return query
		select u.ord::integer, case when v.serial is not null then 'claim_revoked' else 'ledger_refused' end, null::bytea
		from unnest(a_serial, a_tail) with ordinality u(serial, tail, ord)
		left join void v on v.serial = u.serial
		left join signature s on s.serial = u.serial and s.serial >= v_low and s.serial <= v_high
		where s.tail is distinct from u.tail;
	end if;
	if v_leaves is not null then
		return query select 0, null::text, chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'record', v_leaves);
	end if;
end $$;
grant execute on function record to assay_ca;

-- Voids those of the serials that are issued, unsigned and not void yet, and answers for them as revoked. Returns the
-- leaves of what it wrote. The caller holds lock_void().
create function void_rows(p_node text, p_stream text, p_seq bigint, p_serials bytea[], p_why text) returns bytea[]
language plpgsql as $$
declare
	v_low constant bytea := (select s from unnest(p_serials) s order by s limit 1);
	v_high constant bytea := (select s from unnest(p_serials) s order by s desc limit 1);
	v_serials bytea[];
	v_issuers text[];
	v_leaves bytea[];
begin
	select array_agg(i.serial order by i.serial), array_agg(i.issuer order by i.serial) into v_serials, v_issuers
	from unnest(p_serials) u(serial) join issuance i on i.serial = u.serial and i.serial >= v_low and i.serial <= v_high
	where not exists (select from signature s where s.serial = u.serial and s.serial >= v_low and s.serial <= v_high)
	and not exists (select from void v where v.serial = u.serial);
	if v_serials is null then
		return '{}';
	end if;
	with done as (
		insert into void as x (serial, node, stream, seq, at, why)
		select u, p_node, p_stream, p_seq, now(), p_why from unnest(v_serials) u returning leaf(x) as leaf
	)
	select array_agg(done.leaf) into v_leaves from done;
	return v_leaves || revoke_rows(p_node, p_stream, p_seq, v_serials, v_issuers,
		array_fill(5::smallint, array[cardinality(v_serials)]), array_fill('rule:void'::text, array[cardinality(v_serials)]));
end $$;

-- Voids named intents. Returns how many of them are void now, and the chain row's hash if it wrote.
create function void_serials(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_serials bytea[], p_why text)
returns table (n integer, hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaves bytea[];
begin
	perform lock_void();
	v_leaves := void_rows(p_node, p_stream, p_prev_seq + 1, p_serials, p_why);
	n := (select count(*) from unnest(p_serials) u(serial) join void v on v.serial = u.serial);
	if cardinality(v_leaves) > 0 then
		hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'void', v_leaves);
	end if;
	return next;
end $$;
grant execute on function void_serials to assay_ca;

-- Voids every unsigned intent of this node; call it on the stream that intends. Everything older than the day before
-- the node's last sweep has been seen by that sweep (which is why a sweep without a find has a chain row as well), and
-- both sides of the comparison are primary keys in order, read from their indexes alone.
create function void_unsigned(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea)
returns table (n integer, hash bytea)
language plpgsql security definer set search_path = public, pg_temp
set enable_hashjoin = on set enable_mergejoin = on as $$
#variable_conflict use_column
declare
	v_floor constant bytea := coalesce((select serial_floor((max(c.at) at time zone 'UTC')::date - 1) from chain c
	                                    where c.node = p_node and c.op = 'sweep'), '\x'::bytea);
	v_unsigned constant bytea[] := array(
		select i.serial from issuance i where i.serial >= v_floor
		and not exists (select from signature s where s.serial = i.serial and s.serial >= v_floor)
		and not exists (select from void v where v.serial = i.serial) order by i.serial);
	v_mine constant bytea[] := array(
		select i.serial from unnest(v_unsigned) u(serial) join issuance i on i.serial = u.serial
		where i.node = p_node and i.serial >= v_unsigned[1] and i.serial <= v_unsigned[cardinality(v_unsigned)]);
	v_leaves bytea[];
begin
	perform lock_void(); -- not before: other nodes record meanwhile, and void_rows() looks again
	v_leaves := void_rows(p_node, p_stream, p_prev_seq + 1, v_mine, 'never signed: found when the node started');
	n := cardinality(v_leaves) / 2; -- each has a void and a revocation
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'sweep', v_leaves);
	return next;
end $$;
grant execute on function void_unsigned to assay_ca;

-- Records a loaded policy, once per hash; the chain row's hash if it wrote.
create function record_policy(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_hash bytea, p_what text)
returns table (hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	insert into policy as x (hash, node, stream, seq, at, what)
	values (p_hash, p_node, p_stream, p_prev_seq + 1, now(), p_what)
	on conflict do nothing returning leaf(x) into v_leaf;
	if v_leaf is not null then
		hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'policy', array[v_leaf]);
	end if;
	return next;
end $$;
grant execute on function record_policy to assay_ca;

-- Gives out the issuer's next CRL number. What stands on the CRL is read after it, by crl_entries().
create function crl_next(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_issuer text)
returns table (number bigint, hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	perform lock_numbers();
	insert into crl_number as x (issuer, number, node, stream, seq, at)
	values (p_issuer, (select coalesce(max(c.number), 0) + 1 from crl_number c where c.issuer = p_issuer), p_node, p_stream,
	        p_prev_seq + 1, now())
	returning x.number, leaf(x) into number, v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'crl', array[v_leaf]);
	return next;
end $$;
grant execute on function crl_next to assay_ca;

-- Everything revoked or held under an issuer, releases taken out: the newest row of each serial.
create function crl_entries(p_issuer text)
returns table (number bigint, serial bytea, reason smallint, issuer text, at timestamptz) language sql stable as $$
	select x.number, x.serial, x.reason, x.issuer, x.at from (
		select distinct on (r.serial) r.* from revocation r where r.issuer = p_issuer order by r.serial, r.number desc
	) x where x.reason <> 8 order by x.serial
$$;
grant execute on function crl_entries to assay_ca, assay_read;
