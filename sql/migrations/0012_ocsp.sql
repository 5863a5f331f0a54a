-- 0012: OCSP. The certificates of the delegated responder, which the ca issues to its own key, and what is signed with it:
-- on record before the token is asked, like everything else.

create table responder_intent (
	serial bytea primary key,
	issuer text not null,
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	key_hash bytea not null check (length(key_hash) = 32), -- of the responder's public key
	not_before timestamptz not null,
	not_after timestamptz not null check (not_after > not_before),
	tbs bytea not null check (length(tbs) > 0)
);
create index responder_intent_issuer on responder_intent (issuer, not_after);

-- The first recorded signature is the only one. An intent without one is a certificate that nobody has.
create table responder_signature (
	serial bytea primary key references responder_intent,
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	tail bytea not null check (length(tail) > 0)
);

-- What the responder's key is going to sign: the SHA-256 of each ResponseData of a batch, one after the other. Hashes
-- alone, for an answer follows from issuance and revocation, and there are many.
create table status_intent (
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	hashes bytea not null check (length(hashes) > 0 and length(hashes) % 32 = 0),
	primary key (node, stream, seq)
);

select append_only('responder_intent'), append_only('responder_signature'), append_only('status_intent');
grant select on responder_intent, responder_signature, status_intent to assay_ca, assay_read;

create function leaf(r responder_intent) returns bytea language sql stable as $$
	select sha256(record_send(row('responder_intent'::text, r.serial, r.issuer, r.node, r.stream, r.seq, r.at, r.key_hash,
		r.not_before, r.not_after, r.tbs)))
$$;
create function leaf(r responder_signature) returns bytea language sql stable as $$
	select sha256(record_send(row('responder_signature'::text, r.serial, r.node, r.stream, r.seq, r.at, r.tail)))
$$;
create function leaf(r status_intent) returns bytea language sql stable as $$
	select sha256(record_send(row('status_intent'::text, r.node, r.stream, r.seq, r.at, r.hashes)))
$$;

create function responder_intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_issuer text,
                                 p_serial bytea, p_key_hash bytea, p_not_before bigint, p_not_after bigint, p_tbs bytea)
returns table (hash bytea) language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	insert into responder_intent as x (serial, issuer, node, stream, seq, at, key_hash, not_before, not_after, tbs)
	values (p_serial, p_issuer, p_node, p_stream, p_prev_seq + 1, now(), p_key_hash, to_timestamp(p_not_before),
	        to_timestamp(p_not_after), p_tbs)
	returning leaf(x) into v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'responder_intend', array[v_leaf]);
	return next;
end $$;

create function responder_record(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_serial bytea, p_tail bytea)
returns table (hash bytea) language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	insert into responder_signature as x (serial, node, stream, seq, at, tail)
	values (p_serial, p_node, p_stream, p_prev_seq + 1, now(), p_tail)
	returning leaf(x) into v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'responder_record', array[v_leaf]);
	return next;
end $$;

-- The certificate of this key under this issuer that lives longest, whichever node had it made.
create function responder_certificate(p_issuer text, p_key_hash bytea)
returns table (not_before bigint, not_after bigint, certificate bytea) language sql stable
set search_path = public, pg_temp as $$
	select extract(epoch from i.not_before)::bigint, extract(epoch from i.not_after)::bigint,
		'\x30'::bytea || der_length(length(i.tbs) + length(s.tail)) || i.tbs || s.tail
	from responder_intent i join responder_signature s on s.serial = i.serial
	where i.issuer = p_issuer and i.key_hash = p_key_hash order by i.not_after desc limit 1
$$;

create function status_intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_hashes bytea)
returns table (hash bytea) language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	insert into status_intent as x (node, stream, seq, at, hashes)
	values (p_node, p_stream, p_prev_seq + 1, now(), p_hashes)
	returning leaf(x) into v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'status', array[v_leaf]);
	return next;
end $$;

-- One certificate: 0 good, 1 revoked (or held, or void), 2 unknown: never issued by this issuer, or not signed yet. One
-- serial in, so that one partition is opened.
create function status_of(p_issuer text, p_serial bytea, out state smallint, out reason smallint, out at bigint)
language plpgsql stable as $$
begin
	select r.reason, extract(epoch from r.at)::bigint into reason, at
	from revocation r where r.serial = p_serial order by r.number desc limit 1;
	if issuer_of(p_serial) is distinct from p_issuer then
		state := 2;
	elsif reason <> 8 then
		state := 1;
	elsif exists (select from signature s where s.serial = p_serial) then
		state := 0;
	else
		state := 2;
	end if;
end $$;
create function status_of_all(a_issuer text[], a_serial bytea[])
returns table (idx integer, state smallint, reason smallint, at bigint) language sql stable security definer
set search_path = public, pg_temp as $$
	select u.ord::integer, s.state, s.reason, s.at
	from unnest(a_issuer, a_serial) with ordinality u(issuer, serial, ord), lateral status_of(u.issuer, u.serial) s
$$;

grant execute on function responder_intend, responder_record, responder_certificate, status_intend, status_of_all to assay_ca;
