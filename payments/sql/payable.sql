with n as (select (now() at time zone $2)::date as day)
select b.earnings, b.maturing, b.available_minor, b.owed, p.maturity_days, p.threshold_minor, p.recover_bp,
  (select coalesce(sum(o.gross_minor), 0) from payments.payout o where o.user_id = $1 and o.state not in ('paid', 'rejected', 'cancelled', 'failed', 'returned')),
  (select coalesce(sum(h.held), 0) from payments.case_share h join payments.money_case c on c.id = h.case_id where h.account = 'earnings:' || $1::bigint and c.closed_at is null),
  case when exists (select from payments.payout_run r where r.month = date_trunc('month', n.day)) then (date_trunc('month', n.day) + interval '1 month')::date else date_trunc('month', n.day)::date end + p.run_day - 1,
  t.year, t.months, t.income, t.taxable, t.rate_bp, t.quick_minor, t.before_minor, t.withheld, y.tax_scheme, x.income_bp, x.monthly_minor
from n cross join payments.policy_now p cross join lateral payments.payable($1) b left join payments.payee y on y.user_id = $1 left join payments.tax_scheme x on x.name = y.tax_scheme
left join lateral payments.tax_now($1, y.tax_scheme, n.day, b.available_minor - least(b.owed / 10000, b.available_minor * p.recover_bp / 10000)) t on y.user_id is not null
