-- 0016: signed heads. Where every chain stands, signed through the token with a key of its own and carried outside, so
-- that nobody can cut off or make anew what came before. Like everything that the token signs, a head is on record before
-- it is signed. Its text is made here, of one moment: positions and counts belong to each other.

create table head_intent (
	number bigint not null check (number >= 1), -- of this node's heads, without gaps; one that was never signed counts
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	text text not null, -- exactly what is signed; server/ca/heads.h describes it
	primary key (node, number)
);
-- The first recorded signature is the only one. An intent without one is a head that nobody has.
create table head_signature (
	number bigint not null,
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	signature bytea not null check (length(signature) > 0),
	primary key (node, number),
	foreign key (node, number) references head_intent
);
select append_only('head_intent'), append_only('head_signature');
grant select on head_intent, head_signature to assay_ca, assay_read;

create function leaf(r head_intent) returns bytea language sql stable as $$
	select sha256(record_send(row('head_intent'::text, r.number, r.node, r.stream, r.seq, r.at, r.text)))
$$;
create function leaf(r head_signature) returns bytea language sql stable as $$
	select sha256(record_send(row('head_signature'::text, r.number, r.node, r.stream, r.seq, r.at, r.signature)))
$$;

-- Every stream's newest row, found by the primary key from one stream to the next: a chain is long and its streams are few.
create function chain_positions() returns table (node text, stream text, seq bigint, hash bytea) language sql stable as $$
	with recursive s as (
		(select c.node, c.stream from chain c order by c.node, c.stream limit 1)
		union all
		select n.node, n.stream from s, lateral (select c.node, c.stream from chain c
			where (c.node, c.stream) > (s.node, s.stream) order by c.node, c.stream limit 1) n
	)
	select s.node, s.stream, p.seq, p.hash
	from s, lateral (select c.seq, c.hash from chain c where c.node = s.node and c.stream = s.stream order by c.seq desc limit 1) p
$$;

-- What a head says of this moment: positions, and how many signatures have an intent. Counted on from an earlier head's
-- text of this node (NULL: from the beginning), by the chain's own rows: the table of intents has no index for it. An
-- intend commit has a row for each certificate, and one for each that a rule superseded.
create function head_now(p_before text, out positions jsonb, out intents jsonb, out revocations bigint) language sql stable as $$
	with old as materialized (
		select p_before::jsonb as j
	), was as materialized (
		select p->>0 as node, p->>1 as stream, (p->>2)::bigint as seq from old, jsonb_array_elements(old.j->'positions') p
	), now as materialized (
		select n.*, coalesce(w.seq, 0) as was from chain_positions() n left join was w on w.node = n.node and w.stream = n.stream
	), ops as materialized (
		select c.op, sum(c.n_rows) as n from now, lateral (select x.op, x.n_rows from chain x
			where x.node = now.node and x.stream = now.stream and x.seq > now.was and x.seq <= now.seq) c
		where now.seq > now.was group by c.op
	), answers as (
		select coalesce(sum(length(i.hashes) / 32), 0) as n from now, status_intent i
		where i.node = now.node and i.stream = now.stream and i.seq > now.was and i.seq <= now.seq
	), superseded as (
		select count(*) as n from revocation r
		where r.number > coalesce((select (old.j->>'revocations')::bigint from old), 0) and r.who in ('rule:rekey', 'rule:window')
	), added(kind, n) as (
		values ('certificates', coalesce((select n from ops where op = 'intend'), 0) - (select n from superseded)),
			('crls', coalesce((select n from ops where op = 'crl_intend'), 0)),
			('ocsp', (select n from answers)),
			('responders', coalesce((select n from ops where op = 'responder_intend'), 0)),
			('heads', coalesce((select n from ops where op = 'head_intend'), 0))
	)
	select (select coalesce(jsonb_agg(jsonb_build_array(node, stream, seq, encode(hash, 'hex')) order by node collate "C", stream collate "C"), '[]') from now),
		(select jsonb_object_agg(a.kind, a.n::bigint + coalesce((select (old.j->'intents'->>a.kind)::bigint from old), 0)) from added a),
		(select coalesce(max(number), 0) from revocation)
$$;

create function head_time(t timestamptz) returns text language sql immutable as $$
	select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Records the next head of a node and gives its text; no row if nothing moved since the last one and that is younger than
