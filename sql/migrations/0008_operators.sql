-- 0008: what operators do. Every call is a row of operator_action, and what a call changes is in the same commit.

create table operator_action (
	number bigint primary key check (number >= 1),
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	who text not null, -- "operator:alice"; "stranger" if nobody could be made out
	call text not null, -- "POST /v1/revocations"
	request text not null, -- the HTTP request's id: in its answer and in the log
	outcome text not null, -- 'ok' or a reason's name
	note text not null, -- why, in the operator's words
	detail text not null, -- what it was about: "reason 1, 12 certificates by rig rig-1"
	n bigint not null -- how many it was about
);
select append_only('operator_action');
grant select on operator_action to assay_ca, assay_read;

create function leaf(r operator_action) returns bytea language sql stable as $$
	select sha256(record_send(row('operator_action'::text, r.number, r.node, r.stream, r.seq, r.at, r.who, r.call, r.request,
		r.outcome, r.note, r.detail, r.n)))
$$;

create function lock_actions() returns void language sql as $$ select pg_advisory_xact_lock(4177, 4) $$;

-- One row; the caller adds the leaf to its commit's chain row.
create function action_row(p_node text, p_stream text, p_seq bigint, p_who text, p_call text, p_request text, p_outcome text,
                           p_note text, p_detail text, p_n bigint, out number bigint, out leaf bytea) language plpgsql as $$
begin
	perform lock_actions();
	insert into operator_action as x (number, node, stream, seq, at, who, call, request, outcome, note, detail, n)
	values ((select coalesce(max(a.number), 0) + 1 from operator_action a), p_node, p_stream, p_seq, now(), p_who, p_call,
	        p_request, p_outcome, p_note, p_detail, p_n)
	returning x.number, leaf(x) into number, leaf;
end $$;

-- Calls that changed nothing, a batch of them. Returns the number of the first.
create function operate_note(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, a_who text[], a_call text[],
                             a_request text[], a_outcome text[], a_note text[])
returns table (number bigint, hash bytea) language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_last bigint;
	v_leaves bytea[];
begin
	perform lock_actions();
	select coalesce(max(a.number), 0) into v_last from operator_action a;
	with done as (
		insert into operator_action as x (number, node, stream, seq, at, who, call, request, outcome, note, detail, n)
		select v_last + u.ord, p_node, p_stream, p_prev_seq + 1, now(), u.who, u.call, u.request, u.outcome, u.note, '', 0
		from unnest(a_who, a_call, a_request, a_outcome, a_note) with ordinality u(who, call, request, outcome, note, ord)
		order by u.ord
		returning leaf(x) as leaf
	)
	select array_agg(done.leaf) into v_leaves from done;
	number := v_last + 1;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'note', v_leaves);
	return next;
end $$;

-- A dry run: which certificates, and what would become of them. It is worth nothing to anybody without its id, changes
-- nothing, and can be made again: so it lives outside the chain.
create table work.plan (
	id bytea primary key check (length(id) = 16),
	at timestamptz not null default now(),
	who text not null,
	what text not null, -- "rig rig-1"
	reason smallint not null,
	note text not null,
	ready boolean not null, -- false while a list is still coming in
	n bigint not null default 0, -- selected
	already bigint not null default 0, -- of these, nothing to do when it was planned
	action bigint, -- the operator_action that began it
	next_ord bigint not null default 1, -- how far it is
	changed bigint not null default 0, -- rows of revocation it wrote
	done boolean not null default false
);
create table work.plan_serial (
	plan bytea not null references work.plan on delete cascade,
	ord bigint not null,
	serial bytea not null,
	issuer text not null,
	primary key (plan, ord)
);
grant select on work.plan, work.plan_serial to assay_ca, assay_read;

-- Is there anything to do for this certificate? Hold: what is not revoked; release: what is held; else: what is not
-- revoked for good.
create function plan_applies(p_now smallint, p_reason smallint) returns boolean language sql immutable as $$
	select case p_reason when 6 then p_now is null when 8 then p_now is not distinct from 6::smallint else coalesce(p_now, 6) = 6 end
$$;

-- A piece of a list. Returns how many serials there are now.
create function plan_list(p_id bytea, p_who text, a_serial bytea[]) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
	v_n bigint;
begin
	delete from work.plan where at < now() - interval '1 day' and action is null;
	insert into work.plan (id, who, what, reason, note, ready) values (p_id, p_who, 'list', 0, '', false) on conflict do nothing;
	select p.n into v_n from work.plan p where p.id = p_id and p.who = p_who and not p.ready for update;
	if v_n is null then
		raise exception 'the list is not open to you' using errcode = 'ASP01';
	end if;
	insert into work.plan_serial (plan, ord, serial, issuer)
	select p_id, v_n + row_number() over (order by u.ord), u.serial, issuer_of(u.serial)
	from unnest(a_serial) with ordinality u(serial, ord) where issuer_of(u.serial) is not null;
	select count(*) into v_n from work.plan_serial s where s.plan = p_id;
	update work.plan set n = v_n where id = p_id;
	return v_n;
end $$;

