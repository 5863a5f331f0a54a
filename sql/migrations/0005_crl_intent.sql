-- 0005: a CRL's signature is accounted for as a certificate's is: what will be signed is on record before the token is
-- asked. Only its hash, for the list follows from revocation and would be repeated every few minutes.

create table crl_intent (
	issuer text not null,
	number bigint not null,
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	tbs_hash bytea not null check (length(tbs_hash) = 32), -- SHA-256 of the TBSCertList
	primary key (issuer, number),
	foreign key (issuer, number) references crl_number (issuer, number)
);
select append_only('crl_intent');
grant select on crl_intent to assay_ca, assay_read;

create function leaf(r crl_intent) returns bytea language sql stable as $$
	select sha256(record_send(row('crl_intent'::text, r.issuer, r.number, r.node, r.stream, r.seq, r.at, r.tbs_hash)))
$$;

-- Records what is going to be signed under a number that crl_next() gave out, once.
create function crl_intend(p_node text, p_stream text, p_prev_seq bigint, p_prev_hash bytea, p_issuer text, p_number bigint,
                           p_tbs_hash bytea)
returns table (hash bytea)
language plpgsql security definer set search_path = public, pg_temp as $$
#variable_conflict use_column
declare
	v_leaf bytea;
begin
	insert into crl_intent as x (issuer, number, node, stream, seq, at, tbs_hash)
	values (p_issuer, p_number, p_node, p_stream, p_prev_seq + 1, now(), p_tbs_hash)
	returning leaf(x) into v_leaf;
	hash := chain_add(p_node, p_stream, p_prev_seq, p_prev_hash, 'crl_intend', array[v_leaf]);
	return next;
end $$;
grant execute on function crl_intend to assay_ca;
