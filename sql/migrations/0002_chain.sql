-- 0002: the hash chain, and what the owner does by hand. sql/README.md describes the bytes.

-- leaf(row): SHA-256 over PostgreSQL's binary form of a record: the table's name, then the columns in this order.
-- The lists are spelt out so that a column added later does not alter the leaves of rows written before.
create function leaf(r issuance) returns bytea language sql stable as $$
	select sha256(record_send(row('issuance'::text, r.serial, r.node, r.stream, r.seq, r.at, r.kind, r.issuer, r.profile,
		r.family, r.policy_hash, r.requester, r.device, r.device_format, r.vendor_root, r.element, r.key_hash, r.level,
		r.nonce, r.evidence, r.evidence_format, r.continuity, r.previous, r.unit_serial, r.order_id, r.not_before,
		r.not_after, r.tbs)))
$$;
create function leaf(r signature) returns bytea language sql stable as $$
	select sha256(record_send(row('signature'::text, r.serial, r.node, r.stream, r.seq, r.at, r.tail)))
$$;
create function leaf(r public.void) returns bytea language sql stable as $$
	select sha256(record_send(row('void'::text, r.serial, r.node, r.stream, r.seq, r.at, r.why)))
$$;
create function leaf(r revocation) returns bytea language sql stable as $$
	select sha256(record_send(row('revocation'::text, r.number, r.node, r.stream, r.seq, r.at, r.serial, r.issuer, r.reason,
		r.who)))
$$;
create function leaf(r requester) returns bytea language sql stable as $$
	select sha256(record_send(row('requester'::text, r.number, r.node, r.stream, r.seq, r.at, r.kind, r.name, r.spki_hash,
		r.names, r.labels, r.active)))
$$;
create function leaf(r policy) returns bytea language sql stable as $$
	select sha256(record_send(row('policy'::text, r.hash, r.node, r.stream, r.seq, r.at, r.what)))
$$;
create function leaf(r ceremony) returns bytea language sql stable as $$
	select sha256(record_send(row('ceremony'::text, r.hash, r.node, r.stream, r.seq, r.at, r.transcript)))
$$;
create function leaf(r crl_number) returns bytea language sql stable as $$
	select sha256(record_send(row('crl_number'::text, r.issuer, r.number, r.node, r.stream, r.seq, r.at)))
$$;

-- Adds the chain row of this commit and returns its hash. The row before must be there with the hash that the writer
-- was told: ASB01 means that the ledger has gone back in time or that somebody else writes this stream.
create function chain_add(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_op text, p_leaves bytea[])
returns bytea language plpgsql as $$
declare
	v_root bytea := (select sha256(coalesce(string_agg(l, ''::bytea order by l), '')) from unnest(p_leaves) l);
	v_hash bytea := sha256(record_send(row(p_prev_hash, p_node, p_stream, p_prev_seq + 1, p_op, cardinality(p_leaves),
		v_root, now())));
begin
	if p_prev_seq > 0 and not exists (select from chain where node = p_node and stream = p_stream and seq = p_prev_seq
	                                  and hash = p_prev_hash) then
		raise exception 'chain %/%: row % is not there with the hash it had', p_node, p_stream, p_prev_seq
			using errcode = 'ASB01';
	end if;
	insert into chain (node, stream, seq, prev_hash, op, n_rows, root, hash, at)
	values (p_node, p_stream, p_prev_seq + 1, p_prev_hash, p_op, cardinality(p_leaves), v_root, v_hash, now())
	on conflict do nothing;
	if not found then
		raise exception 'chain %/%: row % is there already', p_node, p_stream, p_prev_seq + 1 using errcode = 'ASB01';
	end if;
	return v_hash;
end $$;

-- Locks. Numbers are given out, and owner/sql is written, one transaction at a time.
create function lock_numbers() returns void language sql as $$ select pg_advisory_xact_lock(4177, 1) $$;
create function lock_owner_chain() returns void language sql as $$ select pg_advisory_xact_lock(4177, 3) $$;

-- The stream of what is done by hand: node "owner", stream "sql".
create function owner_seq() returns bigint language sql stable as $$
	select coalesce(max(seq), 0) from chain where node = 'owner' and stream = 'sql'
$$;
create function owner_chain(p_op text, p_leaf bytea) returns void language plpgsql as $$
declare
	v_seq bigint := owner_seq();
begin
	perform chain_add('owner', 'sql', v_seq, coalesce((select hash from chain where node = 'owner' and stream = 'sql'
		and seq = v_seq), decode(repeat('00', 32), 'hex')), p_op, array[p_leaf]);
end $$;

-- What counts of a serial: its newest revocation, NULL if there is none or it was released.
create function revoked(p_serial bytea) returns smallint language plpgsql stable as $$
begin
	return nullif((select r.reason from revocation r where r.serial = p_serial order by r.number desc limit 1), 8::smallint);
end $$;

-- NULL if the serial is not in issuance. One serial in, so that one partition is opened.
create function issuer_of(p_serial bytea) returns text language plpgsql stable as $$
begin
	return (select i.issuer from issuance i where i.serial = p_serial);
end $$;

-- Inserts a revocation for each serial, in order; the caller holds no number yet. The last thing before the commit's
-- chain row, for the lock is held until then. A serial that is revoked for good already is left alone.
create function revoke_rows(p_node text, p_stream text, p_seq bigint, p_serials bytea[], p_issuers text[], p_reasons smallint[],
                            p_who text[]) returns bytea[] language plpgsql as $$
