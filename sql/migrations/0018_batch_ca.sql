-- 0018: which CA of its vendor certified the element, with every attested issuance: the batch CA, by the SHA-256 of its
-- SubjectPublicKeyInfo. It is hashed where it is not NULL, so that rows from before it verify as they did.
alter table issuance add column batch_ca bytea;

create or replace function leaf(r issuance) returns bytea language sql stable as $$
	select sha256(case when r.batch_ca is null then
		record_send(row('issuance'::text, r.serial, r.node, r.stream, r.seq, r.at, r.kind, r.issuer, r.profile,
			r.family, r.policy_hash, r.requester, r.device, r.device_format, r.vendor_root, r.element, r.key_hash, r.level,
			r.nonce, r.evidence, r.evidence_format, r.continuity, r.previous, r.unit_serial, r.order_id, r.not_before,
			r.not_after, r.tbs))
	else
		record_send(row('issuance'::text, r.serial, r.node, r.stream, r.seq, r.at, r.kind, r.issuer, r.profile,
			r.family, r.policy_hash, r.requester, r.device, r.device_format, r.vendor_root, r.element, r.key_hash, r.level,
			r.nonce, r.evidence, r.evidence_format, r.continuity, r.previous, r.unit_serial, r.order_id, r.not_before,
			r.not_after, r.tbs, r.batch_ca))
	end)
$$;

drop function intend;
drop function intend_uncounted;

-- A batch of intents, sorted by (device, purpose) by the caller. Returns a row for each entry that is not new, and,
-- if anything was written, one with idx 0 whose serial is the chain row's hash.
create function intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_window_s bigint,
	a_kind smallint[], a_device bytea[], a_purpose bytea[], a_key bytea[], a_serial bytea[], a_tbs bytea[],
	a_issuer text[], a_profile text[], a_family text[], a_policy bytea[], a_requester text[], a_once boolean[],
	a_format text[], a_root bytea[], a_element bytea[], a_level smallint[], a_stale text[], a_nonce bytea[],
	a_evidence bytea[], a_evidence_format text[], a_continuity bytea[], a_unit text[], a_not_before bigint[],
	a_not_after bigint[], a_batch_ca bytea[])
