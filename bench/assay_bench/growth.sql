-- Loads issuances as enrolments would have left them: the intent with its claim, key and nonce, the signature, the
-- device seen in use, and the chain rows of both commits over the rows' true leaves. The sizes are those of the newest
-- enrolment there is; keys, devices, serials and nonces are random, serials and nonces begin with their time, over the
-- last thirty days. Only the way is shorter: no rules are asked.
create procedure pg_temp.grow(p_node text, p_rows integer, p_commit integer) language plpgsql as $$
declare
	c_rows constant integer := 8192; -- in a statement: those of many commits, for a statement costs more than its rows
	i issuance;
	s signature;
	v_seq bigint;
	v_intend bytea := decode(repeat('00', 32), 'hex');
	v_record bytea := v_intend;
	v_left integer := p_rows;
	v_day date;
	v_moment bytea; -- of the day
	r record;
begin
	select * into strict i from issuance where kind = 1 and evidence is not null order by serial desc limit 1;
	select * into strict s from signature order by serial desc limit 1;
	select coalesce(max(seq), 0) into v_seq from chain where node = p_node and stream = 'intend';
	if v_seq > 0 then
		v_intend := (select hash from chain where node = p_node and stream = 'intend' and seq = v_seq);
		v_record := (select hash from chain where node = p_node and stream = 'record' and seq = v_seq);
	end if;
	while v_left > 0 loop
		v_day := current_date - (v_left::bigint * 30 / p_rows)::integer;
		v_moment := substr(int4send(16777215 - (v_left::bigint * 30 % p_rows * 16777215 / p_rows)::integer), 2);
		for r in
			with fresh as materialized (
				select v_seq + 1 + (g - 1) / p_commit as seq,
				       '\x01'::bytea || substr(int4send(v_day - date '1970-01-01'), 2) || v_moment || substr(random, 1, 12) as serial,
				       sha256(random) as device, sha256(random || 'key') as key,
				       '\x01'::bytea || substr(sha256(random || 'element'), 1, 16) as element,
				       int4send(extract(epoch from v_day)::integer)
				       || substr(sha256(random || 'nonce'), 1, length(i.nonce) - 4) as nonce
				from (select g, uuid_send(gen_random_uuid()) as random
				      from generate_series(1, least(c_rows, v_left)) g) x
			), claims as (
				insert into claim (device, purpose, generation, key_hash, serial)
				select device, convert_to(i.family, 'UTF8'), 1, key, serial from fresh order by device
			), keys as (
				insert into device_key (key_hash, device) select key, device from fresh order by key
			), nonces as (
				insert into nonce_used (nonce, device, purpose, key_hash)
				select nonce, device, convert_to(i.family, 'UTF8'), key from fresh order by nonce
			), seen as (
				insert into in_use (serial) select serial from fresh where v_day < current_date order by serial
			), intents as (
				insert into issuance as x (serial, node, stream, seq, at, kind, issuer, profile, family, policy_hash,
					requester, device, device_format, vendor_root, element, key_hash, level, nonce, evidence,
					evidence_format, continuity, previous, unit_serial, order_id, not_before, not_after, tbs, batch_ca)
				select serial, p_node, 'intend', seq, now(), i.kind, i.issuer, i.profile, i.family, i.policy_hash,
					i.requester, device, i.device_format, i.vendor_root, element, key, i.level, nonce, i.evidence,
					i.evidence_format, i.continuity, null, null, i.order_id, i.not_before, i.not_after, i.tbs, i.batch_ca
				from fresh order by serial
				returning seq, leaf(x) as leaf
			), signatures as (
				insert into signature as x (serial, node, stream, seq, at, tail)
				select serial, p_node, 'record', seq, now(), s.tail from fresh order by serial
				returning seq, leaf(x) as leaf
			)
			select a.seq, a.leaves as intents, b.leaves as signatures
			from (select seq, array_agg(leaf) as leaves from intents group by seq) a
			join (select seq, array_agg(leaf) as leaves from signatures group by seq) b using (seq)
			order by seq
		loop
			v_intend := chain_add(p_node, 'intend', v_seq, v_intend, 'intend', r.intents);
			v_record := chain_add(p_node, 'record', v_seq, v_record, 'record', r.signatures);
			v_seq := v_seq + 1;
		end loop;
		v_left := v_left - least(c_rows, v_left);
		commit;
	end loop;
end $$;
set synchronous_commit = off; -- of this session only: what is loaded may be lost in a crash, what is measured may not
