select c.id, c.kind, c.state, c.user_id, u.display_name, coalesce(c.order_id, 0), coalesce(c.entry_seq, 0), c.amount, c.rest, c.provider, c.provider_ref, c.fee_minor, (extract(epoch from c.opened_at) * 1000)::bigint,
  coalesce((extract(epoch from c.deadline_at) * 1000)::bigint, 0), coalesce((extract(epoch from c.closed_at) * 1000)::bigint, 0), c.reason,
  greatest((select count(*) from payments.approval a where a.subject = c.kind and a.subject_id = c.id), (c.kind = 'fraud')::int), case when c.kind = 'fraud' then 2 else 1 end
from payments.money_case c join identity.person u on u.id = c.user_id
where ($1 = 0 or c.id = $1) and ($2 = 0 or c.user_id = $2 or exists (select from payments.case_share h where h.case_id = c.id and h.account = 'earnings:' || $2::bigint))
  and ($3 = '' or c.kind = $3) and ($4 = 0 or (c.closed_at is null) = ($4 = 1))
order by case when c.closed_at is null then c.deadline_at end nulls last, c.id desc limit $5
