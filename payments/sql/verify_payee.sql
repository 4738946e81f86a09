with was as (select user_id, verified_at is not null as verified from payments.payee where user_id = $1 and version = $2 for update),
changed as (update payments.payee y set verified_at = case when $3 then null else now() end, verified_by = $4, refused = case when $3 then $5 else '' end from was where y.user_id = was.user_id returning y.user_id)
select identity.add_audit($4, case when $3 then 'refuse_payee' else 'verify_payee' end, 'payee:' || user_id || ':' || $2, $5, jsonb_build_object('verified', verified), jsonb_build_object('verified', not $3)) from was
where exists (select from changed)
