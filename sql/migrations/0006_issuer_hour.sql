-- 0006: how many certificates each issuer has had intended in each hour, by node: what a ca that starts again goes on
-- counting from, and what it knows of the other nodes. Rebuilt from issuance by the statement at the end; a row belongs to
-- one node, so that nodes do not wait for each other.

create table work.issuer_hour (
	hour bigint not null, -- since 1970
	issuer text not null,
	node text not null,
	n bigint not null,
	primary key (hour, issuer, node)
) with (fillfactor = 50);

-- In the intent's own commit: a crash loses neither or both. Counted from the arrays that came, for a trigger that has to
-- see every row again costs 11 us of an enrolment's 44.
alter function intend rename to intend_uncounted;
revoke execute on function intend_uncounted from assay_ca;
create function intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_window_s bigint,
	a_kind smallint[], a_device bytea[], a_purpose bytea[], a_key bytea[], a_serial bytea[], a_tbs bytea[],
	a_issuer text[], a_profile text[], a_family text[], a_policy bytea[], a_requester text[], a_once boolean[],
	a_format text[], a_root bytea[], a_element bytea[], a_level smallint[], a_stale text[], a_nonce bytea[],
	a_evidence bytea[], a_evidence_format text[], a_continuity bytea[], a_unit text[], a_not_before bigint[],
	a_not_after bigint[])
returns table (idx integer, outcome smallint, reason text, detail text, serial bytea, certificate bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
	v_not_new integer[] := '{}';
begin
	for idx, outcome, reason, detail, serial, certificate in
		select * from intend_uncounted(p_node, p_stream, p_prev_seq, p_prev_hash, p_window_s, a_kind, a_device,
			a_purpose, a_key, a_serial, a_tbs, a_issuer, a_profile, a_family, a_policy, a_requester, a_once, a_format,
			a_root, a_element, a_level, a_stale, a_nonce, a_evidence, a_evidence_format, a_continuity, a_unit,
			a_not_before, a_not_after)
	loop
		v_not_new := v_not_new || idx;
		return next;
	end loop;
	if 0 = any(v_not_new) then -- the chain's row: something was written
		insert into work.issuer_hour as h (hour, issuer, node, n)
		select floor(extract(epoch from now()))::bigint / 3600, u.issuer, p_node, count(*)
		from unnest(a_issuer) with ordinality u(issuer, ord)
		where u.ord <> all(v_not_new) group by u.issuer order by u.issuer
		on conflict on constraint issuer_hour_pkey do update set n = h.n + excluded.n;
	end if;
end $$;
grant execute on function intend to assay_ca;

-- Of this hour: what this node and what the others have had, for each issuer asked for.
create function issuer_hour(p_node text, a_issuer text[])
returns table (idx integer, hour bigint, own bigint, others bigint)
language sql stable security definer set search_path = public, pg_temp as $$
	select u.ord::integer, t.hour,
		coalesce((select sum(h.n) from work.issuer_hour h
		          where h.hour = t.hour and h.issuer = u.issuer and h.node = p_node), 0)::bigint,
		coalesce((select sum(h.n) from work.issuer_hour h
		          where h.hour = t.hour and h.issuer = u.issuer and h.node <> p_node), 0)::bigint
	from unnest(a_issuer) with ordinality u(issuer, ord),
		(select floor(extract(epoch from now()))::bigint / 3600 as hour) t
$$;
grant execute on function issuer_hour to assay_ca;

insert into work.issuer_hour (hour, issuer, node, n)
select floor(extract(epoch from at))::bigint / 3600, issuer, node, count(*) from issuance
where serial >= serial_floor(current_date - 1) and at >= date_trunc('hour', now()) group by 1, 2, 3;
