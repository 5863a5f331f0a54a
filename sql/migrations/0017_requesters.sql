-- 0017: certificates of requesters, which the ca issues, renews and revokes. They are rows of issuance like any other; what
-- is new is who follows whom when a requester changes its key, and that taking rights away takes the certificates too.

-- The key that follows another: both count until the certificate that was presented ends. It follows from the actions that
-- made it, so it lives outside the chain.
create table work.succession (
	old_key bytea not null check (length(old_key) = 32),
	new_key bytea not null check (length(new_key) = 32 and new_key <> old_key),
	until timestamptz not null,
	lapsed boolean not null default false, -- the old key has been retired
	primary key (old_key, new_key)
);
create index succession_new on work.succession (new_key);
create index succession_until on work.succession (until) where not lapsed;
grant select on work.succession to assay_ca, assay_read;

-- A key with those that follow it and those that it follows: who takes one's rights away means whoever holds them.
create function succession_of(p_key bytea) returns setof bytea language sql stable as $$
	with recursive family(key) as (
		select p_key
		union
		select case when s.old_key = f.key then s.new_key else s.old_key end
		from family f join work.succession s on s.old_key = f.key or s.new_key = f.key
	)
	select f.key from family f
$$;

create function requester_now(p_key bytea) returns requester language sql stable as $$
	select r from requester r where r.spki_hash = p_key order by r.number desc limit 1
$$;

-- The certificates over these keys that somebody could still show.
create function certificates_of(a_key bytea[]) returns bytea[] language sql stable as $$
	select coalesce(array_agg(c.serial order by c.serial), '{}')
	from device_key k join claim c on c.device = k.device and c.key_hash = k.key_hash
	where k.key_hash = any(a_key) and (select i.not_after from issuance i where i.serial = c.serial) > now()
$$;

-- Takes rights and certificates away; the caller holds lock_numbers().
create function retire_rows(p_node text, p_stream text, p_seq bigint, a_key bytea[], p_reason smallint, p_who text)
returns bytea[] language plpgsql as $$
declare
	v_key bytea;
	v_now requester;
	v_leaf bytea;
	v_leaves bytea[] := '{}';
	v_serials bytea[] := certificates_of(a_key);
begin
	foreach v_key in array a_key loop
		v_now := requester_now(v_key);
		continue when v_now.active is not true;
		insert into requester as r (number, node, stream, seq, at, kind, name, spki_hash, names, labels, active)
		values ((select max(number) + 1 from requester), p_node, p_stream, p_seq, now(), v_now.kind, v_now.name, v_key,
		        v_now.names, v_now.labels, false)
		returning leaf(r) into v_leaf;
		v_leaves := v_leaves || v_leaf;
	end loop;
	if cardinality(v_serials) > 0 then
		v_leaves := v_leaves || revoke_rows(p_node, p_stream, p_seq, v_serials,
			array(select issuer_of(u.s) from unnest(v_serials) with ordinality u(s, ord) order by u.ord),
			array_fill(p_reason, array[cardinality(v_serials)]), array_fill(p_who, array[cardinality(v_serials)]));
	end if;
	return v_leaves;
end $$;

-- Registry. The same rights again change nothing but are an action all the same. p_device: the device that a certificate
-- over this key would be of; NULL if none is asked for.
drop function operate_register;
create function operate_register(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_who text, p_call text,
                                 p_request text, p_note text, p_kind text, p_name text, p_spki_hash bytea, p_names text,
                                 p_labels text, p_active boolean, p_reason smallint, p_device bytea,
                                 out fault text, out action bigint, out hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_now requester;
	v_leaf bytea;
	v_leaves bytea[];
begin
	perform lock_numbers();
	v_now := requester_now(p_spki_hash);
	if not p_active and v_now.active is not true then
		fault := 'requester_unknown';
		return;
	elsif exists (select from device_key k where k.key_hash = p_spki_hash and k.device <> p_device) then
		fault := 'key_bound';
		return;
	end if;
	select a.number, array[a.leaf] into action, v_leaves
	from action_row(p_node, p_stream, p_prev_seq + 1, p_who, p_call, p_request, 'ok', p_note,
	                case when p_active then 'register ' || p_kind || ':' || p_name
	                     else 'retire ' || v_now.kind || ':' || v_now.name || ', reason ' || p_reason end, 1) a;
	if not p_active then
		v_leaves := v_leaves || retire_rows(p_node, p_stream, p_prev_seq + 1, array(select succession_of(p_spki_hash)), p_reason,
			p_who || ' #' || action);
	elsif (v_now.active, v_now.kind, v_now.name, v_now.names, v_now.labels)
	      is distinct from (true, p_kind, p_name, p_names, p_labels) then
		insert into requester as r (number, node, stream, seq, at, kind, name, spki_hash, names, labels, active)
		values ((select coalesce(max(number), 0) + 1 from requester), p_node, p_stream, p_prev_seq + 1, now(), p_kind, p_name,
		        p_spki_hash, p_names, p_labels, true)
		returning leaf(r) into v_leaf;
		v_leaves := v_leaves || v_leaf;
	end if;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'requester', v_leaves);
