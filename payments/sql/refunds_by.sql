select f.id, f.case_id, f.order_id, u.display_name, f.provider, f.amount_minor, f.currency, f.state, f.reference, f.why, f.tries,
  (extract(epoch from f.made_at) * 1000)::bigint, coalesce((extract(epoch from f.sent_at) * 1000)::bigint, 0)
from payments.refund f join payments.money_case c on c.id = f.case_id join identity.person u on u.id = c.user_id
where case when $1 <> 0 then f.id = $1 else (f.state = 'sent') = $2 end
order by case when $2 then -f.id else f.id end limit 100
