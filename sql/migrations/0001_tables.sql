-- 0001: tables, partitions, rights. Everything in the schema public is append-only; sql/README.md explains each table.

alter default privileges revoke execute on functions from public;

-- Every row of a chained table names the commit that wrote it: (node, stream, seq) is a row of this table.
create table chain (
	node text not null check (length(node) between 1 and 32),
	stream text not null check (length(stream) between 1 and 32),
	seq bigint not null check (seq >= 1),
	prev_hash bytea not null check (length(prev_hash) = 32),
	op text not null,
	n_rows integer not null check (n_rows >= 0),
	root bytea not null check (length(root) = 32),
	hash bytea not null check (length(hash) = 32),
	at timestamptz not null,
	primary key (node, stream, seq)
);
create index chain_at on chain (at); -- ledger_newest
create index chain_sweep on chain (node, at) where op = 'sweep'; -- void_unsigned looks no further back

-- The intent: all that the signature will cover and why it was granted. Serials begin with the day, so that a range
-- is a time and the primary key is unique over all partitions. There is no default partition.
create table issuance (
	serial bytea primary key,
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	kind smallint not null check (kind in (1, 2)), -- 1 enrol, 2 re-enrol
	issuer text not null,
	profile text not null,
	family text not null,
	policy_hash bytea not null check (length(policy_hash) = 32),
	requester text not null check (requester <> ''),
	device bytea not null check (length(device) = 32),
	device_format text not null,
	vendor_root bytea not null check (length(vendor_root) = 32),
	element bytea not null,
	key_hash bytea not null check (length(key_hash) = 32),
	level smallint not null check (level between 0 and 3),
	nonce bytea,
	evidence bytea,
	evidence_format text,
	continuity bytea,
	previous bytea check ((previous is not null) = (kind = 2)),
	unit_serial text,
	order_id text,
	not_before timestamptz not null,
	not_after timestamptz not null check (not_after > not_before),
	tbs bytea not null check (length(tbs) > 0)
) partition by range (serial);

-- The signature over an issuance's tbs: AlgorithmIdentifier || BIT STRING. 30 length tbs tail is the certificate.
create table signature (
	serial bytea primary key,
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	tail bytea not null check (length(tail) > 0)
) partition by range (serial);

-- An intent that was never signed and never will be.
create table void (
	serial bytea primary key,
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	why text not null
);

-- Numbered without gaps under a lock, so that "everything after number n" misses nothing. The newest row of a serial
-- counts; reason 8 (removeFromCRL) releases a hold. Void serials are here too (reason 5, who 'rule:void').
create table revocation (
	number bigint primary key check (number >= 1),
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	serial bytea not null,
	issuer text not null,
	reason smallint not null check (reason between 0 and 10 and reason <> 7),
	who text not null
);
create index revocation_serial on revocation (serial, number);
create index revocation_issuer on revocation (issuer, number);

-- Who may ask, by public key. The newest row of a key counts.
create table requester (
	number bigint primary key check (number >= 1),
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	kind text not null check (kind in ('rig', 'ra', 'operator', 'auditor', 'administrator')),
	name text not null check (length(name) between 1 and 80),
	spki_hash bytea not null check (length(spki_hash) = 32),
	names text not null check (length(names) <= 64),
	labels text not null check (length(labels) <= 127),
	active boolean not null
);
create index requester_spki on requester (spki_hash, number);

create table policy (
	hash bytea primary key check (length(hash) = 32),
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	what text not null
);

create table ceremony (
	hash bytea primary key check (length(hash) = 32),
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	transcript text not null
);

create table crl_number (
	issuer text not null,
	number bigint not null check (number >= 1),
	node text not null,
	stream text not null,
	seq bigint not null,
	at timestamptz not null,
	primary key (issuer, number)
);

-- What follows are indexes over issuance with rules of their own: each row can be derived from the issuance that
-- made it, and the verification of the chain checks that it was. They are kept apart because a unique key on
-- issuance itself would have to begin with the serial.

