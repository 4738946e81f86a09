with p as (select id, needs from payments.payout where id = $1 and state = 'risk_review' for update),
one as (insert into payments.approval (subject, subject_id, actor_id, reason) select 'payout', id, $2, $3 from p on conflict do nothing returning subject_id),
told as (select identity.add_audit($2, 'payout_approval', 'payout:' || subject_id, $3, '{}', '{}') from one)
select p.id, p.needs, (select count(*) from told) from p