returns table (idx integer, outcome smallint, reason text, detail text, serial bytea, certificate bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_n constant integer := cardinality(a_serial);
	v_renewals constant boolean := 2 = any(a_kind);
	v_todo boolean[];
	v_won boolean[] := array_fill(false, array[v_n]);
	v_done boolean[] := array_fill(false, array[v_n]);
	v_serials bytea[];
	v_low bytea;
	v_high bytea;
	v_n_won integer := 0;
	v_n_new integer;
	v_odd integer[];
	v settled;
	v_leaves bytea[];
	v_superseded bytea[] := '{}';
	v_why text[] := '{}';
	i integer;
begin
	-- Who may try the fast way: new claims need freshness, renewals a certificate that may be renewed.
	if v_renewals then
		perform lock_device(d) from (select distinct u.device as d from unnest(a_kind, a_device) u(kind, device)
		                             where u.kind = 2 order by 1) x;
		v_todo := array(select u.stale is null and (u.kind = 1 or previous_refused(u.purpose, u.device) is null)
		                from unnest(a_kind, a_device, a_purpose, a_stale) with ordinality u(kind, device, purpose, stale, ord)
		                order by u.ord);
	else
		v_todo := array(select s is null from unnest(a_stale) with ordinality u(s, ord) order by u.ord);
	end if;

	-- The fast way: a claim's first generation, a key, a nonce and a unit serial that nobody has used. A row that wins
	-- its claim and then meets another's key, nonce or unit serial undoes this and is left to settle().
	while true = any(v_todo) loop
		v_odd := null;
		begin
			with won as (
				insert into claim as c (device, purpose, generation, key_hash, serial)
				select u.device, u.purpose, 1, u.key, u.serial
				from unnest(a_device, a_purpose, a_key, a_serial, v_todo) u(device, purpose, key, serial, todo)
				where u.todo
				on conflict do nothing returning c.serial
			)
			select array_agg(won.serial), count(*) into v_serials, v_n_won from won;
			if v_n_won = v_n then
				v_won := v_todo;
			else -- both are in the order of the batch
				v_n_new := 1;
				for i in 1..v_n loop
					v_won[i] := coalesce(v_serials[v_n_new] = a_serial[i], false);
					v_n_new := v_n_new + v_won[i]::integer;
				end loop;
			end if;

			with new as (
				insert into device_key (key_hash, device)
				select u.key, u.device from unnest(a_key, a_device, v_won) u(key, device, won) where u.won order by u.key
				on conflict do nothing returning 1
			)
			select count(*) into v_n_new from new;
			if v_n_new < v_n_won then
				v_odd := array(select u.ord from unnest(a_key, a_device, v_won) with ordinality u(key, device, won, ord)
				               join device_key k on k.key_hash = u.key where u.won and k.device <> u.device);
			end if;

			with new as (
				insert into nonce_used (nonce, device, purpose, key_hash)
				select u.nonce, u.device, u.purpose, u.key
				from unnest(a_nonce, a_device, a_purpose, a_key, v_won) u(nonce, device, purpose, key, won)
				where u.won and u.nonce is not null order by u.nonce
				on conflict do nothing returning 1
			)
			select count(*) - (select count(*) from unnest(a_nonce, v_won) u(nonce, won) where u.won and u.nonce is not null)
			into v_n_new from new;
			if v_n_new < 0 then
				v_odd := v_odd || array(select u.ord
					from unnest(a_nonce, a_device, a_purpose, a_key, v_won) with ordinality u(nonce, device, purpose, key, won, ord)
					join nonce_used x on x.nonce = u.nonce
					where u.won and (x.device, x.purpose, x.key_hash) <> (u.device, u.purpose, u.key));
			end if;

			if exists (select from unnest(a_unit) u where u is not null) then
				insert into unit (unit_serial, device)
				select u.unit, u.device from unnest(a_unit, a_device, v_won) u(unit, device, won)
				where u.won and u.unit is not null order by u.unit
				on conflict do nothing;
				v_odd := v_odd || array(select u.ord from unnest(a_unit, a_device, v_won) with ordinality u(unit, device, won, ord)
					where u.won and u.unit is not null
					and not exists (select from unit x where x.unit_serial = u.unit and x.device = u.device));
			end if;
			if cardinality(v_odd) > 0 then
				raise exception 'odd' using errcode = 'ASD01';
			end if;
			exit;
		exception when sqlstate 'ASD01' then
			v_won := array_fill(false, array[v_n]);
			v_n_won := 0;
			foreach i in array v_odd loop
				v_todo[i] := false;
			end loop;
		end;
	end loop;

	-- Repeats of what is signed, not revoked and inside its window: all at once.
	if v_n_won < v_n then
		v_serials := array(
			select (select c.serial from claim c where c.device = u.device and c.purpose = u.purpose and c.key_hash = u.key
			        order by c.generation desc limit 1)
			from unnest(a_device, a_purpose, a_key) with ordinality u(device, purpose, key, ord) order by u.ord);
		v_low := (select s from unnest(v_serials) s order by s limit 1);
		v_high := (select s from unnest(v_serials) s where s is not null order by s desc limit 1);
		for idx, serial, certificate in
			select u.ord, i.serial, '\x30'::bytea || der_length(length(i.tbs) + length(s.tail)) || i.tbs || s.tail
			from unnest(v_serials, v_won, a_kind) with ordinality u(serial, won, kind, ord)
			join issuance i on i.serial = u.serial and i.serial >= v_low and i.serial <= v_high
			join signature s on s.serial = u.serial and s.serial >= v_low and s.serial <= v_high
			where not u.won and u.kind = 1 and i.not_after > now() and i.at > now() - p_window_s * interval '1 second'
			and not exists (select from revocation r where r.serial = u.serial)
		loop
			outcome := 2;
			v_done[idx] := true;
			return next;
		end loop;
	end if;

	-- The rest, one by one.
	if v_n_won < v_n then
		for i in 1..v_n loop
			continue when v_won[i] or v_done[i];
			v := settle(a_kind[i], a_device[i], a_purpose[i], a_key[i], a_serial[i], a_once[i], a_stale[i], a_nonce[i],
			            a_unit[i], p_window_s);
			if v.outcome = 1 then
				v_won[i] := true;
				v_n_won := v_n_won + 1;
				v_superseded := v_superseded || v.superseded;
				v_why := v_why || array_fill(v.why, array[cardinality(v.superseded)]);
			else
				idx := i;
				outcome := v.outcome;
				reason := v.reason;
				detail := v.detail;
				serial := v.serial;
				certificate := case when v.outcome = 2 then certificate(v.serial) end;
				return next;
			end if;
		end loop;
	end if;
	if v_n_won = 0 then
		return;
	end if;

	if v_renewals then
		insert into in_use (serial)
		select u.previous from unnest(a_purpose, a_kind, v_won) u(previous, kind, won) where u.won and u.kind = 2 order by 1
		on conflict do nothing;
	end if;
	with done as (
		insert into issuance as x (serial, node, stream, seq, at, kind, issuer, profile, family, policy_hash, requester, device,
			device_format, vendor_root, element, key_hash, level, nonce, evidence, evidence_format, continuity, previous,
			unit_serial, not_before, not_after, tbs, batch_ca)
		select u.serial, p_node, p_stream, p_prev_seq + 1, now(), u.kind, u.issuer, u.profile, u.family, u.policy, u.requester,
			u.device, u.format, u.root, u.element, u.key, u.level, u.nonce, u.evidence, u.evidence_format, u.continuity,
			case when u.kind = 2 then u.purpose end, u.unit, to_timestamp(u.not_before), to_timestamp(u.not_after), u.tbs,
			u.batch_ca
		from unnest(a_kind, a_device, a_purpose, a_key, a_serial, a_tbs, a_issuer, a_profile, a_family, a_policy, a_requester,
			a_format, a_root, a_element, a_level, a_nonce, a_evidence, a_evidence_format, a_continuity, a_unit,
			a_not_before, a_not_after, a_batch_ca, v_won)
			u(kind, device, purpose, key, serial, tbs, issuer, profile, family, policy, requester, format, root, element, level,
			  nonce, evidence, evidence_format, continuity, unit, not_before, not_after, batch_ca, won)
		where u.won
		returning leaf(x) as leaf
	)
	select array_agg(done.leaf) into v_leaves from done;
	if cardinality(v_superseded) > 0 then
		v_leaves := v_leaves || revoke_rows(p_node, p_stream, p_prev_seq + 1, v_superseded,
			array(select issuer_of(s.serial) from unnest(v_superseded) with ordinality s(serial, ord) order by s.ord),
			array_fill(4::smallint, array[cardinality(v_superseded)]), v_why);
	end if;
	-- counted in the intent's own commit: a crash loses neither or both
	insert into work.issuer_hour as h (hour, issuer, node, n)
	select floor(extract(epoch from now()))::bigint / 3600, u.issuer, p_node, count(*)
	from unnest(a_issuer, v_won) u(issuer, won) where u.won group by u.issuer order by u.issuer
	on conflict on constraint issuer_hour_pkey do update set n = h.n + excluded.n;
	idx := 0;
	outcome := null;
	reason := null;
	detail := null;
	serial := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'intend', v_leaves);
	certificate := null;
	return next;
