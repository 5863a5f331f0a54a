-- 0009: what operators and auditors read, as JSON: the admin role passes it on as it is. Pages go on where the last row of
-- the page before stood (a cursor), so that a page costs the same however far it is, and none is skipped or shown twice.

create function api_time(t timestamptz) returns text language sql immutable as $$
	select to_char(t at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$;

create function api_level(level smallint) returns text language sql immutable as $$
	select (array['none', 'vouched', 'provisioned', 'native'])[level + 1]
$$;

-- CRLReason by its name in RFC 5280 section 5.3.1.
create function api_reason(reason smallint) returns text language sql immutable as $$
	select (array['unspecified', 'keyCompromise', 'cACompromise', 'affiliationChanged', 'superseded', 'cessationOfOperation',
		'certificateHold', null, 'removeFromCRL', 'privilegeWithdrawn', 'aACompromise'])[reason + 1]
$$;

-- One certificate: everything but its bytes. NULL if the serial is not known.
create function api_certificate(p_serial bytea) returns json language plpgsql stable as $$
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
		'vendor_root', encode(i.vendor_root, 'hex'), 'unit_serial', i.unit_serial,
		'level', api_level(i.level), 'key_hash', encode(i.key_hash, 'hex'), 'policy', encode(i.policy_hash, 'hex'),
		'kind', case i.kind when 1 then 'enrol' else 're-enrol' end, 'previous', encode(i.previous, 'hex'),
		'intended', api_time(i.at), 'signed', api_time(s.at), 'not_before', api_time(i.not_before),
		'not_after', case when i.not_after >= timestamptz '9999-12-31' then null else api_time(i.not_after) end,
		'in_use', exists (select from in_use x where x.serial = p_serial),
		'revocation', case when r.number is not null then json_build_object('number', r.number, 'at', api_time(r.at),
			'reason', api_reason(r.reason), 'who', r.who) end,
		'chain', json_build_object('node', i.node, 'stream', i.stream, 'seq', i.seq));
end $$;

create function api_pem(p_serial bytea) returns text language sql stable as $$
	select '-----BEGIN CERTIFICATE-----' || E'\n' || encode(certificate(p_serial), 'base64') || E'\n-----END CERTIFICATE-----\n'
$$;

-- Newest first; p_after: the serial the page before ended with. Serials begin with the day, so that the primary key gives
-- the order and times cut partitions away.
create function api_certificates(p_after bytea, p_limit integer, p_device bytea, p_requester text, p_profile text, p_issuer text,
                                 p_from timestamptz, p_until timestamptz) returns json language plpgsql stable
set enable_seqscan = on as $$
declare
	v_low constant bytea := serial_floor((coalesce(p_from, timestamptz '2000-01-01') at time zone 'UTC')::date - 1);
	v_high constant bytea := coalesce(p_after, serial_floor((coalesce(p_until, now() + interval '2 days') at time zone 'UTC')::date + 2));
	v_serials bytea[];
begin
	if p_device is not null then
		v_serials := array(select c.serial from claim c where c.device = p_device and c.serial < v_high order by c.serial desc
			limit p_limit + 1);
	else
		execute 'select array(select i.serial from issuance i where i.serial >= $1 and i.serial < $2 '
			'and ($3 is null or i.requester = $3) and ($4 is null or i.profile = $4) and ($5 is null or i.issuer = $5) '
			'and ($6 is null or i.at >= $6) and ($7 is null or i.at < $7) order by i.serial desc limit $8)'
		into v_serials using v_low, v_high, p_requester, p_profile, p_issuer, p_from, p_until, p_limit + 1;
	end if;
	return json_build_object(
		'certificates', (select coalesce(json_agg(api_certificate(s) order by s desc), '[]') from unnest(v_serials[1:p_limit]) s),
		'next', case when cardinality(v_serials) > p_limit then encode(v_serials[p_limit], 'hex') end);
end $$;

-- One device with its whole history; NULL if it is not known.
create function api_device(p_device bytea) returns json language plpgsql stable as $$
declare
	v_serials constant bytea[] := array(select c.serial from claim c where c.device = p_device order by c.serial);
	i issuance;
begin
	select * into i from issuance x where x.serial = v_serials[1];
	if i.serial is null then
		return null;
	end if;
	return json_build_object(
		'device', encode(p_device, 'hex'), 'format', i.device_format, 'element', encode(i.element, 'hex'),
		'vendor_root', encode(i.vendor_root, 'hex'),
		'unit_serial', (select u.unit_serial from unit u where u.device = p_device),
		'certificates', (select json_agg(api_certificate(s) order by s) from unnest(v_serials) s));
end $$;

