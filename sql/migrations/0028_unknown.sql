-- 0028: of what the ledger cannot tell under which batch CA it was: attested issuances. The certificates that go to
-- operators, rigs and listeners are no devices' and have no evidence; they were counted among them.
create or replace function batch_ca_unknown(p_from timestamptz, p_until timestamptz) returns bigint language plpgsql stable
set enable_seqscan = on as $$
begin
	return (select count(*) from issuance i
	        where i.batch_ca is null and i.level > 0 and i.not_after > now()
	        and (p_from is null or i.at >= p_from) and (p_until is null or i.at < p_until));
end $$;
