-- A settlement is the sum of its orders, each paid and settled once, and its step has the same.
select count(*) filter (where bad), count(*), min(name) filter (where bad)
from (
  select 'settlement:' || t.id as name, (t.gross_minor, t.fee_minor) is distinct from (i.gross, i.fee) or i.odd
    or (t.gross_minor * 10000, -t.fee_minor * 10000) is distinct from (s.gross, s.fee) as bad
  from payments.settlement t
  left join lateral (select sum(m.gross_minor) as gross, sum(m.fee_minor) as fee, coalesce(bool_or(o.provider <> t.provider or o.state <> 'paid' or o.price_minor <> m.gross_minor), false) as odd
    from payments.settlement_item m join payments.top_up o on o.id = m.order_id where m.settlement_id = t.id) i on true
  left join lateral (select coalesce(sum(u.amount) filter (where u.account = 'cash:' || t.provider), 0) as gross, coalesce(sum(u.amount) filter (where u.account = 'provider_fees'), 0) as fee
    from payments.step p cross join lateral unnest(p.accounts, p.amounts) u (account, amount) where p.subject = 'settlement' and p.subject_id = t.id) s on true
) x