-- The device of an element id, a key or a serial, for whoever has only that in hand.
create function api_devices_of(p_element bytea, p_key_hash bytea) returns json language plpgsql stable
set enable_seqscan = on as $$
declare
	v_devices bytea[];
begin
	if p_key_hash is not null then
		v_devices := array(select k.device from device_key k where k.key_hash = p_key_hash);
	else
		v_devices := array(select distinct i.device from issuance i where i.element = p_element);
	end if;
	return json_build_object('devices', (select coalesce(json_agg(api_device(d)), '[]') from unnest(v_devices) d));
end $$;

create function api_evidence(p_serial bytea) returns json language plpgsql stable as $$
begin
	return (select json_build_object('serial', encode(i.serial, 'hex'), 'format', i.evidence_format, 'level', api_level(i.level),
			'sha256', encode(sha256(i.evidence), 'hex'), 'bundle', translate(encode(i.evidence, 'base64'), E'\n', ''),
			'nonce', encode(i.nonce, 'hex'), 'continuity', translate(encode(i.continuity, 'base64'), E'\n', ''))
		from issuance i where i.serial = p_serial);
end $$;

create function api_actions(p_before bigint, p_limit integer, p_who text) returns json language sql stable as $$
	with page as (
		select * from operator_action a where a.number < coalesce(p_before, 9223372036854775807) and (p_who is null or a.who = p_who)
		order by a.number desc limit p_limit
	)
	select json_build_object(
		'actions', (select coalesce(json_agg(json_build_object('number', a.number, 'at', api_time(a.at), 'who', a.who, 'call', a.call,
			'request', a.request, 'outcome', a.outcome, 'note', a.note, 'detail', a.detail, 'n', a.n,
			'chain', json_build_object('node', a.node, 'stream', a.stream, 'seq', a.seq)) order by a.number desc), '[]') from page a),
		'next', (select case when count(*) = p_limit and min(a.number) > 1 then min(a.number) end from page a))
$$;

-- What counts of each key: its newest row.
create function api_requesters(p_after bigint, p_limit integer) returns json language sql stable as $$
	with page as (
		select r.* from requester r
		where r.number > coalesce(p_after, 0)
		and not exists (select from requester n where n.spki_hash = r.spki_hash and n.number > r.number)
		order by r.number limit p_limit + 1
	), shown as (select * from page order by number limit p_limit)
	select json_build_object(
		'requesters', (select coalesce(json_agg(json_build_object('number', r.number, 'at', api_time(r.at), 'kind', r.kind, 'name', r.name,
			'spki_hash', encode(r.spki_hash, 'hex'), 'names', r.names, 'labels', r.labels, 'active', r.active) order by r.number), '[]')
			from shown r),
		'next', (select case when (select count(*) from page) > p_limit then max(r.number) end from shown r))
$$;

-- A dry run, for whoever looks at it again: its first certificates, and how far it is.
create function api_plan(p_id bytea) returns json language sql stable as $$
	select json_build_object('plan', encode(p.id, 'hex'), 'at', api_time(p.at), 'who', p.who, 'what', p.what,
		'reason', api_reason(p.reason), 'note', p.note, 'n', p.n, 'already', p.already, 'begun', p.action is not null,
		'changed', p.changed, 'done', p.done,
		'sample', (select coalesce(json_agg(api_certificate(s.serial) order by s.ord), '[]') from work.plan_serial s
		           where s.plan = p.id and s.ord <= 20))
	from work.plan p where p.id = p_id
$$;

-- Where everything stands: streams' heads, numbers, and today's counts.
create function api_status() returns json language plpgsql stable set enable_seqscan = on as $$
declare
	v_today constant bytea := serial_floor((now() at time zone 'UTC')::date);
begin
	return json_build_object(
		'at', api_time(now()),
		'schema', (select max(version) from schema_version),
		'heads', (select coalesce(json_agg(json_build_object('node', c.node, 'stream', c.stream, 'seq', c.seq,
			'hash', encode(c.hash, 'hex'), 'at', api_time(c.at)) order by c.node, c.stream), '[]')
			from (select distinct on (node, stream) * from chain order by node, stream, seq desc) c),
		'revocations', (select coalesce(max(number), 0) from revocation),
		'actions', (select coalesce(max(number), 0) from operator_action),
		'intended_today', (select count(*) from issuance i where i.serial >= v_today),
		'signed_today', (select count(*) from signature s where s.serial >= v_today),
		'ceremonies', (select coalesce(json_agg(json_build_object('hash', encode(y.hash, 'hex'), 'at', api_time(y.at)) order by y.at), '[]')
			from ceremony y));
end $$;

grant execute on function api_time, api_level, api_reason, api_certificate, api_pem, api_certificates, api_device, api_devices_of,
	api_evidence, api_actions, api_requesters, api_plan, api_status to assay_read;
