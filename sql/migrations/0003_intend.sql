-- 0003: the intent, by the rules "Identity, retry, renewal" of ARCHITECTURE.md. Outcomes: 0 refused, 1 new,
-- 2 issued, 3 pending (enum intent_outcome).

-- Every certificate or intent of (device, purpose), with all that the rules ask about it. The lowest and highest serial
-- of the claims stand in the query as values, so that it opens no partitions but theirs: one for each join costs 40 us
-- instead of 2,500.
create function claim_state(p_device bytea, p_purpose bytea)
returns table (generation integer, key_hash bytea, serial bytea, signed boolean, void boolean, revoked smallint,
               at timestamptz, not_after timestamptz, in_use boolean)
language plpgsql stable rows 2 as $$
#variable_conflict use_column
declare
	v_serials constant bytea[] := array(select c.serial from claim c where c.device = p_device and c.purpose = p_purpose
	                                    order by c.serial);
	v_low constant bytea := v_serials[1];
	v_high constant bytea := v_serials[cardinality(v_serials)];
begin
	return query
	select c.generation, c.key_hash, c.serial, s.serial is not null,
		-- not "exists", for which the planner may read the whole table into a hash
		(select v.serial from void v where v.serial = c.serial) is not null, revoked(c.serial), i.at, i.not_after,
		(select u.serial from in_use u where u.serial = c.serial) is not null
	from claim c
	left join issuance i on i.serial = c.serial and i.serial >= v_low and i.serial <= v_high
	left join signature s on s.serial = c.serial and s.serial >= v_low and s.serial <= v_high
	where c.device = p_device and c.purpose = p_purpose;
end $$;

-- What decides over one row that is not plainly new.
create type settled as (outcome smallint, reason text, detail text, serial bytea, superseded bytea[], why text);

create function lock_device(p_device bytea) returns void language sql as $$
	select pg_advisory_xact_lock(4178, hashtext(encode(p_device, 'hex')))
$$;

create function refused(p_reason text, p_detail text) returns settled language sql immutable as $$
	select row(0::smallint, p_reason, p_detail, null::bytea, '{}'::bytea[], null::text)::settled
$$;

-- The certificate a device presents: NULL if it may be renewed.
create function previous_refused(p_serial bytea, p_device bytea) returns settled language plpgsql stable as $$
declare
	v_device bytea;
begin
	select i.device into v_device from issuance i join signature s on s.serial = i.serial where i.serial = p_serial;
	if v_device is distinct from p_device then
		return refused('previous_unknown', case when v_device is null then 'not signed here' else 'of another device' end);
	elsif revoked(p_serial) is not null then
		return refused('claim_revoked', 'the certificate presented is revoked, reason ' || revoked(p_serial));
	end if;
	return null;
end $$;

-- Certificates of the device's other keys, for an enrolment with a new key: may they give way? NULL superseded if
-- there is nothing in the way.
create function others_settled(p_device bytea, p_purpose bytea, p_key bytea, p_once boolean) returns settled
language plpgsql stable as $$
declare
	v_n integer;
	v_taken boolean;
	v_pending boolean;
	v_serials bytea[];
begin
	-- what was superseded, by a rule or by an operator who released the device for rework, is not in the way
	select count(*), bool_or(s.in_use or s.revoked is not null), bool_or(not s.signed), array_agg(s.serial order by s.generation)
	into v_n, v_taken, v_pending, v_serials
	from claim_state(p_device, p_purpose) s
	where s.key_hash <> p_key and not s.void and s.revoked is distinct from 4;
	if v_n = 0 then
		return row(1::smallint, null, null, null, '{}'::bytea[], null)::settled;
	elsif v_pending then
		return refused('claim_pending', 'an enrolment of this device with another key is under way');
	elsif p_once then
		return refused('name_taken', 'enrolled with another key, serial ' || encode(v_serials[1], 'hex'));
	elsif v_taken then
		return refused('device_known', 'another key''s certificate is in use, revoked or held: ' || encode(v_serials[1], 'hex'));
	elsif (select count(*) from claim c join revocation r on r.serial = c.serial
	       where c.device = p_device and c.purpose = p_purpose and r.who = 'rule:rekey') >= 3 then
		return refused('device_known', 'already given a new key three times');
	end if;
	return row(1::smallint, null, null, null, v_serials, 'rule:rekey')::settled;