-- p_age_s. Heads moving on are no movement. p_since and p_made: what the caller counted of the token in its own life.
create function head_intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_since bigint, p_made bigint,
                            p_age_s bigint)
returns table (number bigint, text text, hash bytea) language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_last head_intent;
	v_previous text;
	v_now record;
	v_leaf bytea;
begin
	select * into v_last from head_intent i where i.node = p_node order by i.number desc limit 1;
	select i.text into v_previous from head_signature s join head_intent i on i.node = s.node and i.number = s.number
	where s.node = p_node order by s.number desc limit 1;
	select * into v_now from head_now(v_last.text);
	if v_previous is not null and v_last.at > now() - make_interval(secs => p_age_s) and not exists (
		select from jsonb_array_elements(v_now.positions) p where p->>1 <> 'heads' and not v_previous::jsonb->'positions' @> jsonb_build_array(p)
	) then
		return;
	end if;
	number := coalesce(v_last.number, 0) + 1;
	-- spelt out: this is what is signed, and json's own order of keys is not ours
	text := format('{"assay_head":1,"node":%s,"number":%s,"at":"%s","previous":"%s","intents":{"certificates":%s,"crls":%s,'
		'"ocsp":%s,"responders":%s,"heads":%s},"token":{"since":"%s","signatures":%s},"revocations":%s,"positions":%s}',
		to_json(p_node), number, head_time(now()),
		encode(case when v_previous is null then decode(repeat('00', 32), 'hex') else sha256(convert_to(v_previous, 'UTF8')) end, 'hex'),
		v_now.intents->>'certificates', v_now.intents->>'crls', v_now.intents->>'ocsp', v_now.intents->>'responders',
		v_now.intents->>'heads', head_time(to_timestamp(p_since)), p_made, v_now.revocations,
		replace(v_now.positions::text, ', ', ','));
	insert into head_intent as x (node, number, stream, seq, at, text)
	values (p_node, number, p_stream, p_prev_seq + 1, now(), text)
	returning leaf(x) into v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'head_intend', array[v_leaf]);
	return next;
end $$;
create function head_record(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_number bigint, p_signature bytea)
returns table (hash bytea) language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	insert into head_signature as x (node, number, stream, seq, at, signature)
	values (p_node, p_number, p_stream, p_prev_seq + 1, now(), p_signature)
	returning leaf(x) into v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'head_record', array[v_leaf]);
	return next;
end $$;

-- One line for outside: the text, and the signature over exactly it.
create function head_line(p_text text, p_signature bytea) returns text language sql immutable as $$
	select '{"head":' || p_text || ',"signature":"' || translate(encode(p_signature, 'base64'), E'\n', '') || '"}'
$$;
create function head_newest(p_node text) returns setof text language sql stable security definer
set search_path = public, pg_temp as $$
	select head_line(i.text, s.signature) from head_signature s join head_intent i on i.node = s.node and i.number = s.number
	where s.node = p_node order by s.number desc limit 1
$$;

-- Signed heads of all nodes, the oldest first, from after a cursor "node/number"; without one, the newest of each node.
create function api_heads(p_after text, p_limit integer) returns json language sql stable
set search_path = public, pg_temp as $$
	with page as materialized (
		select s.node, s.number, head_line(i.text, s.signature) as line
		from head_signature s join head_intent i on i.node = s.node and i.number = s.number
		where case when p_after is null then s.number = (select max(n.number) from head_signature n where n.node = s.node)
			else (s.node, s.number) > (split_part(p_after, '/', 1), nullif(split_part(p_after, '/', 2), '')::bigint) end
		order by s.node, s.number limit p_limit
	)
	select json_build_object('heads', (select coalesce(json_agg(line order by node, number), '[]') from page),
		'next', (select node || '/' || number from page where p_after is not null and (select count(*) from page) = p_limit
			order by node desc, number desc limit 1))
$$;

-- The auditor takes them away too, beside whatever else is listed.
do $$
begin
	execute replace(pg_get_functiondef('audit_tables'::regproc), '(''operator_action''',
		'(''head_intent'', ''{node,number}'', ''{number,node,stream,seq,at,text}''),
		(''head_signature'', ''{node,number}'', ''{number,node,stream,seq,at,signature}''),
		(''operator_action''');
end $$;

grant execute on function head_intend, head_record, head_newest to assay_ca;
grant execute on function chain_positions, head_line, api_heads to assay_read;