end $$;
grant execute on function intend to assay_ca;

drop function previous;
-- The certificates that devices present to re-enrol: one row a serial that is signed.
create function previous(a_serial bytea[])
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
	join issuance i on i.serial = u.serial and i.serial >= v_low and i.serial <= v_high
	join signature s on s.serial = u.serial and s.serial >= v_low and s.serial <= v_high;
end $$;
grant execute on function previous to assay_ca;

-- What a batch CA is asked for and the ledger cannot tell: attested, not expired, and from before it was recorded.
create function batch_ca_unknown(p_from timestamptz, p_until timestamptz) returns bigint language plpgsql stable
set enable_seqscan = on as $$
begin
	return (select count(*) from issuance i
	        where i.batch_ca is null and i.device_format <> 'name' and i.not_after > now()
	        and (p_from is null or i.at >= p_from) and (p_until is null or i.at < p_until));
end $$;
alter table work.plan add column unknown bigint not null default 0; -- by batch CA: of how many it is not on record

-- The dry run. Returns how many it selects and for how many of these there is nothing to do.
create or replace function plan_make(p_id bytea, p_who text, p_by text, p_value text, p_from timestamptz, p_until timestamptz,
                          p_reason smallint, p_note text, out n bigint, out already bigint)
language plpgsql security definer set search_path = public, pg_temp as $$
declare
	v_what constant text := p_by || coalesce(' ' || nullif(p_value, ''), '')
		|| coalesce(' from ' || to_char(p_from at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '')
		|| coalesce(' until ' || to_char(p_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '');
begin
	delete from work.plan p where p.at < now() - interval '1 day' and p.action is null;
	if p_by = 'list' then
		update work.plan p set what = 'list', reason = p_reason, note = p_note, ready = true, at = now()
		where p.id = p_id and p.who = p_who and not p.ready;
		if not found then
			raise exception 'there is no such list of yours' using errcode = 'ASP01';
		end if;
	else
		insert into work.plan (id, who, what, reason, note, ready) values (p_id, p_who, v_what, p_reason, p_note, true);
		insert into work.plan_serial (plan, ord, serial, issuer)
		select p_id, row_number() over (), s.serial, s.issuer from plan_select(p_by, p_value, p_from, p_until) s;
	end if;
	select count(*), count(*) filter (where not plan_applies(revoked(s.serial), p_reason)) into plan_make.n, plan_make.already
	from work.plan_serial s where s.plan = p_id;
	update work.plan p set n = plan_make.n, already = plan_make.already,
		unknown = case when p_by = 'batch_ca' then batch_ca_unknown(p_from, p_until) else 0 end where p.id = p_id;
end $$;

-- One certificate: everything but its bytes. NULL if the serial is not known.
create or replace function api_certificate(p_serial bytea) returns json language plpgsql stable as $$
declare
	i issuance;
	s signature;
	r revocation;
	v_void boolean;
begin
	select * into i from issuance x where x.serial = p_serial;
	if i.serial is null then
		return null;
	end if;
	select * into s from signature x where x.serial = p_serial;
	select * into r from revocation x where x.serial = p_serial order by x.number desc limit 1;
	v_void := exists (select from void x where x.serial = p_serial);
	return json_build_object(
		'serial', encode(i.serial, 'hex'),
		'status', case when v_void then 'void' when s.serial is null then 'unsigned' when r.reason = 6 then 'held'
			when r.reason is distinct from 8 and r.reason is not null then 'revoked' when i.not_after <= now() then 'expired'
			when i.not_before > now() then 'future' else 'valid' end,
		'issuer', i.issuer, 'profile', i.profile, 'requester', i.requester, 'order', i.order_id,
		'device', encode(i.device, 'hex'), 'format', i.device_format, 'element', encode(i.element, 'hex'),
		'vendor_root', encode(i.vendor_root, 'hex'), 'batch_ca', encode(i.batch_ca, 'hex'), 'unit_serial', i.unit_serial,
		'level', api_level(i.level), 'key_hash', encode(i.key_hash, 'hex'), 'policy', encode(i.policy_hash, 'hex'),
		'kind', case i.kind when 1 then 'enrol' else 're-enrol' end, 'previous', encode(i.previous, 'hex'),
		'intended', api_time(i.at), 'signed', api_time(s.at), 'not_before', api_time(i.not_before),
		'not_after', case when i.not_after >= timestamptz '9999-12-31' then null else api_time(i.not_after) end,
		'in_use', exists (select from in_use x where x.serial = p_serial),
		'revocation', case when r.number is not null then json_build_object('number', r.number, 'at', api_time(r.at),
			'reason', api_reason(r.reason), 'who', r.who) end,
		'chain', json_build_object('node', i.node, 'stream', i.stream, 'seq', i.seq));
end $$;

-- A dry run, for whoever looks at it again: its first certificates, and how far it is.
create or replace function api_plan(p_id bytea) returns json language sql stable as $$
	select json_build_object('plan', encode(p.id, 'hex'), 'at', api_time(p.at), 'who', p.who, 'what', p.what,
		'reason', api_reason(p.reason), 'note', p.note, 'n', p.n, 'already', p.already,
		'unknown', p.unknown, 'begun', p.action is not null, 'changed', p.changed, 'done', p.done,
		'sample', (select coalesce(json_agg(api_certificate(s.serial) order by s.ord), '[]') from work.plan_serial s
		           where s.plan = p.id and s.ord <= 20))
	from work.plan p where p.id = p_id
$$;

-- The auditor takes it away too: at the end of what is listed for issuance, whatever else is listed by now.
do $$
begin
	execute replace(pg_get_functiondef('audit_tables'::regproc), 'not_after,tbs}', 'not_after,tbs,batch_ca}');
end $$;
select tune_tables();
