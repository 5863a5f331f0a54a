-- 0013: what an auditor takes away: every chained row with its columns in the order of its leaf, a page at a time.

-- The chained tables and the chain: primary key, and the columns as leaf() lists them.
create function audit_tables() returns table (name text, key text[], columns text[]) language sql immutable as $$
	values
	('chain', '{node,stream,seq}'::text[], '{node,stream,seq,prev_hash,op,n_rows,root,hash,at}'::text[]),
	('issuance', '{serial}', '{serial,node,stream,seq,at,kind,issuer,profile,family,policy_hash,requester,device,device_format,
		vendor_root,element,key_hash,level,nonce,evidence,evidence_format,continuity,previous,unit_serial,order_id,not_before,
		not_after,tbs}'),
	('signature', '{serial}', '{serial,node,stream,seq,at,tail}'),
	('void', '{serial}', '{serial,node,stream,seq,at,why}'),
	('revocation', '{number}', '{number,node,stream,seq,at,serial,issuer,reason,who}'),
	('requester', '{number}', '{number,node,stream,seq,at,kind,name,spki_hash,names,labels,active}'),
	('policy', '{hash}', '{hash,node,stream,seq,at,what}'),
	('ceremony', '{hash}', '{hash,node,stream,seq,at,transcript}'),
	('crl_number', '{issuer,number}', '{issuer,number,node,stream,seq,at}'),
	('crl_intent', '{issuer,number}', '{issuer,number,node,stream,seq,at,tbs_hash}'),
	('operator_action', '{number}', '{number,node,stream,seq,at,who,call,request,outcome,note,detail,n}')
$$;

-- The expression that prints a column, and the one that reads what it printed: bytes as hex, times as microseconds since
-- 2000-01-01 UTC, which is what is hashed.
create function audit_print(p_column text, p_type regtype) returns text language sql immutable as $$
	select case p_type when 'bytea'::regtype then format('encode(x.%I, ''hex'')', p_column)
		when 'timestamptz'::regtype then format('(extract(epoch from x.%I) * 1000000)::bigint - 946684800000000', p_column)
		else format('x.%I', p_column) end
$$;
create function audit_read(p_value text, p_type regtype) returns text language sql immutable as $$
	select case p_type when 'bytea'::regtype then format('decode(%L, ''hex'')', p_value) else format('%L::%s', p_value, p_type) end
$$;

-- One page: {"rows": [[value, ...], ...], "next": where the next page begins, or null}. The cursor is the last row's key,
-- its parts joined by "/". The bounds are literals, so that PostgreSQL opens only the partitions that are read.
create function api_audit(p_table text, p_after text, p_limit integer) returns json language plpgsql stable
set timezone = 'UTC' as $$
declare
	v_table constant regclass := (select to_regclass('public.' || t.name) from audit_tables() t where t.name = p_table);
	v_after constant text[] := string_to_array(p_after, '/');
	v_columns text;
	v_key text;
	v_cursor text;
	v_from text;
	v_page json;
begin
	if v_table is null then
		raise exception 'there is no chained table %', left(p_table, 64) using errcode = '22023';
	end if;
	if cardinality(v_after) <> (select cardinality(t.key) from audit_tables() t where t.name = p_table) then
		raise exception 'after: is no cursor of %', p_table using errcode = '22023';
	end if;
	select string_agg(audit_print(u.name, a.atttypid), ', ' order by u.ord) into v_columns
	from audit_tables() t, unnest(t.columns) with ordinality u(name, ord), pg_attribute a
	where t.name = p_table and a.attrelid = v_table and a.attname = u.name;
	select string_agg(format('x.%I', u.name), ', ' order by u.ord),
		string_agg(format('(%s)::text', audit_print(u.name, a.atttypid)), ' || ''/'' || ' order by u.ord),
		string_agg(audit_read(v_after[u.ord], a.atttypid), ', ' order by u.ord)
	into v_key, v_cursor, v_from
	from audit_tables() t, unnest(t.key) with ordinality u(name, ord), pg_attribute a
	where t.name = p_table and a.attrelid = v_table and a.attname = u.name;
	execute format('with page as materialized (select x.* from %s x %s order by %s limit $1) '
		'select json_build_object(''rows'', (select coalesce(json_agg(json_build_array(%s) order by %s), ''[]'') from page x), '
		'''next'', (select %s from page x where (select count(*) from page) = $1 order by row(%s) desc limit 1))',
		v_table, case when p_after is null then '' else format('where (%s) > (%s)', v_key, v_from) end, v_key,
		v_columns, v_key, v_cursor, v_key) into v_page using p_limit;
	return v_page;
end $$;

grant execute on function audit_tables, audit_print, audit_read, api_audit to assay_read;