end $$;

-- What stands against a new certificate apart from other claims; NULL if nothing does.
create function new_refused(p_device bytea, p_purpose bytea, p_key bytea, p_stale text, p_nonce bytea, p_unit text)
returns settled language plpgsql stable as $$
begin
	if p_stale is not null then
		return refused(p_stale, 'a new certificate needs fresh evidence');
	elsif exists (select from device_key k where k.key_hash = p_key and k.device <> p_device) then
		return refused('key_bound', 'key ' || encode(p_key, 'hex'));
	elsif exists (select from nonce_used n where n.nonce = p_nonce
	              and (n.device, n.purpose, n.key_hash) <> (p_device, p_purpose, p_key)) then
		return refused('nonce_reused', 'nonce ' || encode(p_nonce, 'hex'));
	elsif exists (select from unit u where (u.unit_serial = p_unit or u.device = p_device) and p_unit is not null
	              and (u.unit_serial, u.device) <> (p_unit, p_device)) then
		return refused('unit_taken', 'unit serial ' || p_unit);
	end if;
	return null;
end $$;

-- One row that did not win on the fast way. Its own subtransaction, so that a race lost after the claim was written
-- leaves no claim behind: then it decides again.
create function settle(p_kind smallint, p_device bytea, p_purpose bytea, p_key bytea, p_serial bytea, p_once boolean,
                       p_stale text, p_nonce bytea, p_unit text, p_window_s bigint) returns settled language plpgsql as $$
declare
	v settled;
	v_no settled;
	v_mine record;
	v_last integer;
begin
	perform lock_device(p_device);
	if p_kind = 2 then
		v := previous_refused(p_purpose, p_device);
		if v.outcome = 0 then
			return v;
		end if;
	end if;
	loop
		v := null;
		select coalesce(max(c.generation), 0) into v_last from claim c where c.device = p_device and c.purpose = p_purpose;
		select * into v_mine from claim_state(p_device, p_purpose) s where s.key_hash = p_key order by s.generation desc limit 1;
		if found and not v_mine.void then
			if v_mine.revoked is not null then
				return refused('claim_revoked', 'serial ' || encode(v_mine.serial, 'hex') || ', reason ' || v_mine.revoked);
			elsif not v_mine.signed then
				return row(3::smallint, null, null, v_mine.serial, '{}'::bytea[], null)::settled;
			elsif v_mine.not_after > now() and (p_kind = 2 or v_mine.at > now() - p_window_s * interval '1 second') then
				return row(2::smallint, null, null, v_mine.serial, '{}'::bytea[], null)::settled;
			elsif p_kind = 1 and v_mine.in_use then
				return refused('claim_past', 'serial ' || encode(v_mine.serial, 'hex'));
			elsif p_once then
				return refused('name_taken', 'enrolled with this key, serial ' || encode(v_mine.serial, 'hex'));
			elsif p_kind = 1 then
				v := row(1::smallint, null, null, null, array[v_mine.serial], 'rule:window')::settled;
			end if;
		elsif p_kind = 1 then
			v := others_settled(p_device, p_purpose, p_key, p_once);
			if v.outcome = 0 then
				return v;
			end if;
		end if;
		v_no := new_refused(p_device, p_purpose, p_key, p_stale, p_nonce, p_unit);
		if v_no.outcome = 0 then
			return v_no;
		end if;
		begin
			insert into claim values (p_device, p_purpose, v_last + 1, p_key, p_serial);
			insert into device_key values (p_key, p_device) on conflict do nothing;
			insert into nonce_used select p_nonce, p_device, p_purpose, p_key where p_nonce is not null on conflict do nothing;
			insert into unit select p_unit, p_device where p_unit is not null on conflict do nothing;
			if (new_refused(p_device, p_purpose, p_key, null, p_nonce, p_unit)).outcome = 0 then
				raise exception 'lost' using errcode = 'ASD01';
			end if;
			return row(1::smallint, null, null, p_serial, coalesce(v.superseded, '{}'), v.why)::settled;
		exception when sqlstate 'ASD01' or unique_violation then
			null; -- another node was there first and has committed: decide with what it wrote
		end;
	end loop;
