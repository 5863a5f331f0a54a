-- 0015: the auditor takes away what OCSP recorded, too.
create or replace function audit_tables() returns table (name text, key text[], columns text[]) language sql immutable as $$
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
	('responder_intent', '{serial}', '{serial,issuer,node,stream,seq,at,key_hash,not_before,not_after,tbs}'),
	('responder_signature', '{serial}', '{serial,node,stream,seq,at,tail}'),
	('status_intent', '{node,stream,seq}', '{node,stream,seq,at,hashes}'),
	('operator_action', '{number}', '{number,node,stream,seq,at,who,call,request,outcome,note,detail,n}')
$$;