end $$;

-- A requester renews its own certificate. Another key gets the same rights beside the old one's, one at a time; the same
-- call again changes nothing more.
create function operate_renew(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_who text, p_call text,
                              p_request text, p_old bytea, p_new bytea, p_until bigint,
                              out fault text, out detail text, out action bigint, out hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_now requester;
	v_follows constant boolean := p_old = p_new
		or exists (select from work.succession s where s.old_key = p_old and s.new_key = p_new);
	v_pending bytea;
	v_leaf bytea;
	v_leaves bytea[];
begin
	perform lock_numbers();
	v_now := requester_now(p_old);
	if v_now.active is not true or v_now.kind || ':' || v_now.name <> p_who then
		fault := 'requester_unknown';
		return;
	elsif v_follows and (requester_now(p_new)).active is not true
	      or not v_follows and ((requester_now(p_new)).number is not null or exists (select from device_key k where k.key_hash = p_new)) then
		fault := 'key_bound';
		detail := encode(p_new, 'hex');
		return;
	end if;
	select s.new_key into v_pending from work.succession s
	where s.old_key = p_old and (requester_now(s.new_key)).active limit 1;
	if not v_follows and v_pending is not null then
		fault := 'successor_pending';
		detail := encode(v_pending, 'hex');
		return;
	end if;
	select a.number, array[a.leaf] into action, v_leaves
	from action_row(p_node, p_stream, p_prev_seq + 1, p_who, p_call, p_request, 'ok', '',
	                'renew ' || v_now.kind || ':' || v_now.name || case when p_old = p_new then '' else ', key '
	                || encode(p_old, 'hex') || ' until ' || api_time(to_timestamp(p_until)) || ', then ' || encode(p_new, 'hex') end, 1) a;
	if not v_follows then
		insert into work.succession (old_key, new_key, until) values (p_old, p_new, to_timestamp(p_until));
		insert into requester as r (number, node, stream, seq, at, kind, name, spki_hash, names, labels, active)
		values ((select max(number) + 1 from requester), p_node, p_stream, p_prev_seq + 1, now(), v_now.kind, v_now.name, p_new,
		        v_now.names, v_now.labels, true)
		returning leaf(r) into v_leaf;
		v_leaves := v_leaves || v_leaf;
	end if;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'requester', v_leaves);
end $$;

-- Keys whose overlap is over, on whatever node that was. NULL hash: there was nothing to do.
create function operate_lapse(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, out n bigint, out hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_keys bytea[];
	v_action bigint;
	v_leaf bytea;
begin
	n := 0;
	if not exists (select from work.succession s where s.until <= now() and not s.lapsed) then
		return;
	end if;
	perform lock_numbers();
	v_keys := array(select distinct s.old_key from work.succession s
	                where s.until <= now() and not s.lapsed and (requester_now(s.old_key)).active order by 1);
	update work.succession set lapsed = true where until <= now() and not lapsed;
	n := cardinality(v_keys);
	if n = 0 then
		return;
	end if;
	select a.number, a.leaf into v_action, v_leaf
	from action_row(p_node, p_stream, p_prev_seq + 1, 'rule:succession', '', '', 'ok', '', 'retire keys that others followed', n) a;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'requester',
		array[v_leaf] || retire_rows(p_node, p_stream, p_prev_seq + 1, v_keys, 4::smallint, 'rule:succession #' || v_action));
end $$;

grant execute on function operate_register, operate_renew, operate_lapse to assay_ca;

-- Until when a key's newest certificate is good, if the ca issued it.
create or replace function api_requesters(p_after bigint, p_limit integer) returns json language sql stable as $$
	with page as (
		select r.* from requester r
		where r.number > coalesce(p_after, 0)
		and not exists (select from requester n where n.spki_hash = r.spki_hash and n.number > r.number)
		order by r.number limit p_limit + 1
	), shown as (select * from page order by number limit p_limit)
	select json_build_object(
		'requesters', (select coalesce(json_agg(json_build_object('number', r.number, 'at', api_time(r.at), 'kind', r.kind, 'name', r.name,
			'spki_hash', encode(r.spki_hash, 'hex'), 'names', r.names, 'labels', r.labels, 'active', r.active,
			'not_after', (select api_time(max(i.not_after)) from unnest(certificates_of(array[r.spki_hash])) s
			              join issuance i on i.serial = s where revoked(s) is null)) order by r.number), '[]')
			from shown r),
		'next', (select case when (select count(*) from page) > p_limit then max(r.number) end from shown r))
$$;
grant execute on function certificates_of to assay_read;
