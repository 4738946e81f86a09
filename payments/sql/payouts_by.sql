select p.id, p.state, p.gross_minor, p.recovered_minor, p.withheld_minor, p.net_minor, p.origin, (extract(epoch from p.created_at) * 1000)::bigint, p.user_id, u.display_name, u.subject,
  (select count(*) from payments.approval a where a.subject = 'payout' and a.subject_id = p.id), p.needs, coalesce((extract(epoch from p.held_until) * 1000)::bigint, 0), p.attempt,
  w.scheme, w.year, w.year_months, w.year_income, w.taxable, w.rate_bp, w.quick_minor, w.before_minor, w.withheld_minor, s.income_bp, s.monthly_minor,
  coalesce((select i.batch_id from payments.payout_item i where i.payout_id = p.id order by i.attempt desc limit 1), 0)
from payments.payout p join identity.person u on u.id = p.user_id left join payments.withholding w on w.payout_id = p.id and not w.reversal left join payments.tax_scheme s on s.name = w.scheme
where ($1 = 0 or p.id = $1) and ($2 = 0 or p.user_id = $2) and ($3 = '' or p.state = $3 or ($3 = 'open' and p.state not in ('paid', 'rejected', 'cancelled', 'failed', 'returned')))
order by p.id desc limit $4