-- purpose: the family's name for an enrolment, the previous serial for a re-enrolment. A generation belongs to one
-- key; two keys (or two nodes) that want the same generation meet in the primary key, and one of them loses.
create table claim (
	device bytea not null,
	purpose bytea not null,
	generation integer not null,
	key_hash bytea not null,
	serial bytea not null,
	primary key (device, purpose, generation)
) partition by hash (device);

-- One key, one element, for ever.
create table device_key (
	key_hash bytea primary key,
	device bytea not null
) partition by hash (key_hash);

-- A nonce that issued for one claim issues for no other.
create table nonce_used (
	nonce bytea primary key,
	device bytea not null,
	purpose bytea not null,
	key_hash bytea not null
);

-- Certificates that their device has presented.
create table in_use (
	serial bytea primary key
);

-- The product's serial, tied one-to-one to the device.
create table unit (
	unit_serial text primary key,
	device bytea not null unique
);

-- What can be rebuilt (counters, outboxes) lives here and is the only thing that is ever updated.
create schema work;

do $$
begin
	for i in 0..7 loop
		execute format('create table claim_%s partition of claim for values with (modulus 8, remainder %s)', i, i);
		execute format('create table device_key_%s partition of device_key for values with (modulus 8, remainder %s)', i, i);
	end loop;
end $$;

-- The first serial of a day: byte 01, three bytes of days since 1970.
create function serial_floor(day date) returns bytea language sql immutable strict as $$
	select '\x01'::bytea || substr(int4send(day - date '1970-01-01'), 2)
$$;

-- Refuses to alter what is written, also for the owner. Row triggers of a partitioned table reach its partitions.
create function refuse_change() returns trigger language plpgsql as $$
begin
	raise exception 'the ledger is append-only: % on % refused', tg_op, tg_table_name using errcode = '42501';
end $$;

create function append_only(t regclass) returns void language plpgsql as $$
begin
	execute format('create trigger append_only before update or delete on %s for each row execute function refuse_change()', t);
	execute format('create trigger append_only_truncate before truncate on %s for each statement execute function refuse_change()', t);
end $$;

do $$
declare
	t text;
begin
	foreach t in array array['chain', 'issuance', 'signature', 'void', 'revocation', 'requester', 'policy', 'ceremony',
	                         'crl_number', 'claim', 'device_key', 'nonce_used', 'in_use', 'unit'] loop
		perform append_only(t::regclass);
	end loop;
	for i in 0..7 loop
		execute format('create trigger append_only_truncate before truncate on claim_%s for each statement execute function refuse_change()', i);
		execute format('create trigger append_only_truncate before truncate on device_key_%s for each statement execute function refuse_change()', i);
	end loop;
end $$;

-- Quarterly partitions of issuance and signature up to and with the quarter of `until`. sql/migrate calls it each
-- time with ten years ahead, for the daemon's role cannot create partitions. Returns how many it added.
-- Rows stay in the table's own pages up to 8 KB: TOAST would cost a second table and index for each row of evidence.
create function extend_partitions(until date) returns integer language plpgsql as $$
declare
	day date := date '2026-01-01';
	name text;
	parent text;
	added integer := 0;
begin
	while day <= until loop
		foreach parent in array array['issuance', 'signature'] loop
			name := format('%s_%sq%s', parent, extract(year from day), extract(quarter from day));
			continue when to_regclass(name) is not null;
			execute format('create table %I partition of %I for values from (%L) to (%L) with (toast_tuple_target = 8160)',
			               name, parent, serial_floor(day), serial_floor((day + interval '3 months')::date));
			execute format('create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()', name);
			added := added + 1;
		end loop;
		day := day + interval '3 months';
	end loop;
	return added;
end $$;
select extend_partitions(current_date + 3652);

-- Nobody but the owner's functions writes; the two roles read.
grant usage on schema public, work to assay_ca, assay_read;
grant select on schema_version, chain, issuance, signature, void, revocation, requester, policy, ceremony, crl_number,
	claim, device_key, nonce_used, in_use, unit to assay_ca, assay_read;
do $$
begin
	execute format('revoke temporary on database %I from public', current_database());
end $$;
