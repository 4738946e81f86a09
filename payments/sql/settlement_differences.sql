-- Theirs against ours: not our order, not paid here, another sum, settled before by another file; and what they ought to have said.
with lines as (select u.*, row_number() over (partition by u.id) as n from unnest($2::bigint[], $3::bigint[], $7::bigint[]) u (id, minor, fee) where id <> 0),
theirs as (select * from lines where n = 1)
select u.id, case when t.id is null or t.provider <> $1 then 'not_our_order' when t.state <> 'paid' then 'not_paid_here' when t.price_minor <> u.minor then 'amount_differs' when u.fee > u.minor then 'fee_over_sum' else 'settled_before' end,
  coalesce(t.price_minor, 0), u.minor
from theirs u left join payments.top_up t on t.id = u.id left join payments.settlement_item i on i.order_id = u.id left join payments.settlement s on s.id = i.settlement_id
where t.id is null or t.provider <> $1 or t.state <> 'paid' or t.price_minor <> u.minor or u.fee > u.minor or (i.order_id is not null and s.file_hash <> $6)
union all
select id, 'twice_in_file', minor, minor from lines where n > 1
union all
select t.id, 'not_in_file', t.price_minor, 0 from payments.top_up t
where t.provider = $1 and t.state = 'paid' and (t.paid_at at time zone (select zone from ledger.zone))::date between $4::date and $5::date
  and not exists (select from theirs u where u.id = t.id) and not exists (select from payments.settlement_item i where i.order_id = t.id)
order by 1