-- Serials by one criterion, with their issuers. Those that have no index of their own read the ledger from end to end
-- inside the times given: an index for each would be paid for by every enrolment.
create function plan_select(p_by text, p_value text, p_from timestamptz, p_until timestamptz)
returns table (serial bytea, issuer text) language plpgsql stable
set enable_seqscan = on set enable_hashjoin = on set enable_mergejoin = on as $$
#variable_conflict use_column
declare
	v_low bytea := serial_floor((coalesce(p_from, timestamptz '2000-01-01') at time zone 'UTC')::date - 1);
	v_high bytea := serial_floor((coalesce(p_until, now() + interval '2 days') at time zone 'UTC')::date + 2);
	v_devices bytea[];
begin
	if p_by = 'serial' then
		return query select s.serial, issuer_of(s.serial) from (select decode(p_value, 'hex') as serial) s
			where issuer_of(s.serial) is not null;
	elsif p_by in ('device', 'key') then
		v_devices := case p_by when 'device' then array[decode(p_value, 'hex')]
			else array(select k.device from device_key k where k.key_hash = decode(p_value, 'hex')) end;
		return query
			select c.serial, issuer_of(c.serial) from claim c
			where c.device = any(v_devices) and (p_by = 'device' or c.key_hash = decode(p_value, 'hex'))
			order by c.serial;
	else
		return query execute
			'select i.serial, i.issuer from issuance i where i.serial >= $1 and i.serial < $2 '
			'and ($4::timestamptz is null or i.at >= $4) and ($5::timestamptz is null or i.at < $5) and '
			|| case p_by
				when 'order' then 'i.order_id = $3'
				when 'rig' then 'i.requester = ''rig:'' || $3'
				when 'profile' then 'i.profile = $3'
				when 'batch_ca' then 'i.batch_ca = decode($3, ''hex'')'
				when 'element' then 'i.element = decode($3, ''hex'')'
				when 'issued' then 'true'
			   end || ' order by i.serial'
			using v_low, v_high, p_value, p_from, p_until;
	end if;
end $$;

-- The dry run. Returns how many it selects and for how many of these there is nothing to do.
create function plan_make(p_id bytea, p_who text, p_by text, p_value text, p_from timestamptz, p_until timestamptz,
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
	update work.plan p set n = plan_make.n, already = plan_make.already where p.id = p_id;
end $$;

-- One piece of a plan: at most p_max certificates, one commit. The first one records who began it. `more`: call again.
-- A plan that is done says what it did: a lost answer costs nothing. Fault: why not; then nothing was written.
create function plan_do(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_id bytea, p_who text, p_call text,
                        p_request text, p_lifetime_s bigint, p_two_above bigint, p_max integer,
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
	if v.action is null then
		select a.number, a.leaf into v.action, v_leaf
		from action_row(p_node, p_stream, p_prev_seq + 1, p_who, p_call, p_request, 'ok', v.note,
		                'reason ' || v.reason || ', ' || v.what || ', planned by ' || v.who, v.n) a;
		v_leaves := array[v_leaf];
	end if;
	if not v.done then
		select array_agg(s.serial order by s.ord), array_agg(s.issuer order by s.ord) into v_serials, v_issuers
		from work.plan_serial s
		where s.plan = p_id and s.ord >= v.next_ord and s.ord < v.next_ord + p_max and plan_applies(revoked(s.serial), v.reason);
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

-- Plans that were begun and are not done: a ca that starts completes them under the name of who began them.
create function plans_begun() returns table (id bytea, who text) language sql stable as $$
	select p.id, a.who from work.plan p join operator_action a on a.number = p.action where not p.done order by p.action
$$;

-- Registry. The same rights again change nothing but are an action all the same.
create function operate_register(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_who text, p_call text,
                                 p_request text, p_note text, p_kind text, p_name text, p_spki_hash bytea, p_names text,
                                 p_labels text, p_active boolean, out fault text, out action bigint, out hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_now requester;
	v_leaf bytea;
	v_leaves bytea[];
begin
	perform lock_numbers();
	select * into v_now from requester r where r.spki_hash = p_spki_hash order by r.number desc limit 1;
	if not p_active and v_now.active is not true then
		fault := 'requester_unknown';
		return;
	end if;
	if not p_active then
		p_kind := v_now.kind;
		p_name := v_now.name;
		p_names := v_now.names;
		p_labels := v_now.labels;
	end if;
	select a.number, array[a.leaf] into action, v_leaves
	from action_row(p_node, p_stream, p_prev_seq + 1, p_who, p_call, p_request, 'ok', p_note,
	                case when p_active then 'register ' else 'retire ' end || p_kind || ':' || p_name, 1) a;
	if (v_now.active, v_now.kind, v_now.name, v_now.names, v_now.labels) is distinct from (p_active, p_kind, p_name, p_names, p_labels) then
		insert into requester as r (number, node, stream, seq, at, kind, name, spki_hash, names, labels, active)
		values ((select coalesce(max(number), 0) + 1 from requester), p_node, p_stream, p_prev_seq + 1, now(), p_kind, p_name,
		        p_spki_hash, p_names, p_labels, p_active)
		returning leaf(r) into v_leaf;
		v_leaves := v_leaves || v_leaf;
	end if;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'requester', v_leaves);
end $$;

grant execute on function operate_note, plan_list, plan_make, plan_do, plans_begun, operate_register to assay_ca;
