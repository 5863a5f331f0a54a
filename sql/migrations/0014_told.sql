-- 0014: other nodes are told at once, and what concurrent operators could do to each other.

-- A commit that revokes or registers tells every ca that listens. No text goes with it: who is told looks for what came after
-- the number it has, so that a notice that is lost, or comes twice, changes nothing but the time (200 ms then, its poll).
-- Notices of one commit are one; a statement that wrote no row tells nobody.
create function tell_news() returns trigger language plpgsql as $$
begin
	if exists (select from news) then
		perform pg_notify('assay_news', '');
	end if;
	return null;
end $$;
create trigger told after insert on revocation referencing new table as news for each statement execute function tell_news();
create trigger told after insert on requester referencing new table as news for each statement execute function tell_news();

-- As in 0008, but for the locks: numbers before actions, as operate_register() takes them (two nodes could wait for each
-- other), and before it looks at what is revoked: between the look and the lock another operator could revoke for good
-- what a hold would then stand over, and its release let in again.
create or replace function plan_do(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_id bytea, p_who text,
                        p_call text, p_request text, p_lifetime_s bigint, p_two_above bigint, p_max integer,
                        out fault text, out detail text, out action bigint, out n bigint, out changed bigint,
                        out more boolean, out hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v work.plan;
	v_leaves bytea[] := '{}';
	v_leaf bytea;
	v_serials bytea[];
	v_issuers text[];
	v_done bytea[];
begin
	select * into v from work.plan p where p.id = p_id and p.ready for update;
	more := false;
	if v.id is null then
		fault := 'plan_unknown';
		detail := encode(p_id, 'hex');
		return;
	elsif v.action is null and v.at < now() - p_lifetime_s * interval '1 second' then
		fault := 'plan_expired';
		detail := 'made ' || to_char(v.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
		return;
	elsif v.action is null and v.n > p_two_above and v.who = p_who then
		fault := 'second_operator';
		detail := v.n || ' certificates, planned by ' || v.who;
		return;
	end if;
	if not v.done then
		perform lock_numbers();
		if v.action is null then
			select a.number, a.leaf into v.action, v_leaf
			from action_row(p_node, p_stream, p_prev_seq + 1, p_who, p_call, p_request, 'ok', v.note,
			                'reason ' || v.reason || ', ' || v.what || ', planned by ' || v.who, v.n) a;
			v_leaves := array[v_leaf];
		end if;
		select array_agg(t.serial order by t.ord), array_agg(t.issuer order by t.ord) into v_serials, v_issuers
		from (select distinct on (s.serial) s.* from work.plan_serial s -- a list may name a certificate twice
		      where s.plan = p_id and s.ord >= v.next_ord and s.ord < v.next_ord + p_max
		      order by s.serial, s.ord) t
		where plan_applies(revoked(t.serial), v.reason);
		v_done := case when v_serials is null then '{}'::bytea[] else
			revoke_rows(p_node, p_stream, p_prev_seq + 1, v_serials, v_issuers,
				array_fill(v.reason, array[cardinality(v_serials)]),
				array_fill(p_who || ' #' || v.action, array[cardinality(v_serials)])) end;
		v_leaves := v_leaves || v_done;
		v.next_ord := v.next_ord + p_max;
		v.changed := v.changed + cardinality(v_done);
		v.done := v.next_ord > v.n;
		update work.plan p set action = v.action, next_ord = v.next_ord, changed = v.changed, done = v.done where p.id = p_id;
	end if;
	action := v.action;
	n := v.n;
	changed := v.changed;
	more := not v.done;
	if cardinality(v_leaves) > 0 then
		hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'revoke', v_leaves);
	end if;
end $$;

-- 64 characters a line, as RFC 7468 section 2 has it; NULL for what was never signed.
create or replace function api_pem(p_serial bytea) returns text language sql stable as $$
	select '-----BEGIN CERTIFICATE-----' || E'\n' || regexp_replace(translate(encode(certificate(p_serial), 'base64'), E'\n', ''),
		'(.{1,64})', E'\\1\n', 'g') || E'-----END CERTIFICATE-----\n'
$$;

-- A piece of a list; p_adds: to one that has been begun, and no id that somebody thought of begins one.
drop function plan_list(bytea, text, bytea[]);
create function plan_list(p_id bytea, p_who text, a_serial bytea[], p_adds boolean) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
	v_n bigint;
begin
	delete from work.plan where at < now() - interval '1 day' and action is null;
	if not p_adds then
		insert into work.plan (id, who, what, reason, note, ready) values (p_id, p_who, 'list', 0, '', false);
	end if;
	select p.n into v_n from work.plan p where p.id = p_id and p.who = p_who and not p.ready for update;
	if v_n is null then
		raise exception 'the list is not open to you' using errcode = 'ASP01';
	end if;
	insert into work.plan_serial (plan, ord, serial, issuer)
	select p_id, v_n + row_number() over (order by u.ord), u.serial, issuer_of(u.serial)
	from unnest(a_serial) with ordinality u(serial, ord) where issuer_of(u.serial) is not null;
	get diagnostics v_n = row_count;
	update work.plan set n = n + v_n where id = p_id returning n into v_n;
	return v_n;
end $$;
grant execute on function plan_list to assay_ca;