declare
	v_last bigint;
	v_leaves bytea[];
begin
	perform lock_numbers();
	select coalesce(max(number), 0) into v_last from revocation;
	with todo as (
		select u.*, row_number() over (order by u.ord) as n
		from unnest(p_serials, p_issuers, p_reasons, p_who) with ordinality u(serial, issuer, reason, who, ord)
		where coalesce(revoked(u.serial), 6) = 6 -- not revoked, or held
	), done as (
		insert into revocation (number, node, stream, seq, at, serial, issuer, reason, who)
		select v_last + t.n, p_node, p_stream, p_seq, now(), t.serial, t.issuer, t.reason, t.who from todo t order by t.n
		returning leaf(revocation) as leaf
	)
	select coalesce(array_agg(done.leaf), '{}') into v_leaves from done;
	return v_leaves;
end $$;

-- Revokes (or holds: 6, or releases a hold: 8) one certificate by hand; NULL if it was revoked for good already. A
-- certificate that is not in issuance (a rig's, an operator's) needs its issuer's name.
create function revoke(p_serial bytea, p_reason integer, p_who text, p_issuer text default null) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
	v_issuer text := coalesce(issuer_of(p_serial), p_issuer);
	v_now smallint;
	v_leaves bytea[];
begin
	if v_issuer is null then
		raise exception 'serial % is not in issuance: name its issuer', encode(p_serial, 'hex');
	end if;
	perform lock_owner_chain();
	perform lock_numbers();
	v_now := revoked(p_serial);
	if p_reason = 8 and v_now is distinct from 6 then
		raise exception 'serial % is not on hold', encode(p_serial, 'hex');
	elsif p_reason = 6 and v_now = 6 then
		return null;
	end if;
	v_leaves := revoke_rows('owner', 'sql', owner_seq() + 1, array[p_serial], array[v_issuer], array[p_reason::smallint],
	                        array[p_who]);
	if cardinality(v_leaves) = 0 then
		return null;
	end if;
	perform owner_chain('revoke', v_leaves[1]);
	return (select max(number) from revocation);
end $$;

-- Registers a public key (or gives it new rights): returns its number. The same call again changes nothing.
create function register_requester(kind text, name text, spki_hash bytea, names text, labels text) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_now requester;
	v_leaf bytea;
begin
	perform lock_owner_chain();
	perform lock_numbers();
	select * into v_now from requester r where r.spki_hash = register_requester.spki_hash order by r.number desc limit 1;
	if v_now.active and (v_now.kind, v_now.name, v_now.names, v_now.labels) =
	   (register_requester.kind, register_requester.name, register_requester.names, register_requester.labels) then
		return v_now.number;
	end if;
	insert into requester as r (number, node, stream, seq, at, kind, name, spki_hash, names, labels, active)
	values ((select coalesce(max(number), 0) + 1 from requester), 'owner', 'sql', owner_seq() + 1, now(), register_requester.kind,
	        register_requester.name, register_requester.spki_hash, register_requester.names, register_requester.labels, true)
	returning leaf(r) into v_leaf;
	perform owner_chain('requester', v_leaf);
	return (select max(number) from requester);
end $$;

-- Takes a public key's rights away; NULL if it has none.
create function retire_requester(spki_hash bytea) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_now requester;
	v_leaf bytea;
begin
	perform lock_owner_chain();
	perform lock_numbers();
	select * into v_now from requester r where r.spki_hash = retire_requester.spki_hash order by r.number desc limit 1;
	if v_now.active is not true then
		return null;
	end if;
	insert into requester as r (number, node, stream, seq, at, kind, name, spki_hash, names, labels, active)
	values ((select max(number) + 1 from requester), 'owner', 'sql', owner_seq() + 1, now(), v_now.kind, v_now.name,
	        v_now.spki_hash, v_now.names, v_now.labels, false)
	returning leaf(r) into v_leaf;
	perform owner_chain('requester', v_leaf);
	return (select max(number) from requester);
end $$;

-- Takes a key ceremony's transcript; returns its hash. The same transcript again changes nothing.
create function record_ceremony(transcript text) returns bytea
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_hash bytea := sha256(convert_to(record_ceremony.transcript, 'UTF8'));
	v_leaf bytea;
begin
	perform lock_owner_chain();
	insert into ceremony as c (hash, node, stream, seq, at, transcript)
	values (v_hash, 'owner', 'sql', owner_seq() + 1, now(), record_ceremony.transcript)
	on conflict do nothing returning leaf(c) into v_leaf;
	if v_leaf is not null then
		perform owner_chain('ceremony', v_leaf);
	end if;
	return v_hash;
end $$;

-- DER length octets, and the certificate of a serial: SEQUENCE { tbs, tail }; NULL if it was never signed.
create function der_length(n integer) returns bytea language sql immutable strict as $$
	select case when n < 128 then substr(int4send(n), 4)
		when n < 256 then '\x81'::bytea || substr(int4send(n), 4)
		when n < 65536 then '\x82'::bytea || substr(int4send(n), 3)
		else '\x83'::bytea || substr(int4send(n), 2) end
$$;
create function certificate(serial bytea) returns bytea language plpgsql stable as $$
begin
	return (select '\x30'::bytea || der_length(length(i.tbs) + length(s.tail)) || i.tbs || s.tail
	        from issuance i join signature s on s.serial = i.serial
	        where i.serial = certificate.serial and s.serial = certificate.serial);
end $$;
grant execute on function der_length, certificate, serial_floor, revoked to assay_ca, assay_read;
