-- 0011: CRLs other than complete ones. A shard holds the serials whose last octet, which is random, leaves p_shard when
-- divided by the number of shards, a power of two up to 256; a delta holds what came after a number. All lists of an
-- issuer take their numbers from one sequence (RFC 5280 section 5.2.3), so crl_number and crl_intent serve them as they are.

-- One revocation among a million costs the reading of one shard; what a list says stands in the index.
create index revocation_shard on revocation (issuer, get_byte(serial, length(serial) - 1), serial, number desc)
	include (reason, at);

create function crl_shard_entries(p_issuer text, p_shard integer, p_shards integer)
returns table (number bigint, serial bytea, reason smallint, issuer text, at timestamptz) language sql stable as $$
	select x.number, x.serial, x.reason, p_issuer, x.at from (
		select distinct on (r.serial) r.number, r.serial, r.reason, r.at from revocation r
		where r.issuer = p_issuer and get_byte(r.serial, length(r.serial) - 1) = any (
			array(select generate_series(p_shard, 255, p_shards)))
		order by r.serial, r.number desc
	) x where x.reason <> 8 order by x.serial
$$;
grant execute on function crl_shard_entries to assay_ca;

-- What was revoked, held or released after a number, releases included (removeFromCRL).
create function crl_delta_entries(p_issuer text, p_after bigint)
returns table (number bigint, serial bytea, reason smallint, issuer text, at timestamptz) language sql stable as $$
	select distinct on (r.serial) r.number, r.serial, r.reason, r.issuer, r.at from revocation r
	where r.issuer = p_issuer and r.number > p_after order by r.serial, r.number desc
$$;
grant execute on function crl_delta_entries to assay_ca;
