-- A payout stands where its last step left it, its sums are those of its steps, and the registers of tax and of the bank have the same.
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  select 'payout:' || p.id as name, p.state is distinct from l.state
    or p.gross_minor * 10000 is distinct from t.asked or t.taxed > 1
    or (t.taxed = 0 and (p.withheld_minor, p.recovered_minor, p.net_minor) <> (0, 0, 0)) or (t.taxed = 1 and (p.withheld_minor * 10000, p.recovered_minor * 10000, p.net_minor * 10000) is distinct from (t.withheld, t.recovered, t.net))
    or w.lines <> t.taxed + case when t.taxed = 1 and p.state in ('rejected', 'cancelled', 'failed', 'returned') then 1 else 0 end
    or (t.taxed = 1 and (w.income, w.withheld) is distinct from (p.gross_minor - p.recovered_minor, p.withheld_minor)) or w.odd
    or i.sent <> p.attempt or i.odd as bad
  from payments.payout p
  left join lateral (select s.state from payments.step s where s.subject = 'payout' and s.subject_id = p.id order by s.n desc limit 1) l on true
  left join lateral (
    select coalesce(sum(u.amount) filter (where s.state = 'requested' and u.account = 'held:payout_' || p.id), 0) as asked, count(distinct s.id) filter (where s.kind = 'payout_tax_computed') as taxed,
      coalesce(sum(u.amount) filter (where s.kind = 'payout_tax_computed' and u.account = 'withholding'), 0) as withheld,
      coalesce(sum(u.amount) filter (where s.kind = 'payout_tax_computed' and u.account = 'receivable:' || p.user_id), 0) as recovered,
      coalesce(sum(u.amount) filter (where s.kind = 'payout_tax_computed' and u.account = 'payout_transit'), 0) as net
    from payments.step s left join lateral unnest(s.accounts, s.amounts) u (account, amount) on true where s.subject = 'payout' and s.subject_id = p.id) t on true
  left join lateral (
    select count(*) as lines, sum(h.income_minor) filter (where not h.reversal) as income, sum(h.withheld_minor) filter (where not h.reversal) as withheld,
      coalesce(bool_or(h.user_id <> p.user_id), false) or count(*) > 1 and (sum(h.income_minor), sum(h.withheld_minor)) <> (0, 0) as odd
    from payments.withholding h where h.payout_id = p.id) w on true
  left join lateral (select count(*) as sent, coalesce(bool_or(b.net_minor <> p.net_minor or b.attempt > p.attempt), false) as odd from payments.payout_item b where b.payout_id = p.id) i on true
) x