end $$;

-- A batch of intents, sorted by (device, purpose) by the caller. Returns a row for each entry that is not new, and,
-- if anything was written, one with idx 0 whose serial is the chain row's hash.
create function intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_window_s bigint,
	a_kind smallint[], a_device bytea[], a_purpose bytea[], a_key bytea[], a_serial bytea[], a_tbs bytea[],
	a_issuer text[], a_profile text[], a_family text[], a_policy bytea[], a_requester text[], a_once boolean[],
	a_format text[], a_root bytea[], a_element bytea[], a_level smallint[], a_stale text[], a_nonce bytea[],
	a_evidence bytea[], a_evidence_format text[], a_continuity bytea[], a_unit text[], a_not_before bigint[],
	a_not_after bigint[])
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
			unit_serial, not_before, not_after, tbs)
		select u.serial, p_node, p_stream, p_prev_seq + 1, now(), u.kind, u.issuer, u.profile, u.family, u.policy, u.requester,
			u.device, u.format, u.root, u.element, u.key, u.level, u.nonce, u.evidence, u.evidence_format, u.continuity,
			case when u.kind = 2 then u.purpose end, u.unit, to_timestamp(u.not_before), to_timestamp(u.not_after), u.tbs
		from unnest(a_kind, a_device, a_purpose, a_key, a_serial, a_tbs, a_issuer, a_profile, a_family, a_policy, a_requester,
			a_format, a_root, a_element, a_level, a_nonce, a_evidence, a_evidence_format, a_continuity, a_unit,
			a_not_before, a_not_after, v_won)
			u(kind, device, purpose, key, serial, tbs, issuer, profile, family, policy, requester, format, root, element, level,
			  nonce, evidence, evidence_format, continuity, unit, not_before, not_after, won)
		where u.won
		returning leaf(x) as leaf
	)
	select array_agg(done.leaf) into v_leaves from done;
	if cardinality(v_superseded) > 0 then
		v_leaves := v_leaves || revoke_rows(p_node, p_stream, p_prev_seq + 1, v_superseded,
			array(select issuer_of(s.serial) from unnest(v_superseded) with ordinality s(serial, ord) order by s.ord), array_fill(4::smallint, array[cardinality(v_superseded)]), v_why);
	end if;
	idx := 0;
	outcome := null;
	reason := null;
	detail := null;
	serial := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'intend', v_leaves);
	certificate := null;
	return next;
end $$;
grant execute on function intend to assay_ca;

-- The certificates that devices present to re-enrol: one row a serial that is signed.
create function previous(a_serial bytea[])
returns table (idx integer, revoked boolean, profile text, family text, issuer text, device_format text, vendor_root bytea,
               element bytea, level smallint, key_hash bytea, tbs bytea)
language plpgsql stable security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_low constant bytea := (select s from unnest(a_serial) s order by s limit 1);
	v_high constant bytea := (select s from unnest(a_serial) s order by s desc limit 1);
begin
	return query
	select u.ord::integer, revoked(u.serial) is not null, i.profile, i.family, i.issuer, i.device_format, i.vendor_root,
		i.element, i.level, i.key_hash, i.tbs
	from unnest(a_serial) with ordinality u(serial, ord)
	join issuance i on i.serial = u.serial and i.serial >= v_low and i.serial <= v_high
	join signature s on s.serial = u.serial and s.serial >= v_low and s.serial <= v_high;
end $$;
grant execute on function previous to assay_ca;
